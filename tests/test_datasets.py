"""Datasets: reproducible, fairly split, true to their formulas, refused with a reason."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Whole

from lossbench import datasets
from lossbench.contract import Corrupted, Sample, UserError
from lossbench.datasets import corruptions, prepare, real, splitting, synthetic
from lossbench.datasets.wheels import table_in
from lossbench.registry import facts, installed, load

torch.set_num_threads(1)

RECIPES = [
    functools.partial(synthetic.blobs, samples=100, classes=2),
    functools.partial(synthetic.blobs, samples=103, classes=7),
    functools.partial(synthetic.moons, samples=60),
    functools.partial(synthetic.linear, samples=61),
    functools.partial(synthetic.friedman, samples=62),
    real.digits,
    real.breast_cancer,
    real.wine,
    real.diabetes,
]
NAMES = ["blobs2", "blobs7", "moons", "linear", "friedman", "digits", "cancer", "wine", "diabetes"]
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)


def clean(recipe, seeds=(0, 1, 2)) -> Whole:
    """The splits without corruption."""
    return Whole(prepare(recipe, lambda task: corruptions.none, seeds))


def tensors(splits: Whole) -> list[torch.Tensor]:
    return [*splits.train, *splits.validation, *splits.test]


def table(inputs, targets, task="multiclass", held_out=None):
    """A recipe that always gives these data."""
    return lambda rng: Sample(np.asarray(inputs), np.asarray(targets), task, held_out)


# --- what tuning has seen ------------------------------------------------------------------------


@pytest.mark.parametrize("others", [[-1], [-1, -2, -3, -4, -5]])
def test_the_share_of_test_examples_that_other_seeds_validated_on_is_that_of_the_splits(others):
    """Each example is its own number, so that it is known again in whatever split it is."""

    def numbered(rng):
        return Sample(
            np.arange(200.0)[:, None], np.arange(200) % 4, "multiclass", standardise=False
        )

    tested, judged = clean(numbered, [0, 1, 2]).test[0], clean(numbered, others).validation[0]
    share = np.mean([np.isin(seed, judged).mean() for seed in tested.numpy()])
    assert datasets.share_in_validation(numbered, [0, 1, 2], others) == pytest.approx(share)
    assert share == pytest.approx(1 - 0.8 ** len(others), abs=0.12)


def test_no_test_example_was_validated_on_where_data_are_drawn_again_or_held_out():
    held_out = np.arange(60) < 20
    given_test = table(np.arange(60.0)[:, None], np.arange(60) % 2, held_out=held_out)
    for recipe in (functools.partial(synthetic.moons, samples=60), given_test):
        assert datasets.share_in_validation(recipe, [0, 1], [-1, -2]) == 0


# --- seeds ---------------------------------------------------------------------------------------


@every_recipe
def test_a_seed_gives_the_same_data_whatever_stands_next_to_it(recipe):
    """Seed 5 alone is bit for bit seed 5 among others; another seed gives other data."""
    alone, among = clean(recipe, [5]), clean(recipe, [3, 5, 8])
    for one, many in zip(tensors(alone), tensors(among), strict=True):
        assert torch.equal(one[0], many[1])
    assert not torch.equal(among.train[0][0], among.train[0][1])


@every_recipe
def test_shapes_and_types_are_those_of_the_contract(recipe):
    """Inputs float32 (R, N, ...); targets of the task's type; 60, 20 and 20 percent."""
    splits = clean(recipe)
    total = sum(part[0].shape[1] for part in (splits.train, splits.validation, splits.test))
    for part, share in ((splits.train, 0.6), (splits.validation, 0.2), (splits.test, 0.2)):
        assert part[0].dtype == torch.float32
        assert part[0].shape[0] == 3
        assert part[0].shape[2:] == splits.task.input_shape
        assert part[1].dtype == splits.task.target_dtype
        assert part[1].shape == part[0].shape[:2]
        assert part[0].shape[1] == pytest.approx(share * total, abs=4)


@every_recipe
def test_every_class_has_the_same_count_in_every_seed(recipe):
    """Class counts of each split do not depend on the seed, and no split lacks a class."""
    splits = clean(recipe, range(6))
    if splits.task.name == "regression":
        return
    for _, targets in (splits.train, splits.validation, splits.test):
        counts = splits.task.facts(targets)["class_counts"]
        assert (counts == counts[0]).all()
        assert (counts > 0).all()


@every_recipe
def test_only_the_training_split_standardises(recipe):
    """Training features (and regression targets) have mean 0 and deviation 1; the others do not."""
    splits = clean(recipe)
    columns = [splits.train[0].double()]
    if splits.task.name == "regression":
        columns.append(splits.train[1].double())
    for column in columns:
        spread = column.std(1, correction=0)
        assert column.mean(1).abs().max() < 1e-6
        assert (((spread - 1).abs() < 1e-5) | (spread == 0)).all()
    assert splits.test[0].mean(1).abs().max() > 1e-3


