"""Counts, rates and amounts: targets of at least 0 in their own unit; their mean after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, metric
from lossbench.registry.schema import within
from lossbench.tasks import Answers, Chart, Population, Section, Study, line
from lossbench.tasks.regression import Regression, mean_absolute_error, root_mean_squared_error
from lossbench.tasks.scores import Weight, average, weighed
from lossbench.tasks.sections import others_at_zero

POWER = 1.5  # of the metric tweedie_deviance
SHOWN = (0.0, 1.0, 4.0)  # targets of sections


def _exact(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64: deviances are small differences of large numbers."""
    return estimate.double(), target.double()


def _poisson_deviance(estimate: Tensor, target: Tensor, weight: Weight) -> Tensor:
    mean, y = _exact(estimate, target)
    return 2 * average(torch.xlogy(y, y) - torch.xlogy(y, mean) - y + mean, weight)


@metric(direction=-1, bounds=(0, math.inf))
def poisson_deviance(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of 2 (y log(y / mean) - y + mean): twice the nats that the estimate loses."""
    return _poisson_deviance(estimate, target, example_weight)


@metric(direction=-1, bounds=(0, math.inf))
def gamma_deviance(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of 2 (log(mean / y) + y / mean - 1), of ratios alone; NaN where a target is 0."""
    mean, y = _exact(estimate, target)
    value = 2 * average(mean.log() - y.log() + y / mean - 1, example_weight)
    return value.masked_fill((y == 0).any(-1), torch.nan)


@metric(direction=-1, bounds=(0, math.inf))
def tweedie_deviance(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of the deviance of power 1.5, between those of counts and of ratios."""
    mean, y = _exact(estimate, target)
    p = POWER
    parts = y ** (2 - p) / ((1 - p) * (2 - p)) - y * mean ** (1 - p) / (1 - p)
    return 2 * average(parts + mean ** (2 - p) / (2 - p), example_weight)


@metric(direction=1, bounds=(-math.inf, 1))
def d2_poisson(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """1 - poisson_deviance / that of the mean of the split; NaN where all targets are equal."""
    _, y = _exact(estimate, target)
    mean = average(y, example_weight).unsqueeze(-1)
    spread = _poisson_deviance(mean.expand_as(y), y, example_weight)
    constant = (y == y[..., :1]).all(-1)
    deviance = _poisson_deviance(estimate, target, example_weight)
    return 1 - deviance / spread.masked_fill(constant, torch.nan)


@metric(direction=0, bounds=(0, math.inf))
def calibration_ratio(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """The sum of the estimates / that of the targets: 1 where the total is right."""
    mean, y = _exact(estimate, target)
    return weighed(mean, example_weight).sum(-1) / weighed(y, example_weight).sum(-1)


@dataclass(frozen=True)
class Counts(Regression):
    """Predictions (..., N), log means, or (..., N, k); targets (..., N) of at least 0."""

    name = "counts"
    version = 1
    stand_ins = ((0.0, 1.0), (0.5, 2.0))
    metrics = (
        poisson_deviance,
        gamma_deviance,
        tweedie_deviance,
        d2_poisson,
        root_mean_squared_error,
        mean_absolute_error,
        calibration_ratio,
    )
    primary = "poisson_deviance"
    estimate_range = (0, math.inf)
    in_target_unit = False
    charts: ClassVar[tuple[Chart, ...]] = ("residuals",)
    called = "(of|for|task) counts"
    vocabulary = r"log.mean|\bdispersion|zero.inflat|overdispers"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Counts:
        """The task of inputs (N, ...) and finite targets (N,) of at least 0."""
        task = super().of(inputs, targets)
        if targets.ndim != 1:
            raise UserError(
                f"counts: targets have shape {targets.shape}; give one per example, "
                f"({len(inputs)},)."
            )
        if (negative := targets[targets < 0]).size:
            raise UserError(
                f"counts: {negative.size} of {targets.size} targets are below 0 ({negative[0]:g}); "
                "give numbers from 0, or task=regression."
            )
        return cls(task.input_shape)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Targets with zeros and fractions, log means in (-1, 1)."""
        target = torch.tensor([0.0, 1.0, 3.0, 0.0, 2.5, 12.0, 1.0, 0.25])
        shape = (8, *self.output_shape(outputs))
        drawn = torch.sin(1.0 + torch.arange(math.prod(shape)))
        return 0.9 * drawn.reshape(shape).float(), target

    def check(self, prediction: Tensor, target: Tensor) -> None:
        super().check(prediction, target)
        negative = target[target < 0]
        if negative.numel():
            raise UserError(
                f"counts: target holds {negative[0].item():g} ({negative.numel()} of "
                f"{target.numel()} values below 0); give numbers from 0."
            )

    def answers(self, size: float) -> Answers:
        """The logarithm of each target but 0, and what is off it on either side."""
        _, target = self.example()
        target = target[target > 0].repeat(2)
        side = torch.cat([torch.ones(len(target) // 2), -torch.ones(len(target) // 2)])
        return Answers(target.log(), target.log() + size * side, target)

    def populations(self) -> tuple[Population, ...]:
        """Numbers without zeros, and counts of which more are 0 than their mean explains."""
        amounts = torch.tensor([0.5, 1.0, 2.0, 3.0, 5.0, 9.0], dtype=torch.float64)
        counts = torch.tensor([0.0, 1.0, 2.0, 3.0, 5.0, 9.0], dtype=torch.float64)
        shares = torch.tensor([0.4, 0.2, 0.15, 0.1, 0.1, 0.05], dtype=torch.float64)
        return Population(amounts, shares), Population(counts, shares)

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """The mean, of the targets or of the log-normal distribution that is likest them."""
        y, weights = population.targets, population.weights
        if minimiser == "mean":
            return population.mean
        if minimiser != "log-normal mean":
            return None
        share = weights[y > 0].sum()
        logs, weights = y[y > 0].log(), weights[y > 0] / share
        centre = (weights * logs).sum()
        return share * torch.exp(centre + (weights * (logs - centre).square()).sum() / 2)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the first output, for a few targets."""
        outputs = self.outputs_of(declaration)
        targets = [y for y in SHOWN if within(declaration.target or "[0, inf)", y)]

        def section(y: float) -> Section:
            def batch(x: Tensor) -> tuple[Tensor, Tensor]:
                prediction = x if outputs == 1 else others_at_zero(x, outputs)
                return prediction, torch.full_like(x, y)

            axis = "log mean" if outputs == 1 else "first output, the others 0"
            return Section(axis, f"gradient in the {axis.split(',')[0]}", line(-3, 3), batch)

        return (Study("", tuple((f"target {y:g}", section(y)) for y in targets), "target"),)

    def link(self, prediction: Tensor) -> Tensor:
        """Exponential."""
        return prediction.exp()

    def start(self, target: Tensor, declaration: Declaration) -> Tensor | None:
        """As declared, else the logarithm of the mean, and 0 for further outputs.

        Where all targets of a split are 0, that of half a one among them.
        """
        if declaration.start:
            return declaration.start(target)
        start = target.new_zeros(self.outputs_of(declaration))
        mean = target.mean()
        start[0] = torch.where(mean > 0, mean, 1 / (2 * len(target))).log()
        return start

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {}

    def units(self, targets: np.ndarray, weights: np.ndarray | None = None) -> None:
        """They are trained on as they are."""
        return None
