"""Splits that are given, drawn by groups, or both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Whole

from lossbench.configuration.experiments import configurations
from lossbench.contract import Sample, UserError
from lossbench.datasets import corruptions, prepare, splitting
from lossbench.training import train

N = 100
INPUTS, HALVES = np.arange(float(N))[:, None], np.arange(N) % 2
THIRDS = np.repeat([0, 1, 2], [60, 20, 20])


def splits_of(seeds=(0, 1, 2), targets=HALVES, task="binary", **fields) -> Whole:
    """The splits of a table whose only feature is the row."""
    sample = Sample(INPUTS, targets, task, standardise=False, **fields)
    return Whole(prepare(lambda rng: sample, lambda task: corruptions.none, seeds))


def rows_of(splits: Whole) -> list[list[set[int]]]:
    """Of each part and seed the rows."""
    parts = (splits.train, splits.validation, splits.test)
    return [[set(map(int, seed.flatten().tolist())) for seed in inputs] for inputs, _ in parts]


GIVEN = [
    # split -> which parts are the same for every seed, their sizes, and where examples come from
    (THIRDS, [True, True, True], [60, 20, 20], "held out"),
    (np.where(THIRDS == 1, 0, THIRDS), [False, False, True], [64, 16, 20], "held out"),
    (np.where(THIRDS == 2, 0, THIRDS), [False, True, False], [64, 20, 16], "split"),
    (np.zeros(N, int), [False, False, False], [60, 20, 20], "split"),
    (None, [False, False, False], [60, 20, 20], "split"),
]


@pytest.mark.parametrize(("split", "same", "sizes", "drawn"), GIVEN)
def test_given_parts_are_as_given_and_the_others_are_drawn_from_training(split, same, sizes, drawn):
    splits = splits_of(split=split)
    for part, (rows, alike, size) in enumerate(zip(rows_of(splits), same, sizes, strict=True)):
        assert (rows[0] == rows[1] == rows[2]) == alike
        assert {len(seed) for seed in rows} == {size}
        if alike:
            assert rows[0] == set(np.flatnonzero(split == part).tolist())
    assert splits.origin.drawn == drawn
    assert (splits.origin.learnt, splits.origin.test) == (sizes[0] + sizes[1], sizes[2])


def test_a_given_test_split_is_what_held_out_says():
    """Bit for bit, validation and all."""
    given, held_out = splits_of(split=2 * (THIRDS == 2)), splits_of(held_out=THIRDS == 2)
    assert rows_of(given) == rows_of(held_out)


def test_what_is_drawn_next_to_a_given_part_is_stratified():
    splits = splits_of(targets=(np.arange(N) % 5 == 0).astype(int), split=2 * (THIRDS == 2))
    assert splits.train[1].sum(1).tolist() == [13, 13, 13]
    assert splits.validation[1].sum(1).tolist() == [3, 3, 3]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=25, max_size=60),
    shares=st.sampled_from([(3, 1, 1), (4, 1)]),
    seed=st.integers(0, 2**32),
)
def test_groups_stay_together_in_parts_whose_sizes_no_seed_changes(sizes, shares, seed):
    """Near their shares, of names of any type, and with each class near its share."""
    groups = np.array([f"group {g}" for g in np.repeat(np.arange(len(sizes)), sizes)])
    strata = np.repeat(np.arange(len(sizes)) % 2, sizes)
    rows = splitting.split_groups(strata, groups, np.random.default_rng(seed), shares)
    again = splitting.split_groups(strata, groups, np.random.default_rng(seed + 1), shares)
    assert [len(part) for part in rows] == [len(part) for part in again]
    assert sum(len(set(groups[part])) for part in rows) == len(set(groups[np.concatenate(rows)]))
    assert len(groups) - sum(map(len, rows)) <= 2 * 4 * (max(sizes) - min(sizes))
    for part, share in zip(rows, shares, strict=True):
        assert abs(len(part) - share / 5 * len(groups)) <= 8 * max(sizes)
        assert (np.diff(part) > 0).all()


def test_groups_of_one_size_are_all_used_and_dealt_by_chance_and_class():
    """Twenty groups of five rows, a quarter of them of class 1."""
    groups, targets = np.arange(N) // 5, (np.arange(N) // 5 % 4 == 0).astype(int)
    splits = splits_of(targets=targets, groups=groups)
    rows = rows_of(splits)
    assert [len(seeds[0]) for seeds in rows] == [60, 20, 20]
    assert [part[1].sum(1).tolist() for part in (splits.train, splits.validation, splits.test)] == [
        [15] * 3,
        [5] * 3,
        [5] * 3,
    ]
    assert rows[2][0] != rows[2][1]
    assert not splits.notes


def test_a_group_larger_than_a_test_split_is_always_in_training_and_what_is_left_out_is_noted():
    groups = np.concatenate([np.zeros(40, int), 1 + np.arange(60) // 7])
    splits = splits_of(groups=groups)
    assert not any(set(range(40)) & seed for part in rows_of(splits)[1:] for seed in part)
    used = splits.origin.learnt + splits.origin.test
    assert used < N
    assert f"{N - used} examples are in no split" in splits.notes[0]


def test_validation_next_to_a_given_test_split_is_drawn_by_groups():
    splits = splits_of(split=2 * (THIRDS == 2), groups=np.arange(N) // 4)
    train, validation, test = rows_of(splits)
    assert test[0] == set(range(80, 100))
    for one, other in zip(train, validation, strict=True):
        assert not {row // 4 for row in one} & {row // 4 for row in other}


UNUSABLE = [
    ({"split": np.full(N, 4)}, ["values 4", "0 for training"]),
    ({"split": THIRDS.astype(float)}, ["float64", "integers (100,)"]),
    ({"split": THIRDS[1:]}, ["(99,)", "(100,)"]),
    ({"split": THIRDS, "held_out": THIRDS == 2}, ["both", "one of them"]),
    ({"groups": np.arange(N - 1)}, ["(99,)", "(100,)"]),
    ({"groups": np.arange(N) // 34}, ["3 groups", "larger than a fifth"]),
    ({"split": THIRDS, "groups": np.arange(N) // 8}, ["group 7", "training", "validation"]),
    ({"split": np.repeat([0, 2], [9, 91])}, ["9 examples", "at least 10"]),
]


@pytest.mark.parametrize(("fields", "words"), UNUSABLE)
def test_splits_and_groups_that_cannot_be_used_are_refused_in_a_line(fields, words):
    with pytest.raises(UserError) as error:
        splits_of(**fields)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_of_a_given_part_that_is_not_in_training_is_refused():
    with pytest.raises(UserError, match=r"class 2.*20 of 40"):
        splits_of(targets=np.where(THIRDS == 1, 2, HALVES), task="multiclass", split=THIRDS)


def test_pixels_that_are_not_standardised_become_0_to_1():
    images = np.arange(N * 4).reshape(N, 1, 2, 2).astype(np.uint8)
    sample = Sample(images, HALVES, "binary", standardise=False, split=THIRDS)
    splits = Whole(prepare(lambda rng: sample, lambda task: corruptions.none, [0]))
    assert np.array_equal(splits.test[0][0].numpy(), (images[80:] / 255).astype(np.float32))


def test_channels_are_standardised_over_their_pixels():
    rng = np.random.default_rng(0)
    images = (rng.integers(0, 50, (N, 2, 3, 3)) * np.array([[[1]], [[5]]])).astype(np.uint8)
    sample = Sample(images, HALVES, "binary", standardise="channels")
    train = (
        Whole(prepare(lambda rng: sample, lambda task: corruptions.none, [0, 1])).train[0].double()
    )
    assert train.mean((1, 3, 4)).abs().max() < 1e-6
    assert (train.std((1, 3, 4), correction=0) - 1).abs().max() < 1e-6
    assert train.std((1,), correction=0).min() < 0.99


TWINS = np.arange(N) // 2


@pytest.mark.parametrize(
    ("targets", "fields", "sizes"),
    [
        (TWINS, {}, [60, 20, 20]),
        (np.where(TWINS < 5, 0, TWINS - 4), {}, [56, 18, 18]),  # one of ten, 45 of two
        (np.minimum(np.arange(N), 120 - np.arange(N)) % 60, {}, None),  # pairs and singles
        (TWINS, {"split": 2 * (TWINS >= 40)}, [64, 16, 20]),  # the test is given
        (TWINS, {"groups": TWINS}, [60, 20, 20]),
        (np.arange(N) // 8, {}, None),  # five of each to learn from would leave a test of one
    ],
)
def test_identities_of_two_examples_are_in_one_split_each(targets, fields, sizes):
    """So that each part has mates, and those of validation and test were not learnt from."""
    targets = np.unique(targets, return_inverse=True)[1]
    splits = splits_of(targets=targets, task="embedding", **fields)
    note = "examples: each is in one split"
    assert any(note in each for each in splits.notes) == ("groups" not in fields)
    for parts in zip(*rows_of(splits), strict=True):
        identities = [targets[list(rows)] for rows in parts]
        others = identities[1:] + identities[:1]
        assert not any(np.isin(*pair).any() for pair in zip(identities, others, strict=True))
        assert all((np.bincount(each) > 1).any() for each in identities)
        assert sizes is None or [len(rows) for rows in parts] == sizes


def test_too_few_identities_of_too_few_examples_are_refused_with_a_way_out():
    with pytest.raises(UserError, match=r"class 0 has 2 .* or 10 that have two or more"):
        splits_of(targets=(np.arange(N) > 1).astype(int), task="embedding")


def test_unseen_identities_of_two_examples_are_retrieved(here):
    """Every metric is defined, for a loss of pairs and for one of prototypes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 1, 4)) + 0.1 * rng.normal(size=(40, 2, 4))
    np.savez(here / "twins.npz", x=x.reshape(80, 4), y=np.repeat(np.arange(40), 2))
    words = ["dataset=arrays", "dataset.path=twins.npz", "dataset.task=embedding", "seeds=2"]
    for loss in ("triplet", "arcface"):
        (config,), _ = configurations([f"loss={loss}", *words, "trainer=short", "tracking=none"])
        result = train(config, [0, 1])
        scores = result.seeds.filter(like="test/")
        assert not scores.isna().any(axis=None)
        assert (scores["test/recall_at_1"] > 0.3).all()
