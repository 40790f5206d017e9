"""Values and gradients of a loss along its sections, for a few values of each hyper-parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import registry
from lossbench.schema import Kind, Parameter, within
from lossbench.show.anatomy import Entry, number
from lossbench.show.sections import Section, Study, studies

WEIGHTS_SEED = 1  # of a loss with weights of its own
Loss = Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Curve:
    """Value and gradient at each x, all (N,)."""

    label: str
    x: Tensor
    value: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class Panel:
    """Curves on the same axes; the first is at the defaults. parameter: the one that is varied."""

    title: str
    axis: str
    slope: str
    curves: tuple[Curve, ...]
    parameter: str = ""


@dataclass(frozen=True)
class Drawn:
    """The panels of a loss for a task, or the reason why there are none, in one line."""

    panels: tuple[Panel, ...]
    reason: str = ""


def drawn(entry: Entry) -> Drawn:
    """All that can be drawn of a loss; a loss that fails on its sections gives a reason."""
    try:
        panels = _panels(entry)
    except Exception as error:
        text = (str(error).splitlines() or [""])[0]
        return Drawn((), f"It fails on its section: {type(error).__name__}: {text}"[:200])
    if panels:
        return Drawn(panels)
    return Drawn((), "No one-dimensional section of it is known to mean something.")


def main_panel(found: Drawn) -> Panel:
    """What a single picture shows: the first hyper-parameter with a scale, or else the defaults."""
    return next((p for p in found.panels if len(p.curves) > 1), found.panels[0])


def made(entry: Entry, **hyper: Any) -> Loss:
    """The loss at these hyper-parameters with the facts of its task, in float64."""
    if entry.task is None:
        return lambda weights, _: entry.loss(weights, **hyper)
    asked = registry.facts(entry.plugin)
    known = entry.task.facts(entry.task.example(entry.declaration.outputs)[1]) if asked else {}
    facts = {name: known[name] for name in asked if name in known}
    if not inspect.isclass(entry.loss):
        return lambda prediction, target: entry.loss(prediction, target, **facts, **hyper)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(WEIGHTS_SEED)
        module = entry.loss(**facts, **hyper)
    return module.double() if isinstance(module, nn.Module) else module


def curve(section: Section, loss: Loss, label: str) -> Curve:
    """The loss along a section: all x as one batch, or a batch for each where examples couple."""
    if not section.coupled:
        value, gradient = _differentiated(section, loss, section.x)
        if value.shape == section.x.shape:
            return Curve(label, section.x, value, section.sign * gradient)
    pairs = [_differentiated(section, loss, x) for x in section.x.split(1)]
    value = torch.stack([v.flatten()[0] for v, _ in pairs])
    return Curve(label, section.x, value, section.sign * torch.cat([g for _, g in pairs]))


def _differentiated(section: Section, loss: Loss, x: Tensor) -> tuple[Tensor, Tensor]:
    """The values, and the gradient in x of those that are shown."""
    leaf = x.clone().requires_grad_()
    value = loss(*section.batch(leaf))
    looked_at = value.flatten()[0] if section.coupled else value.sum()
    if not looked_at.requires_grad:
        return value, torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(looked_at, leaf, allow_unused=True)
    return value.detach(), torch.zeros_like(leaf) if gradient is None else gradient


def _panels(entry: Entry) -> tuple[Panel, ...]:
    # a picture of the strength of a penalty would be one of its scale
    base = {"strength": 1.0} if entry.task is None and entry.parameters else {}
    loss, panels = made(entry, **base), []
    for study in studies(entry, loss):
        cases = [curve(section, _prepared(entry, loss), label) for label, section in study.cases]
        varied = list(_varied(entry, study)) if study.vary else []
        if len(cases) > 1 or not any(p.parameter for p in varied):
            first = study.cases[0][1]
            title = study.title or ("" if not base else "strength 1")
            panels.append(Panel(title, first.axis, first.slope, tuple(cases)))
        panels += varied
    return tuple(sorted(panels, key=lambda p: p.parameter == "" and len(p.curves) == 1))


def _prepared(entry: Entry, loss: Loss) -> Loss:
    """A module with its weights where the sections expect them; any other loss as it is."""
    studies(entry, loss)
    return loss


def _varied(entry: Entry, study: Study) -> Iterable[Panel]:
    """One panel for each hyper-parameter that has a scale."""
    section = study.cases[0][1]
    for parameter in entry.parameters:
        found = []
        for value in values_to_show(entry, parameter):
            loss = made(entry, **{parameter.name: value})
            label = f"{parameter.name} = {number(value)}"
            found.append(curve(section, _prepared(entry, loss), label))
        if len(found) > 1:
            title = ", ".join(filter(None, (study.title, parameter.name)))
            merged = tuple(_merged(found))
            yield Panel(title, section.axis, section.slope, merged, parameter.name)


def _merged(curves: list[Curve]) -> Iterable[Curve]:
    """Curves that lie on each other become one, with the values of all."""
    rest = list(curves)
    while rest:
        first = rest[0]
        same = [c for c in rest if torch.allclose(c.value, first.value, 1e-6, 1e-9, equal_nan=True)]
        others = [c.label.partition(" = ")[2] for c in same[1:]]
        yield Curve(", ".join([first.label, *others]), first.x, first.value, first.gradient)
        rest = [c for c in rest if not any(c is each for each in same)]


def values_to_show(entry: Entry, parameter: Parameter) -> list[Any]:
    """The default first, then a lower and a higher value; only the default where none is known."""
    default, kind = parameter.default, parameter.kind
    if kind.choices or isinstance(default, bool):
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
    return [v for v in dict.fromkeys(map(kind.base, candidates)) if _lawful(kind, v)]


def _around(kind: Kind, default: float) -> tuple[float, float]:
    """Two values on either side, by the ends of the interval or by the size of the default."""
    low, high = map(float, kind.interval[1:-1].split(",")) if kind.interval else (-1e300, 1e300)
    if high - low < 1e300:
        return low + (high - low) / 10, high - (high - low) / 10
    return (default / 2, default * 2) if default else (-1.0, 1.0)


def _lists(entry: Entry, kind: Kind, default: Any) -> list[Any]:
    """Other lists of numbers: of the given signs and sizes, or one weight for each class."""
    assert kind.item
    if kind.item.base not in (int, float):
        return []  # a table has no scale
    if default is None:
        classes = 2 if entry.place in ("binary", "multilabel", "segmentation") else 3
        return [[0.5] * classes, [2.0] * classes]
    lists = [[-v for v in default], [2 * v for v in default]]
    return [each for each in lists if all(_lawful(kind.item, v) for v in each)]


def _lawful(kind: Kind, value: float) -> bool:
    return not kind.interval or within(kind.interval, value)


def _named_limit(entry: Entry, name: str) -> float | None:
    """The value at which the docstring says that this is another loss: "gamma = 0 gives …"."""
    found = re.search(rf"\b{name} = (-?[\d.]+) gives ", entry.docstring.notes)
    return float(found[1]) if found else None


def traps(entry: Entry, found: Drawn) -> list[str]:
    """What its values and gradients show of its dangers, at the defaults, in numbers."""
    noted = []
    if entry.task is not None and found.panels:
        noted = _of_ends(entry) if entry.place in ENDS else []
        lowest = min(float(c.value[c.value.isfinite()].min()) for p in found.panels for c in p.curves)
        if lowest < -1e-9:
            noted.append(f"It can be negative: {lowest:.3g} in its pictures.")
    if entry.place in ("binary", "multiclass") and not entry.declaration.minimiser:
        noted.append("It declares no estimate: do not read its outputs as calibrated probabilities.")
    if entry.declaration.minimiser == "sign":
        noted.append("It learns sides, not probabilities: its outputs need calibration.")
    if entry.task is not None and _is_whole(entry):
        noted.append("It is one number for a whole batch, so that its value depends on the batch.")
    return noted


ENDS = {  # a small and a large mistake, a sure success
    "binary": (-2.0, -20.0, 20.0),
    "multiclass": (-2.0, -20.0, 20.0),
    "regression": (2.0, 20.0, 0.0),
}


def _of_ends(entry: Entry) -> list[str]:
    """How hard mistakes pull, from the slopes at two of them."""
    loss = made(entry)
    places = torch.tensor(ENDS[entry.place], dtype=torch.float64)
    section = studies(entry, loss)[0].cases[0][1]
    if section.x.max() < 0 or entry.declaration.target == "(-1, inf)" or not section.axis[0].islower():
        return []
    small, large, right = places.tolist()
    at = curve(Section(section.axis, section.slope, places, section.batch, section.coupled), loss, "")
    near, far, success = at.gradient.abs().tolist()
    noted = []
    if far < 1e-3 * near:
        noted.append(f"A large mistake hardly teaches: slope {near:.2g} at {small:g}, {far:.1g} at {large:g}.")
    if far > 2 * near:
        noted.append(
            f"One large mistake outweighs many small: slope {near:.3g} at {small:g}, "
            f"{far:.3g} at {large:g}."
        )
    if entry.place != "regression" and at.value[2] > at.value[0]:
        noted.append(f"Being too right costs: {at.value[2]:.3g} at {right:g}.")
    return noted


def _is_whole(entry: Entry) -> bool:
    """Whether one number comes back for a batch."""
    assert entry.task
    prediction, target = entry.task.example(entry.declaration.outputs)
    try:
        return made(entry)(prediction.double(), target).ndim == 0
    except Exception:
        return False
