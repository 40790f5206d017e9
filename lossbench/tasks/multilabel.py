"""Any number of labels at once: L numbers per example, probabilities after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, metric
from lossbench.tasks import Answers, Population, Section, Study, Task, line, scores
from lossbench.tasks.refusals import (
    refuse_not_binary,
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import Weight, average, of_columns, reliability, shared, uneven, weighed

SURE = 20.0  # a logit that is as good as certain


@shared
def _decided(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """1 where a label is predicted, where it applies, and where both agree; NaN where unknown."""
    unknown, predicted = target.isnan(), (estimate > 0.5).to(estimate.dtype)
    label = (target > 0.5).to(estimate.dtype).masked_fill(unknown, torch.nan)
    agreed = (predicted == label).to(estimate.dtype)
    return predicted.masked_fill(unknown, torch.nan), label, agreed.masked_fill(unknown, torch.nan)


def _of_labels(estimate: Tensor, weight: Weight) -> Weight:
    """What examples weigh, for each label (..., L, N)."""
    return None if weight is None else weight.unsqueeze(-2).expand_as(estimate.mT)


@metric(direction=1, bounds=(0, 1))
def average_precision(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean over the labels that occur of their average precision."""
    score = estimate.masked_fill(target.isnan(), -torch.inf)  # behind all that are known
    weight = _of_labels(estimate, example_weight)
    return scores.average_precision(score.mT, (target > 0.5).mT, weight).nanmean(-1)


@metric(direction=1, bounds=(0, 1))
def exact_match(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Share of examples of which every label that is known is on its side of 0.5."""
    return average(_decided(estimate, target)[2].nan_to_num(1.0).prod(-1), example_weight)


@metric(direction=-1, bounds=(0, 1))
def hamming(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Share of all labels that are on the wrong side of 0.5."""
    agreed = _decided(estimate, target)[2].flatten(-2)
    if example_weight is None:
        return 1 - agreed.nanmean(-1)
    weight = of_columns(example_weight, agreed) * ~agreed.isnan()
    return 1 - (agreed.nan_to_num(0.0) * weight).sum(-1) / weight.sum(-1)


@metric(direction=1, bounds=(0, 1))
def f1(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Mean over the labels that occur of the harmonic mean of precision and recall."""
    predicted, label, _ = _decided(estimate, target)
    weight = _of_labels(estimate, example_weight)
    hits, both = (weighed(v.mT, weight).nansum(-1) for v in (predicted * label, predicted + label))
    value = 2 * hits / both
    return value.masked_fill(~(label > 0).any(-2), torch.nan).nanmean(-1)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def log_loss(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean over examples of -y log p - (1 - y) log(1 - p), summed over labels."""
    nats = -scores.log_likelihood(estimate, target.to(estimate.dtype))
    return average(nats.masked_fill(target.isnan(), 0).sum(-1), example_weight)


@metric(direction=-1, bounds=(0, 1))
def ece(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Expected calibration error of all labels pooled, in 15 bins of probability."""
    confidence, correct = torch.maximum(estimate, 1 - estimate), _decided(estimate, target)[2]
    weight = _of_labels(estimate, example_weight)
    pooled = None if weight is None else weight.mT.flatten(-2)
    return scores.expected_calibration_error(
        confidence.flatten(-2), correct.flatten(-2), weight=pooled
    )


@dataclass(frozen=True)
class Multilabel(Task):
    """Predictions and targets (..., N, L); targets in {0, 1}, those between are soft labels.

    A label that is not known is NaN.
    """

    num_labels: int

    name = "multilabel"
    metrics = (average_precision, exact_match, hamming, f1, log_loss, ece)
    primary = "average_precision"
    target_dtype = torch.float32
    stand_ins = ((-30.0, 0.0), (30.0, 1.0))  # as good as surely absent, and present
    estimate_range = (0, 1)
    soft_targets = True
    vocabulary = r"logits|multi-?label|\(B, L\)"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Multilabel:
        """The multilabel task of inputs (N, ...) and targets (N, L), each label with 0 and 1."""
        refuse_targets(cls.name, inputs, targets, "fiub", ("L",))
        known = ~np.isnan(targets.astype(np.float64))
        refuse_not_binary(cls.name, targets[known], ", and NaN where a label is not known")
        constant = ~(known & (targets == 1)).any(0) | ~(known & (targets == 0)).any(0)
        if constant.any():
            label = int(constant.argmax())
            value = f"{targets[known[:, label], label][:1].sum():g}"
            raise UserError(
                f"multilabel: label {label} is {value if known[:, label].any() else 'unknown'} in "
                f"every example ({constant.sum()} such labels); give labels that vary."
            )
        return cls(tuple(inputs.shape[1:]), targets.shape[1])

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Multilabel:
        return cls((), prediction.shape[-1])

    @classmethod
    def small(cls) -> Multilabel:
        return cls((6, 4), 4)

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return (self.num_labels,)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        shape = (8, *self.output_shape(outputs))
        prediction = 2 * torch.sin(1.0 + torch.arange(8 * self.num_labels)).reshape(shape)
        diagonal = torch.arange(8)[:, None] + torch.arange(self.num_labels)
        return prediction, (diagonal % 3 == 0).float()

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != target.shape or prediction.shape[1:][-1:] != (self.num_labels,):
            refuse_shapes(self.name, prediction, target, f"both (..., N, {self.num_labels})")
        refuse_types(self.name, prediction, target)
        refuse_outside_unit(self.name, target, "0 and 1 (-1 becomes 0)")

    def answers(self, size: float) -> Answers:
        _, target = self.example()
        right = size * (2 * target - 1)
        return Answers(right, -right, target)

    def populations(self) -> tuple[Population, ...]:
        _, target = self.example()
        return tuple(Population(target, weights) for weights in uneven(len(target), 2))

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the logit of one of three labels."""

        def batch(x: Tensor) -> tuple[Tensor, Tensor]:
            sure = torch.full_like(x, SURE)
            target = torch.tensor([[1.0, 1, 0]]).to(x).expand(len(x), 3)
            return torch.stack([x, sure, -sure], -1), target

        axis = "logit of a label that applies, two others right"
        return (Study("", (("", Section(axis, "gradient in the logit", line(-5, 5), batch)),)),)

    def link(self, prediction: Tensor) -> Tensor:
        """Sigmoid."""
        return torch.sigmoid(prediction)

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Reliability of every label pooled."""
        correct = _decided(estimate, target)[2].flatten(-2)
        return reliability(torch.maximum(estimate, 1 - estimate).flatten(-2), correct)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_labels, and class_counts (..., L, 2): how often each is absent, and present."""
        counts = torch.stack([(target <= 0.5).sum(-2), (target > 0.5).sum(-2)], -1)
        return {"num_labels": self.num_labels, "class_counts": counts}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: combinations of labels are too many to share out evenly."""
        return np.zeros(len(targets), dtype=np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Labels as integers, or as they are where one is not known."""
        return targets if np.isnan(targets).any() else super().typed(targets)
