"""Datasets of structured tasks: true to their formulas, held out, refused, and learnt from."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch
from scipy.special import softmax
from structured_tasks import scored
from support import Whole, sampled

from lossbench.configuration.experiments import configurations
from lossbench.contract import Sample, UserError
from lossbench.datasets import corruptions, images, prepare, structured
from lossbench.training import train

RECIPES = [
    functools.partial(structured.tags, samples=200),
    functools.partial(structured.soft_blobs, samples=60),
    functools.partial(structured.scored_pairs, samples=61),
    functools.partial(structured.paired_views, samples=62),
    functools.partial(structured.attributes, samples=123),
    images.digit_images,
    images.digit_identities,
    images.digit_pixels,
    functools.partial(images.digit_strips, samples=160),
    functools.partial(images.shapes, samples=63),
]
NAMES = [getattr(recipe, "func", recipe).__name__ for recipe in RECIPES]
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
rng = np.random.default_rng


def clean(recipe, seeds=(0, 1, 2)):
    """The splits without corruption."""
    return Whole(prepare(recipe, lambda task: corruptions.none, seeds))


def table(inputs, targets, task, held_out=None):
    """A recipe that always gives these data."""
    return lambda rng: Sample(inputs, targets, task, held_out)


@every_recipe
def test_a_seed_gives_the_same_data_whatever_stands_next_to_it(recipe):
    """Seed 5 alone is bit for bit seed 5 among others; another seed gives other data."""
    alone, among = clean(recipe, [5]), clean(recipe, [3, 5])
    for split in ("train", "validation", "test"):
        for one, many in zip(getattr(alone, split), getattr(among, split), strict=True):
            assert torch.equal(one[0], many[1])
    assert not torch.equal(among.train[0][0], among.train[0][1])


@every_recipe
def test_splits_are_valid_batches_of_their_task(recipe):
    """Inputs of the task's shape in float32, and targets that its own check accepts."""
    splits = clean(recipe)
    for inputs, targets in (splits.train, splits.validation, splits.test):
        assert inputs.dtype == torch.float32
        assert inputs.shape[2:] == splits.task.input_shape
        prediction = torch.zeros(*targets.shape[:2], *splits.task.output_shape(1))
        splits.task.check(prediction, targets)
        scores = scored(splits.task, splits.task.estimate(prediction, None), targets)
        assert all(score.shape == (3,) for score in scores.values())


# --- what the recipes promise --------------------------------------------------------------------


def test_tags_are_as_frequent_as_asked():
    """Half for the first label, `rarest` for the last, a geometric step between them."""
    sample = structured.tags(rng(0), samples=50_000, labels=3, rarest=0.08, noise=0.5)
    assert sample.targets.mean(0) == pytest.approx([0.5, 0.2, 0.08], abs=0.01)


def test_soft_blobs_give_the_probability_of_each_class():
    """Among examples whose target says q, the share of a class is q: one vote of each decides."""
    told, drawn = (
        structured.soft_blobs(rng(0), samples=50_000, classes=2, votes=votes).targets
        for votes in (0, 1)
    )
    for low in (0.1, 0.4, 0.7):
        near = (told[:, 0] > low) & (told[:, 0] < low + 0.1)
        assert drawn[near, 0].mean() == pytest.approx(told[near, 0].mean(), abs=0.03)
    assert set(np.unique(drawn)) == {0, 1}


def test_soft_blobs_follow_bayes_rule():
    """Between two centres of variance 1 the log-odds are linear in x."""
    sample = structured.soft_blobs(rng(0), samples=500, classes=2, features=3, separation=0.5)
    odds = np.log(sample.targets[:, 0] / sample.targets[:, 1])
    design = np.c_[sample.inputs, np.ones(500)]
    fitted = design @ np.linalg.lstsq(design, odds, rcond=None)[0]
    assert fitted == pytest.approx(odds, abs=1e-6)
    assert softmax(np.c_[fitted, np.zeros(500)], axis=1) == pytest.approx(sample.targets, abs=1e-6)


def test_soft_blobs_have_variance_1_within_a_class():
    """The log-odds rise along the line between the centres by the distance of these."""
    sample = structured.soft_blobs(rng(1), samples=20_000, classes=2, features=3, separation=1.0)
    odds = np.log(sample.targets[:, 1] / sample.targets[:, 0])
    slope = np.linalg.lstsq(np.c_[sample.inputs, np.ones(20_000)], odds, rcond=None)[0][:3]
    centres = sample.targets.T @ sample.inputs / sample.targets.sum(0)[:, None]
    assert slope == pytest.approx(centres[1] - centres[0], abs=0.06)


def test_of_scored_pairs_the_one_of_higher_utility_is_preferred():
    """Utility rises with a square, so that the preferred ones are longer on average."""
    sample = structured.scored_pairs(rng(0), samples=20_000, noise=0.1)
    first = sample.targets == 1
    lengths = (sample.inputs**2).sum(2)
    preferred, other = np.where(first, *lengths.T), np.where(first, *lengths.T[::-1])
    assert preferred.mean() > other.mean() + 0.2


