"""From a dataset and seeds to the rows of a pool: drawn, split, standardised, corrupted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Corrupted, Sample, UserError
from lossbench.datasets.corruptions import none
from lossbench.datasets.examples import Examples, measured
from lossbench.datasets.pool import Changed, Origin, Split, Splits, Unit
from lossbench.datasets.samples import Draw, Posed, Samples
from lossbench.datasets.splitting import (
    FEWEST_OF_PAIRS,
    FEWEST_PER_CLASS,
    LEFT_OUT,
    PARTS,
    TEST,
    TRAIN,
    draw_rows,
    given_parts,
    keeps_whole,
    own_weights,
)
from lossbench.streams import stream
from lossbench.tasks import Task

__all__ = ["Origin", "Samples", "Splits", "prepare", "share_in_validation"]

Measures = tuple[np.ndarray, ...] | None  # mean and scale, and what fills gaps
Corruption = Callable[[Examples, np.ndarray, np.random.Generator], Corrupted]


class _Replica(NamedTuple):
    """What one seed has: rows of each split in the pool, and what is its own."""

    rows: list[np.ndarray]
    unit: Measures
    target_unit: Measures
    corrupted: Corrupted


def prepare(
    draw: Draw | Samples, corruption_for: Callable[[Task], Corruption], seeds: Sequence[int]
) -> Splits:
    """The data of every seed; a seed's numbers do not depend on the other seeds.

    Only the training split is corrupted, after inputs (and the targets of a regression) are
    standardised with its clean mean and standard deviation. Held-out examples are the test split.
    """
    samples = draw if isinstance(draw, Samples) else Samples(draw)
    pool: list[Sample] = []
    replicas: list[_Replica] = []
    for seed in seeds:
        drawn = samples(seed)
        if not pool:
            first, rows = drawn, _rows_of(drawn, seed)
            corruption, origin = corruption_for(first.task), _find_origin(first, rows)
        _refuse_other_task(drawn, first, seed, seeds[0])
        if not pool or drawn.sample.inputs is not pool[-1].inputs:
            pool.append(drawn.sample)
        start = sum(len(sample.inputs) for sample in pool[:-1])
        replicas.append(_prepare_seed(drawn, corruption, seed, start))
        _refuse_other_sizes(replicas, first, seed, seeds[0])
    notes = dict.fromkeys(note for sample in pool for note in sample.notes)
    if told := _note_whole(first):
        notes[told] = None
    used = (given_parts(first.sample) != LEFT_OUT).sum()
    if left := used - origin.learnt - origin.test:
        notes[f"groups differ in size: {left} examples are in no split, others of each seed."] = (
            None
        )
    return _stack(pool, replicas, first.task, origin, tuple(notes), first.anew)


def _note_whole(drawn: Posed) -> str:
    """Whether each identity is in one split because some have few examples, or nothing."""
    sample, parts = drawn.sample, given_parts(drawn.sample)
    strata = drawn.task.strata(sample.targets[parts == TRAIN])
    if sample.groups is not None or set(PARTS) <= {*parts} or not keeps_whole(drawn.task, strata):
        return ""
    counts = np.unique(strata, return_counts=True)[1]
    fewest = FEWEST_PER_CLASS if counts.min() < FEWEST_PER_CLASS else FEWEST_OF_PAIRS
    few = (counts < fewest).sum()
    return (
        f"{few} of {len(counts)} identities have fewer than {fewest} examples: each is "
        "in one split, so that validation and test are of identities not learnt from."
    )


def _find_origin(drawn: Posed, rows: list[np.ndarray]) -> Origin:
    sizes = [len(part) for part in rows]
    sample, used = drawn.sample, drawn.anew
    if used if sample.fresh is None else sample.fresh:
        kind = "anew"
    else:
        kind = "held out" if (given_parts(sample) == TEST).any() and not used else "split"
    return Origin(kind, sum(sizes[:2]), sizes[2])


def _rows_of(drawn: Posed, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(stream(seed, "split"))
    return draw_rows(drawn.sample, drawn.task, rng)


def share_in_validation(draw: Draw, seeds: Sequence[int], others: Sequence[int]) -> float:
    """The share of the seeds' test examples that are validation examples of some of the others.

    Rows are the same examples only where two seeds draw the same data, split anew.
    """
    samples = Samples(draw)

    def drawn(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
        one = samples(seed)
        return one.sample.inputs, _rows_of(one, seed)

    def same(one: np.ndarray, other: np.ndarray) -> bool:
        return one is other or np.array_equal(one, other, equal_nan=True)

    judged = [drawn(seed) for seed in others]
    shares = []
    for inputs, (*_, tested) in map(drawn, seeds):
        seen = [rows[1] for other, rows in judged if same(inputs, other)]
        shares.append(np.isin(tested, np.concatenate(seen)).mean() if seen else 0.0)
    return float(np.mean(shares))


def _refuse_other_task(drawn: Posed, first: Posed, seed: int, first_seed: int) -> None:
    if (drawn.task, drawn.sample.task) != (first.task, first.sample.task):
        raise UserError(
            f"dataset: seed {seed} poses {drawn.task}, seed {first_seed} {first.task}; "
            "a dataset must pose one task for every seed."
        )
    if drawn.sample.inputs.dtype != first.sample.inputs.dtype:
        raise UserError(
            f"dataset: inputs are {drawn.sample.inputs.dtype} for seed {seed}, "
            f"{first.sample.inputs.dtype} for seed {first_seed}; give one type."
        )


def _refuse_other_sizes(replicas: list[_Replica], first: Posed, seed: int, first_seed: int) -> None:
    for part, other in zip(replicas[-1].rows, replicas[0].rows, strict=True):
        if len(part) != len(other):
            shape = first.sample.inputs.shape[1:]
            raise UserError(
                f"dataset: a split has inputs of shape {(len(part), *shape)} for seed {seed} and "
                f"{(len(other), *shape)} for seed {first_seed}; give every seed the same number of "
                "examples in every class."
            )


# ---- one seed ----------------------------------------------------------------------------------
def _prepare_seed(drawn: Posed, corruption: Corruption, seed: int, start: int) -> _Replica:
    """The rows of a seed's splits in the pool, where its sample starts, the first corrupted."""
    sample, task = drawn.sample, drawn.task
    rows = _rows_of(drawn, seed)
    weights, learnt = own_weights(sample), sample.targets[rows[0]]
    weights = None if weights is None else weights[rows[0]].astype(np.float64)
    examples, corrupted = measured(sample, rows[0], weights), Corrupted()
    unit = task.units(learnt) if weights is None else task.units(learnt, weights)
    if getattr(corruption, "func", corruption) is not none:
        targets = task.typed(learnt)
        if unit:
            targets = (targets - unit[0]) / unit[1]
        rng = np.random.default_rng(stream(seed, "corruption"))
        corrupted = _corrupt(corruption, examples, targets, task, rng)
        corrupted = _with_unknown(corrupted, targets, task)
        if corrupted.rows is not None:
            rows[0] = rows[0][corrupted.rows]
    return _Replica([start + part for part in rows], examples.measures, unit, corrupted)


