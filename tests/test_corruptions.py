"""Corruptions: exact in number, valid in value, and for the training split only."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Whole

from lossbench.contract import Sample, UserError
from lossbench.datasets import corruptions, prepare, real, synthetic
from lossbench.datasets.examples import Examples

torch.set_num_threads(1)

BINARY = functools.partial(synthetic.blobs, samples=100, classes=2)
SEVEN = functools.partial(synthetic.blobs, samples=103, classes=7)
LINEAR = functools.partial(synthetic.linear, samples=61)
CORRUPTIONS = [
    (SEVEN, corruptions.imbalance, {}),
    (SEVEN, corruptions.label_noise, {}),
    (BINARY, corruptions.label_noise, {"kind": "feature_dependent"}),
    (LINEAR, corruptions.outliers, {}),
    (LINEAR, corruptions.outliers, {"kind": "leverage"}),
]


def applied(corruption, inputs, targets, rng, **options):
    """Inputs and targets as they are after a corruption of all rows of an array."""
    made = corruption(Examples(inputs, np.arange(len(inputs))), targets, rng, **options)
    rows = np.arange(len(inputs)) if made.rows is None else made.rows
    after = inputs[rows]
    if made.moved is not None:
        after[made.moved] = made.inputs
    return after, targets[rows] if made.targets is None else made.targets


@pytest.mark.parametrize(("recipe", "corruption", "options"), CORRUPTIONS)
def test_a_corruption_touches_the_training_split_only(recipe, corruption, options):
    """Validation and test are those of the clean data, bit for bit; training is not."""

    def corruption_for(task):
        known = {"num_classes": task.num_classes} if hasattr(task, "num_classes") else {}
        return functools.partial(corruption, **known, **options)

    dirty = Whole(prepare(recipe, corruption_for, [0, 1]))
    pure = Whole(prepare(recipe, lambda task: corruptions.none, [0, 1]))
    for part in ("validation", "test"):
        for after, before in zip(getattr(dirty, part), getattr(pure, part), strict=True):
            assert torch.equal(after, before)
    pairs = zip(dirty.train, pure.train, strict=True)
    assert not all(torch.equal(after, before) for after, before in pairs)


def test_each_seed_is_corrupted_by_a_stream_of_its_own():
    """Also where all seeds have the same training split."""
    split = np.repeat([0, 1, 2], [60, 20, 20])
    sample = Sample(np.arange(100.0)[:, None], np.arange(100) % 2, "binary", split=split)
    noise = functools.partial(corruptions.label_noise, num_classes=2)
    splits = Whole(prepare(lambda rng: sample, lambda task: noise, [0, 1]))
    first, second = splits.train[1]
    assert not torch.equal(first, second)


def _classes(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    targets = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    return np.arange(float(len(targets)))[:, None], targets


IMBALANCES = [
    # counts before, ratio, kind -> counts after
    ([100, 100, 100], 0.01, "long_tailed", [100, 10, 1]),
    ([100, 100, 100, 100], 0.1, "step", [100, 100, 10, 10]),
    ([100, 100, 100], 0.1, "step", [100, 100, 10]),
    ([100, 100], 0.1, "long_tailed", [100, 10]),
    ([100, 100], 1.0, "long_tailed", [100, 100]),
    ([30, 100, 50], 1.0, "step", [30, 30, 30]),
    ([100, 5], 0.1, "step", [50, 5]),
    ([10, 10], 0.001, "long_tailed", [10, 1]),
]


@pytest.mark.parametrize(("before", "ratio", "kind", "after"), IMBALANCES)
def test_imbalance_leaves_the_ratio_that_was_asked_for(before, ratio, kind, after):
    """The same counts for every generator; rows that remain keep their order."""
    inputs, targets = _classes(before)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        kept, labels = applied(
            corruptions.imbalance,
            inputs,
            targets,
            rng,
            num_classes=len(before),
            ratio=ratio,
            kind=kind,
        )
        assert np.bincount(labels, minlength=len(before)).tolist() == after
        assert (np.diff(kept[:, 0]) > 0).all()
        assert np.array_equal(targets[kept[:, 0].astype(int)], labels)


@pytest.mark.parametrize("kind", ["long_tailed", "step"])
def test_a_rotated_order_makes_each_class_rare_in_some_seeds(kind):
    """The sizes are those of the plain order, moved round; of any data as many for each seed."""
    inputs, targets = _classes([60, 50, 53, 80])
    options = {"num_classes": 4, "ratio": 0.1, "kind": kind}
    largest = {}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        _, labels = applied(corruptions.imbalance, inputs, targets, rng, order="rotated", **options)
        sizes = np.bincount(labels, minlength=4)
        first = next(k for k in range(4) if np.roll(sizes, -k).tolist() == SIZES[kind])
        largest[first] = largest.get(first, 0) + 1
    assert sorted(largest) == [0, 1, 2, 3]
    assert min(largest.values()) >= 4


SIZES = {"long_tailed": [50, 23, 11, 5], "step": [50, 50, 5, 5]}


def test_rotated_training_splits_of_uneven_classes_stack():
    """Validation and test keep all classes, whatever is rare in training."""
    rare = functools.partial(corruptions.imbalance, num_classes=10, ratio=0.1, order="rotated")
    splits = Whole(prepare(real.digits, lambda task: rare, [0, 1, 2]))
    rarest = set()
    for seed in range(3):
        sizes = torch.bincount(splits.train[1][seed], minlength=10)
        assert sizes.max() == 104
        assert sizes.min() == 10
        rarest.add(int(sizes.argmin()))
        assert torch.bincount(splits.test[1][seed]).min() > 30
    assert len(rarest) > 1


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "feature_dependent"])
@settings(max_examples=25, deadline=None)
@given(
    classes=st.integers(2, 6),
    rate=st.floats(0, 0.49),
    seed=st.integers(0, 2**32),
    size=st.integers(12, 60),
)
def test_label_noise_flips_exactly_the_share_that_was_asked_for(kind, classes, rate, seed, size):
    """round(rate N) labels become another valid label, the caller's arrays stay as they were."""
    rng = np.random.default_rng(seed)
    inputs, targets = rng.standard_normal((size, 2)), np.arange(size) % classes
    copies = inputs.copy(), targets.copy()
    _, noisy = applied(
        corruptions.label_noise, inputs, targets, rng, num_classes=classes, rate=rate, kind=kind
    )
    assert (noisy != targets).sum() == round(rate * size)
    assert set(noisy) <= set(range(classes))
    assert np.array_equal(inputs, copies[0])
    assert np.array_equal(targets, copies[1])
    if kind == "asymmetric":
        assert set((noisy - targets) % classes) <= {0, 1}


