"""Any number of labels at once: L numbers per example, probabilities after the link."""

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
    refuse_not_binary,
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import (
    average_precision,
    expected_calibration_error,
    log_likelihood,
    reliability,
    where_finite,
)


@dataclass(frozen=True)
class Multilabel(Task):
    """Predictions and targets (..., N, L); targets in {0, 1}, those between are soft labels."""

    num_labels: int

    name = "multilabel"
    primary = "average_precision"
    directions = {  # noqa: RUF012 (declared ClassVar in Task)
        "average_precision": 1,
        "exact_match": 1,
        "hamming": -1,
        "f1": 1,
        "log_loss": -1,
        "ece": -1,
    }
    target_dtype = torch.float32

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Multilabel:
        """The multilabel task of inputs (N, ...) and targets (N, L), each label with 0 and 1."""
        refuse_targets(cls.name, inputs, targets, "fiub", ("L",))
        refuse_not_binary(cls.name, targets)
        constant = (targets == targets[0]).all(0)
        if constant.any():
            label = int(constant.argmax())
            raise UserError(
                f"multilabel: label {label} is {targets[0, label]:g} in every example "
                f"({constant.sum()} such labels); give labels that vary."
            )
        return cls(tuple(inputs.shape[1:]), targets.shape[1])

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Multilabel:
        return cls((), prediction.shape[-1])

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

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        return (link or torch.sigmoid)(prediction)

    def metrics(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """average_precision and f1 are means over the labels that occur; log_loss is their sum.

        A label is predicted, and a soft label counted, above 0.5; hamming and ece pool all labels.
        """
        target = target.to(estimate.dtype)
        predicted, positive = (estimate > 0.5).to(estimate.dtype), target > 0.5
        label = positive.to(estimate.dtype)
        correct = (predicted == label).to(estimate.dtype)
        f1 = 2 * (predicted * label).sum(-2) / (predicted + label).sum(-2)
        likelihood = log_likelihood(estimate, target)
        confidence = torch.maximum(estimate, 1 - estimate)
        scores = {
            "average_precision": average_precision(estimate.mT, positive.mT).nanmean(-1),
            "exact_match": correct.prod(-1).mean(-1),
            "hamming": 1 - correct.flatten(-2).mean(-1),
            "f1": f1.masked_fill(~positive.any(-2), float("nan")).nanmean(-1),
            "log_loss": -likelihood.sum(-1).mean(-1),
            "ece": expected_calibration_error(confidence.flatten(-2), correct.flatten(-2)),
        }
        return where_finite(estimate.isfinite().flatten(-2).all(-1), scores)

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Reliability of every label pooled."""
        correct = ((estimate > 0.5) == (target > 0.5)).to(estimate.dtype).flatten(-2)
        return reliability(torch.maximum(estimate, 1 - estimate).flatten(-2), correct)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_labels."""
        return {"num_labels": self.num_labels}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: combinations of labels are too many to share out evenly."""
        return np.zeros(len(targets), dtype=np.int64)