def _corrupt(
    corruption: Corruption,
    examples: Examples,
    targets: np.ndarray,
    task: Task,
    rng: np.random.Generator,
) -> Corrupted:
    """What a corruption gave back, refused where nothing could be trained on it."""
    try:
        given = corruption(examples, targets, rng)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"corruption: it fails on {len(targets)} training examples, {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}. inputs[rows] gives rows of its inputs, "
            "np.asarray(inputs) all."
        ) from error
    if not isinstance(given, Corrupted):
        raise UserError(
            f"corruption: it gave a {type(given).__name__}; give a lossbench.contract.Corrupted "
            "(rows, targets, moved, inputs) of what is to be different."
        )
    _refuse_rows(given, examples)
    return given


def _with_unknown(given: Corrupted, targets: np.ndarray, task: Task) -> Corrupted:
    """What a corruption gave, its targets refused if invalid, and not known where they were not."""
    if given.targets is None:
        return given
    kept = targets if given.rows is None else targets[given.rows]
    alike = given.targets.shape == kept.shape
    if not task.stand_ins or not alike or not (unknown := np.isnan(kept)).any():
        _refuse_targets(given.targets, task)
        return given
    _refuse_targets(np.where(unknown, task.stand_ins[0][1], given.targets), task)
    return replace(given, targets=np.where(unknown, np.nan, given.targets))


def _refuse_rows(given: Corrupted, examples: Examples) -> None:
    """UserError for rows that there are not, or that do not fit what else a corruption gave."""
    count = len(examples) if given.rows is None else len(given.rows)
    targets = count if given.targets is None else len(given.targets)
    if not count or targets != count:
        raise UserError(
            f"corruption: it gave {count} rows and {targets} targets; "
            "give as many of one as of the other, at least one."
        )
    for name, rows, most in (("rows", given.rows, len(examples)), ("moved", given.moved, count)):
        valid = rows is None or (rows.dtype.kind in "iu" and np.isin(rows, np.arange(most)).all())
        if not valid:
            raise UserError(f"corruption: {name} are not integers from 0 to {most - 1}.")
    moved = None if given.moved is None else (len(given.moved), *examples.shape[1:])
    shape = None if given.inputs is None else given.inputs.shape
    if moved != shape:
        raise UserError(f"corruption: it gave inputs of shape {shape}; moved asks for {moved}.")
    if given.inputs is not None and not np.isfinite(given.inputs).all():
        raise UserError("corruption: it gave NaN or infinite values; give finite ones.")


