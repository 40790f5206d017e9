"""Where a loss is cut to be seen: lines through its predictions that mean something.

A section moves one number x and holds all the rest still. Examples compared within a batch stand in
a batch of their own for every x, the one that is looked at first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Batch = tuple[Any, Tensor]
POINTS = 201
FEW = 73  # points of a section that needs a batch for each
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


def line(low: float, high: float, points: int = POINTS) -> Tensor:
    """Evenly spaced numbers, the middle one included."""
    return torch.linspace(low, high, points, dtype=torch.float64)


def others_at_zero(x: Tensor, count: int) -> Tensor:
    """(N, count): x, then zeros."""
    return torch.stack([x, *[torch.zeros_like(x)] * (count - 1)], -1)


def unit(width: int, axis: int) -> Tensor:
    """(1, width)."""
    return torch.eye(width, dtype=torch.float64)[axis : axis + 1]


def turned(x: Tensor, width: int, axis: int) -> Tensor:
    """(N, width): unit vectors at x (N,) degrees from the first axis, towards another."""
    angle = torch.deg2rad(x).unsqueeze(-1)
    return torch.cos(angle) * unit(width, 0) + torch.sin(angle) * unit(width, axis)


def degrees(axis: str, batch: Callable[[Tensor], Batch]) -> Section:
    """A section of a loss that compares directions."""
    return Section(axis, "gradient, per degree", line(0, 180, FEW), batch, coupled=True)
