"""Targets of a regression: trained in standard deviations, scored in their own unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support import sampled

from lossbench.comparison import compare
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.datasets import Splits
from lossbench.results import Result
from lossbench.results.rescoring import with_metrics
from lossbench.training import data, make_recipe, train
from lossbench.training.boundary import unit_of
from lossbench.training.recipe import Recipe
from lossbench.training.stack import Stack
from lossbench.training.tuning import axes_of

PRICES = """\
import numpy as np
from lossbench.contract import Sample

def houses(rng, /, *, scale: float = 1.0, offset: float = 0.0, columns: int = 1):
    g = np.random.default_rng(0)
    x = g.normal(size=(100, 3))
    y = x @ g.normal(size=(3, columns)) + 0.3 * g.normal(size=(100, columns))
    y = offset + scale * y
    return Sample(x, y[:, 0] if columns == 1 else y, "regression")
"""
MINE = """\
import torch
from lossbench.contract import declare

def cauchy(prediction, target, /, *, c: float = 1.0):
    return torch.log1p(((target - prediction) / c) ** 2)

@declare(unit=("c",))
def declared(prediction, target, /, *, c: float = 1.0):
    return cauchy(prediction, target, c=c)
"""
ERRORS = ("root_mean_squared_error", "mean_absolute_error", "median_absolute_error", "pinball_90")
FREE = ("r2", "standardised_error", "standardised_absolute_error", "coverage")


def trained(here: Path, *words: str) -> Result:
    (here / "prices.py").write_text(PRICES)
    fixed = ("loss=huber", "dataset=prices.py:houses", "trainer=short", "seeds=2", "tracking=none")
    (config,), _ = configurations([*fixed, *words])
    return train(config, list(config.seeds))


def column(result: Result, name: str) -> np.ndarray:
    return result.seeds[f"test/{name}"].to_numpy()


@pytest.mark.parametrize("words", sampled([["dataset.columns=2"], []], 2))
def test_errors_are_in_the_unit_of_the_target(here, words):
    """A thousand times larger targets, far from 0: the same training, errors a thousand times."""
    small = trained(here, *words)
    large = trained(here, *words, "dataset.scale=1000", "dataset.offset=200000")
    for name in ERRORS:
        np.testing.assert_allclose(column(large, name), 1000 * column(small, name), rtol=1e-4)
    for name in FREE:
        np.testing.assert_allclose(column(large, name), column(small, name), rtol=1e-4)


def test_standardised_errors_are_in_deviations_of_each_seeds_training_targets(here):
    """The error is theirs times the deviation, which is kept with the predictions."""
    result = trained(here, "dataset.scale=1000", "dataset.offset=200000")
    kept = result.predictions[0].load()
    assert 190_000 < kept["test_target"].mean() < 210_000
    scale = kept["target_scale"]
    assert scale.shape == (2,)
    assert scale[0] != scale[1]
    for own, named in zip(ERRORS[:2], FREE[1:3], strict=True):
        np.testing.assert_allclose(column(result, own), scale * column(result, named), rtol=1e-9)


def test_metrics_come_out_of_kept_predictions_to_the_bit(here):
    """Also those in deviations, of several columns."""
    result = trained(here, "dataset.columns=2", "dataset.scale=50")
    emptied = replace(result, summary={**result.summary, "directions": {}})
    names = [f"{place}/{name}" for place in ("test", "val_best") for name in (*ERRORS, *FREE)]
    again = with_metrics(emptied, [])
    pd.testing.assert_frame_equal(again.seeds[names], result.seeds[names], check_exact=True)


@pytest.mark.parametrize("columns", sampled([2, 1], 2))
def test_a_parameter_that_has_the_unit_of_the_target_is_given_in_it(here, columns):
    """Delta of each seed and column, divided by its own deviation; of a part of a sum too."""
    (here / "prices.py").write_text(PRICES)
    data_words = ("dataset=prices.py:houses", f"dataset.columns={columns}", "dataset.scale=1000")
    words = (*data_words, "trainer=short", "seeds=2", "tracking=none")

    def stack_for(*more: str) -> tuple[Recipe, Splits, Stack]:
        (config,), _ = configurations([*words, *more])
        splits = data(config, list(config.seeds))
        recipe = make_recipe(config, splits)
        return recipe, splits, Stack(recipe, splits, list(config.seeds))

    recipe, splits, stack = stack_for("loss=huber", "loss.delta=700", "task.unit=target")
    assert "loss=huber: delta=700 is in the unit of the target." in recipe.notes
    assert splits.target_scale is not None
    batch = stack.first_batch()
    given = stack.objectives(stack.state, *batch)
    plain = stack_for("loss=huber")[2]
    deviations = 700 / splits.target_scale.float()
    assert deviations[0].ne(deviations[1]).all()
    plain.register_buffer(f"fixed_{len(plain.fixed_names)}", deviations)
    plain.fixed_names.append("fact.delta")
    torch.testing.assert_close(given, plain.objectives(plain.state, *batch))
    part = ("loss=sum", "loss.terms.huber=1", "loss.terms.huber.delta=700", "task.unit=target")
    composed = stack_for(*part)[2]
    torch.testing.assert_close(composed.objectives(composed.state, *batch), given)


def test_of_a_loss_that_declares_no_unit_it_is_said_in_which_its_numbers_meet_targets(here):
    """Of a library or a file; of one without numbers, or that declares it, nothing more is said."""
    (here / "mine.py").write_text(MINE)
    losses = {"torch.nn:HuberLoss": ["delta"], "torch.nn:MSELoss": [], "mine.py:cauchy": ["c"]}
    for loss, said in {**losses, "mine.py:declared": [], "huber": []}.items():
        (config,), _ = configurations([f"loss={loss}", "dataset=diabetes", "seeds=2"])
        notes = make_recipe(config, data(config, [0, 1])).notes
        expected = [
            f"loss={loss} is given targets in standard deviations, each about 77 in their "
            f"unit; so is {name}, if it has that unit."
            for name in said
        ]
        assert [note for note in notes if "is given targets" in note] == expected


def test_a_larger_unit_of_target_and_parameter_is_the_same_training(here):
    small = trained(here, "loss.delta=0.5", "task.unit=target")
    words = ("loss.delta=500", "dataset.scale=1000", "dataset.offset=200000", "task.unit=target")
    large, deviations = trained(here, *words), trained(here, "loss.delta=0.5")
    for name in FREE:
        np.testing.assert_allclose(column(large, name), column(small, name), rtol=1e-4)
    assert (column(small, "r2") != column(deviations, "r2")).all()
    (note,) = (n for n in deviations.summary["notes"] if "delta" in n)
    assert note.startswith(
        "loss=huber: delta=0.5 is in standard deviations of the training target, a"
    )


def test_the_unit_of_a_parameter_is_the_losss_own_and_splits_no_comparison(here):
    (here / "prices.py").write_text(PRICES)
    words = ("dataset=prices.py:houses", "trainer=short", "seeds=2", "tracking=none")
    runs = (["loss=squared_error"], ["loss=huber"], ["loss=huber", "task.unit=target"])
    results = [train(configurations([*words, *run])[0][0], [0, 1]) for run in runs]
    (comparison,) = compare(results)
    assert set(comparison.results) == {"squared_error", "huber", "huber unit=target"}
    assert len({result.key for result in results}) == 3


def test_what_is_searched_is_in_the_unit_of_the_target_too(here):
    """The range in deviations, times the deviation of the tuning seeds' training targets."""
    (here / "prices.py").write_text(PRICES)
    words = ("loss=huber", "dataset=prices.py:houses", "dataset.scale=1000", "tracking=none")
    found = {}
    for unit in ("null", "target"):
        (config,), _ = configurations([*words, f"task.unit={unit}", "tune.trials=4", "seeds=2"])
        splits = data(config, [0, 1])
        (axis,) = (
            a
            for a in axes_of(config, "regression", unit_of(config.task, splits))
            if a.key == "loss.delta"
        )
        found[unit] = (axis.low, axis.high)
    size = splits.target_scale.mean().item()
    assert found["null"] == (0.1, 10.0)
    assert found["target"] == pytest.approx((0.1 * size, 10 * size))


