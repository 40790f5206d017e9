"""From a dataset and seeds to stacked tensors: drawn, split, standardised, corrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Sample, UserError
from lossbench.datasets.splitting import PARTS, TEST, TRAIN, draw_rows, given_parts
from lossbench.streams import stream
from lossbench.tasks import Task, task_class

Draw = Callable[[np.random.Generator], Sample]
Corruption = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
Part = tuple[np.ndarray, np.ndarray]

PIXEL = 255  # of the largest uint8
FEWEST = 10
FEWEST_PER_CLASS = 5  # one in each split


@dataclass(frozen=True)
class Origin:
    """Where a seed's examples come from, which decides what can be concluded on new data.

    drawn: "anew" for each seed, "split" from one finite data set, or "held out": a split whose test
    part is the same for every seed. learnt: examples in training and validation; test: in test.
    """

    drawn: str
    learnt: int
    test: int


@dataclass(frozen=True)
class Splits:
    """(inputs, targets) of each split, stacked over seeds: (R, N, ...), inputs float32.

    notes: what a reader of the results must know of the data.
    """

    task: Task
    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    origin: Origin
    notes: tuple[str, ...] = ()


def prepare(
    draw: Draw, corruption_for: Callable[[Task], Corruption], seeds: Sequence[int]
) -> Splits:
    """The data of every seed; a seed's numbers do not depend on the other seeds.

    Only the training split is corrupted, after inputs (and the targets of a regression) are
    standardised with its clean mean and standard deviation. Held-out examples are the test split.
    """
    samples, used = zip(*[_draw(draw, seed) for seed in seeds], strict=True)
    task = _pose_task(samples, seeds)
    corruption = corruption_for(task)
    parts = [
        _split_and_corrupt(sample, task, corruption, seed)
        for sample, seed in zip(samples, seeds, strict=True)
    ]
    train, validation, test = (_stack(split, task, seeds) for split in zip(*parts, strict=True))
    notes = tuple(dict.fromkeys(note for sample in samples for note in sample.notes))
    sizes = [len(rows) for rows in _rows_of(samples[0], task, seeds[0])]
    if left := len(samples[0].inputs) - sum(sizes):
        notes += (f"groups differ in size: {left} examples are in no split, others of each seed.",)
    origin = Origin(_find_origin(samples[0], any(used)), sum(sizes[:2]), sizes[2])
    return Splits(task, train, validation, test, origin, notes)


def _draw(draw: Draw, seed: int) -> tuple[Sample, bool]:
    """A seed's sample, and whether its generator was used."""
    rng = np.random.default_rng(stream(seed, "data"))
    before = rng.bit_generator.state
    sample = draw(rng)
    return sample, rng.bit_generator.state != before


def _find_origin(sample: Sample, used: bool) -> str:
    if used if sample.fresh is None else sample.fresh:
        return "anew"
    return "held out" if (given_parts(sample) == TEST).any() and not used else "split"


def share_in_validation(draw: Draw, seeds: Sequence[int], others: Sequence[int]) -> float:
    """The share of the seeds' test examples that are validation examples of some of the others.

    Rows are the same examples only where two seeds draw the same data, split anew.
    """
    judged = [(sample.inputs, rows[1]) for sample, rows in map(partial(_drawn, draw), others)]
    shares = []
    for sample, (*_, tested) in map(partial(_drawn, draw), seeds):
        seen = [
            rows for inputs, rows in judged if np.array_equal(inputs, sample.inputs, equal_nan=True)
        ]
        shares.append(np.isin(tested, np.concatenate(seen)).mean() if seen else 0.0)
    return float(np.mean(shares))


def _drawn(draw: Draw, seed: int) -> tuple[Sample, list[np.ndarray]]:
    """A seed's examples, and the rows of its splits."""
    sample = draw(np.random.default_rng(stream(seed, "data")))
    task = _pose_task([sample], [seed])
    return sample, _rows_of(sample, task, seed)


def _rows_of(sample: Sample, task: Task, seed: int) -> list[np.ndarray]:
    return draw_rows(sample, task, np.random.default_rng(stream(seed, "split")))


def _pose_task(samples: Sequence[Sample], seeds: Sequence[int]) -> Task:
    """The one task that the samples of all seeds pose."""
    kind = task_class(samples[0].task)
    tasks = []
    for sample in samples:
        _refuse_invalid(sample)
        parts = given_parts(sample)
        learnt = parts == TRAIN
        tasks.append(kind.of(sample.inputs[learnt], sample.targets[learnt]))
        _refuse_small(tasks[-1], sample.targets[learnt], len(np.unique(parts)) == len(PARTS))
        if not learnt.all():
            _refuse_other_targets(tasks[-1], sample.targets[~learnt])
    for task, sample, seed in zip(tasks, samples, seeds, strict=True):
        if (task, sample.task) != (tasks[0], samples[0].task):
            raise UserError(
                f"dataset: seed {seed} poses {task}, seed {seeds[0]} {tasks[0]}; "
                "a dataset must pose one task for every seed."
            )
    return tasks[0]


