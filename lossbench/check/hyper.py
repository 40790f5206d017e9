"""Checks of hyper-parameters: each does something, and each value that is allowed works."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.check.findings import Failed, Skipped
from lossbench.check.subject import Subject, close, one_line
from lossbench.contract import UserError
from lossbench.registry.schema import Kind, Parameter, convert, ends_of

Hyper = dict[str, Any]
NUMBERS = (0.5, 2.0, 0.1, 0.9, 1.0, 0.0, 3.0, 10.0, -1.0)
PARTNERS = 3  # values of another hyper-parameter that one is tried with


def shown(hyper: Hyper) -> str:
    """' with gamma=2' or nothing."""
    return " with " + ", ".join(f"{k}={v}" for k, v in hyper.items()) if hyper else ""


def settings(subject: Subject) -> list[Hyper]:
    """The defaults, and one hyper-parameter at a time at the ends of its range.

    Of a foreign loss, which may refuse what its annotations allow or reduce otherwise, those at
    which it runs and gives as many numbers.
    """
    tried = [{p.name: value} for p in subject.parameters for value in ends(subject, p)]
    return [{}, *(h for h in tried if not subject.is_foreign or _runs(subject, h))]


def _runs(subject: Subject, hyper: Hyper) -> bool:
    try:
        values = subject(*subject.example, **hyper)
    except Exception:
        return False
    return values.shape == subject(*subject.example).shape


def ends(subject: Subject, parameter: Parameter) -> list[Any]:
    """Where a number's range ends: `tune`, and ends that belong to its interval; other choices."""
    kind = parameter.kind
    if kind.base is bool:
        return [not parameter.default]
    if kind.choices:
        return [choice for choice in kind.choices if choice != parameter.default]
    if kind.item or kind.base not in (int, float):
        return []
    bounds = [v for name, *pair in subject.declaration.tune if name == parameter.name for v in pair]
    if kind.interval:
        low, high = ends_of(kind.interval)
        bounds += [low] if kind.interval[0] == "[" else []
        bounds += [high] if kind.interval[-1] == "]" else []
        if not subject.declaration.tune and isinstance(parameter.default, int | float):
            bounds += [parameter.default / 4, parameter.default * 4]
    return valid(subject, kind, dict.fromkeys(bounds), parameter.default)


def candidates(subject: Subject, parameter: Parameter) -> list[Any]:
    """Valid values other than the default, likely ones first."""
    kind, default = parameter.kind, parameter.default
    if kind.choices or kind.base is bool:
        return ends(subject, parameter)
    if kind.item or (kind.base is None and not isinstance(default, int | float)):
        return valid(subject, kind, _lists(kind, default, subject.classes), default)
    if isinstance(default, int) and kind.base in (int, None):
        others: list[Any] = [default + 1, default + 2, default - 1, 2 * default, 1, 2, 3, 5, 10]
    elif isinstance(default, int | float):
        others = [default / 2, default * 2, default + 1, default - 1, *NUMBERS]
    else:
        others = [*NUMBERS] if kind.base is not int else [1, 2, 3]
    return valid(subject, kind, dict.fromkeys([*ends(subject, parameter), *others]), default)


def _lists(kind: Kind, default: Any, classes: int) -> Iterable[Any]:
    """Lists, or tables, of numbers: the default's own changed, or one with an entry per class."""
    number = int if (kind.item and kind.item.base is int) else float
    if isinstance(default, list | tuple) and default and not isinstance(default[0], list | tuple):
        entries = [x for x in default if isinstance(x, int | float)]
        yield [number(2 * x + 1) for x in entries]
        yield [*entries, number(1)]
        yield [number(x / 2) for x in entries]
    sizes = dict.fromkeys((classes, 2, 3))
    for size in sizes:
        yield [number(1 + k) for k in range(size)]
    for size in sizes:
        for diagonal in (2, 0):
            yield [
                [number(diagonal + (i - j) ** 2 + i * (i != j)) for j in range(size)]
                for i in range(size)
            ]


