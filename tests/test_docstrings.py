"""The docstrings of losses have the parts that people, Sphinx and `lossbench show` read."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
GROUPS = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]
EVERY = sorted(
    {
        value
        for group, points in GROUPS.items()
        if group.startswith("lossbench.losses.") or group == "lossbench.regularizers"
        for value in points.values()
    }
)


@pytest.mark.parametrize("value", EVERY)
def test_a_docstring_has_its_parts_and_names_every_argument(value):
    """What it rewards, the formula, Args, Returns, Source and an example, each once."""
    module, _, attribute = value.partition(":")
    loss = getattr(import_module(module), attribute)
    text = inspect.getdoc(loss)
    summary, formula, *_ = text.split("\n\n")
    assert re.match(r"(Rewards|Punishes|Pulls|Reweights) .*\.$", summary)
    assert re.match(r"[LR](_i)? = ", formula)
    assert [text.count(part) for part in ("\nArgs:\n", "\nReturns:\n", "\nSource: ")] == [1, 1, 1]
    assert "\n>>> " in text
    section = text.partition("\nArgs:\n")[2].partition("\n\n")[0]
    named = re.findall(r"^    (\w+(?:, \w+)*):", section, flags=re.M)
    called = inspect.signature(loss.forward if inspect.isclass(loss) else loss)
    made = inspect.signature(loss) if inspect.isclass(loss) else called
    wanted = [name for name in {**called.parameters, **made.parameters} if name != "self"]
    assert ", ".join(named).split(", ") == wanted
