"""A whole distribution over C outcomes as the target: C numbers per example."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, metric
from lossbench.tasks import Answers, Population, Section, Study, Task, line
from lossbench.tasks.refusals import (
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import Weight, average, log_probability, shared, uneven
from lossbench.tasks.sections import SOFT, others_at_zero

ROUNDING = 1e-4  # how far from 1 the probabilities of an example may sum


@shared
def _cross_entropy(estimate: Tensor, target: Tensor, weight: Weight) -> Tensor:
    return -average((target.to(estimate.dtype) * log_probability(estimate)).sum(-1), weight)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def kl(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Mean of sum t log(t / p)."""
    target = target.to(estimate.dtype)
    entropy = -average(torch.xlogy(target, target).sum(-1), example_weight)
    return _cross_entropy(estimate, target, example_weight) - entropy


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def cross_entropy(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of -sum t log p."""
    return _cross_entropy(estimate, target, example_weight)


@metric(direction=-1, bounds=(1, math.inf))
def perplexity(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """e^cross_entropy."""
    return _cross_entropy(estimate, target, example_weight).exp()


@metric(direction=-1, bounds=(0, 1))
def total_variation(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of ½ sum |t - p|."""
    return average((target.to(estimate.dtype) - estimate).abs().sum(-1), example_weight) / 2


@dataclass(frozen=True)
class Distribution(Task):
    """Predictions and targets (..., N, C); every target sums to 1."""

    num_classes: int

    name = "distribution"
    metrics = (kl, cross_entropy, perplexity, total_variation)
    primary = "kl"
    target_dtype = torch.float32
    estimate_range = (0, 1)
    sums_to_one = True
    vocabulary = r"logits|soft targets?\b|target: \(B, C\)|\bdistributions?\b"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Distribution:
        """The distribution task of inputs (N, ...) and probabilities (N, C), C at least 2."""
        refuse_targets(cls.name, inputs, targets, "fiu", ("C",))
        if targets.shape[1] < 2:
            raise UserError("distribution: targets have 1 outcome; give at least two.")
        _refuse_improper(torch.from_numpy(targets.astype(np.float64)))
        return cls(tuple(inputs.shape[1:]), targets.shape[1])

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Distribution:
        return cls((), prediction.shape[-1])

    @classmethod
    def small(cls) -> Distribution:
        return cls((6, 4), 4)

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return (self.num_classes,)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        shape = (8, *self.output_shape(outputs))
        step = torch.arange(8 * self.num_classes).reshape(shape)
        return 2 * torch.sin(1.0 + step), torch.softmax(3 * torch.cos(1.0 + step), -1)

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != target.shape or prediction.shape[1:][-1:] != (self.num_classes,):
            refuse_shapes(self.name, prediction, target, f"both (..., N, {self.num_classes})")
        refuse_types(self.name, prediction, target)
        _refuse_improper(target)

    def answers(self, size: float) -> Answers:
        """Of targets that are certain."""
        target = torch.eye(self.num_classes)
        right = size * (2 * target - 1)
        return Answers(right, right.roll(1, -1), target)

    def populations(self) -> tuple[Population, ...]:
        _, target = self.example()
        return tuple(Population(target, weights) for weights in uneven(len(target), 2))

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the logit of the first of three outcomes, for several targets."""

        def section(share: float) -> Section:
            target = torch.tensor([share, (1 - share) / 2, (1 - share) / 2], dtype=torch.float64)
            return Section(
                "z_1 - z_other, three outcomes, both others at 0",
                "gradient in z_1",
                line(-5, 5),
                lambda x: (others_at_zero(x, 3), target.expand(len(x), 3)),
            )

        cases = tuple((f"t_1 = {t:g}, rest shared", section(t)) for t in SOFT)
        return (Study("", cases, "target"),)

    def link(self, prediction: Tensor) -> Tensor:
        """Softmax."""
        return torch.softmax(prediction, -1)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes, and class_counts (..., C), the sum of each outcome over all targets."""
        return {"num_classes": self.num_classes, "class_counts": target.sum(-2)}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: a distribution belongs to no class."""
        return np.zeros(len(targets), dtype=np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Probabilities as they are."""
        return targets.astype(np.float64)


def _refuse_improper(target: Tensor) -> None:
    refuse_outside_unit("distribution", target, "probabilities")
    totals = target.sum(-1)
    odd = totals[(totals - 1).abs() > ROUNDING]
    if odd.numel():
        raise UserError(
            f"distribution: {odd.numel()} of {totals.numel()} targets do not sum to 1 (the first "
            f"to {odd[0].item():g}); divide each by its sum."
        )
