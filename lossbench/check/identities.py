"""Check of the docstring's identities: "gamma = 0 gives cross_entropy." """

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lossbench import registry
from lossbench.check.findings import Failed, Skipped
from lossbench.check.form import text_of
from lossbench.check.hyper import shown
from lossbench.check.subject import Subject, close
from lossbench.contract import UserError
from lossbench.registry.schema import within

VALUE = r"(?:-?[\d.]+(?:/\d+|e-?\d+)?|½|None|True|False|\([^()]*\)|\[[^\[\]]*\]|'\w*'|\"\w*\")"
SETTING = rf"(\w+) ?= ?({VALUE})"
SETTINGS = rf"{SETTING}(?:(?:,| and|, and) {SETTING})*"
FACTORS = {"half of ": 0.5, "half ": 0.5, "twice ": 2.0, "minus ": -1.0}
FACTOR = rf"(?:{'|'.join(FACTORS)}|([\d.]+) times )?"
IDENTITY = re.compile(
    rf"({SETTINGS}),? (gives|recovers|yields|reduces to|becomes|equals|is) "
    rf"(?:the )?({FACTOR})[`'\"]?([a-z]\w*)[`'\"]?(?= and| while| \(|[.,;:)]|$)"
)
NEAR = 1e-4  # of an end that does not belong to the interval
SCALES = (0.5, 3.0, 30.0)


def identities(subject: Subject) -> None:
    """What its docstring calls a special case has the values and gradients of that loss."""
    checked, unknown = 0, []
    for match in IDENTITY.finditer(text_of(subject.loss)):
        hyper, factor, name = _read(match)
        if not hyper.keys() <= {p.name for p in subject.parameters}:
            continue
        other = _named(subject, name)
        if other is None:
            unknown += [name] if match[6] != "is" else []
            continue
        _compare(subject, hyper, factor, other, match[0])
        checked += 1
    if not checked:
        raise Skipped(f"no loss is named {', '.join(unknown)}." if unknown else "it states none.")


def _read(match: re.Match[str]) -> tuple[dict[str, Any], float, str]:
    """The setting, the factor and the other loss's name."""
    hyper = {name: _value(text) for name, text in re.findall(SETTING, match[1])}
    words, number = match[7], match[8]
    return hyper, float(number) if number else FACTORS.get(words, 1.0), match[9]


def _value(text: str) -> Any:
    top, _, bottom = text.partition("/")
    if text == "½" or bottom:
        return 0.5 if text == "½" else float(top) / float(bottom)
    value = ast.literal_eval(text)
    return list(value) if isinstance(value, tuple) else value


def _named(subject: Subject, name: str) -> Subject | None:
    """The loss of this name: next to the subject in its file, or installed for its task."""
    module = sys.modules.get(subject.loss.__module__)
    namesake: Callable[..., Any] | None = getattr(module, name, None)
    if callable(namesake) and getattr(namesake, "__module__", "") == subject.loss.__module__:
        return replace(subject, plugin=replace(subject.plugin, attribute=name), loss=namesake)
    try:
        plugin = registry.find_for_task(name, subject.task.name)
    except UserError:
        return None
    return replace(subject, plugin=plugin, loss=registry.load(plugin))


def _compare(
    subject: Subject, hyper: dict[str, Any], factor: float, other: Subject, words: str
) -> None:
    hyper, tolerance = _inside(subject, hyper)
    for seed, scale in enumerate(SCALES):
        batch = subject.batch(seed, scale, count=64)
        mine = subject.differentiate(*batch, **hyper)
        others = other.differentiate(*batch)
        for what, a, b in zip(("value", "gradient"), mine, others, strict=True):
            if not close(a, factor * b, tolerance, tolerance / 100):
                row = int((a - factor * b).abs().flatten().argmax()) if a.shape == b.shape else 0
                raise Failed(
                    f'"{words}" is not so: the {what} is {float(a.flatten()[row]):.6g}'
                    f"{shown(hyper)}, of the other {float(factor * b.flatten()[row]):.6g}."
                )


def _inside(subject: Subject, hyper: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """The setting, moved off an end that does not belong to its interval, and the tolerance."""
    moved, tolerance = dict(hyper), 1e-7
    for parameter in subject.parameters:
        value, interval = hyper.get(parameter.name), parameter.kind.interval
        if isinstance(value, int | float) and interval and not within(interval, value):
            inside = [v for v in (value + NEAR, value - NEAR) if within(interval, v)]
            if not inside:
                raise Failed(f"{parameter.name} = {value} is outside its interval {interval}.")
            moved[parameter.name], tolerance = inside[0], 1e-2
        elif isinstance(value, int) and parameter.kind.base is float:
            moved[parameter.name] = float(value)
    return moved, tolerance


CHECKS = (identities,)
