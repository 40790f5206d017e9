"""Two classes, one number per example: the probability of class 1 after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, metric
from lossbench.tasks import Answers, Chart, Population, Section, Study, Task, line, scores
from lossbench.tasks.refusals import (
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_types,
)
from lossbench.tasks.scores import Weight, average, class_counts, reliability, shared, weighed
from lossbench.tasks.sections import MARGINS, SOFT

POSTERIORS = (0.08, 0.3, 0.55, 0.8, 0.95)  # of class 1, on which losses are tried


@shared
def _decided(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """1 where class 1 is predicted, where it is the target's, and where both agree."""
    predicted = (estimate > 0.5).to(estimate.dtype)
    label = (target > 0.5).to(estimate.dtype)
    return predicted, label, (predicted == label).to(estimate.dtype)


@shared
def _confidence(estimate: Tensor, target: Tensor) -> Tensor:
    """The probability of the class that is predicted."""
    return torch.maximum(estimate, 1 - estimate)


def _share(correct: Tensor, label: Tensor, weight: Weight) -> Tensor:
    """Of the examples where label is 1 the share that is decided right."""
    return weighed(correct * label, weight).sum(-1) / weighed(label, weight).sum(-1)


@metric(direction=1, bounds=(0, 1))
def accuracy(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Share of examples that are on their side of 0.5; a soft label counts by its side too."""
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
    """Mean of the shares of both classes that are predicted right."""
    _, label, correct = _decided(estimate, target)
    specificity = _share(correct, 1 - label, example_weight)
    return (_share(correct, label, example_weight) + specificity) / 2


@metric(direction=1, bounds=(0, 1))
def average_precision(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean over the examples of class 1 of the precision at their own probability."""
    return scores.average_precision(estimate, target > 0.5, example_weight)


@metric(direction=1, bounds=(0, 1))
def auroc(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Area under the ROC curve."""
    return scores.auroc(estimate, target > 0.5, example_weight)


@metric(direction=1, bounds=(0, 1))
def partial_auroc_10(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Area under the ROC curve up to a false positive rate of 0.1, scaled so that chance is 0.5."""
    return scores.partial_auroc(estimate, target > 0.5, 0.1, example_weight)


@metric(direction=1, bounds=(0, 1))
def recall(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Share of class 1 that is predicted as such."""
    _, label, correct = _decided(estimate, target)
    return _share(correct, label, example_weight)


@metric(direction=1, bounds=(0, 1))
def f1(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Harmonic mean of precision and recall of class 1."""
    predicted, label, _ = _decided(estimate, target)
    hits, both = (weighed(each, example_weight) for each in (predicted * label, predicted + label))
    value = 2 * hits.sum(-1) / both.sum(-1)
    return value.masked_fill(~label.any(-1), torch.nan)


@shared
def _log_loss(estimate: Tensor, target: Tensor, weight: Weight) -> Tensor:
    return -average(scores.log_likelihood(estimate, target.to(estimate.dtype)), weight)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def log_loss(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of -y log p - (1 - y) log(1 - p)."""
    return _log_loss(estimate, target, example_weight)


@metric(direction=-1, bounds=(1, math.inf))
def perplexity(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """e^log_loss: 2 for a coin."""
    return _log_loss(estimate, target, example_weight).exp()


@metric(direction=-1, bounds=(0, 1))
def brier(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Mean of the square of p - y."""
    return average((estimate - target.to(estimate.dtype)).square(), example_weight)


@metric(direction=-1, bounds=(0, 1))
def ece(estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None) -> Tensor:
    """Expected calibration error, of the predicted class in 15 bins of its probability."""
    confidence, (_, _, correct) = _confidence(estimate, target), _decided(estimate, target)
    return scores.expected_calibration_error(confidence, correct, weight=example_weight)


@metric(direction=0, bounds=(-1, 1))
def overconfidence(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean probability of the predicted class less accuracy."""
    gap = _confidence(estimate, target) - _decided(estimate, target)[2]
    return average(gap, example_weight)


@dataclass(frozen=True)
class Binary(Task):
    """Predictions (..., N), targets (..., N) in {0, 1}; targets between them are soft labels."""

    name = "binary"
    metrics = (
        accuracy,
        zero_one_error,
        balanced_accuracy,
        average_precision,
        auroc,
        partial_auroc_10,
        recall,
        f1,
        log_loss,
        perplexity,
        brier,
        ece,
        overconfidence,
    )
    primary = "accuracy"
    target_dtype = torch.float32
    estimate_range = (0, 1)
    soft_targets = True
    charts: ClassVar[tuple[Chart, ...]] = ("precision_recall", "roc")
    vocabulary = r"logits|\{0, 1\}|\b0 and 1\b|sigmoid|softplus|target - 1\b|binary_"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Binary:
        """The binary task of inputs (N, ...) and targets (N,), which must hold both 0 and 1."""
        if targets.ndim != 1 or len(targets) != len(inputs):
            raise UserError(
                f"binary: targets have shape {targets.shape} for {len(inputs)} inputs; "
                f"give one number per example, ({len(inputs)},)."
            )
        values = np.unique(targets)
        if not np.array_equal(values, [0, 1]):
            shown = ", ".join(f"{value}" for value in values[:5])
            raise UserError(
                f"binary: targets hold {len(values)} distinct values ({shown}); "
                "give 0 and 1, both present (-1 becomes 0)."
            )
        return cls(tuple(inputs.shape[1:]))

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return ()

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        self.output_shape(outputs)
        step = torch.arange(8)
        return 2 * torch.sin(1.0 + step), (step % 2).float()

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != target.shape:
            expected = "both (..., N): add or squeeze the odd axis"
            refuse_shapes(self.name, prediction, target, expected)
        refuse_types(self.name, prediction, target)
        refuse_outside_unit(self.name, target, "0 and 1 (-1 becomes 0)")

    def answers(self, size: float) -> Answers:
        _, target = self.example()
        right = size * (2 * target - 1)
        return Answers(right, -right, target)

    def populations(self) -> tuple[Population, ...]:
        chances = [torch.tensor([1 - p, p], dtype=torch.float64) for p in POSTERIORS]
        return tuple(Population(torch.tensor([0.0, 1.0]), chance) for chance in chances)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the logit, for soft labels too where they are valid."""
        soft = declaration.target == "[0, 1]"

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

    def link(self, prediction: Tensor) -> Tensor:
        """Sigmoid."""
        return torch.sigmoid(prediction)

    @property
    def chance(self) -> float:
        """A coin's accuracy."""
        return 1 / 2

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        correct = (estimate > 0.5) == (target > 0.5)
        return reliability(torch.maximum(estimate, 1 - estimate), correct.to(estimate.dtype))

    def decisions(self, estimate: Tensor) -> dict[str, Tensor]:
        sure = torch.maximum(estimate, 1 - estimate)
        return {"plane.class": (estimate > 0.5).long(), "plane.confidence": sure}

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes = 2 and class_counts (..., 2), from targets (..., N)."""
        return {"num_classes": 2, "class_counts": class_counts((target > 0.5).long(), 2)}

    @property
    def num_classes(self) -> int:
        """Always 2; corruptions and losses ask for it by this name."""
        return 2