def test_scored_pairs_prefer_each_side_alike():
    """The order in a pair means nothing; with noise some judgements turn round, not half."""
    quiet, loud = (
        structured.scored_pairs(rng(0), samples=20_000, noise=noise) for noise in (0, 0.5)
    )
    assert quiet.targets.mean() == pytest.approx(0.5, abs=0.02)
    assert 0.05 < (quiet.targets != loud.targets).mean() < 0.3


def test_paired_views_are_linear_in_what_they_share():
    """Without noise each view predicts the other exactly; the shorter one is padded."""
    sample = structured.paired_views(rng(0), samples=100, latents=3, left=5, right=8, noise=0)
    left, right = sample.inputs[:, 0], sample.inputs[:, 1]
    assert (left[:, 5:] == 0).all()
    residual = right - left @ np.linalg.lstsq(left, right, rcond=None)[0]
    assert np.abs(residual).max() < 1e-9
    assert len(np.unique(sample.targets)) == 100


def test_unseen_classes_have_attributes_but_no_training_example():
    """Every example of a class has the same right; classes of the test are in no other split."""
    splits = clean(functools.partial(structured.attributes, samples=300, classes=9, unseen=3))
    assert set(splits.train[1].unique().tolist()) == set(range(9))
    assert set(splits.test[1].unique().tolist()) == {9, 10, 11}
    sample = structured.attributes(rng(0), samples=90)
    for label in np.unique(sample.targets):
        described = sample.inputs[sample.targets == label, 1]
        assert (described == described[0]).all()


def test_identities_seven_to_nine_are_never_seen_in_training():
    """0 to 6 are split four to one; the task counts them alone."""
    splits = clean(images.digit_identities)
    assert splits.task.num_classes == 7
    assert set(splits.train[1].unique().tolist()) == set(range(7))
    assert set(splits.test[1].unique().tolist()) == {7, 8, 9}
    sizes = [part[1].shape[1] for part in (splits.train, splits.validation, splits.test)]
    assert sum(sizes) == 1797
    assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.02)


def test_pixels_are_their_own_target_and_stay_in_their_range():
    """Neither standardised nor shuffled apart."""
    inputs, targets = clean(images.digit_pixels).train
    assert torch.equal(inputs, targets)
    assert (inputs.min(), inputs.max()) == (0, 1)
    assert clean(images.digit_images).train[0].max() == 1


def test_strips_are_digits_with_a_gap_between_them():
    """Each label is held for four steps of two columns, in order; other steps end in no ink."""
    sample = images.digit_strips(rng(0), samples=200)
    frames, labels = sample.targets[:, 0], sample.targets[:, 1]
    counts = (labels > 0).sum(1)
    assert np.bincount(counts)[2:].min() >= 66
    assert ((frames > 0).sum(1) == 4 * counts).all()
    for held, meant in zip(frames, labels, strict=True):
        once, said = ([k for k, _ in itertools.groupby(x[x > 0])] for x in (held, meant))
        assert once == said
    second_columns = sample.inputs.reshape(200, 40, 8)[:, 1::2]
    assert (second_columns[frames == 0] == -1).all()


def test_digits_of_a_strip_stand_upright_and_a_column_apart():
    inputs, _ = images._load_digits()
    known = {(2 * image.reshape(8, 8).T - 1).tobytes() for image in inputs}
    strips = images.digit_strips(rng(0), samples=20).inputs.reshape(20, 40, 8)
    for strip in strips:
        assert any(strip[start : start + 8].tobytes() in known for start in range(33))
    for count in (2, 3, 4):
        starts = images._place_digits(rng(count), count, 36).reshape(count, 8)[:, 0]
        assert np.diff(starts).min() >= 9


def test_where_held_out_images_come_from_is_known():
    """Identities are held out once; the digits of strips are dealt anew by each seed."""
    for recipe, drawn in ((images.digit_identities, "held out"), (images.digit_strips, "split")):
        splits = prepare(recipe, lambda task: corruptions.none, [0])
        assert splits.origin.drawn == drawn


def test_strips_of_the_test_are_of_other_digits():
    """A fifth is held out; what stands alone between empty columns is never in both."""
    sample = images.digit_strips(rng(1), samples=300)
    assert sample.held_out.sum() == 60

    def digits(strips):
        found = set()
        for strip in strips.reshape(len(strips), 40, 8):
            inked = np.flatnonzero((strip > -1).any(1))
            parts = np.split(inked, np.flatnonzero(np.diff(inked) > 1) + 1)
            found |= {strip[part].tobytes() for part in parts if len(part) > 4}
        return found

    test, others = (digits(sample.inputs[rows]) for rows in (sample.held_out, ~sample.held_out))
    assert len(test) > 50
    assert not test & others


