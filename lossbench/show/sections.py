"""Where a loss is cut to be seen: for each task, lines through its predictions that mean something.

A section moves one number x and holds all the rest still. Examples compared within a batch stand in
a batch of their own for every x, the one that is looked at first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.show.anatomy import Entry

Batch = tuple[Any, Tensor]
POINTS = 201
FEW = 73  # points of a section that needs a batch for each
SURE = 20.0  # a logit that is as good as certain
SOFT = (1.0, 0.75, 0.5)
MARGINS = (-2.0, -20.0, 20.0)


@dataclass(frozen=True, eq=False)
class Section:
    """A line x -> batch. sign turns the slope round where the prediction falls as x grows.

    batch: x (N,) -> N examples; of a coupled section x (1,) -> the batch whose first entry counts.
    mistakes: the x of a small mistake, of a large one and of a sure success, where there are such.
    """

    axis: str
    slope: str
    x: Tensor
    batch: Callable[[Tensor], Batch]
    coupled: bool = False
    sign: float = 1.0
    mistakes: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Study:
    """Sections to draw on the same axes.

    by: what tells them apart; vary: the hyper-parameters are varied on the first.
    """

    title: str
    cases: tuple[tuple[str, Section], ...]
    by: str = ""
    vary: bool = True


def studies(entry: Entry, loss: Callable[..., Any]) -> tuple[Study, ...]:
    """The sections that mean something for this loss; none where none does.

    Prototypes are expected on the first axes.
    """
    if entry.task is None:
        return _regularizer()
    if weights := prototypes(entry, loss):
        return _angle_to_prototype(weights[0])
    return STUDIES[entry.place](entry) if entry.place in STUDIES else ()


def line(low: float, high: float, points: int = POINTS) -> Tensor:
    """Evenly spaced numbers, the middle one included."""
    return torch.linspace(low, high, points, dtype=torch.float64)


def _binary(entry: Entry) -> tuple[Study, ...]:
    soft = entry.declaration.target == "[0, 1]"

    def section(label: float) -> Section:
        noun = "an example with the label y" if soft else "an example of class 1: the margin"
        return Section(
            f"logit z of {noun}",
            "gradient in z",
            line(-5, 5),
            lambda x: (x, torch.full_like(x, label)),
            mistakes=MARGINS,
        )

    cases = tuple((f"y = {y:g}", section(y)) for y in (SOFT if soft else SOFT[:1]))
    return (Study("", cases, "label" if soft else ""),)


def _others_at_zero(x: Tensor, count: int) -> Tensor:
    """(N, count): x, then zeros."""
    return torch.stack([x, *[torch.zeros_like(x)] * (count - 1)], -1)


def _multiclass(entry: Entry) -> tuple[Study, ...]:
    def batch(x: Tensor) -> Batch:
        return _others_at_zero(x, 3), torch.zeros(len(x), dtype=torch.int64)

    axis = "z_y - z_other, three classes, both others at 0"
    section = Section(axis, "gradient in z_y", line(-5, 5), batch, mistakes=MARGINS)
    return (Study("", (("", section),)),)


def _multilabel(entry: Entry) -> tuple[Study, ...]:
    def batch(x: Tensor) -> Batch:
        rest = torch.full_like(x, SURE)
        return torch.stack([x, rest, -rest], -1), torch.tensor([[1.0, 1, 0]]).to(x).expand(
            len(x), 3
        )

    axis = "logit of a label that applies, two others right"
    return (Study("", (("", Section(axis, "gradient in the logit", line(-5, 5), batch)),)),)


def _distribution(entry: Entry) -> tuple[Study, ...]:
    def section(share: float) -> Section:
        target = torch.tensor([share, (1 - share) / 2, (1 - share) / 2], dtype=torch.float64)
        return Section(
            "z_1 - z_other, three outcomes, both others at 0",
            "gradient in z_1",
            line(-5, 5),
            lambda x: (_others_at_zero(x, 3), target.expand(len(x), 3)),
        )

    cases = tuple((f"t_1 = {t:g}, rest shared", section(t)) for t in SOFT)
    return (Study("", cases, "target"),)


def _regression(entry: Entry) -> tuple[Study, ...]:
    low = float((entry.declaration.target or "(-inf, inf)")[1:-1].split(",")[0])
    target = low + 4 if math.isfinite(low) else 0.0
    more = entry.declaration.outputs - 1

    def section(second: float) -> Section:
        def batch(x: Tensor) -> Batch:
            prediction = target - x
            if more:
                rest = torch.full((len(x), more), second).to(x)
                prediction = torch.cat([prediction.unsqueeze(-1), rest], -1)
            return prediction, torch.full_like(x, target)

        known = f", target {target:g}" if target else ""
        axis = f"residual r = target - prediction{known}"
        # near the end of its domain the value may grow without end
        x = line(-4, 4)[: -12 if target else None]
        mistakes = None if target or more else (2.0, 20.0, 0.0)
        return Section(axis, "gradient in the prediction", x, batch, sign=-1.0, mistakes=mistakes)

    if not more:
        return (Study("", (("", section(0.0)),)),)
    cases = tuple((f"second output {s:g}", section(s)) for s in (0.0, -2.0, 2.0))
    return (Study("", cases, "second output"),)


def _unit(width: int, axis: int) -> Tensor:
    """(1, width)."""
    return torch.eye(width, dtype=torch.float64)[axis : axis + 1]


def _turned(x: Tensor, width: int, axis: int) -> Tensor:
    """(N, width): unit vectors at x (N,) degrees from the first axis, towards another."""
    angle = torch.deg2rad(x).unsqueeze(-1)
    return torch.cos(angle) * _unit(width, 0) + torch.sin(angle) * _unit(width, axis)


DEGREES = Section("", "gradient, per degree", line(0, 180, FEW), lambda x: (x, x), coupled=True)


def _embedding(entry: Entry) -> tuple[Study, ...]:
    width = getattr(entry.task, "embedding_dim", 16)
    identities = torch.tensor([0, 0, 1, 1])

    def positive_turns(x: Tensor) -> Batch:
        negative = _unit(width, 1)
        rows = [_unit(width, 0), _turned(x, width, 2), negative, negative]
        return torch.cat(rows), identities

    def negatives_turn(x: Tensor) -> Batch:
        forty_five = torch.full_like(x, 45.0)
        negative = _turned(x, width, 1)
        rows = [_unit(width, 0), _turned(forty_five, width, 2), negative, negative]
        return torch.cat(rows), identities

    axis = "degrees from anchor to positive, two negatives at 90"
    other = "degrees from anchor to both negatives, positive at 45"
    return (
        Study("positive", (("", replace(DEGREES, axis=axis, batch=positive_turns)),)),
        Study("negatives", (("", replace(DEGREES, axis=other, batch=negatives_turn)),)),
    )


def _pairs(entry: Entry) -> tuple[Study, ...]:
    width = getattr(entry.task, "embedding_dim", 16)
    identities = torch.arange(3)

    def batch(own: Tensor, wrong: Tensor) -> Batch:
        left = torch.cat([_unit(width, i) for i in range(3)])
        right = torch.cat([_turned(own, width, 4), _turned(wrong, width, 1), _unit(width, 2)])
        return torch.stack([left, right], 1), identities

    def own_turns(x: Tensor) -> Batch:
        return batch(x, torch.full_like(x, 90.0))

    def wrong_turns(x: Tensor) -> Batch:
        return batch(torch.full_like(x, 45.0), x)

    axis = "degrees from left to its own right, two wrong at 90"
    other = "degrees from left to a wrong right, its own at 45"
    return (
        Study("own right", (("", replace(DEGREES, axis=axis, batch=own_turns)),)),
        Study("a wrong right", (("", replace(DEGREES, axis=other, batch=wrong_turns)),)),
    )


def prototypes(entry: Entry, loss: Callable[..., Any]) -> list[nn.Parameter]:
    """The weights of a loss that have a row for each class."""
    classes = getattr(entry.task, "num_classes", None)
    weights = loss.parameters() if isinstance(loss, nn.Module) else ()
    return [p for p in weights if p.ndim == 2 and p.shape[0] == classes]


def _angle_to_prototype(weight: Tensor) -> tuple[Study, ...]:
    """An embedding is turned from its prototype, which is on the first axis, to an empty one."""
    classes, width = weight.shape

    def batch(x: Tensor) -> Batch:
        return _turned(x, width, width - 1), torch.zeros(len(x), dtype=torch.int64)

    axis = f"degrees from embedding to prototype, {classes - 1} others at 90"
    return (Study("", (("", Section(axis, DEGREES.slope, line(0, 180), batch)),)),)


def _ranking(entry: Entry) -> tuple[Study, ...]:
    def batch(x: Tensor) -> Batch:
        return torch.stack([x, torch.zeros_like(x)], -1), torch.ones_like(x)

    axis = "x_1 - x_2, where the first ranks higher"
    return (Study("", (("", Section(axis, "gradient in x_1", line(-5, 5), batch)),)),)


def _segmentation(entry: Entry) -> tuple[Study, ...]:
    def section(foreground: int, moved: bool) -> Section:
        mask = (torch.arange(100) < foreground).double().reshape(10, 10)

        def batch(x: Tensor) -> Batch:
            z = torch.logit(x).reshape(-1, 1, 1)
            logits = torch.where(mask == float(moved), z, -SURE if moved else SURE)
            return logits, mask.expand(len(x), 10, 10)

        name, rest = ("foreground", "background") if moved else ("background", "foreground")
        axis = f"probability on {name} pixels, {rest} right"
        return Section(axis, "gradient in the probability", line(0.01, 0.99), batch)

    shares = (10, 50, 1)
    right = tuple((f"{share} % foreground", section(share, True)) for share in shares)
    wrong = tuple((f"{share} % foreground", section(share, False)) for share in shares)
    by = "share of foreground"
    return Study("", right, by), Study("false alarms", wrong, by, vary=False)


def _sequence(entry: Entry) -> tuple[Study, ...]:
    frames, labels = torch.tensor([1, 1, 0, 2, 2, 0]), torch.tensor([1, 2, 0, 0, 0, 0])
    right = torch.nn.functional.one_hot(frames, 3).double()

    def batch(x: Tensor) -> Batch:
        target = torch.stack([frames, labels]).expand(len(x), 2, 6)
        return x.reshape(-1, 1, 1) * right, target

    axis = "lead of the right class at each step of 11-22-"
    return (Study("", (("", Section(axis, "slope, all steps at once", line(-5, 5), batch)),)),)


def _generative(entry: Entry) -> tuple[Study, ...]:
    latents = getattr(entry.task, "latent_dim", 1)

    def section(axis: str, moved: int, data: float, rest: float) -> Section:
        def batch(x: Tensor) -> Batch:
            columns = [torch.full_like(x, rest if i == 0 else 0.0) for i in range(1 + 2 * latents)]
            columns[moved] = x
            return torch.stack(columns, -1), torch.full_like(x, data).unsqueeze(-1)

        return Section(axis, f"gradient in {axis.split(',')[0]}", line(-4, 4), batch)

    pixel = "z, the reconstruction of one pixel, posterior N(0, 1)"
    pixels = tuple((f"pixel {x:g}", section(pixel, 0, x, 0.0)) for x in (1.0, 0.5))
    mean = section("mu, the mean of a latent; s = 0, pixel and z 1", 1, 1.0, 1.0)
    spread = "s, the log-variance of a latent; mu = 0, pixel and z 1"
    variance = section(spread, 1 + latents, 1.0, 1.0)
    return (
        Study("reconstruction", pixels, "pixel", vary=False),
        Study("a latent's mean", (("", mean),)),
        Study("a latent's variance", (("", variance),)),
    )


def _regularizer() -> tuple[Study, ...]:
    """Of one weight beside another that is 1, in its column or in its row."""

    def section(row: bool) -> Section:
        def batch(x: Tensor) -> Batch:
            pair = torch.cat([x, torch.ones_like(x)])
            return [pair.reshape(1, 2) if row else pair.reshape(2, 1)], torch.empty(0)

        return Section("w, beside another weight of 1", "gradient in w", line(-3, 3), batch, True)

    cases = (("in the same column", section(False)), ("in the same row", section(True)))
    return (Study("", cases, "place of the other weight", vary=False),)


STUDIES: dict[str, Callable[[Entry], tuple[Study, ...]]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "distribution": _distribution,
    "regression": _regression,
    "embedding": _embedding,
    "pairs": _pairs,
    "ranking": _ranking,
    "segmentation": _segmentation,
    "sequence": _sequence,
    "generative": _generative,
}