def test_targets_of_very_different_spread_are_named(here):
    table = "import numpy as np\nfrom lossbench.contract import Sample\n\n\ndef two(rng, /):\n"
    table += (
        "    x = rng.normal(size=(60, 2))\n    return Sample(x, x * [4000.0, 1], 'regression')\n"
    )
    (here / "two.py").write_text(table)
    (config,), _ = configurations(["dataset=two.py:two", "loss=huber", "seeds=2"])
    (note,) = (n for n in make_recipe(config, data(config, [0])).notes if "Target" in n)
    assert note.startswith("Target 1 of 2 varies ")
    assert note.endswith("metric=standardised_error weighs all alike.")


def test_a_unit_is_refused_where_targets_have_none():
    (config,), _ = configurations(["dataset=wine", "task.unit=target", "seeds=2"])
    with pytest.raises(UserError, match=r"task\.unit=target: targets of the task multiclass have"):
        data(config, [0])


COUNTS = """\
import numpy as np
import torch
from lossbench.contract import Sample, declare

@declare(link=torch.exp, target="[0, inf)", minimiser="mean", convex=True)
def poisson(prediction, target, /):
    return prediction.exp() - target * prediction

def _power(prediction, /, *, power):
    return prediction.abs() ** power

@declare(link=_power)
def of_power(prediction, target, /, *, power: float = 2.0):
    return (prediction.abs() ** power - target).square()

def _corrected(prediction, /, *, class_counts):
    return (prediction + class_counts.log()).softmax(-1)

@declare(link=_corrected)
def corrected(logits, label, /, *, class_counts):
    picked = (logits + class_counts.log()).log_softmax(-1)
    return -picked.gather(-1, label.unsqueeze(-1)).squeeze(-1)

@declare(link=_power)
def asks_too_much(prediction, target, /):
    return (prediction - target).square()

def visits(rng, /, *, samples: int = 300):
    x = rng.normal(size=(samples, 2))
    return Sample(x, rng.poisson(np.exp(3 + 0.5 * x[:, 0])).astype(float), "regression")

def classes(rng, /):
    return Sample(rng.normal(size=(60, 2)), np.arange(60) % 3, "multiclass")
"""


