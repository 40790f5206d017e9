"""Which values of a hyper-parameter to show next to its default."""

from __future__ import annotations

import re
from typing import Any

from lossbench.registry.schema import Kind, Parameter, ends_of, within
from lossbench.show.anatomy import Entry


def choose_values(entry: Entry, parameter: Parameter) -> list[Any]:
    """The default first, then a lower and a higher value; only the default where none is known."""
    default, kind = parameter.default, parameter.kind
    if isinstance(default, bool) or (kind.choices and not kind.item):
        others = [v for v in kind.choices or (True, False) if v != default]
        return [default, *others][:3]
    if kind.item:
        return [default, *_lists(entry, kind, default)]
    if kind.base not in (int, float) or default is None:
        return [default]
    tuned = next((t[1:] for t in entry.declaration.tune if t[0] == parameter.name), None)
    low, high = tuned or _around(kind, default)
    named = _named_limit(entry, parameter.name)
    candidates = [default, low if named is None else named, high]
    return [v for v in dict.fromkeys(map(kind.base, candidates)) if _is_valid(kind, v)]


def _around(kind: Kind, default: float) -> tuple[float, float]:
    """Two values on either side, by the ends of the interval or by the size of the default."""
    low, high = ends_of(kind.interval) if kind.interval else (-1e300, 1e300)
    if high - low < 1e300:
        return low + (high - low) / 10, high - (high - low) / 10
    return (default / 2, default * 2) if default else (-1.0, 1.0)


def _lists(entry: Entry, kind: Kind, default: Any) -> list[Any]:
    """Other lists of numbers: of the given signs and sizes, or one weight for each class."""
    assert kind.item
    if kind.item.base not in (int, float):
        return []  # a table has no scale
    if default is None:
        classes = section_classes(entry)
        return [[0.5] * classes, [2.0] * classes]
    lists = [[-v for v in default], [2 * v for v in default]]
    return [each for each in lists if all(_is_valid(kind.item, v) for v in each)]


def section_classes(entry: Entry) -> int:
    """How many classes the sections of a task have."""
    return 2 if entry.task and entry.task.soft_targets else 3


def _is_valid(kind: Kind, value: float) -> bool:
    return not kind.interval or within(kind.interval, value)


def _named_limit(entry: Entry, name: str) -> float | None:
    """The value at which the docstring says that this is another loss: "gamma = 0 gives …"."""
    match = re.search(rf"\b{name} = (-?[\d.]+) gives ", entry.docstring.notes)
    return float(match[1]) if match else None