def _refuse_invalid(sample: Sample) -> None:
    inputs = sample.inputs
    if inputs.ndim < 2 or inputs.dtype.kind not in "fiub" or 0 in inputs.shape:
        raise UserError(
            f"dataset: inputs are {inputs.dtype} of shape {inputs.shape}; give numbers (N, ...) "
            "with at least one feature."
        )
    flat = inputs.reshape(len(inputs), -1)
    with np.errstate(over="ignore"):
        broken = ~np.isfinite(flat.astype(np.float32))
    if sample.fill:
        broken &= ~np.isnan(flat)
    if broken.any():
        feature = int(broken.any(0).argmax())
        raise UserError(
            f"dataset: feature {feature} has {broken[:, feature].sum()} of {len(flat)} values NaN, "
            f"infinite or beyond float32 (first in row {broken[:, feature].argmax()}; "
            f"{broken.any(0).sum()} such features); remove or repair those rows."
        )


def _refuse_small(task: Task, targets: np.ndarray, split: bool) -> None:
    """UserError for too few to train on, or of a class to be in every split that is drawn."""
    if len(targets) < FEWEST:
        raise UserError(f"dataset: {len(targets)} examples; give at least {FEWEST}.")
    groups, counts = np.unique(task.strata(targets), return_counts=True)
    if counts.min() < FEWEST_PER_CLASS and not split:
        raise UserError(
            f"dataset: class {groups[counts.argmin()]} has {counts.min()} examples; "
            f"give at least {FEWEST_PER_CLASS}, so that every split has one."
        )


def _refuse_other_targets(task: Task, targets: np.ndarray) -> None:
    """UserError for held-out targets that the task learnt from the others does not have."""
    prediction = torch.zeros(len(targets), *task.output_shape(1))
    try:
        target = torch.from_numpy(targets.astype(np.float64)).to(task.target_dtype)
        task.check(prediction, target)
    except UserError as error:
        raise UserError(
            f"dataset: examples of the given test or validation split (held_out, split) cannot be "
            f"scored. {error}"
        ) from None


def _split_and_corrupt(sample: Sample, task: Task, corruption: Corruption, seed: int) -> list[Part]:
    """Training, validation and test of one seed, standardised, the first then corrupted."""
    rows = _rows_of(sample, task, seed)
    inputs = sample.inputs.astype(np.float64)
    if sample.fill:
        inputs = np.where(np.isnan(inputs), sample.fill(inputs[rows[0]]), inputs)
    if sample.standardise:
        inputs = _standardise(inputs, rows[0], sample.standardise == "channels")
    elif sample.inputs.dtype == np.uint8:
        inputs = inputs / PIXEL
    targets = task.scaled(sample.targets, sample.targets[rows[0]])
    train, *others = [(inputs[chosen], targets[chosen]) for chosen in rows]
    corrupted = corruption(*train, np.random.default_rng(stream(seed, "corruption")))
    return [_check_corrupted(*corrupted, task), *others]


def _standardise(inputs: np.ndarray, train: np.ndarray, channels: bool) -> np.ndarray:
    """Each feature, or channel, less its training mean, in training standard deviations."""
    reference = inputs[train]
    axes = (0, *range(2, inputs.ndim)) if channels else (0,)
    spread = reference.std(axes, keepdims=True)
    largest = np.abs(reference).max(axes, keepdims=True)
    constant = spread <= 1e-12 * largest  # not 0: the mean is rounded
    return (inputs - reference.mean(axes, keepdims=True)) / np.where(constant, 1, spread)


def _check_corrupted(inputs: np.ndarray, targets: np.ndarray, task: Task) -> Part:
    """What a corruption gave back, refused where nothing could be trained on it."""
    if len(inputs) != len(targets) or not len(inputs):
        raise UserError(
            f"corruption: it gave {len(inputs)} inputs and {len(targets)} targets; "
            "give as many of one as of the other, at least one."
        )
    if not (np.isfinite(inputs).all() and np.isfinite(targets).all()):
        raise UserError("corruption: it gave NaN or infinite values; give finite ones.")
    prediction = torch.zeros(len(targets), *task.output_shape(1))
    try:
        task.check(prediction, torch.from_numpy(targets).to(task.target_dtype))
    except UserError as error:
        raise UserError(f"corruption: it gave targets that are not valid. {error}") from None
    return inputs, targets


def _stack(parts: Sequence[Part], task: Task, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    for seed, (inputs, _) in zip(seeds, parts, strict=True):
        if inputs.shape != parts[0][0].shape:
            raise UserError(
                f"dataset: a split has inputs of shape {inputs.shape} for seed {seed} and "
                f"{parts[0][0].shape} for seed {seeds[0]}; give every seed the same number of "
                "examples in every class."
            )
    inputs = np.stack([inputs for inputs, _ in parts]).astype(np.float32)
    targets = torch.from_numpy(np.stack([targets for _, targets in parts]))
    return torch.from_numpy(inputs), targets.to(task.target_dtype)
