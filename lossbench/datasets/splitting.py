"""Which examples of a seed are for training, for validation and for the test."""

from __future__ import annotations

import numpy as np

from lossbench.contract import Sample, UserError
from lossbench.tasks import Task

PARTS = TRAIN, VALIDATION, TEST = (0, 1, 2)
LEFT_OUT = 3  # the part of rows that are in no split
NAMES = ("training", "validation", "test")
# Shares of what is drawn by the number of parts: training (and validation) and test or validation.
SHARES = {1: (1,), 2: (4, 1), 3: (3, 1, 1)}
FEWEST_PER_CLASS = 5  # one in each split
FEWEST_OF_PAIRS = 9  # two in each split


def own_weights(sample: Sample) -> np.ndarray | None:
    """(N,) what each example weighs, None where all that count weigh 1."""
    if sample.weights is None or np.isin(sample.weights, (0, 1)).all():
        return None
    return np.asarray(sample.weights, np.float32)


def given_parts(sample: Sample) -> np.ndarray:
    """(N,) the part that each example was given, by held_out or split; UserError for others."""
    count = len(sample.inputs)
    if sample.split is not None and sample.held_out is not None:
        raise UserError("dataset: it gives both held_out and split; give one of them.")
    if sample.held_out is not None:
        held_out = np.asarray(sample.held_out)
        if held_out.dtype != bool or held_out.shape != (count,) or not held_out.any():
            raise UserError(
                f"dataset: held_out is {held_out.dtype} of shape {held_out.shape} with "
                f"{np.count_nonzero(held_out)} true; give true and false, ({count},), "
                "some of them true, or None."
            )
        return np.where(held_out, np.uint8(TEST), np.uint8(TRAIN))
    if sample.split is None:
        return np.zeros(count, np.uint8)
    split = np.asarray(sample.split)
    valid = split.dtype.kind in "iu" and np.isin(split, (*PARTS, LEFT_OUT)).all()
    if not valid or split.shape != (count,):
        raise UserError(
            f"dataset: split is {split.dtype} of shape {split.shape} with values "
            f"{', '.join(map(str, np.unique(split)[:5]))}; give integers ({count},): 0 for "
            "training, 1 for validation, 2 for the test, 3 for none of them."
        )
    return split.astype(np.uint8)


def draw_rows(sample: Sample, task: Task, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of training, validation and test, in ascending order; what is not given is drawn."""
    parts = given_parts(sample)
    rows = [np.flatnonzero(parts == part) for part in PARTS]
    drawn = [part for part in PARTS if part == TRAIN or not len(rows[part])]
    if sample.groups is not None:
        _refuse_torn(sample, parts)
    if len(drawn) > 1:
        learnt = rows[TRAIN]
        strata = task.strata(sample.targets[learnt])
        groups = None if sample.groups is None else np.asarray(sample.groups)[learnt]
        if groups is None and keeps_whole(task, strata):
            groups = strata
        if groups is None:
            cut = split(strata, rng, SHARES[len(drawn)])
        else:
            cut = split_groups(strata, groups, rng, SHARES[len(drawn)])
        for part, chosen in zip(drawn, cut, strict=True):
            rows[part] = learnt[chosen]
    return rows


def keeps_whole(task: Task, strata: np.ndarray) -> bool:
    """Whether drawn splits have each stratum in one of them, as one is too small for all.

    Or all are so small that a test of a fifth would have no two examples of any.
    """
    counts = np.unique(strata, return_counts=True)[1]
    return task.whole_strata and (counts.min() < FEWEST_PER_CLASS or counts.max() < FEWEST_OF_PAIRS)


def _refuse_torn(sample: Sample, parts: np.ndarray) -> None:
    """UserError for groups that are not one for each example, or are in two given parts."""
    groups = np.asarray(sample.groups)
    if groups.shape != (len(parts),):
        raise UserError(
            f"dataset: groups have shape {groups.shape}; give one for each example, "
            f"({len(parts)},)."
        )
    groups, parts = groups[parts != LEFT_OUT], parts[parts != LEFT_OUT]
    names, member = np.unique(groups, return_inverse=True)
    first = np.full(len(names), 255, np.uint8)
    np.minimum.at(first, member, parts)
    torn = first[member] != parts
    if torn.any():
        row = int(torn.argmax())
        raise UserError(
            f"dataset: group {groups[row]} is in the {NAMES[first[member[row]]]} and in the "
            f"{NAMES[parts[row]]} part of the given split ({torn.sum()} such rows); keep each "
            "group in one part, or give no groups."
        )


def split(
    strata: np.ndarray, rng: np.random.Generator, shares: tuple[int, ...] = SHARES[3]
) -> list[np.ndarray]:
    """Rows of each part, by its share of every stratum, in ascending order.

    Sizes depend on the strata's sizes alone.
    """
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        ends = np.cumsum(_apportion(len(rows), shares))[:-1]
        for part, chosen in zip(parts, np.split(rows, ends), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def _apportion(count: int, shares: tuple[int, ...]) -> np.ndarray:
    """A count by shares; what they leave over goes by largest remainder, ties to the earlier."""
    sizes, remainders = np.divmod(count * np.array(shares), sum(shares))
    sizes[np.argsort(-remainders, kind="stable")[: count - sizes.sum()]] += 1
    return sizes


def split_groups(
    strata: np.ndarray, groups: np.ndarray, rng: np.random.Generator, shares: tuple[int, ...]
) -> list[np.ndarray]:
    """Rows of each part, where a group is in one part; sizes depend on the groups' alone.

    Of five groups of like size and stratum chance decides which is in which part. What a part may
    have more than another seed's is left out, at most the difference between two groups. A group
    has the stratum of most of its rows, where every stratum has five groups, and one that is larger
    than a fifth of the rows is in training.
    """
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    part, quotas = np.zeros(len(sizes), np.int64), np.zeros(len(shares), np.int64)
    large = sizes > len(strata) / sum(shares)
    quotas[0] = sizes[large].sum()
    kinds = np.where(large, -1, _most_frequent(strata, member))
    if np.unique(kinds[~large], return_counts=True)[1].min(initial=0) < sum(shares):
        kinds[~large] = 0
    for kind in np.unique(kinds[~large]):
        alike = np.flatnonzero(kinds == kind)
        alike = alike[np.argsort(-sizes[alike], kind="stable")]
        for block in np.split(alike, range(sum(shares), len(alike), sum(shares))):
            counts = _apportion(len(block), shares)
            part[rng.permutation(block)] = np.repeat(np.arange(len(shares)), counts)
            quotas += [sizes[block[len(block) - count :]].sum() for count in counts]
    if not quotas.all():
        raise UserError(
            f"dataset: {len(sizes)} groups, of which {large.sum()} are larger than a fifth of the "
            "rows, leave a split without any; give more or smaller groups."
        )
    rows = [rng.permutation(np.flatnonzero(part[member] == p)) for p in range(len(shares))]
    return [np.sort(chosen[:quota]) for chosen, quota in zip(rows, quotas, strict=True)]


def _most_frequent(strata: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Of each group the stratum that most of its rows have, of equals the first."""
    levels, code = np.unique(strata, return_inverse=True)
    pairs, counts = np.unique(member * len(levels) + code, return_counts=True)
    order = np.lexsort((-counts, pairs // len(levels)))
    first = np.unique(pairs[order] // len(levels), return_index=True)[1]
    return pairs[order][first] % len(levels)
