"""A sequence of labels from a longer sequence of steps: C numbers per step, class 0 the blank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import Declaration, UserError, metric
from lossbench.tasks import Answers, Section, Study, Task, line
from lossbench.tasks.refusals import (
    refuse_beyond,
    refuse_indices,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
)
from lossbench.tasks.scores import class_counts, shared


@shared
def _path(estimate: Tensor, target: Tensor) -> Tensor:
    """The likeliest class of each step."""
    return estimate.argmax(-1)


@shared
def _distance(estimate: Tensor, target: Tensor) -> Tensor:
    """Edits from the greedy decoding, repeats and then blanks dropped, to the labels."""
    decoding = decoded(_path(estimate, target))
    return edit_distance(decoding, target[..., 1, :]).to(estimate.dtype)


@metric(direction=-1, bounds=(0, math.inf))
def label_error_rate(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over sequences of edits / number of labels, by 1 where there is none (Graves 2006)."""
    labels = (target[..., 1, :] != 0).sum(-1)
    return (_distance(estimate, target) / labels.clamp(min=1)).mean(-1)


@metric(direction=1, bounds=(0, 1))
def sequence_accuracy(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of sequences that are decoded without an edit."""
    return (_distance(estimate, target) == 0).to(estimate.dtype).mean(-1)


@metric(direction=1, bounds=(0, 1))
def frame_accuracy(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of steps whose likeliest class is theirs."""
    correct = _path(estimate, target) == target[..., 0, :]
    return correct.to(estimate.dtype).flatten(-2).mean(-1)


@metric(direction=0, bounds=(0, 1))
def blank_share(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of steps whose likeliest class is the blank."""
    return (_path(estimate, target) == 0).to(estimate.dtype).flatten(-2).mean(-1)


@dataclass(frozen=True)
class Sequence(Task):
    """Inputs (N, T, F), predictions (..., N, T, C), targets (..., N, 2, T) int64.

    target[0] is the class of each step, 0 where there is none; target[1] the labels in 1 .. C-1,
    then zeros; zeros alone where nothing is to be said.
    """

    num_classes: int

    name = "sequence"
    metrics = (label_error_rate, sequence_accuracy, frame_accuracy, blank_share)
    primary = "label_error_rate"
    target_dtype = torch.int64
    estimate_range = (0, 1)
    sums_to_one = True
    vocabulary = r"logits|\bCTC\b|\bblank\b|\(B, T\b|\(T, B\b"

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

    @classmethod
    def small(cls) -> Sequence:
        return cls((6, 4), 4)

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

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """As CTC takes them, steps first."""
        steps = torch.full_like(target[:, 1, 0], prediction.shape[1])
        return {
            "log-probabilities by step": prediction.log_softmax(-1).transpose(0, 1),
            "labels": target[:, 1],
            "numbers of steps": steps,
            "numbers of labels": (target[:, 1] != 0).sum(-1),
        }

    def answers(self, size: float) -> Answers:
        """Every step its own class, or another one."""
        _, target = self.example()
        steps = size * torch.eye(self.num_classes)[target[:, 0]]
        return Answers(steps, steps.roll(1, -1), target)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the lead of the right class, at every step of one sequence."""
        frames, labels = torch.tensor([1, 1, 0, 2, 2, 0]), torch.tensor([1, 2, 0, 0, 0, 0])
        right = F.one_hot(frames, 3).double()

        def batch(x: Tensor) -> tuple[Tensor, Tensor]:
            target = torch.stack([frames, labels]).expand(len(x), 2, 6)
            return x.reshape(-1, 1, 1) * right, target

        axis = "lead of the right class at each step of 11-22-"
        return (Study("", (("", Section(axis, "slope, all steps at once", line(-5, 5), batch)),)),)

    def link(self, prediction: Tensor) -> Tensor:
        """Softmax of each step."""
        return torch.softmax(prediction, -1)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes, the blank among them, and class_counts (..., C), of steps."""
        counts = class_counts(target[..., 0, :].flatten(-2), self.num_classes)
        return {"num_classes": self.num_classes, "class_counts": counts}

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
    """UserError for labels after padding, or more than the steps have room for."""
    labels = target[..., 1, :]
    given = labels != 0
    if (given[..., 1:] & ~given[..., :-1]).any():
        raise UserError(
            "sequence: a label sequence continues after a 0; give zeros behind the last label "
            "only, or zeros alone where there is none."
        )
    repeats = given[..., 1:] & (labels[..., 1:] == labels[..., :-1])
    needed = int((given.sum(-1) + repeats.sum(-1)).max())
    if needed > labels.shape[-1]:
        raise UserError(
            f"sequence: a label sequence needs {needed} steps, a blank between equal neighbours "
            f"included, and there are {labels.shape[-1]}; give fewer labels or more steps."
        )
