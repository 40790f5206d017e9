"""Predictions are kept with a result, so that metrics can be added without training."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support import put

from lossbench import get_models, results, run
from lossbench.comparison import compare
from lossbench.contract import UserError
from lossbench.results.predictions import of_seeds
from lossbench.results.rescoring import with_metrics
from lossbench.training import data

QUICK = ("dataset=wine", "trainer=short", "tracking=none", "seeds=3")
HALVED = """\
from lossbench.contract import metric

@metric(direction=1, bounds=(0, 0.5))
def halved(estimate, target, /):
    return (estimate.argmax(-1) == target).double().mean(-1) / 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with one result of three seeds, of which one was added later."""
    place = tmp_path_factory.mktemp("predictions")
    (place / "mine.py").write_text(HALVED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        run(*QUICK[:-1], "seeds=[1,2]", "results.dir=results")
        run(*QUICK, "results.dir=results")
    return place


@pytest.fixture
def stored(folder, monkeypatch) -> results.Result:
    monkeypatch.chdir(folder)
    (result,) = results.everything(folder / "results")
    return result


def test_the_tasks_own_metrics_come_out_of_predictions_to_the_bit(stored):
    names = list(stored.summary["directions"])
    emptied = replace(stored, summary={**stored.summary, "directions": {}})
    again = with_metrics(emptied, [])
    columns = [f"{place}/{n}" for place in ("test", "test_best", "val", "val_best") for n in names]
    pd.testing.assert_frame_equal(again.seeds[columns], stored.seeds[columns], check_exact=True)


def test_a_metric_that_is_added_later_is_compared_by(stored):
    (comparison,) = compare([stored], metric="mine.py:halved")
    assert comparison.metric == "halved"
    values = comparison.results["cross_entropy"].seeds
    np.testing.assert_allclose(values["test/halved"], values["test/accuracy"] / 2)
    assert comparison.row("cross_entropy").metrics["halved"] is not None


def test_results_with_different_metrics_compare_on_what_they_share(stored):
    other = replace(
        stored, config=replace(stored.config, loss=replace(stored.config.loss, name="x"))
    )
    directions = {k: v for k, v in other.summary["directions"].items() if k != "ece"}
    lacking = replace(other, summary={**other.summary, "directions": directions}, predictions=())
    (comparison,) = compare([stored, lacking])
    assert "ece" not in comparison.row("cross_entropy").metrics
    assert "Metrics left out, because x lacks them: ece." in comparison.notes


def test_a_metric_without_predictions_is_refused_with_what_to_do(stored):
    with pytest.raises(UserError, match=r"halved.*no such metric(.|\n)*metrics=\[halved\] --rerun"):
        compare([replace(stored, predictions=())], metric="mine.py:halved")


def test_losses_that_lack_the_metric_are_left_out_by_name(stored):
    """Whichever of them comes first, and whether or not one is the yardstick."""
    other = replace(stored.config, loss=replace(stored.config.loss, name="x"))
    first, second = stored, replace(stored, config=other)
    for has, lacks in ((first, second), (second, first)):
        bare = replace(lacks, predictions=())
        for both in ([has, bare], [bare, has]):
            (comparison,) = compare(both, metric="mine.py:halved")
            assert list(comparison.results) == [has.config.loss.name]
            assert comparison.notes[0] == (
                f"Left out, because halved cannot be computed from what is kept: "
                f"{lacks.config.loss.name}; --rerun trains again."
            )


def test_the_command_line_word_for_a_metric_that_some_lack_is_named(stored):
    asked = replace(
        stored.config, metrics=("mine.py:halved",), loss=replace(stored.config.loss, name="x")
    )
    has = replace(with_metrics(stored, ["mine.py:halved"]), config=asked)
    (comparison,) = compare([stored, has])
    lacking = (
        "Metrics left out, because cross_entropy lacks them: halved (--metric mine.py:halved)."
    )
    assert lacking in comparison.notes


def test_a_metric_that_is_asked_for_later_is_in_the_result_that_run_gives(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = run(*QUICK, "results.dir=results", "metrics=[mine.py:halved]")
    assert result.seeds["test/halved"].max() <= 0.5


def test_a_metric_whose_code_changed_is_computed_again_wherever_it_is_asked_for(
    folder, monkeypatch
):
    monkeypatch.chdir(folder)
    Path("edited.py").write_text(HALVED)
    words = [*QUICK, "results.dir=edited", "metrics=[edited.py:halved]"]
    first, bare = run(*words), run(*words, "results.dir=no", "results.predictions=0")
    assert first.seeds["test/halved"].max() <= 0.5
    Path("edited.py").write_text(HALVED.replace("/ 2", "* 2").replace("0.5", "2"))
    again = run(*words)
    assert again.seeds["test/halved"].max() > 0.5
    np.testing.assert_allclose(again.seeds["test/halved"], 4 * first.seeds["test/halved"])
    assert "halved" not in with_metrics(bare, ["edited.py:halved"]).summary["directions"]


def test_a_metric_that_is_asked_for_with_more_seeds_is_that_of_all(folder, monkeypatch):
    """Some of them may have had none before, and some one of other code."""
    monkeypatch.chdir(folder)
    Path("grown.py").write_text(HALVED)
    words = [*QUICK[:-1], "results.dir=grown"]
    run(*words, "seeds=[2]")
    run(*words, "seeds=[1,2]", "metrics=[grown.py:halved]")
    Path("grown.py").write_text(HALVED.replace("/ 2", "* 2").replace("0.5", "2"))
    rows = run(*words, "seeds=3", "metrics=[grown.py:halved]").seeds
    np.testing.assert_allclose(rows["test/halved"], 2 * rows["test/accuracy"])
    (comparison,) = compare(results.everything(Path("grown")))
    assert comparison.row("cross_entropy").metrics["accuracy"] is not None


def test_a_metric_that_an_experiment_names_after_training_is_compared_by(here, command):
    put(here, {"mine.py": HALVED})
    run(*QUICK, "results.dir=results")
    words = "{dataset: wine, trainer: short, tracking: none, seeds: 3, metrics: [[mine.py:halved]]}"
    study = f"question: Which?\noverrides: {words}\nsweeps: [{{loss: cross_entropy}}]\n"
    put(here, {"experiments/added/experiment.yaml": study})
    assert "halved 0.4" in command("compare", "added", "--metric", "halved").out


def test_a_metric_that_is_asked_for_and_cannot_be_had_is_said(folder, monkeypatch):
    monkeypatch.chdir(folder)
    bare = [*QUICK, "results.dir=bare", "results.predictions=0"]
    run(*bare)
    result = run(*bare, "metrics=[mine.py:halved]")
    assert result.summary["notes"] == [
        "metrics=[mine.py:halved] cannot be computed from what is kept of cross_entropy; --rerun "
        "trains it again."
    ]


def test_a_metric_of_other_code_is_computed_again(stored):
    first = with_metrics(stored, ["mine.py:halved"])
    stale = {"metric_sources": {"halved": "another"}}
    wrong = first.seeds.assign(**{"test/halved": 9.0})
    first = replace(first, seeds=wrong, summary={**first.summary, **stale})
    again = with_metrics(first, ["mine.py:halved"])
    assert again.seeds["test/halved"].max() <= 0.5
    assert again.summary["metric_sources"]["halved"] != "another"


def test_a_metric_of_a_diverged_seed_is_undefined_when_it_is_added_later(stored):
    ill = stored.seeds.assign(status=["diverged", "finished", "finished"])
    added = with_metrics(replace(stored, seeds=ill), ["mine.py:halved"]).seeds["test/halved"]
    assert added.isna().tolist() == [True, False, False]


def test_predictions_beyond_their_room_are_not_kept_and_that_is_said(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = run(*QUICK, "results.dir=small", "results.predictions=0.001")
    assert not result.predictions
    assert "results.predictions=0.001 MiB" in result.summary["notes"][0]
    assert not list(Path("small").glob("*/predictions.npz"))


SCORED_ONCE = [  # settings in which the estimates of validation that training made are used again
    "dataset=wine metrics=[temperature] optimizer.lr=0.1",
    "dataset=diabetes loss=huber optimizer.lr=0.3",
    "dataset=wine optimizer=sgd optimizer.lr=1e30",  # which diverges
    "dataset=shapes dataset.samples=60 dataset.size=32 model=unet",  # in a loop
    "dataset=blobs trainer.checkpoint=1",
]


@pytest.mark.parametrize("words", SCORED_ONCE)
def test_numbers_are_the_same_whether_predictions_are_kept_or_not(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*words.split(), "tracking=none", "seeds=2", "trainer.max_epochs=4"]
    kept = run(*words, "results.dir=kept")
    none = run(*words, "results.dir=none", "results.predictions=0")
    assert kept.predictions
    assert not none.predictions
    pd.testing.assert_frame_equal(kept.seeds, none.seeds, check_exact=True)


def test_the_primary_metric_chooses_the_epoch(folder, monkeypatch):
    monkeypatch.chdir(folder)
    words = [*QUICK, "results.dir=primary", "trainer.max_epochs=8", "optimizer.lr=0.05"]
    result = run(*words, "metric=log_loss")
    assert result.summary["primary"] == "log_loss"
    curves = result.curves[result.curves.metric == "val/log_loss"]
    best = curves[curves.epoch > 0].sort_values("epoch").groupby("seed").value.idxmin()
    assert list(result.seeds.best_epoch) == list(curves.epoch.loc[best])


def test_a_primary_metric_of_ones_own_is_trained_and_compared_by(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = run(*QUICK, "results.dir=own", "metric=mine.py:halved", "metrics=[ece]")
    assert result.summary["primary"] == "halved"
    assert compare([result])[0].metric == "halved"


@pytest.mark.parametrize(
    ("metric", "reason"),
    [("overconfidence", "neither more nor less"), ("accuracies", "Did you mean accuracy")],
)
def test_a_metric_that_cannot_be_primary_is_refused(metric, reason, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=reason):
        run(*QUICK, "results.dir=refused", f"metric={metric}")


# ---- models ------------------------------------------------------------------------------------
REGRESSION = ("dataset=diabetes", "loss=gaussian_nll", "trainer=short", "tracking=none")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> results.Result:
    """A regression, whose inputs and targets are scaled and whose loss has a link, with models."""
    place = tmp_path_factory.mktemp("models")
    words = (*REGRESSION, f"results.dir={place}", "results.models=true")
    run(*words, "seeds=[1]")
    return run(*words, "seeds=2")


@pytest.mark.parametrize(("at", "name"), [("last", "test"), ("best", "test_best")])
def test_models_predict_what_was_scored(kept, at, name):
    """From inputs as the data set has them, in the target's unit."""
    scored = of_seeds(kept.predictions, kept.seeds.seed)[name]
    models = get_models(kept, at=at)
    assert [model.seed for model in models] == [0, 1]
    for model, expected in zip(models, scored, strict=True):
        splits = data(kept.config, [model.seed])
        inputs = splits.inputs[splits.test.rows[0]].double().numpy()
        given = inputs.copy()
        np.testing.assert_allclose(model.predict(given), expected, rtol=1e-5)
        np.testing.assert_array_equal(given, inputs)


