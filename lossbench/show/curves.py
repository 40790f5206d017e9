"""Values and gradients of a loss along its sections, for a few values of each hyper-parameter."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import registry
from lossbench.check.subject import NUM_EXAMPLES
from lossbench.registry.schema import Parameter
from lossbench.show.anatomy import Entry, write_value
from lossbench.show.studies import choose_studies, find_prototypes
from lossbench.show.variants import choose_values, section_classes
from lossbench.tasks import Section, Study
from lossbench.tasks.calls import outside_training
from lossbench.undisturbed import undisturbed

WEIGHTS_SEED = 1  # of a loss with weights of its own
ROOM = 2.5  # times the first curve's range that others may have
Loss = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Curve:
    """Value and gradient at each x, all (N,). alone: every x was a batch of its own."""

    label: str
    x: Tensor
    value: Tensor
    gradient: Tensor
    alone: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves on the same axes; the first is at the defaults."""

    title: str
    axis: str
    slope: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Drawn:
    """The panels of a loss for a task, or the reason why there are none, in one line."""

    panels: tuple[Panel, ...]
    reason: str = ""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """For hundreds of tiny batches, which would wait for each other; settings are put back."""
    with undisturbed():
        torch.set_num_threads(1)
        yield


def draw_panels(entry: Entry) -> Drawn:
    """All that can be drawn of a loss; a loss that fails on its sections gives a reason."""
    try:
        with one_thread():
            panels = tuple(_panels(entry))
    except Exception as error:
        text = (str(error).splitlines() or [""])[0]
        return Drawn((), f"It fails on its section: {type(error).__name__}: {text}"[:200])
    if panels:
        return Drawn(panels)
    return Drawn((), "No one-dimensional section of it is known to mean something.")


def build_loss(entry: Entry, **hyper: Any) -> Loss:
    """The loss at these hyper-parameters with its task's facts, in float64, prototypes on axes."""
    if entry.task is None:
        return lambda weights, _: entry.loss(weights, **hyper)
    asked = registry.facts(entry.plugin)
    known = entry.task.facts(entry.task.example()[1]) if asked else {}
    known["num_examples"] = NUM_EXAMPLES
    facts = registry.given(asked, known)
    loss = outside_training(entry.loss)
    if not inspect.isclass(loss):
        return lambda prediction, target: loss(prediction, target, **{**hyper, **facts})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(WEIGHTS_SEED)
        module: Any = outside_training(loss(**{**hyper, **facts}))
        prototypes = find_prototypes(entry, module)
        if "num_classes" in facts and not prototypes:  # it takes the logits of a section
            facts["num_classes"] = section_classes(entry)
            module = outside_training(loss(**{**hyper, **facts}))
    for weight in prototypes:
        nn.init.eye_(weight)
    return module.double() if isinstance(module, nn.Module) else module


def measure_curve(section: Section, loss: Loss, label: str) -> Curve:
    """The loss along a section: all x as one batch, or a batch for each where examples couple."""
    if not section.coupled:
        value, gradient = _differentiated(section, loss, section.x)
        if value.shape == section.x.shape:
            return Curve(label, section.x, value, section.sign * gradient)
    pairs = [_differentiated(section, loss, x) for x in section.x.split(1)]
    value = torch.stack([v.flatten()[0] for v, _ in pairs])
    gradient = section.sign * torch.cat([g for _, g in pairs])
    return Curve(label, section.x, value, gradient, alone=not section.coupled)


def _differentiated(section: Section, loss: Loss, x: Tensor) -> tuple[Tensor, Tensor]:
    """The values, and the gradient in x of those that are shown."""
    leaf = x.clone().requires_grad_()
    value = loss(*section.batch(leaf))
    looked_at = value.flatten()[0] if section.coupled else value.sum()
    if not looked_at.requires_grad:
        return value, torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(looked_at, leaf, allow_unused=True)
    return value.detach(), torch.zeros_like(leaf) if gradient is None else gradient


def _panels(entry: Entry) -> Iterable[Panel]:
    # of a penalty, other strengths would show the same picture on another scale
    base = {"strength": 1.0} if entry.task is None and entry.parameters else {}
    at, loss = [f"{name} = {value:g}" for name, value in base.items()], build_loss(entry, **base)
    scaled = [p for p in entry.parameters if p.default is not None]
    optional = [p for p in entry.parameters if p.default is None]
    for study in choose_studies(entry, loss):
        panels = _varied(entry, study, scaled)
        if len(study.cases) > 1 or not panels:
            cases = tuple(measure_curve(section, loss, label) for label, section in study.cases)
            title = ", ".join(filter(None, (study.title, study.by, *at)))
            panels.append(_panel(title, study, cases))
        yield from panels + _varied(entry, study, optional)


def _panel(title: str, study: Study, curves: tuple[Curve, ...]) -> Panel:
    section, alone = study.cases[0][1], any(each.alone for each in curves)
    axis = f"{section.axis}, a batch of one" if alone else section.axis
    return Panel(title, axis, section.slope, curves)


def _varied(entry: Entry, study: Study, parameters: list[Parameter]) -> list[Panel]:
    """One panel for each hyper-parameter that has several values to show."""
    panels, section = [], study.cases[0][1]
    for parameter in parameters if study.vary else ():
        name, curves = parameter.name, []
        for value in choose_values(entry, parameter):
            loss = build_loss(entry, **{name: value})
            curves.append(measure_curve(section, loss, f"{name} = {write_value(value)}"))
        if len(curves) > 1:
            title = f"{study.title}, {name}" if study.title else name
            panels.append(_panel(title, study, tuple(_merged(curves))))
    return panels


def _merged(curves: list[Curve]) -> Iterable[Curve]:
    """Curves that lie on each other become one, with the values of all."""
    rest = list(curves)
    while rest:
        first = rest[0]
        same = [c for c in rest if torch.allclose(c.value, first.value, 1e-6, 1e-9, equal_nan=True)]
        others = [c.label.partition(" = ")[2] for c in same[1:]]
        yield replace(first, label=", ".join([first.label, *others]))
        rest = [c for c in rest if not any(c is each for each in same)]


# ---- what is seen of curves ---------------------------------------------------------------------
def choose_window(values: Sequence[Tensor]) -> tuple[float, float]:
    """The range to show: all curves, as long as they leave the first one with a slope visible."""
    ranges = [_range(v) for v in values]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    first_low, first_high = next((r for r in ranges if r[1] > r[0]), ranges[0])
    spread = (first_high - first_low) or abs(high) or 1.0
    low = max(low, first_low - (ROOM - 1) * spread)
    high = min(high, first_high + (ROOM - 1) * spread)
    return (low, high) if high > low else (low - spread / 2, high + spread / 2)


def label_curves(panel: Panel, values: Sequence[Tensor]) -> list[str]:
    """The curves' names, with a word where one is out of the window altogether."""
    low, high = choose_window(values)
    seen = [bool(((v >= low) & (v <= high)).any()) for v in values]
    return [
        each.label + ("" if is_seen else " (out of sight)")
        for each, is_seen in zip(panel.curves, seen, strict=True)
    ]


def _range(values: Tensor) -> tuple[float, float]:
    finite = values[values.isfinite()]
    return (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 0.0)