def _refuse_targets(targets: np.ndarray, task: Task) -> None:
    if not np.isfinite(targets).all():
        raise UserError("corruption: it gave NaN or infinite values; give finite ones.")
    prediction = torch.zeros(()).expand(len(targets), *task.output_shape(1))
    try:
        task.check(prediction, torch.from_numpy(targets).to(task.target_dtype))
    except UserError as error:
        raise UserError(f"corruption: it gave targets that are not valid. {error}") from None


# ---- all seeds ---------------------------------------------------------------------------------
def _stack(
    pool: list[Sample],
    replicas: list[_Replica],
    task: Task,
    origin: Origin,
    notes: tuple[str, ...],
    anew: bool,
) -> Splits:
    """All of them as tensors; the pool's samples are let go."""
    mapped = len(pool) == 1 and _is_mapped(pool[0].inputs)
    targets, weights = _tensor([sample.targets for sample in pool]), _weights(pool)
    inputs = _tensor([pool.pop(0).inputs for _ in range(len(pool))])
    stacked = [np.stack(parts) for parts in zip(*(r.rows for r in replicas), strict=True)]
    changed = _stack_changed(replicas, stacked[0], len(inputs))
    small = len(inputs) + (0 if changed is None else len(changed.rows)) < 2**31
    train, validation, test = (
        Split(torch.from_numpy(rows.astype(np.int32 if small else np.int64))) for rows in stacked
    )
    splits = Splits(
        task=task,
        inputs=inputs,
        targets=targets,
        train=train,
        validation=validation,
        test=test,
        changed=changed,
        unit=_stack_units([replica.unit for replica in replicas]),
        target_unit=_stack_units([replica.target_unit for replica in replicas]),
        origin=origin,
        notes=notes,
        shared=not anew,
        mapped=mapped,
        weights=weights,
    )
    return _with_targets(splits, [r.corrupted.targets for r in replicas])


def _weights(pool: list[Sample]) -> Tensor | None:
    """What each example of the pool weighs, None where all that count weigh 1."""
    known = [own_weights(sample) for sample in pool]
    if all(each is None for each in known):
        return None
    ones = [np.ones(len(sample.inputs), np.float32) for sample in pool]
    pairs = zip(known, ones, strict=True)
    return torch.from_numpy(np.concatenate([one if w is None else w for w, one in pairs]))


def _is_mapped(array: np.ndarray | None) -> bool:
    """Whether an array, or what it is a view of, is on disk."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def _tensor(arrays: list[np.ndarray]) -> Tensor:
    """Arrays one after the other, each let go when it is copied; a single one is not copied."""
    array = arrays.pop()
    if arrays:
        arrays.append(array)
        array = np.empty((sum(map(len, arrays)), *array.shape[1:]), array.dtype)
        end = len(array)
        while arrays:
            last = arrays.pop()
            array[end - len(last) : end] = last
            end -= len(last)
    if not array.dtype.isnative or any(step < 0 for step in array.strides):
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it may not be written to, which nobody does
        return torch.from_numpy(array)


def _stack_units(measures: list[Measures]) -> Unit | None:
    if measures[0] is None:
        return None
    parts = zip(*(each for each in measures if each), strict=True)
    return Unit(*(torch.from_numpy(np.stack(part)) for part in parts))


def _stack_changed(replicas: list[_Replica], rows: np.ndarray, size: int) -> Changed | None:
    """The changed inputs of all seeds; rows (R, N) point behind the pool where there are some."""
    inputs, originals = [], []
    for replica, own in zip((r.corrupted for r in replicas), rows, strict=True):
        if replica.moved is not None and replica.inputs is not None:
            originals.append(own[replica.moved])
            inputs.append(replica.inputs.astype(np.float32))
            own[replica.moved] = size + np.arange(len(replica.moved))
            size += len(replica.moved)
    if not inputs:
        return None
    kept = torch.from_numpy(np.concatenate(originals).astype(np.int32))
    return Changed(torch.from_numpy(np.concatenate(inputs)), kept)


def _with_targets(splits: Splits, targets: list[np.ndarray | None]) -> Splits:
    """With the training targets that corruptions changed."""
    if all(changed is None for changed in targets):
        return splits
    own = [
        splits.train_targets(r)
        if changed is None
        else torch.from_numpy(changed).to(splits.task.target_dtype)
        for r, changed in enumerate(targets)
    ]
    return replace(splits, train=Split(splits.train.rows, torch.stack(own)))