def valid(subject: Subject, kind: Kind, values: Iterable[Any], default: Any) -> list[Any]:
    valid, classes = [], subject.task.weighed_classes
    for value in values:
        try:
            whole = isinstance(value, float) and kind.base is int and value.is_integer()
            value = convert(kind, int(value) if whole else value, "", classes)
        except UserError:
            continue
        if value != default and not (isinstance(value, float) and not math.isfinite(value)):
            valid.append(value)
    return valid


def hyper_parameters_used(subject: Subject) -> None:
    """Changing a hyper-parameter changes the value or the gradient of some input."""
    untried, known = [], getattr(subject.loss, "foreign", None)
    is_set = known.settings if known else ()  # by the form, whatever is given
    for parameter in (p for p in subject.parameters if not p.kind.loss and p.name not in is_set):
        effect = _has_effect(subject, parameter)
        if effect is None:
            untried.append(parameter.name)
        elif not effect:
            raise subject.lapse(  # a library may mean it for another task
                f"{parameter.name} changes nothing: {len(candidates(subject, parameter))} values "
                "of it give the same numbers on six batches."
            )
    if untried:
        raise Skipped(f"no valid value to try for {', '.join(untried)}.")
    if not subject.parameters:
        raise Skipped("there is none.")


def _has_effect(subject: Subject, parameter: Parameter) -> bool | None:
    """Whether any candidate matters, alone or with another choice; None where none can run."""
    others = [p for p in subject.parameters if p.name != parameter.name]
    settings: list[Hyper] = [{}]
    settings += [{p.name: v} for p in others for v in candidates(subject, p)[:PARTNERS]]
    ran = False
    for rest in settings:
        reference = _numbers(subject, rest)
        for value in candidates(subject, parameter) if reference else ():
            numbers = _numbers(subject, {**rest, parameter.name: value})
            if numbers is None:
                continue
            ran = True
            pairs = zip(numbers, reference or (), strict=True)
            if not all(close(a, b, 1e-9, 1e-12) for a, b in pairs):
                return True
    return False if ran else None


def _numbers(subject: Subject, hyper: Hyper) -> list[Tensor] | None:
    """Values and gradients on batches of every size, or None where the setting is refused."""
    numbers: list[Tensor] = []
    try:
        for batch in subject.batches:
            numbers += subject.differentiate(*batch, **hyper)
        return numbers + (_of_trained_weights(subject, hyper) if subject.is_module else [])
    except Exception:
        return None


def _of_trained_weights(subject: Subject, hyper: Hyper) -> list[Tensor]:
    """A module's value, and the gradients of its weights, a little off where these begin."""
    module = subject.made(**hyper)
    assert isinstance(module, nn.Module)
    weights = list(module.parameters())
    with torch.no_grad():
        for k, weight in enumerate(weights):
            weight.add_(torch.sin(torch.arange(weight.numel()) + k).reshape(weight.shape) / 100)
    value = subject.call(module, *subject.example)
    return [value.detach(), *torch.autograd.grad(value.sum(), weights, allow_unused=False)]


def hyper_parameter_ranges(subject: Subject) -> None:
    """At the ends of every declared range it runs, and value and gradient are finite."""
    tried = settings(subject)[1:]
    for hyper in tried:
        try:
            values, gradient = subject.differentiate(*subject.example, **hyper)
        except Exception as error:
            raise Failed(f"it fails{shown(hyper)}: {one_line(error)}") from error
        if not (values.isfinite().all() and gradient.isfinite().all()):
            raise Failed(f"value or gradient is not finite{shown(hyper)} on the example batch.")
        if values.shape != subject(*subject.example).shape:
            raise Failed(f"the shape is {tuple(values.shape)}{shown(hyper)}.")
    if not tried:
        raise Skipped("no hyper-parameter declares a range.")


CHECKS = (hyper_parameters_used, hyper_parameter_ranges)
