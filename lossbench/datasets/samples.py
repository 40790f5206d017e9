"""What a dataset gives for a seed, refused where nothing could be trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from lossbench.contract import Sample, UserError
from lossbench.datasets.splitting import (
    FEWEST_PER_CLASS,
    LEFT_OUT,
    NAMES,
    PARTS,
    TRAIN,
    given_parts,
)
from lossbench.streams import stream
from lossbench.tasks import Task, task_class

Draw = Callable[[np.random.Generator], Sample]

FEWEST = 10
NEW_CLASSES = " Classes that training does not have are for the task embedding."
BLOCK = 2**20  # numbers that are looked at at once
# Types that torch has no operations for, and one that holds all their values.
WIDER = {"uint16": np.int32, "uint32": np.int64, "uint64": np.float64, "longdouble": np.float64}


class Posed(NamedTuple):
    """A sample, the task that it poses, and whether it was drawn for its seed alone."""

    sample: Sample
    task: Task
    anew: bool


class Samples:
    """Draws a dataset's samples; one that no random number decides is drawn once for all seeds."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.same: Posed | None = None

    def __call__(self, seed: int) -> Posed:
        if self.same:
            return self.same
        rng = np.random.default_rng(stream(seed, "data"))
        before = rng.bit_generator.state
        sample = self.draw(rng)
        _refuse_invalid(sample)
        _refuse_weights(sample)
        sample = _without_weight(_without_unknown(sample))
        drawn = Posed(_widened(sample), _pose(sample), rng.bit_generator.state != before)
        if not drawn.anew:
            self.same = drawn
        return drawn


def _widened(sample: Sample) -> Sample:
    """With types that torch knows."""

    def known(array: np.ndarray) -> np.ndarray:
        kind = WIDER.get(array.dtype.name)
        return array if kind is None else array.astype(kind)

    return replace(sample, inputs=known(sample.inputs), targets=known(sample.targets))


def _without_unknown(sample: Sample) -> Sample:
    """With examples that have no known target in no split, and a note on what is not known."""
    targets = sample.targets
    if targets.dtype.kind != "f" or not task_class(sample.task).stand_ins:
        return sample
    unknown = np.isnan(targets)
    if not unknown.any() or len(targets) != len(sample.inputs):
        return sample
    wholly, given = unknown.reshape(len(targets), -1).all(1), given_parts(sample)
    for part in set(given) - set(given[~wholly]):
        count = (given == part).sum()
        raise UserError(
            f"dataset: {count} of {count} targets of the given {NAMES[part]} split (held_out, "
            "split) are NaN; give some that are known."
        )
    split = np.where(wholly, np.uint8(LEFT_OUT), given)
    notes = []
    if left_out := wholly.sum():
        notes.append(
            f"{left_out} of {len(targets)} examples have no known target (NaN) and are left out."
        )
    if parts := unknown[~wholly].sum():
        others = " of the others" if left_out else ""
        notes.append(
            f"{parts} of {unknown[~wholly].size} targets{others} are not known (NaN): they count "
            "neither in the loss nor in metrics."
        )
    note = f"{sample.task}: {' '.join(notes)}"
    return replace(sample, split=split, held_out=None, notes=(*sample.notes, note))


def _without_weight(sample: Sample) -> Sample:
    """With examples of weight 0 in no split, and a note on them."""
    if sample.weights is None or np.all(sample.weights):
        return sample
    nothing = np.asarray(sample.weights) == 0
    split = np.where(nothing, np.uint8(LEFT_OUT), given_parts(sample))
    note = f"{nothing.sum()} of {len(split)} examples of weight 0 are left out."
    return replace(sample, split=split, held_out=None, notes=(*sample.notes, note))


