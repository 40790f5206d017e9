"""One class of several: C numbers per example, probabilities after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, Metric, UserError, metric
from lossbench.tasks import Answers, Chart, Population, Section, Study, Task, line
from lossbench.tasks.refusals import refuse_beyond, refuse_indices, refuse_shapes, refuse_targets
from lossbench.tasks.scores import (
    Weight,
    average,
    class_counts,
    expected_calibration_error,
    log_probability,
    reliability,
    shared,
    uneven,
)
from lossbench.tasks.sections import MARGINS, others_at_zero


@shared
def _decided(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The likeliest class of each example, its probability, and 1 where it is the target."""
    confidence, predicted = estimate.max(-1)
    return predicted, confidence, (predicted == target).to(estimate.dtype)


@shared
def _one_hot(estimate: Tensor, target: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(target, estimate.shape[-1]).to(estimate.dtype)


@shared
def _support_and_hits(estimate: Tensor, target: Tensor, weight: Weight) -> tuple[Tensor, Tensor]:
    """Of each class the number of its examples, and of those that are decided right."""
    one_hot, (_, _, correct) = _one_hot(estimate, target), _decided(estimate, target)
    if weight is not None:
        one_hot = one_hot * weight.unsqueeze(-1)
    return one_hot.sum(-2), (one_hot * correct.unsqueeze(-1)).sum(-2)


@metric(direction=1, bounds=(0, 1))
def accuracy(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Share of examples whose likeliest class is the target."""
    return average(_decided(estimate, target)[2], example_weight)


@metric(direction=-1, bounds=(0, 1))
def zero_one_error(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """1 - accuracy."""
    return 1 - accuracy(estimate, target, example_weight=example_weight)


@metric(direction=1, bounds=(0, 1))
def balanced_accuracy(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean over classes of the share of their examples that are decided right."""
    support, hits = _support_and_hits(estimate, target, example_weight)
    return (hits / support).mean(-1)


@metric(direction=1, bounds=(0, 1))
def macro_f1(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean over classes of the harmonic mean of precision and recall."""
    support, hits = _support_and_hits(estimate, target, example_weight)
    decided, count = _decided(estimate, target)[0], estimate.shape[-1]
    predicted = class_counts(decided, count, example_weight)
    return (2 * hits / (support + predicted)).masked_fill(support == 0, torch.nan).mean(-1)


@shared
def _log_loss(estimate: Tensor, target: Tensor, weight: Weight) -> Tensor:
    own = estimate.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return -average(log_probability(own), weight)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def log_loss(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of -log p of the target's class."""
    return _log_loss(estimate, target, example_weight)


@metric(direction=-1, bounds=(1, math.inf))
def perplexity(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """e^log_loss: C for uniform probabilities."""
    return _log_loss(estimate, target, example_weight).exp()


@metric(direction=-1, bounds=(0, 2))
def brier(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Mean over examples of the summed squares of p less the target's one-hot vector."""
    return average((estimate - _one_hot(estimate, target)).square().sum(-1), example_weight)


@metric(direction=-1, bounds=(0, 1))
def ece(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Expected calibration error, of the likeliest class in 15 bins of its probability."""
    _, confidence, correct = _decided(estimate, target)
    return expected_calibration_error(confidence, correct, weight=example_weight)


@metric(direction=0, bounds=(-1, 1))
def overconfidence(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean probability of the likeliest class less accuracy."""
    _, confidence, correct = _decided(estimate, target)
    return average(confidence - correct, example_weight)


@dataclass(frozen=True)
class Multiclass(Task):
    """Predictions (..., N, C), targets (..., N) int64 class indices from 0."""

    num_classes: int
    embedding_dim: int = 16  # of a loss with a prototype for each class

    name = "multiclass"
    metrics: ClassVar[tuple[Metric, ...]] = (
        accuracy,
        zero_one_error,
        balanced_accuracy,
        macro_f1,
        log_loss,
        perplexity,
        brier,
        ece,
        overconfidence,
    )
    primary = "accuracy"
    target_dtype = torch.int64
    estimate_range = (0, 1)
    sums_to_one = True
    scores_classes = True
    charts: ClassVar[tuple[Chart, ...]] = ("class_recall", "confusion")
    vocabulary = (
        r"logits|multi-?class|\(B, C\)|int64|softmax|gather|one_hot|logsumexp|\bclass(?:es)?\b"
        r"|\bcross_entropy|nll_loss"
    )

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Multiclass:
        """The multiclass task of inputs (N, ...) and integers (N,), every class 0..max present."""
        refuse_targets(cls.name, inputs, targets, "iu", ())
        classes = np.unique(targets)
        if len(classes) < 2 or not np.array_equal(classes, np.arange(len(classes))):
            shown = ", ".join(f"{label}" for label in classes[:8])
            raise UserError(
                f"multiclass: targets hold the {len(classes)} labels {shown}; "
                "give at least two classes, numbered 0, 1, 2, … without a gap."
            )
        return cls(tuple(inputs.shape[1:]), len(classes))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Multiclass:
        return cls((), prediction.shape[-1])

    @classmethod
    def small(cls) -> Multiclass:
        return cls((6, 4), 4)

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        """A number for each class, or an embedding of so many numbers."""
        return (self.num_classes,) if outputs == 1 else (outputs,)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        shape = (8, *self.output_shape(outputs))
        prediction = 2 * torch.sin(1.0 + torch.arange(math.prod(shape))).reshape(shape)
        return prediction, torch.arange(8) % self.num_classes

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != (*target.shape, self.num_classes):
            expected = f"(..., N, {self.num_classes}) and (..., N)"
            refuse_shapes(self.name, prediction, target, expected)
        refuse_indices(self.name, prediction, target, "class indices")
        refuse_beyond(self.name, target, self.num_classes)

    def answers(self, size: float) -> Answers:
        """A row for each class and each other one that is taken for it."""
        target = torch.arange(self.num_classes).repeat(self.num_classes - 1)
        shift = 1 + torch.arange(len(target)) // self.num_classes
        logits = size * (2 * torch.eye(self.num_classes) - 1)
        return Answers(logits[target], logits[(target + shift) % self.num_classes], target)

    def populations(self) -> tuple[Population, ...]:
        labels = torch.arange(self.num_classes)
        return tuple(Population(labels, weights) for weights in uneven(len(labels), 3))

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """The probabilities of the classes."""
        one_hot = torch.nn.functional.one_hot(population.targets, self.num_classes)
        return super().expected(minimiser, Population(one_hot, population.weights), level)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the logit of the target's class, the others at 0."""

        def batch(x: Tensor) -> tuple[Tensor, Tensor]:
            return others_at_zero(x, 3), torch.zeros(len(x), dtype=torch.int64)

        axis = "z_y - z_other, three classes, both others at 0"
        section = Section(axis, "gradient in z_y", line(-5, 5), batch, mistakes=MARGINS)
        return (Study("", (("", section),)),)

    def link(self, prediction: Tensor) -> Tensor:
        """Softmax."""
        return torch.softmax(prediction, -1)

    @property
    def chance(self) -> float:
        """The accuracy of a guess."""
        return 1 / self.num_classes

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        confidence, predicted = estimate.max(-1)
        return reliability(confidence, (predicted == target).to(estimate.dtype))

    def decisions(self, estimate: Tensor) -> dict[str, Tensor]:
        confidence, predicted = estimate.max(-1)
        return {"plane.class": predicted, "plane.confidence": confidence}

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes and class_counts (..., C), from targets (..., N), and embedding_dim."""
        return {
            "num_classes": self.num_classes,
            "class_counts": class_counts(target, self.num_classes),
            "embedding_dim": self.embedding_dim,
        }