def prepared(here: Path, *words: str) -> tuple[Recipe, Splits, list[int]]:
    (here / "counts.py").write_text(COUNTS)
    (config,), _ = configurations([*words, "trainer=short", "seeds=2", "tracking=none"])
    splits = data(config, list(config.seeds))
    return make_recipe(config, splits), splits, list(config.seeds)


@pytest.mark.parametrize("corruption", sampled(["outliers", "none"], 2))
def test_a_loss_with_a_link_trains_on_targets_as_they_are(here, corruption):
    """From the mean of each seed's own; what a corruption gives is in their unit too."""
    words = ("loss=counts.py:poisson", "dataset=counts.py:visits", f"corruption={corruption}")
    recipe, splits, seeds = prepared(here, *words)
    stack = Stack(recipe, splits, seeds)
    biases = [p for n, p in zip(stack.names, stack.stacked, strict=True) if n.endswith("bias")]
    mean = torch.stack([splits.train_targets(r).mean() for r in range(2)])
    assert mean[0] != mean[1]
    torch.testing.assert_close(biases[-1].exp().flatten(), mean, rtol=0.01, atol=0)
    whole = splits.targets_of("validation")
    assert torch.equal(whole, whole.round())
    assert torch.equal(splits.own(whole), whole)


def test_its_estimates_are_those_that_it_means(here):
    """A rate of counts is learnt, and errors in deviations are those in its unit, divided."""
    (here / "counts.py").write_text(COUNTS)
    words = ("loss=counts.py:poisson", "dataset=counts.py:visits", "optimizer.lr=0.01")
    (config,), _ = configurations([*words, "trainer.max_epochs=10", "seeds=2", "tracking=none"])
    result = train(config, list(config.seeds))
    kept = result.predictions[0].load()
    np.testing.assert_allclose(kept["test"].mean(1), kept["test_target"].mean(1), rtol=0.1)
    assert (column(result, "r2") > 0.6).all()
    scaled = kept["target_scale"] * column(result, "standardised_error")
    np.testing.assert_allclose(scaled, column(result, "root_mean_squared_error"), rtol=1e-6)


def test_targets_in_deviations_are_trained_on_two_features_too(here):
    """Of which a report draws the plane, where a class is decided on."""
    (here / "counts.py").write_text(COUNTS)
    words = ("loss=squared_error", "dataset=counts.py:visits", "trainer=short", "tracking=none")
    (config,), _ = configurations([*words, "seeds=2"])
    assert list(train(config, list(config.seeds)).seeds.status) == ["finished"] * 2


def test_a_link_has_the_hyper_parameters_of_its_loss(here):
    """Those of the configuration, or of each replica where they are its own."""
    words = ("loss=counts.py:of_power", "dataset=counts.py:visits", "loss.power=3")
    recipe, splits, seeds = prepared(here, *words)
    inputs, _ = splits.first("test", 5)
    with torch.no_grad():
        stack = Stack(recipe, splits, seeds)
        raw = stack.predictions(stack.state, inputs)
        assert torch.equal(stack.estimate(stack.state, inputs), raw.abs() ** 3)
        powers = torch.tensor([1.0, 2.0])
        stack = Stack(recipe, splits, seeds, {"fact.power": powers})
        expected = raw.abs() ** powers.unsqueeze(1)
        torch.testing.assert_close(stack.estimate(stack.state, inputs), expected)


def test_a_link_has_the_facts_of_each_replica(here):
    words = ("loss=counts.py:corrected", "dataset=counts.py:classes", "corruption=label_noise")
    recipe, splits, seeds = prepared(here, *words)
    counts = torch.stack([torch.bincount(splits.train_targets(r)) for r in range(2)])
    assert not torch.equal(counts[0], counts[1])
    inputs, _ = splits.first("test", 5)
    with torch.no_grad():
        stack = Stack(recipe, splits, seeds)
        expected = (stack.predictions(stack.state, inputs) + counts.log().unsqueeze(1)).softmax(-1)
        torch.testing.assert_close(stack.estimate(stack.state, inputs), expected)


def test_a_link_that_asks_for_what_its_loss_has_not_is_refused(here):
    words = "asks for power; a link may ask for what its loss and task"
    with pytest.raises(UserError, match=words):
        prepared(here, "loss=counts.py:asks_too_much", "dataset=counts.py:visits")


def test_targets_outside_of_the_interval_of_a_loss_are_refused(here):
    with pytest.raises(UserError, match=r"needs targets in \(-1, inf\); the train split has -"):
        prepared(here, "loss=squared_log_error", "dataset=linear")
