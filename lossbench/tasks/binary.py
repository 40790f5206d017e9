"""Two classes, one number per example: the probability of class 1 after the link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import UserError
from lossbench.tasks import Task
from lossbench.tasks.lawful import (
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_types,
)
from lossbench.tasks.scores import (
    auroc,
    average_precision,
    class_counts,
    expected_calibration_error,
    log_likelihood,
    reliability,
    where_finite,
)


@dataclass(frozen=True)
class Binary(Task):
    """Predictions (..., N), targets (..., N) in {0, 1}; targets between them are soft labels."""

    name = "binary"
    primary = "accuracy"
    directions = {  # noqa: RUF012 (declared ClassVar in Task)
        "accuracy": 1,
        "zero_one_error": -1,
        "balanced_accuracy": 1,
        "average_precision": 1,
        "auroc": 1,
        "recall": 1,
        "f1": 1,
        "log_loss": -1,
        "perplexity": -1,
        "brier": -1,
        "ece": -1,
        "overconfidence": 0,
    }
    target_dtype = torch.float32

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

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        return (link or torch.sigmoid)(prediction)

    def metrics(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Scores of probabilities; class 1 is predicted, and a soft label counted, above 0.5.

        perplexity is e^log_loss: 2 for a coin. overconfidence: mean confidence less accuracy.
        """
        target = target.to(estimate.dtype)
        predicted, positive = (estimate > 0.5).to(estimate.dtype), (target > 0.5)
        label = positive.to(estimate.dtype)
        correct = (predicted == label).to(estimate.dtype)
        recall = (correct * label).sum(-1) / label.sum(-1)
        specificity = (correct * (1 - label)).sum(-1) / (1 - label).sum(-1)
        f1 = 2 * (predicted * label).sum(-1) / (predicted + label).sum(-1)
        likelihood = log_likelihood(estimate, target)
        log_loss = -likelihood.mean(-1)
        confidence = torch.maximum(estimate, 1 - estimate)
        scores = {
            "accuracy": correct.mean(-1),
            "zero_one_error": 1 - correct.mean(-1),
            "balanced_accuracy": (recall + specificity) / 2,
            "average_precision": average_precision(estimate, positive),
            "auroc": auroc(estimate, positive),
            "recall": recall,
            "f1": f1.masked_fill(~positive.any(-1), float("nan")),
            "log_loss": log_loss,
            "perplexity": log_loss.exp(),
            "brier": (estimate - target).square().mean(-1),
            "ece": expected_calibration_error(confidence, correct),
            "overconfidence": (confidence - correct).mean(-1),
        }
        return where_finite(estimate.isfinite().all(-1), scores)

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
