"""A sequence of labels from a longer sequence of steps: C numbers per step, class 0 the blank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import UserError
from lossbench.tasks import Task
from lossbench.tasks.lawful import (
    refuse_beyond,
    refuse_indices,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
)
from lossbench.tasks.scores import where_finite


@dataclass(frozen=True)
class Sequence(Task):
    """Inputs (N, T, F), predictions (..., N, T, C), targets (..., N, 2, T) int64.

    target[0] is the class of each step, 0 where there is none; target[1] the labels in 1 .. C-1,
    then zeros.
    """

    num_classes: int

    name = "sequence"
    primary = "label_error_rate"
    directions = {  # noqa: RUF012 (declared ClassVar in Task)
        "label_error_rate": -1,
        "sequence_accuracy": 1,
        "frame_accuracy": 1,
        "blank_share": 0,
    }
    target_dtype = torch.int64

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Sequence:
        """The sequence task of inputs (N, T, F) and targets (N, 2, T), which can be aligned."""
        refuse_targets(cls.name, inputs, targets, "iu", ("2", "T"))
        if inputs.ndim != 3 or targets.shape[1:] != (2, inputs.shape[1]):
            raise UserError(
                f"sequence: inputs have shape {inputs.shape}, targets {targets.shape}; "
                "give (N, T, F) and (N, 2, T)."
            )
        if targets.min() < 0 or targets.max() < 1:
            raise UserError(
                f"sequence: targets hold {targets.min()} to {targets.max()}; give labels from 1, "
                "and 0 for what is no label."
            )
        _refuse_unaligned(torch.from_numpy(targets.astype(np.int64)))
        return cls(tuple(inputs.shape[1:]), int(targets.max()) + 1)

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Sequence:
        return cls(tuple(prediction.shape[-2:-1]), prediction.shape[-1])

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return (self.input_shape[0], self.num_classes)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Label sequences of length 1 and 2, each label held for a third of the steps."""
        shape = (8, *self.output_shape(outputs))
        prediction = 2 * torch.sin(1.0 + torch.arange(8 * shape[1] * shape[2])).reshape(shape)
        target, third = torch.zeros(8, 2, shape[1], dtype=torch.int64), -(-shape[1] // 3)
        label = 1 + torch.arange(8) % (self.num_classes - 1)
        target[:, 0, :third], target[:, 1, 0] = label.unsqueeze(-1), label
        if shape[1] > 2:
            target[::2, 0, -third:], target[::2, 1, 1] = 1, 1
        return prediction, target

    def check(self, prediction: Tensor, target: Tensor) -> None:
        steps = self.input_shape[0] if self.input_shape else 0
        lead = target.shape[:-2]
        if (
            not lead
            or target.shape[-2:] != (2, steps)
            or (prediction.shape != (*lead, steps, self.num_classes))
        ):
            expected = f"(..., N, {steps}, {self.num_classes}) and (..., N, 2, {steps})"
            refuse_shapes(self.name, prediction, target, expected)
        refuse_indices(self.name, prediction, target, "labels")
        refuse_beyond(self.name, target, self.num_classes)
        _refuse_unaligned(target)

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        return link(prediction) if link else torch.softmax(prediction, -1)

    def metrics(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Of the likeliest class of each step, repeats and then blanks dropped (greedy decoding).

        label_error_rate: mean over sequences of edit distance / number of labels (Graves 2006).
        """
        path, (frames, labels) = estimate.argmax(-1), target.unbind(-2)
        distance = edit_distance(decoded(path), labels).to(estimate.dtype)
        scores = {
            "label_error_rate": (distance / (labels != 0).sum(-1)).mean(-1),
            "sequence_accuracy": (distance == 0).to(estimate.dtype).mean(-1),
            "frame_accuracy": (path == frames).to(estimate.dtype).flatten(-2).mean(-1),
            "blank_share": (path == 0).to(estimate.dtype).flatten(-2).mean(-1),
        }
        return where_finite(estimate.isfinite().flatten(-3).all(-1), scores)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes, the blank among them."""
        return {"num_classes": self.num_classes}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: a sequence belongs to no class."""
        return np.zeros(len(targets), dtype=np.int64)


def decoded(path: Tensor) -> Tensor:
    """Classes of steps (..., T) -> labels without repeats and blanks, padded with 0 to (..., T)."""
    changed = F.pad(path[..., 1:] != path[..., :-1], (1, 0), value=True)
    kept = changed & (path != 0)
    return (path * kept).gather(-1, (~kept).long().argsort(dim=-1, stable=True))


def edit_distance(labels: Tensor, reference: Tensor) -> Tensor:
    """Fewest insertions, deletions and substitutions, of label sequences padded with 0 at the end.

    The table is filled a label at a time; an insertion, which runs along the row, is a running
    minimum.
    """
    length = (reference != 0).sum(-1, keepdim=True)
    reference = reference[..., : int(length.max())]
    columns = torch.arange(reference.shape[-1] + 1, device=reference.device)
    row = columns.expand(*reference.shape[:-1], -1)
    for label in labels[..., : int((labels != 0).sum(-1).max())].unbind(-1):
        label = label.unsqueeze(-1)
        changed = torch.minimum(row[..., 1:] + 1, row[..., :-1] + (label != reference))
        changed = torch.cat([row[..., :1] + 1, changed], -1)
        row = torch.where(label != 0, (changed - columns).cummin(-1).values + columns, row)
    return row.gather(-1, length).squeeze(-1)


def _refuse_unaligned(target: Tensor) -> None:
    """UserError for no labels, labels after padding, or more than the steps have room for."""
    labels = target[..., 1, :]
    given = labels != 0
    if not given[..., 0].all() or (given[..., 1:] & ~given[..., :-1]).any():
        raise UserError(
            "sequence: a label sequence is empty, or goes on after a 0; give at least one label, "
            "and zeros behind the last only."
        )
    repeats = given[..., 1:] & (labels[..., 1:] == labels[..., :-1])
    needed = int((given.sum(-1) + repeats.sum(-1)).max())
    if needed > labels.shape[-1]:
        raise UserError(
            f"sequence: a label sequence needs {needed} steps, a blank between equal neighbours "
            f"included, and there are {labels.shape[-1]}; give fewer labels or more steps."
        )
