"""Settings that are written alike and differ in the content of a file are told apart."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lossbench.comparison.structure import Comparison
from lossbench.configuration import digest
from lossbench.nested import leaves

DIGITS = 6  # of a digest, in a name


def name_contents(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons, with a digest next to each name of a file that held different content."""
    alike: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        alike.setdefault(digest(comparison.setting), []).append(comparison)
    return [_named(comparison, alike[digest(comparison.setting)]) for comparison in comparisons]


def _named(comparison: Comparison, alike: Sequence[Comparison]) -> Comparison:
    if len(alike) == 1:
        return comparison
    setting, own = copy.deepcopy(comparison.setting), _numbers_of(comparison)
    others = [_numbers_of(each) for each in alike]
    for key, value in own.items():
        section, _, name = key.removesuffix(".content").partition(".")
        shown = setting.get(section)
        differs = len({str(other.get(key)) for other in others}) > 1
        if differs and isinstance(shown, dict) and name in shown:
            shown[name] = f"{shown[name]} (content {digest(str(value), DIGITS)})"
    return replace(comparison, setting=setting)


def _numbers_of(comparison: Comparison) -> dict[str, Any]:
    """What decided the numbers of a setting, by dotted keys."""
    return dict(leaves(next(iter(comparison.results.values())).setting))