def test_symmetric_noise_is_even_among_the_other_classes():
    """Of 30,000 flips among four classes a third goes to each other one."""
    targets = np.zeros(60_000, dtype=np.int64)
    rng = np.random.default_rng(0)
    _, noisy = applied(
        corruptions.label_noise, targets[:, None], targets, rng, num_classes=4, rate=0.5
    )
    assert np.bincount(noisy) / 60_000 == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6], abs=0.01)


def test_feature_dependent_noise_falls_near_the_boundary():
    """Flipped examples lie closer to the plane between the centroids; the label is the other's."""
    rng = np.random.default_rng(0)
    targets = np.arange(2000) % 2
    inputs = rng.standard_normal((2000, 1)) + 4.0 * targets[:, None]
    _, noisy = applied(
        corruptions.label_noise,
        inputs,
        targets,
        rng,
        num_classes=2,
        rate=0.1,
        kind="feature_dependent",
    )
    distance = np.abs(inputs[:, 0] - 2)
    assert distance[noisy != targets].mean() < 0.75 * distance.mean()


@pytest.mark.parametrize(
    ("kind", "classes", "rate"),
    [
        ("symmetric", 2, 0.5),
        ("symmetric", 10, 0.9),
        ("asymmetric", 10, 0.5),
        ("feature_dependent", 3, 0.6),
    ],
)
def test_noise_that_drowns_the_true_label_is_refused(kind, classes, rate):
    """From 1 - 1/C (symmetric) or 1/2 on, the true label is no longer the most frequent."""
    inputs, targets = _classes([10] * classes)
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match=f"rate={rate}.*most frequent"):
        applied(
            corruptions.label_noise, inputs, targets, rng, num_classes=classes, rate=rate, kind=kind
        )


def test_vertical_outliers_move_targets_by_deviations():
    """Exactly the share moves, by `size` deviations, upwards or either way; inputs stay."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((200, 3)), 2 * rng.standard_normal(200)
    signs = {"positive": {1.0}, "negative": {-1.0}, "both": {-1.0, 1.0}}
    for sign, directions in signs.items():
        moved, after = applied(
            corruptions.outliers,
            inputs,
            targets,
            rng,
            share=0.25,
            size=5.0,
            kind="vertical",
            sign=sign,
        )
        change = (after - targets) / (5 * targets.std())
        assert set(np.sign(change[change != 0])) == directions
        assert np.abs(change[change != 0]) == pytest.approx(1)
        assert (change != 0).sum() == 50
        assert np.array_equal(moved, inputs)


def test_the_number_of_outliers_is_rounded():
    targets = np.arange(18.0)
    moved = applied(corruptions.outliers, targets[:, None], targets, np.random.default_rng(0))[1]
    assert (moved != targets).sum() == 2  # of 1.8


def test_leverage_outliers_move_the_first_feature_and_zero_the_target():
    """The other features stay, and so do the caller's arrays."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((200, 3)), rng.standard_normal(200)
    before = inputs.copy()
    moved, after = applied(
        corruptions.outliers, inputs, targets, rng, share=0.1, size=7.0, kind="leverage"
    )
    rows = after == 0
    assert rows.sum() == 20
    assert moved[rows, 0] == pytest.approx(inputs[rows, 0] + 7)
    assert np.array_equal(moved[:, 1:], inputs[:, 1:])
    assert np.array_equal(moved[~rows], inputs[~rows])
    assert np.array_equal(inputs, before)


def test_outliers_take_targets_of_several_columns():
    """Each column moves by its own deviation."""
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((50, 2)) * np.array([1.0, 10.0])
    _, after = applied(corruptions.outliers, targets, targets, rng, share=0.2, size=3.0)
    change = (after - targets)[(after != targets).any(1)]
    assert change == pytest.approx(np.tile(3 * targets.std(0), (10, 1)))


def test_outliers_refuse_class_labels():
    """For binary data as well, whose targets are floats only once training begins."""
    for recipe in (real.wine, BINARY):
        with pytest.raises(UserError, match="label_noise"):
            prepare(recipe, lambda task: corruptions.outliers, [0])
