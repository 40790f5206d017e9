"""Metrics of classes that a run has where they are named: scaled, adjusted, by class.

They serve the tasks multiclass and binary, as entry points.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossbench.contract import metric
from lossbench.tasks.scores import (
    CALIBRATION_BINS,
    Weight,
    average,
    class_counts,
    expected_calibration_error,
    log_probability,
)

TEMPERATURES = (0.01, 100.0)  # between which the best is looked for
HALVINGS = 40


def _of_classes(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (..., N, C) and labels (..., N), C = 2 where an estimate is one number."""
    if estimate.ndim > target.ndim:
        return estimate, target
    return torch.stack([1 - estimate, estimate], -1), (target > 0.5).long()


def fit_temperature(estimate: Tensor, target: Tensor, weight: Weight = None) -> Tensor:
    """The T > 0 (...) that makes the log loss of softmax(log p / T) least, on these examples.

    By halving ln(1 / T), in which the loss is convex. Source: Guo et al. (2017), section 4.2.
    """
    probability, label = _of_classes(estimate, target)
    logits = log_probability(probability.double())
    hit = logits.gather(-1, label.unsqueeze(-1)).squeeze(-1)
    low, high = (torch.full(hit.shape[:-1], -math.log(t)).to(logits) for t in TEMPERATURES[::-1])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        weights = torch.softmax(logits * middle.exp()[..., None, None], -1)
        slope = average((weights * logits).sum(-1) - hit, weight)
        low, high = torch.where(slope <= 0, middle, low), torch.where(slope <= 0, high, middle)
    return (-(low + high) / 2).exp()


def _scaled(estimate: Tensor, target: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities after scaling, and the labels."""
    probability, label = _of_classes(estimate, target)
    logits = log_probability(probability) / temperature.to(probability)[..., None, None]
    return torch.softmax(logits, -1), label


@metric(direction=0, bounds=(0, math.inf))
def temperature(estimate: Tensor, target: Tensor, /, *, temperature: Tensor) -> Tensor:
    """The T by which logits are best divided, fitted on validation data; above 1: too sure."""
    return temperature.to(estimate)


@metric(direction=-1, bounds=(0, 1))
def scaled_ece(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    temperature: Tensor,
    example_weight: Tensor | None = None,
) -> Tensor:
    """`ece` after temperature scaling fitted on validation data."""
    probability, label = _scaled(estimate, target, temperature)
    confidence, predicted = probability.max(-1)
    correct = (predicted == label).to(probability.dtype)
    return expected_calibration_error(confidence, correct, weight=example_weight)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def scaled_log_loss(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    temperature: Tensor,
    example_weight: Tensor | None = None,
) -> Tensor:
    """`log_loss` after temperature scaling fitted on validation data."""
    probability, label = _scaled(estimate, target, temperature)
    own = probability.gather(-1, label.unsqueeze(-1)).squeeze(-1)
    return -average(log_probability(own), example_weight)


@metric(direction=-1, bounds=(0, 1))
def adaptive_ece(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean |accuracy - confidence| over 15 bins of the same number of examples, in order of it.

    Source: Nixon et al. (2019), Measuring calibration in deep learning, of the likeliest class.
    """
    probability, label = _of_classes(estimate, target)
    confidence, predicted = probability.max(-1)
    ordered, order = confidence.sort(-1)
    gaps = (predicted == label).to(ordered).gather(-1, order) - ordered
    parts = gaps.tensor_split(min(CALIBRATION_BINS, gaps.shape[-1]), -1)
    return torch.stack([part.sum(-1).abs() for part in parts], -1).sum(-1) / gaps.shape[-1]


def _recalls(estimate: Tensor, target: Tensor, weight: Weight) -> Tensor:
    """Of each class (..., C) the share of its examples that are decided right; NaN without any."""
    probability, label = _of_classes(estimate, target)
    count = probability.shape[-1]
    predicted = torch.where(probability.argmax(-1) == label, label, count)  # wrong: a class apart
    hits = class_counts(predicted, count + 1, weight)[..., :count]
    return hits.to(probability) / class_counts(label, count, weight)


@metric(direction=1, bounds=(0, 1))
def worst_recall(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """The recall of the class that has the least."""
    recalls = _recalls(estimate, target, example_weight)
    return recalls.nan_to_num(nan=math.inf).min(-1).values


@metric(direction=1, bounds=(0, 1))
def adjusted_balanced_accuracy(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean recall of the classes after probabilities are divided by the classes' training sizes.

    Source: Menon et al. (2021), post-hoc logit adjustment at tau 1; an empty class counts as 1.
    """
    probability, label = _of_classes(estimate, target)
    sizes = class_counts.to(probability).clamp(min=1)
    return _recalls(probability / sizes.unsqueeze(-2), label, example_weight).nanmean(-1)


def _recall_of_third(
    estimate: Tensor, target: Tensor, counts: Tensor, third: int, weight: Weight
) -> Tensor:
    """Mean recall of a third of the classes, in descending order of their training examples."""
    order = counts.sort(stable=True, dim=-1, descending=True).indices
    share = order.tensor_split(3, -1)[third]
    return _recalls(estimate, target, weight).gather(-1, share.to(estimate.device)).nanmean(-1)


@metric(direction=1, bounds=(0, 1))
def recall_many(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean recall of the third of the classes with the most training examples."""
    return _recall_of_third(estimate, target, class_counts, 0, example_weight)


@metric(direction=1, bounds=(0, 1))
def recall_medium(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean recall of the third of the classes between the largest and the smallest."""
    return _recall_of_third(estimate, target, class_counts, 1, example_weight)


@metric(direction=1, bounds=(0, 1))
def recall_few(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean recall of the third of the classes with the fewest training examples."""
    return _recall_of_third(estimate, target, class_counts, 2, example_weight)
