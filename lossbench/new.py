"""A plugin package that passes its own check, to start from."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from string import Template

from lossbench.contract import UserError

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$package"
version = "0.1.0"
description = "A loss for lossbench"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["lossbench", "torch"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points."lossbench.losses.multiclass"]
$loss = "$module.losses:$loss"

[tool.hatch.build.targets.wheel]
packages = ["$module"]
"""

LOSSES = '''\
"""Losses of the multiclass task: logits (B, C), int64 classes (B,), one value per example."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


@declare(tune={"temperature": (0.5, 4.0)}, convex=True, source="yours")
def $loss(
    logits: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, inf)"] = 2.0
) -> Tensor:
    """Rewards probability on the true class, from logits that are cooled or heated first.

    L = -log softmax(z / T)_y

    Args:
        logits: (B, C), any real.
        target: (B,), class indices from 0.
        temperature: T, how much the logits are divided.

    Returns:
        (B,), nats.

    temperature = 1 gives cross_entropy.

    Source: yours.

    >>> import torch
    >>> $loss(torch.zeros(1, 2), torch.tensor([0]))
    tensor([0.6931])
    """
    return F.cross_entropy(logits / temperature, target, reduction="none")
'''

TEST = '''\
"""The loss holds what every loss must hold."""

from lossbench.testing import loss_checks

test_$loss = loss_checks("$module.losses:$loss", task="multiclass")
'''

README = """\
# $package

A loss for lossbench, in `$module/losses.py`, named by one line of `pyproject.toml`.

    pip install -e '.[test]'
    pytest
    lossbench check $loss
    lossbench show $loss
    lossbench run -m loss=cross_entropy,$loss dataset=blobs seeds=10

Rename the function, change the formula, its docstring and the entry point together.
"""


def write_package(name: str, where: Path) -> Path:
    """Write the package's folder below `where`; UserError where the name or the place is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise UserError(
            f"new {name}: expected the name of a package in lower case, such as my-losses."
        )
    module = name.replace("-", "_")
    loss = f"{module.removesuffix('_losses').removesuffix('_loss')}_loss"
    if keyword.iskeyword(module) or importlib.util.find_spec(module):
        raise UserError(f"new {name}: there is a module of this name already. Choose another.")
    folder = where / name
    if folder.exists():
        raise UserError(f"new {name}: {folder} is there already. Choose another name.")
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        f"{module}/__init__.py": '"""Losses for lossbench."""\n',
        f"{module}/losses.py": LOSSES,
        f"tests/test_{loss}.py": TEST,
    }
    words = {"package": name, "module": module, "loss": loss}
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(text).substitute(words), encoding="utf-8")
    return folder