def _pose(sample: Sample) -> Task:
    parts, kind = given_parts(sample), task_class(sample.task)
    learnt = parts == TRAIN
    fits = len(sample.targets) == len(sample.inputs)  # if not, the task says so
    targets = sample.targets[learnt] if fits else sample.targets
    count = len(targets) if fits else len(sample.inputs)
    task = kind.of(np.broadcast_to(sample.inputs[:1], (count, *sample.inputs.shape[1:])), targets)
    drawn = not set(PARTS) <= set(np.unique(parts))
    _refuse_small(task, targets, drawn and not (task.whole_strata and sample.groups is not None))
    others = np.isin(parts, PARTS[1:])
    if others.any():
        _refuse_other_targets(task, sample.targets[others])
    return task


def _refuse_invalid(sample: Sample) -> None:
    inputs = sample.inputs
    if inputs.ndim < 2 or inputs.dtype.kind not in "fiub" or 0 in inputs.shape:
        raise UserError(
            f"dataset: inputs are {inputs.dtype} of shape {inputs.shape}; give numbers (N, ...) "
            "with at least one feature."
        )
    if inputs.dtype.kind != "f":
        return
    counts = np.zeros(int(np.prod(inputs.shape[1:])), np.int64)
    first = np.full(len(counts), -1)
    size = max(1, BLOCK // len(counts))
    for start in range(0, len(inputs), size):
        flat = np.asarray(inputs[start : start + size]).reshape(-1, len(counts))
        with np.errstate(over="ignore"):
            broken = ~np.isfinite(flat.astype(np.float32))
        if sample.fill:
            broken &= ~np.isnan(flat)
        new = broken.any(0) & (counts == 0)
        first[new] = start + broken[:, new].argmax(0)
        counts += broken.sum(0)
    if counts.any():
        feature = int((counts > 0).argmax())
        raise UserError(
            f"dataset: feature {feature} has {counts[feature]} of {len(inputs)} values NaN, "
            f"infinite or beyond float32 (first in row {first[feature]}; "
            f"{np.count_nonzero(counts)} such features); remove or repair those rows."
        )


def _refuse_weights(sample: Sample) -> None:
    """UserError for weights that are not one for each example, of at least 0."""
    if sample.weights is None:
        return
    weights, count = np.asarray(sample.weights), len(sample.inputs)
    valid = weights.shape == (count,) and weights.dtype.kind in "fiub"
    if not valid or not np.isfinite(weights.astype(np.float32)).all() or weights.min() < 0:
        raise UserError(
            f"dataset: weights are {weights.dtype} of shape {weights.shape}; give finite numbers "
            f"of at least 0, one for each example, ({count},)."
        )


def _refuse_small(task: Task, targets: np.ndarray, drawn: bool) -> None:
    """UserError for too few to train on, or of a class to be in every split that is drawn."""
    if len(targets) < FEWEST:
        raise UserError(f"dataset: {len(targets)} examples; give at least {FEWEST}.")
    groups, counts = np.unique(task.strata(targets), return_counts=True)
    if counts.min() >= FEWEST_PER_CLASS or not drawn:
        return
    if task.whole_strata and (counts > 1).sum() >= FEWEST:
        return
    other = f", or {FEWEST} that have two or more: each is then in one split"
    raise UserError(
        f"dataset: class {groups[counts.argmin()]} has {counts.min()} examples; give at least "
        f"{FEWEST_PER_CLASS}, so that every split has one{other * task.whole_strata}."
    )


def _refuse_other_targets(task: Task, targets: np.ndarray) -> None:
    """UserError for held-out targets that the task learnt from the others does not have."""
    prediction = torch.zeros(()).expand(len(targets), *task.output_shape(1))
    try:
        target = torch.from_numpy(targets.astype(np.float64)).to(task.target_dtype)
        task.check(*(task.filled(prediction, target) if task.stand_ins else (prediction, target)))
    except UserError as error:
        raise UserError(
            f"dataset: examples of the given test or validation split (held_out, split) cannot be "
            f"scored. {error}{NEW_CLASSES * task.scores_classes}"
        ) from None