def test_a_constant_feature_becomes_zero_instead_of_rounding_noise():
    """0.1 has a mean that is not exactly 0.1; its deviation is taken as 1."""
    inputs = np.stack([np.arange(50.0), np.full(50, 0.1)], axis=1)
    splits = clean(table(inputs, np.arange(50) % 2))
    assert splits.train[0][..., 1].abs().max() < 1e-12


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(5, 60), min_size=1, max_size=6), seed=st.integers(0, 2**32))
def test_splits_share_out_every_row_once_with_sizes_that_the_classes_alone_decide(sizes, seed):
    """Disjoint, complete, ascending; each class within one of 3 : 1 : 1, and in every split."""
    strata = np.repeat(np.arange(len(sizes)), sizes)
    rows = splitting.split(strata, np.random.default_rng(seed))
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(sum(sizes)))
    assert all((np.diff(part) > 0).all() for part in rows)
    again = splitting.split(strata, np.random.default_rng(seed + 1))
    for part, other, share in zip(rows, again, (0.6, 0.2, 0.2), strict=True):
        counts = np.bincount(strata[part], minlength=len(sizes))
        assert np.array_equal(counts, np.bincount(strata[other], minlength=len(sizes)))
        assert (np.abs(counts - share * np.array(sizes)) < 1).all()
        assert (counts > 0).all()


def test_the_split_differs_between_seeds_of_real_data():
    """Real data are the same for every seed, so the split is what the seed draws."""
    splits = clean(real.wine)
    assert splits.test[0].shape == (3, 35, 13)
    assert not torch.equal(splits.test[1][0], splits.test[1][1]) or not torch.equal(
        splits.test[0][0], splits.test[0][1]
    )


# --- what the recipes promise --------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(40, 200), classes=st.integers(2, 8), seed=st.integers(0, 2**32))
def test_blobs_have_even_classes_and_a_fixed_distance_between_neighbours(samples, classes, seed):
    """Without spread the points are the centres: a regular polygon in any plane."""
    rng = np.random.default_rng(seed)
    sample = synthetic.blobs(
        rng, samples=samples, classes=classes, features=5, separation=3.0, spread=1e-9
    )
    counts = np.bincount(sample.targets)
    assert counts.max() - counts.min() <= 1
    centres = np.stack([sample.inputs[sample.targets == k][0] for k in range(classes)])
    steps = np.linalg.norm(centres - np.roll(centres, 1, axis=0), axis=1)
    assert steps == pytest.approx(3.0, abs=1e-6)
    assert sample.task == ("binary" if classes == 2 else "multiclass")


def test_the_spread_of_blobs_is_their_deviation_and_digits_lie_between_0_and_1():
    sample = synthetic.blobs(np.random.default_rng(0), samples=9_000, separation=0.0, spread=0.5)
    assert sample.inputs.std(axis=0) == pytest.approx([0.5, 0.5], rel=0.05)
    digits = real.digits(np.random.default_rng(0)).inputs
    assert (digits.min(), digits.max()) == (0, 1)


@pytest.mark.parametrize("noise", ["gaussian", "laplace", "student_t", "heteroscedastic"])
def test_noise_has_the_deviation_that_was_asked_for(noise):
    """Whatever its kind; the signal of `linear` has variance 1."""
    rngs = [np.random.default_rng(0) for _ in range(2)]
    loud, silent = (
        synthetic.linear(rng, samples=200_000, features=2, noise=noise, noise_scale=scale)
        for rng, scale in zip(rngs, (0.5, 0.0), strict=True)
    )
    assert (loud.targets - silent.targets).std() == pytest.approx(0.5, rel=0.1)
    assert silent.targets.std() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("targets", [1, 2])