@pytest.mark.parametrize("size", [16, 24])
def test_shapes_cover_the_share_that_was_asked_for(size):
    """5 percent of the pixels of those images that are not empty, a tenth of them empty."""
    sample = images.shapes(rng(0), samples=2000, size=size)
    filled = sample.targets.any((1, 2))
    assert (~filled).sum() == 200
    assert sample.targets[filled].mean() == pytest.approx(0.05, rel=0.05)
    ink = sample.inputs[:, 0]
    assert ink[sample.targets == 1].mean() == pytest.approx(1, abs=0.02)
    assert ink[sample.targets == 0].std() == pytest.approx(0.5, abs=0.01)


def test_a_disc_is_as_large_as_a_square():
    """A square fills the box around it; they are told apart by that."""
    masks = images.shapes(rng(0), samples=4000, size=24, empty=0.0).targets
    boxes = masks.any(1).sum(1) * masks.any(2).sum(1)
    areas = masks.sum((1, 2))
    large = boxes > 16
    square = areas == boxes
    assert areas[large & square].mean() == pytest.approx(areas[large & ~square].mean(), rel=0.07)


# --- what is refused -----------------------------------------------------------------------------

GOOD, HALVES = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
HELD_OUT = [
    (np.arange(30), ["held_out is int64"]),
    (np.full(29, True), ["(29,)", "(30,)"]),
    (np.full(30, False), ["0 true", "some of them true"]),
]


@pytest.mark.parametrize(("held_out", "words"), HELD_OUT)
def test_an_invalid_held_out_is_refused(held_out, words):
    """It says which examples, and cannot be none."""
    with pytest.raises(UserError) as error:
        clean(table(GOOD, HALVES, "binary", held_out))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_dataset_that_holds_out_everything_is_refused():
    """There must be something to learn from."""
    with pytest.raises(UserError, match="binary"):
        clean(table(GOOD, HALVES, "binary", np.full(30, True)))


def test_too_few_examples_of_an_identity_are_refused():
    """Every split needs one, the held-out identities aside."""
    targets = np.r_[np.zeros(20, int), np.ones(4, int), np.full(6, 2)]
    with pytest.raises(UserError, match="class 1 has 4"):
        clean(table(GOOD, targets, "embedding", targets == 2))


def test_a_corruption_that_breaks_a_target_is_refused():
    """Outliers are for numbers; a distribution moved away sums to 1 no more."""
    recipe = functools.partial(structured.soft_blobs, samples=60)
    with pytest.raises(UserError, match=r"corruption.*distribution"):
        prepare(recipe, lambda task: corruptions.outliers, [0])
    with pytest.raises(UserError, match="outliers is for a regression"):
        prepare(RECIPES[0], lambda task: corruptions.outliers, [0])


def test_label_noise_turns_judgements_round():
    """A ranking has two orders: a fifth of the training pairs shows the other one."""
    recipe = functools.partial(structured.scored_pairs, samples=100)
    noise = functools.partial(corruptions.label_noise, rate=0.2)
    noisy = Whole(prepare(recipe, lambda task: functools.partial(noise, num_classes=2), [0]))
    assert (noisy.train[1] != clean(recipe, [0]).train[1]).sum() == 12


# --- trained -------------------------------------------------------------------------------------

TRAINED = [
    # dataset, model, loss, epochs, smaller data
    ("tags", "mlp", "cross_entropy", 5, ["dataset.samples=400"]),
    ("soft_blobs", "mlp", "kl_divergence", 5, ["dataset.samples=400"]),
    ("digit_images", "conv", "cross_entropy", 2, []),
    ("digit_identities", "conv", "sup_con", 2, []),
    ("paired_views", "mlp", "info_nce", 5, ["dataset.samples=400"]),
    ("attributes", "bilinear", "info_nce", 5, []),
    ("scored_pairs", "mlp", "margin_ranking", 5, ["dataset.samples=400"]),
    ("shapes", "unet", "dice", 5, ["dataset.samples=400", "dataset.size=12"]),
    ("digit_strips", "temporal_conv", "cross_entropy", 4, ["dataset.samples=600"]),
    ("digit_strips", "gru", "cross_entropy", 4, ["dataset.samples=600"]),
    ("digit_pixels", "vae", "elbo", 2, []),
]


@pytest.mark.parametrize(("dataset", "model", "loss", "epochs", "words"), sampled(TRAINED, 2))
def test_training_beats_the_untrained_model(dataset, model, loss, epochs, words):
    """In the primary metric on validation data, for every seed."""
    given = [f"dataset={dataset}", f"model={model}", f"loss={loss}", "tracking=none", *words]
    given += [f"trainer.max_epochs={epochs}", "trainer.batch_size=32", "optimizer.lr=0.003"]
    result = train(configurations([*given, "trainer.device=cpu"])[0][0], [0, 1])
    assert (result.seeds.status == "finished").all()
    metric = result.summary["primary"]
    curve = result.curves[result.curves.metric == f"val/{metric}"]
    before, after = (
        curve[curve.epoch == epoch].sort_values("seed").value.to_numpy() for epoch in (0, epochs)
    )
    assert (result.summary["directions"][metric] * (after - before) > 0).all(), (before, after)
    assert result.summary["mapped"] == (model != "gru")
