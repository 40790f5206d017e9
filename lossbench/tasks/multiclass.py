"""One class of several: C numbers per example, probabilities after the link."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import UserError
from lossbench.tasks import Task
from lossbench.tasks.lawful import (
    refuse_beyond,
    refuse_indices,
    refuse_shapes,
    refuse_targets,
)
from lossbench.tasks.scores import (
    class_counts,
    expected_calibration_error,
    log_probability,
    reliability,
    where_finite,
)


@dataclass(frozen=True)
class Multiclass(Task):
    """Predictions (..., N, C), targets (..., N) int64 class indices from 0."""

    num_classes: int

    name = "multiclass"
    primary = "accuracy"
    directions = {  # noqa: RUF012 (declared ClassVar in Task)
        "accuracy": 1,
        "zero_one_error": -1,
        "balanced_accuracy": 1,
        "macro_f1": 1,
        "log_loss": -1,
        "perplexity": -1,
        "brier": -1,
        "ece": -1,
        "overconfidence": 0,
    }
    target_dtype = torch.int64
    scores_classes = True
    embedding_dim = 16  # of the embeddings that a loss with a prototype for each class asks for

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

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        return link(prediction) if link else torch.softmax(prediction, -1)

    def metrics(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Scores of probabilities; averages over classes are NaN where a class is absent.

        perplexity is e^log_loss: C for uniform probabilities. overconfidence: mean confidence less
        accuracy.
        """
        confidence, predicted = estimate.max(-1)
        correct = (predicted == target).to(estimate.dtype)
        one_hot = torch.nn.functional.one_hot(target, self.num_classes).to(estimate.dtype)
        support = one_hot.sum(-2)
        hits = (one_hot * correct.unsqueeze(-1)).sum(-2)
        f1 = 2 * hits / (support + class_counts(predicted, self.num_classes))
        probability = estimate.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        log_loss = -log_probability(probability).mean(-1)
        scores = {
            "accuracy": correct.mean(-1),
            "zero_one_error": 1 - correct.mean(-1),
            "balanced_accuracy": (hits / support).mean(-1),
            "macro_f1": f1.masked_fill(support == 0, float("nan")).mean(-1),
            "log_loss": log_loss,
            "perplexity": log_loss.exp(),
            "brier": (estimate - one_hot).square().sum(-1).mean(-1),
            "ece": expected_calibration_error(confidence, correct),
            "overconfidence": (confidence - correct).mean(-1),
        }
        return where_finite(estimate.isfinite().flatten(-2).all(-1), scores)

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