def test_linear_truth_is_scored_without_noise(targets):
    """The held-out examples are exactly linear of unit weights, the others are not."""
    sample = synthetic.linear_truth(np.random.default_rng(0), samples=50, targets=targets)
    outputs = sample.targets.reshape(1050, targets)
    truth, test = np.arange(1050) >= 50, sample.inputs[50:]
    weights = np.linalg.lstsq(test, outputs[50:], rcond=None)[0]
    assert np.array_equal(sample.held_out, truth)
    assert test @ weights == pytest.approx(outputs[50:])
    assert np.linalg.norm(weights, axis=0) == pytest.approx(1)
    noise = outputs[:50] - sample.inputs[:50] @ weights
    assert noise.std(0) == pytest.approx(0.5, rel=0.3)
    splits = clean(lambda rng: synthetic.linear_truth(rng, targets=targets))
    sizes = [part[1].shape[1] for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [100, 25, 1000]


def test_rare_blobs_have_their_share_of_positives_in_every_split():
    """And their centres are as far apart as asked for."""
    recipe = functools.partial(synthetic.rare_blobs, samples=1000, share=0.02, separation=3.0)
    splits = clean(recipe)
    for part in (splits.train, splits.validation, splits.test):
        assert part[1].mean(1) == pytest.approx(0.02)
    sample = synthetic.rare_blobs(np.random.default_rng(1), samples=20_000, separation=3.0)
    centres = [sample.inputs[sample.targets == k].mean(0) for k in (0, 1)]
    assert np.linalg.norm(centres[1] - centres[0]) == pytest.approx(3.0, abs=0.1)
    assert sample.inputs[sample.targets == 1].std(0) == pytest.approx(1, abs=0.1)


def test_friedman_without_noise_is_its_formula():
    """The five features that matter, and no other."""
    sample = synthetic.friedman(np.random.default_rng(0), samples=20, noise_scale=0.0)
    x = sample.inputs.T
    expected = 10 * np.sin(np.pi * x[0] * x[1]) + 20 * (x[2] - 0.5) ** 2 + 10 * x[3] + 5 * x[4]
    assert sample.targets == pytest.approx(expected)


def test_moons_without_noise_lie_on_two_half_circles():
    """Class 0 on the unit circle, class 1 on the one about (1, 1/2)."""
    sample = synthetic.moons(np.random.default_rng(0), samples=40, noise=0.0)
    centres = np.array([[0.0, 0.0], [1.0, 0.5]])[sample.targets]
    assert np.linalg.norm(sample.inputs - centres, axis=1) == pytest.approx(1)


def test_every_installed_dataset_and_corruption_loads():
    """What packaging promises is there; only classification's corruptions ask for a fact."""
    assert all(callable(load(plugin)) for plugin in installed("dataset"))
    asked = {plugin.name: facts(plugin) for plugin in installed("corruption")}
    assert asked["imbalance"] == asked["label_noise"] == ("num_classes",)
    assert asked["none"] == asked["outliers"] == ()


# --- data that cannot be used --------------------------------------------------------------------


def _with(value: float) -> np.ndarray:
    inputs = np.arange(60.0).reshape(30, 2)
    inputs[[7, 9], 1] = value
    return inputs


GOOD, HALVES = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
IMAGES, LAST = np.ones((30, 1, 4, 4)), np.arange(30) >= 24
UNUSABLE = [
    (table(_with(np.nan), HALVES), ["feature 1", "2 of 30", "row 7"]),
    (table(_with(np.inf), HALVES), ["feature 1", "infinite"]),
    (table(_with(1e200), HALVES), ["feature 1", "float32"]),
    (table(np.arange(30.0), HALVES), ["(30,)", "(N, ...)"]),
    (table(np.zeros((30, 0)), HALVES), ["(30, 0)"]),
    (table(GOOD.astype(str), HALVES), ["<U"]),
    (table(GOOD, np.zeros(30, int)), ["1 labels"]),
    (table(GOOD, np.zeros(30, int), "binary"), ["both present"]),
    (table(GOOD, np.arange(30) // 27), ["class 1 has 3", "at least 5"]),
    (table(GOOD[:9], np.arange(9.0), "regression"), ["9 examples", "at least 10"]),
    (table(GOOD, HALVES, "multiclas"), ["multiclas", "Did you mean multiclass"]),
    (table(GOOD, np.full(30, 2.5), "regression"), ["constant"]),
    (table(IMAGES, np.zeros((30, 4, 4)), "segmentation"), ["every pixel", "0", "vary"]),
    (table(IMAGES, np.ones((30, 4, 4)), "segmentation"), ["every pixel", "1", "vary"]),
    (
        table(IMAGES, LAST[:, None, None] * np.ones((4, 4)), "segmentation", LAST),
        ["every pixel", "0"],
    ),
]
HELD_OUT = [
    (
        np.where(LAST, 2, HALVES),
        "multiclass",
        ["class 2", "6 of 6", "held_out", "0 to 1", "task embedding"],
    ),
    (np.where(LAST, 2, HALVES), "binary", ["2", "6 of 6", "held_out"]),
    (np.where(LAST, -1, HALVES), "multiclass", ["-1", "6 of 6", "held_out"]),
    (np.where(LAST, np.nan, np.arange(30.0)), "regression", ["6 of 6", "NaN", "held_out"]),
    (np.where(LAST, 0.5, HALVES), "ranking", ["0.5", "6 of 6", "held_out"]),
]


@pytest.mark.parametrize(("recipe", "words"), UNUSABLE)
def test_unusable_data_are_refused_before_training(recipe, words):
    """NaN, one class, too few examples: what, where, how many, what is allowed."""
    with pytest.raises(UserError) as error:
        clean(recipe)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert str(error.value).count("\n") <= 1


@pytest.mark.parametrize(("targets", "task", "words"), HELD_OUT)
def test_targets_that_only_the_held_out_test_split_has_are_refused(targets, task, words):
    """A class never trained on, and any target that the task cannot score: named beforehand."""
    inputs = np.arange(120.0).reshape(30, 2, 2) if task == "ranking" else GOOD
    with pytest.raises(UserError) as error:
        clean(table(inputs, targets, task, LAST))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_identities_may_be_unknown_in_training():
    """What an embedding is for: the held-out test split holds identities of its own."""
    splits = clean(table(GOOD, np.where(LAST, 2 + HALVES, HALVES), "embedding", LAST))
    assert set(splits.test[1].unique().tolist()) == {2, 3}


def test_seeds_of_different_shape_are_refused():
    """Replicas are stacked, so every seed must give the same counts, features and classes."""

    def counts(rng):
        return Sample(GOOD, np.arange(30) < rng.integers(10, 20), "binary")

    def classes(rng):
        return Sample(GOOD, np.arange(30) % rng.integers(2, 6), "multiclass")

    with pytest.raises(UserError, match="same number of examples in every class"):
        clean(counts, range(8))
    with pytest.raises(UserError, match="one task for every seed"):
        clean(classes, range(8))


def test_a_corruption_that_gives_what_cannot_be_trained_on_is_refused_in_a_line():
    """A third-party corruption is held to the contract at the boundary."""
    some = np.arange(3)
    cases = [
        (lambda x, y, rng: Corrupted(rows=some[:0]), "at least one"),
        (lambda x, y, rng: Corrupted(moved=some, inputs=x[some] * np.nan), "NaN"),
        (lambda x, y, rng: Corrupted(targets=y[1:]), "18 rows and 17 targets"),
        (lambda x, y, rng: Corrupted(rows=some, targets=y), "3 rows and 18 targets"),
        (lambda x, y, rng: Corrupted(targets=y + 5), "not valid.*class 5"),
        (lambda x, y, rng: Corrupted(rows=some + 16), "rows are not integers from 0 to 17"),
        (lambda x, y, rng: Corrupted(rows=some / 2), "rows are not integers"),
        (lambda x, y, rng: Corrupted(moved=some - 1, inputs=x[some]), "moved are not integers"),
        (lambda x, y, rng: Corrupted(moved=some, inputs=x[some][:, :1]), r"\(3, 1\).*\(3, 2\)"),
        (lambda x, y, rng: (x, y), "gave a tuple; give a lossbench.contract.Corrupted"),
        (lambda x, y, rng: (x.copy(), y), "AttributeError.*copy.*np.asarray"),
    ]
    for corruption, word in cases:
        with pytest.raises(UserError, match=word) as error:
            prepare(table(GOOD, HALVES), lambda task, chosen=corruption: chosen, [0])
        assert "\n" not in str(error.value)


# --- gaps ----------------------------------------------------------------------------------------


def test_gaps_are_filled_by_the_training_examples_alone():
    """Each seed fills every split with what its own training split says, before standardising."""
    inputs = np.random.default_rng(0).exponential(size=(60, 2))
    inputs[::5, 0] = np.nan
    sample = Sample(
        inputs,
        np.arange(60) % 2,
        "binary",
        fill=lambda train: np.nanmedian(train, axis=0),
        standardise=False,
    )
    splits = clean(lambda rng: sample, [0, 1])
    known = {*inputs[:, 0].astype(np.float32).tolist()}
    filled = []
    for seed in (0, 1):
        column = splits.train[0][seed, :, 0].numpy()
        median = np.float32(np.median(column))  # median values added leave it where it was
        gaps = [
            [x for x in part[0][seed, :, 0].tolist() if x not in known]
            for part in (splits.train, splits.validation, splits.test)
        ]
        assert {x for part in gaps for x in part} <= {median}
        assert sum(map(len, gaps)) == 12 or median in known
        filled.append(median)
    assert filled[0] != filled[1]
    with pytest.raises(UserError, match="feature 0 has 12 of 60 values NaN"):
        clean(table(inputs, np.arange(60) % 2))


def test_a_table_that_an_installed_package_lacks_is_said_to_be_of_another_version():
    with pytest.raises(UserError, match=r"pandas \S+ has no no/table.csv.*--upgrade pandas"):
        table_in("pandas", "no/table.csv", "mine")