def by_seed(curves):
    return curves.sort_values(["seed", "epoch", "metric"], ignore_index=True)


def test_numbers_are_the_same_whether_models_are_kept_or_not(kept, tmp_path):
    plain = run(*REGRESSION, f"results.dir={tmp_path}", "seeds=2")
    pd.testing.assert_frame_equal(plain.seeds, kept.seeds, check_exact=True)
    pd.testing.assert_frame_equal(*map(by_seed, (plain.curves, kept.curves)), check_exact=True)
    with pytest.raises(UserError, match=r"results\.models=true"):
        get_models(plain)
    asked = replace(plain.config, results=kept.config.results)
    assert results.missing_seeds(asked, tmp_path) == [0, 1]


def test_a_model_refuses_inputs_of_another_shape_and_has_its_network(kept):
    model = get_models(kept)[0]
    with pytest.raises(UserError, match=r"shape \(5, 3\); give numbers \(N, 10\), as dataset=diab"):
        model.predict(np.zeros((5, 3)))
    with pytest.raises(UserError, match="of type object"):
        model.predict(np.full((5, 10), "text", dtype=object))
    assert len(repr(model)) < 50
    raw = model.module(torch.zeros(4, 10))
    assert raw.shape == (4, 2)


# ---- tables ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def houses(tmp_path_factory) -> tuple[pd.DataFrame, results.Result]:
    """A table of numbers, text and true or false, with gaps in the first two."""
    rng, place = np.random.default_rng(0), tmp_path_factory.mktemp("houses")
    table = pd.DataFrame(
        {
            "area": rng.normal(size=120).round(2),
            "town": rng.choice(["Rome", "Oslo", "Bern"], 120),
            "lift": rng.random(120) < 0.5,
        }
    )
    table["price"] = (table.area + (table.town == "Rome") + rng.normal(0, 0.1, 120)).round(3)
    table.loc[3, "area"] = table.loc[4, "town"] = None
    table.to_csv(place / "houses.csv", index=False)
    words = [f"dataset.path={place}/houses.csv", "dataset.target=price", "dataset.missing=impute"]
    options = ["tracking=none", "results.models=true", f"results.dir={place}", "trainer=short"]
    return table, run("dataset=csv", "loss=huber", "seeds=2", *words, *options)


def test_a_data_frame_of_the_tables_columns_is_coded_as_it_was(houses):
    """The columns in any order, and others next to them; gaps are filled as in training."""
    table, result = houses
    scored = of_seeds(result.predictions, result.seeds.seed)["test"]
    for model, expected in zip(get_models(result), scored, strict=True):
        rows = data(result.config, [model.seed]).test.rows[0].numpy()
        given = table[["price", "lift", "town", "area"]].iloc[rows]
        np.testing.assert_allclose(model.predict(given), expected, rtol=1e-5)
        gaps = model.predict(table.iloc[[3, 4]])
        assert np.isfinite(gaps).all()


REFUSED = [
    (lambda table: table.drop(columns="town"), "columns that are not given: ['town']"),
    (lambda table: table.assign(town="Paris"), "'town' holds ['Paris']; expected one of Bern, O"),
    (lambda table: table.assign(area="large"), "'area' holds ['large']; expected numbers"),
    (lambda table: table.assign(lift=None), "'lift' has gaps; the data set's has none"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_a_data_frame_that_is_not_as_the_table_was_is_refused(houses, change, reason):
    table, result = houses
    with pytest.raises(UserError, match=re.escape(reason)):
        get_models(result)[0].predict(change(table))
