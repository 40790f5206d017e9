"""From a dataset and seeds to stacked tensors: drawn, split, standardised, corrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Sample, UserError
from lossbench.streams import stream
from lossbench.tasks import Task, task_class

Draw = Callable[[np.random.Generator], Sample]
Corruption = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
Part = tuple[np.ndarray, np.ndarray]

SHARES = (3, 1, 1)  # fifths of the examples in training, validation and test
SHARES_WITHOUT_TEST = (4, 1)  # in training and validation, where the test split is held out
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
    tested = test[1].shape[1]
    learnt = len(samples[0].inputs) - tested  # before a corruption removes any
    origin = Origin(_find_origin(samples[0], any(used)), learnt, tested)
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
    return "split" if sample.held_out is None or used else "held out"


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
    return sample, _draw_rows(sample, task, np.random.default_rng(stream(seed, "split")))


def _pose_task(samples: Sequence[Sample], seeds: Sequence[int]) -> Task:
    """The one task that the samples of all seeds pose."""
    kind = task_class(samples[0].task)
    tasks = []
    for sample in samples:
        _refuse_invalid(sample)
        learnt = _find_learnt(sample)
        tasks.append(kind.of(sample.inputs[learnt], sample.targets[learnt]))
        _refuse_small(tasks[-1], sample.targets[learnt])
        if sample.held_out is not None:
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


def _find_learnt(sample: Sample) -> np.ndarray:
    """(N,) true for the examples that are not held out."""
    if sample.held_out is None:
        return np.full(len(sample.inputs), True)
    held_out = np.asarray(sample.held_out)
    if held_out.dtype != bool or held_out.shape != (len(sample.inputs),) or not held_out.any():
        raise UserError(
            f"dataset: held_out is {held_out.dtype} of shape {held_out.shape} with "
            f"{np.count_nonzero(held_out)} true; give true and false, ({len(sample.inputs)},), "
            "some of them true, or None."
        )
    return ~held_out


def _refuse_small(task: Task, targets: np.ndarray) -> None:
    if len(targets) < FEWEST:
        raise UserError(f"dataset: {len(targets)} examples; give at least {FEWEST}.")
    groups, counts = np.unique(task.strata(targets), return_counts=True)
    if counts.min() < FEWEST_PER_CLASS:
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
        raise UserError(f"dataset: examples of held_out cannot be scored. {error}") from None


def _split_and_corrupt(sample: Sample, task: Task, corruption: Corruption, seed: int) -> list[Part]:
    """Training, validation and test of one seed, standardised, the first then corrupted."""
    rows = _draw_rows(sample, task, np.random.default_rng(stream(seed, "split")))
    inputs = sample.inputs.astype(np.float64)
    if sample.fill:
        inputs = np.where(np.isnan(inputs), sample.fill(inputs[rows[0]]), inputs)
    if sample.standardise:
        inputs = _standardise(inputs, rows[0])
    targets = task.scaled(sample.targets, sample.targets[rows[0]])
    train, *others = [(inputs[chosen], targets[chosen]) for chosen in rows]
    corrupted = corruption(*train, np.random.default_rng(stream(seed, "corruption")))
    return [_check_corrupted(*corrupted, task), *others]


def _draw_rows(sample: Sample, task: Task, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of training, validation and test, in ascending order."""
    if sample.held_out is None:
        return split(task.strata(sample.targets), rng)
    learnt = np.flatnonzero(_find_learnt(sample))
    parts = split(task.strata(sample.targets[learnt]), rng, SHARES_WITHOUT_TEST)
    return [*(learnt[part] for part in parts), np.flatnonzero(sample.held_out)]


def split(
    strata: np.ndarray, rng: np.random.Generator, shares: tuple[int, ...] = SHARES
) -> list[np.ndarray]:
    """Rows of each part, by its share of every group, in ascending order.

    Sizes depend on the groups' sizes alone: what a share leaves over goes by largest remainder,
    ties to the earlier part.
    """
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for group in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == group))
        sizes, remainders = np.divmod(len(rows) * np.array(shares), sum(shares))
        sizes[np.argsort(-remainders, kind="stable")[: len(rows) - sizes.sum()]] += 1
        for part, chosen in zip(parts, np.split(rows, np.cumsum(sizes)[:-1]), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def _standardise(inputs: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Each feature less its training mean, in training standard deviations."""
    reference = inputs[train]
    spread = reference.std(0)
    constant = spread <= 1e-12 * np.abs(reference).max(0)  # not 0: the mean is rounded
    return (inputs - reference.mean(0)) / np.where(constant, 1, spread)


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
