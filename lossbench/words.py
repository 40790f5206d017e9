"""Hydra's override grammar: words of a command line -> axes of a sweep."""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from lossbench.contract import UserError

MOST_VALUES = 100_001  # of one axis


def axes_of(fixed: dict[str, Any], words: Sequence[str], sweep: bool) -> dict[str, list[str]]:
    """Each key's overrides, one for each value; the command line's replace the experiment's."""
    axes: dict[str, list[str]] = {}
    for key, value in fixed.items():
        values = value if isinstance(value, list) else [value]
        axes[key] = [f"{key}={word_of(v)}" for v in values]
    for word in _parsed(words):
        key = word.get_key_element()
        if word.is_delete():
            raise UserError(f"{word.input_line}: nothing can be removed; give it another value.")
        if not word.is_sweep_override():
            axes[key] = [word.input_line or ""]
        elif sweep:
            axes[key] = [f"{key}={value}" for value in _values(word)]
        else:
            raise UserError(
                f"{word.input_line} names several runs: add -m to sweep over them, or quote the "
                f"value, '{key}=\"…\"', if it is one."
            )
    return axes


def _values(word: Override) -> list[str]:
    """The values that a sweep over one key stands for, no more than MOST_VALUES of them."""
    try:
        values = list(itertools.islice(word.sweep_string_iterator(), MOST_VALUES))
    except (HydraException, ValueError) as error:  # an interval, a step of 0
        raise UserError(
            f"{word.input_line}: give the values with commas between them, or "
            "range(first, end, step) with a step that is not 0."
        ) from error
    if not values:
        raise UserError(f"{word.input_line} stands for no value.")
    return values


def refuse_too_many(sweeps: Sequence[dict[str, list[str]]], most: int | None) -> None:
    """UserError where there would be more runs than `most`."""
    count = sum(math.prod(map(len, axes.values())) for axes in sweeps)
    if most is not None and count > most:
        every = [(key, values) for axes in sweeps for key, values in axes.items() if values[1:]]
        long = ", ".join(f"{len(values)} of {key}" for key, values in every)
        raise UserError(
            f"this asks for {count} runs or more ({long}), more than {most}. Give --yes to have "
            "them all; --dry-run says what they cost."
        )


def word_of(value: Any) -> str:
    """A value of YAML as the grammar writes it."""
    plain = isinstance(value, str) and _parses(f"key={value}")
    return value if plain else json.dumps(value, ensure_ascii=False)


@functools.cache
def override_of(word: str) -> Override:
    """What one word says."""
    return _parsed([word])[0]


def _parsed(words: Sequence[str]) -> list[Override]:
    loader = GlobalHydra.instance().config_loader() if GlobalHydra().is_initialized() else None
    try:
        return OverridesParser.create(loader).parse_overrides(list(words))
    except HydraException as error:
        bad = next(word for word in words if not _parses(word))
        key, equals, value = bad.partition("=")
        reason = f"'{bad}' is not of the form key=value. Example: lossbench run loss=focal seeds=20"
        if equals:
            reason = f"{bad}: this value must be in quotes of its own: \"{key}='{value}'\"."
        raise UserError(reason) from error


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([word])
    except HydraException:
        return False
    return True
