"""The page of losses that are the same function, made of twins.json, which twins.py writes."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

from studies import write_table

FOUND = Path(__file__).parent.parent / "lossbench/show/twins.json"
SHARES = ("0.9", "0.5", "0.1")


def write_twins() -> str:
    """The focal losses of several libraries and where they differ, and all twins by task."""
    found = json.loads(FOUND.read_text())
    focal = [each for each in found["focal"] if "Dice" not in each["loss"]]  # those are sums
    libraries = {each["loss"].partition(".")[0] for each in focal if ":" in each["loss"]}
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    counts = {"compared": found["compared"], "twins": len(found["twins"]), "focal": len(libraries)}
    parts = [HEAD.format(date=found["date"], packages=packages, **counts)]
    for task, labels in (("binary", ("1", "0")), ("multiclass", ("1",))):
        words = {"1": "present, p =", "0": "absent, p ="} if len(labels) > 1 else {"1": "p ="}
        heading = [f"{words[label]} {share}" for label in labels for share in SHARES]
        rows = [_focal_row(e, labels, found["twins"]) for e in focal if e["task"] == task]
        parts += [f"### {task}\n", write_table(["loss", "takes", *heading, "is"], rows)]
    parts += ["## All twins\n", TWINS]
    for task, same in groupby(found["twins"], key=lambda twin: twin[0]):
        rows = [[f"`{loss}`", _relation(loss, words)] for _, loss, _, words in same]
        parts += [f"### Of {task}\n", write_table(["loss", "relation"], rows)]
    return "\n".join(parts)


def _relation(loss: str, words: str) -> str:
    return f"`{words.removeprefix(loss).strip()}`"


def _focal_row(each: dict[str, Any], labels: tuple[str, ...], twins: list[list[str]]) -> list[str]:
    loss = each["loss"]
    values = [f"{each['values'][f'{share} {label}']:.4g}" for label in labels for share in SHARES]
    defaults = ", ".join(f"{n}={v:g}" for n, v in each["defaults"].items() if v is not None)
    own = [twin for twin in twins if twin[:2] == [each["task"], loss]]
    relations = {other: words for _, _, other, words in own}
    nearest = relations.get("focal") or next(iter(relations.values()), "")
    shown = f"`{loss}`" + (f" ({defaults})" if defaults else "")
    form = each["form"] or "raw predictions and targets"
    return [shown, form, *values, _relation(loss, nearest) if nearest else ""]


HEAD = """# Losses that are the same

What `lossbench check --twins --all` finds: of {compared} losses of tasks, {twins} are another one,
exactly, but for a factor or a constant, at a setting of a hyper-parameter, or towards the end of
its range. Values and gradients of example batches are compared in float64; a relation holds to
1e-6, "tends to" to 1e-3, and "but for large predictions" says that logarithms are clipped or a
margin ends. A regression has one target here, and times are not tied: losses that treat several
targets or ties in different ways are one function on such data. A library's loss is compared in the
form that its adapter finds on the task; one that needs more to be given is not.

Measured by `python docs/twins.py` on {date} with {packages}.

## The focal losses of lossbench and {focal} libraries, where they differ

Each at its defaults, on one example whose true class has the probability p. They differ by alpha:
none, of the present class (kornia), or 1 - alpha of it (libauc), so that alpha = 0.25 means
opposite things; by a mean over classes where another takes a sum; and by whether each class has a
sigmoid of its own. A learning rate that is right for one is wrong for another by the same factor.
In a batch, libauc 2.0.1 multiplies shapes (B,) and (B, 1): each example gets the mean alpha of all,
whatever its class, which is why the relation of a balanced batch is half of `focal`.
"""

TWINS = """The second column completes the first: `focal`, `(gamma=0) is cross_entropy`. A function
and the class that calls it are both listed.
"""
