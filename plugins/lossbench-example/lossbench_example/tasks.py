"""A task is a class: what its targets are, what a loss meets and how estimates are scored."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, metric
from lossbench.tasks import Answers, Population, Section, Study, Task, line


def turn(estimate: Tensor, target: Tensor) -> Tensor:
    """By how many degrees an angle misses the target, the shorter way round: in [0, 180]."""
    miss = estimate - target
    return torch.rad2deg(torch.atan2(miss.sin(), miss.cos()).abs())


def unit(angle: Tensor) -> Tensor:
    """The vectors (..., 2) of length 1 that point at angles (...)."""
    return torch.stack([angle.cos(), angle.sin()], -1)


@metric(direction=-1, bounds=(0, 180), unit="degrees")
def mean_angular_error(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean of the turn from estimate to target."""
    return turn(estimate, target).mean(-1)


@metric(direction=1, bounds=(-1, 1))
def mean_cosine(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean cosine of the turn: 0 for guesses."""
    return (estimate - target).cos().mean(-1)


@dataclass(frozen=True)
class Angle(Task):
    """Predictions (..., N, 2), vectors; targets (..., N), where they should point, in radians."""

    name = "angle"
    metrics = (mean_angular_error, mean_cosine)
    primary = "mean_angular_error"
    target_dtype = torch.float32
    estimate_range = (-math.pi, math.pi)
    vocabulary = r"\bangle|radian|\bcircular|\bdirection"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Angle:
        """The task of inputs (N, ...) and angles (N,)."""
        if targets.shape != (len(inputs),) or targets.dtype.kind != "f":
            raise UserError(
                f"angle: targets are {targets.dtype} of shape {targets.shape} for {len(inputs)} "
                f"inputs; give numbers ({len(inputs)},)."
            )
        _refuse_beyond_half_a_turn(torch.from_numpy(targets))
        return cls(tuple(inputs.shape[1:]))

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        if outputs != 1:
            raise UserError(f"angle: a loss declares outputs={outputs}; declare 1.")
        return (2,)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        (width,) = self.output_shape(outputs)
        prediction = 2 * torch.sin(1.0 + torch.arange(8 * width)).reshape(8, width)
        return prediction, 3 * torch.cos(1.0 + torch.arange(8))

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != (*target.shape, 2) or not target.ndim:
            raise UserError(
                f"angle: prediction has shape {tuple(prediction.shape)}, target "
                f"{tuple(target.shape)}; give (..., N, 2) and (..., N)."
            )
        _refuse_beyond_half_a_turn(target)

    def answers(self, size: float) -> Answers:
        """Vectors of that length, towards the target and away from it."""
        _, target = self.example()
        return Answers(size * unit(target), -size * unit(target), target)

    def populations(self) -> tuple[Population, ...]:
        """Three angles, of which one is on the other side of half a turn."""
        angles = torch.tensor([2.0, 2.5, -3.0])
        return (Population(angles, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)),)

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """The direction of the expected vector."""
        if minimiser != "circular mean":
            return None
        return self.link(Population(unit(population.targets), population.weights).mean)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Turned away from the target at several lengths."""

        def section(length: float) -> Section:
            def batch(x: Tensor) -> tuple[Tensor, Tensor]:
                return length * unit(torch.deg2rad(x)), torch.zeros_like(x)

            axis = "degrees from the target to the prediction"
            return Section(axis, "gradient, per degree", line(0, 180), batch)

        cases = tuple((f"length {length:g}", section(length)) for length in (1.0, 3.0))
        return (Study("", cases, "length"),)

    def link(self, prediction: Tensor) -> Tensor:
        """Direction of the vector."""
        return torch.atan2(prediction[..., 1], prediction[..., 0])

    @property
    def chance(self) -> float:
        """A guess misses by a quarter of a turn."""
        return 90.0

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: an angle belongs to no class."""
        return np.zeros(len(targets), dtype=np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Angles as they are."""
        return targets.astype(np.float64)


def _refuse_beyond_half_a_turn(target: Tensor) -> None:
    odd = target[~(target.abs() <= math.pi + 1e-6)]  # float32 rounds pi up
    if odd.numel():
        raise UserError(
            f"angle: target holds {odd[0].item():g} ({odd.numel()} of {target.numel()} values "
            "beyond half a turn); give radians in [-pi, pi]."
        )
