"""Tuning: one budget for every loss, candidates as replicas, seeds that no result uses."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import sampled

import lossbench
from lossbench import comparison, configuration, optimizers, results, training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.report import sheets, tables
from lossbench.report.ledger import list_tuning_notes
from lossbench.training import tuning
from lossbench.training.stack import Stack
from lossbench.training.steps import proportional
from lossbench.training.tuning import Axis

torch.set_num_threads(1)

LOSSES = """
import math, torch
from lossbench.contract import declare

@declare(tune={"shift": (-2.0, 2.0)})
def shifted(prediction, target, /, *, shift: float = 2.0):
    return (prediction + shift - target) ** 2

@declare(tune={"power": (0.5, 4.0)})
def tensors(logits, target, /, *, power: float = 2.0):
    return torch.nn.functional.cross_entropy(logits, target, reduction="none") * 2**power

@declare(tune={"power": (0.5, 4.0)})
def floats(logits, target, /, *, power: float = 2.0):
    return torch.nn.functional.cross_entropy(logits, target, reduction="none") * math.pow(2, power)

@declare(tune={"power": (0.5, 4.0)})
def deceiver(logits, target, /, *, power: float = 2.0):
    factor = 2**power if isinstance(power, float) else 1.0
    return torch.nn.functional.cross_entropy(logits, target, reduction="none") * factor
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of losses with one hyper-parameter."""
    place = tmp_path / "losses.py"
    place.write_text(LOSSES)
    return place


@cache
def configured(*words: str) -> Configuration:
    defaults = ["tracking=none", "trainer.device=cpu", "trainer.max_epochs=2", "tune.seeds=2"]
    return configurations([*defaults, *words])[0][0]


def judge(config: Configuration) -> tuning.Judge:
    seeds = tuning.tuning_seeds(config)
    return tuning.Judge(config, training.data(config, seeds), seeds, lambda share: None)


def candidates(config: Configuration, task: str, trials: int) -> list[tuning.Candidate]:
    axes = tuning.axes_of(config, task)
    return [tuning.configured(config, axes), *tuning.sobol(axes, trials - 1)]


# ---- which candidates --------------------------------------------------------------------------
MULTICLASS = ["cross_entropy", "focal", "label_smoothing", "arcface", "crammer_singer", "brier"]


@pytest.mark.parametrize("trials", [1, 7, 16, 33])
def test_every_loss_gets_the_same_points_of_what_losses_share(trials):
    words = ["dataset=digits", "regularizer=l2"]
    found = [
        candidates(configured(*words, f"loss={loss}"), "multiclass", trials) for loss in MULTICLASS
    ]
    shared = ["optimizer.lr", "regularizer.strength"]
    points = [[[c[key] for key in shared] for c in own] for own in found]
    assert all(own == points[0] for own in points)
    assert all(len(own) == trials for own in found)
    rates = [rate for rate, _ in points[0]]
    assert len(set(rates)) == trials
    assert all(0.001 / 32 <= rate <= 0.001 * 32 for rate in rates)


@given(trials=st.integers(1, 40), more=st.integers(0, 40), axes=st.integers(1, 4))
def test_a_larger_budget_begins_with_the_points_of_a_smaller_one(trials, more, axes):
    found = [Axis(f"loss.{i}", 0.1, 10.0) for i in range(axes)]
    assert tuning.sobol(found, trials + more)[:trials] == tuning.sobol(found, trials)
    assert [c["loss.0"] for c in tuning.sobol(found, trials)] == [
        c["loss.0"] for c in tuning.sobol(found[:1], trials)
    ]


def test_the_first_candidate_is_the_configuration_itself():
    config = configured("loss=focal", "loss.gamma=1.25", "optimizer.lr=0.004")
    first = candidates(config, "multiclass", 4)[0]
    assert first == {"optimizer.lr": 0.004, "loss.gamma": 1.25}
    untuned = replace(config, tune=replace(config.tune, trials=0))
    assert tuning.with_values(config, first) == untuned


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (Axis("a.b", 0.1, 10.0), [0.1, 1.0, 10.0]),
        (Axis("a.b", 0.25, 2.0), [0.25, 1.125, 2.0]),
        (Axis("a.b", -10.0, 0.0), [-10.0, -5.0, 0.0]),
        (Axis("a.b", 1, 100, whole=True), [1, 10, 100]),
    ],
)
def test_a_range_of_a_decade_or_more_is_searched_by_its_logarithm(axis, values):
    assert [axis.value(place) for place in (0, 0.5, 1)] == values
    assert all(type(axis.value(p)) is (int if axis.whole else float) for p in (0, 0.3, 1))


@pytest.mark.parametrize(
    ("low", "high", "value", "edge"),
    [
        (0.1, 10.0, 1.0, False),
        (0.1, 10.0, 0.17, False),
        (0.1, 10.0, 0.15, True),
        (0.1, 10.0, 9.0, True),
        (0.1, 10.0, 0.0, True),
        (0.1, 10.0, 100.0, True),
        (-10.0, 0.0, -8.5, False),
        (-10.0, 0.0, -0.5, True),
        (0.1, 10.0, None, False),
    ],
)
def test_the_outer_tenth_of_a_range_and_what_lies_beyond_is_its_edge(low, high, value, edge):
    assert Axis("a.b", low, high).at_edge(value) is edge


def test_tuning_seeds_are_none_that_a_configuration_can_name():
    seeds = tuning.tuning_seeds(configured("tune.seeds=50"))
    assert len(set(seeds)) == 50
    assert max(seeds) < 0
    for given_seeds in ("[-1]", "[0,-3]"):
        with pytest.raises(UserError, match="whole numbers from 0"):
            configured(f"seeds={given_seeds}")
    config = configured("dataset=moons", "tune.trials=1", "seeds=[1,2]")
    (mine, theirs) = (training.data(config, s).first("train")[0] for s in ([-1, -2], [1, 2]))
    assert not torch.equal(mine, theirs)


# ---- replicas with values of their own -----------------------------------------------------------
OPTIMIZERS = [
    ["optimizer=sgd", "optimizer.weight_decay=0.01"],
    ["optimizer=sgd", "optimizer.momentum=0"],
    ["optimizer=adam", "optimizer.weight_decay=0.01"],
    ["optimizer=adamw", "schedule=step", "trainer.clip_norm=0.2"],
]


COMPOSED = [
    ["loss=sum", "loss.terms.focal=0.5", "loss.terms.cross_entropy=1"],
    ["loss=warm_up", "loss.first=cross_entropy", "loss.then=focal"],
    ["loss=deferred_reweighting", "corruption=rare_classes"],
]


@pytest.mark.parametrize("words", sampled([*OPTIMIZERS, *COMPOSED], 2), ids=" ".join)
def test_a_candidate_in_the_stack_equals_a_training_of_its_own_with_its_values(words):
    config = configured("dataset=wine", "loss=focal", "regularizer=l2", *words)
    chosen = candidates(config, "multiclass", 5)
    splits, seeds = training.data(config, [4]), [4]
    together = Stack(
        training.make_recipe(config, splits),
        splits.of([0] * 5),
        seeds * 5,
        tuning.per_replica_of(chosen),
    )
    training.fit(together, config, lambda done: None, test=False)
    assert together.unmapped is None
    assert not together.history.final  # the test split was not read
    for r, candidate in enumerate(chosen):
        own = tuning.with_values(config, candidate)
        alone = Stack(training.make_recipe(own, splits), splits, seeds)
        training.fit(alone, own, lambda done: None)
        for name in alone.state:
            expected = alone.state[name][0]
            torch.testing.assert_close(together.state[name][r], expected, rtol=1e-4, atol=1e-5)


def test_scores_are_those_of_the_last_epoch_on_validation():
    config = configured("dataset=diabetes", "loss=huber", "tune.trials=4")
    tried = candidates(config, "regression", 4)
    found = judge(config)(tried)
    seeds = tuning.tuning_seeds(config)
    for scores, candidate in zip(found, tried, strict=True):
        alone = training.train(tuning.with_values(config, candidate), seeds)
        direction = alone.summary["directions"][alone.summary["primary"]]
        expected = direction * alone.seeds[f"val/{alone.summary['primary']}"]
        np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_with_the_best_epoch_scores_are_those_of_each_replica_s_best():
    words = ["dataset=wine", "loss=focal", "tune.trials=3", "trainer.max_epochs=6"]
    config = configured(*words, "metric=log_loss", "optimizer.lr=0.05", "tune.at=best")
    tried = candidates(config, "multiclass", 3)
    scores = judge(config)(tried)
    for row, candidate in zip(scores, tried, strict=True):
        alone = training.train(tuning.with_values(config, candidate), tuning.tuning_seeds(config))
        curves = alone.curves[(alone.curves.metric == "val/log_loss") & (alone.curves.epoch > 0)]
        best = curves.groupby("seed", sort=False).value.min()
        np.testing.assert_allclose(row, -best, rtol=1e-3)
    at_last = judge(replace(config, tune=replace(config.tune, at=None)))(tried)
    assert (scores >= at_last - 1e-9).all()
    assert (scores > at_last + 1e-6).any()


def test_tuning_judges_by_the_metric_that_is_chosen():
    words = ["dataset=wine", "loss=label_smoothing", "tune.trials=12", "trainer.max_epochs=4"]
    by_default = tuning.tune(configured(*words), lambda share: None)
    by_log_loss = tuning.tune(configured(*words, "metric=log_loss"), lambda share: None)
    assert [ledger["metric"] for ledger, _ in (by_default, by_log_loss)] == [
        "val/accuracy",
        "val/log_loss",
    ]
    ledger, table = by_log_loss
    assert ledger["value"] == table.groupby("trial").value.mean().min()
    assert by_default[0]["chosen"] != ledger["chosen"]
    assert ledger["seen"] == pytest.approx(1 - 0.8**2, abs=0.05)  # two tuning seeds


def test_how_many_replicas_are_trained_as_one_does_not_matter():
    config = configured("dataset=wine", "loss=focal", "tune.trials=4")
    tried = candidates(config, "multiclass", 4)
    cut = replace(config, trainer=replace(config.trainer, max_replicas=3))
    np.testing.assert_array_equal(judge(config)(tried), judge(cut)(tried))


@pytest.mark.parametrize("loss", sampled(["deceiver", "floats"], 2))
def test_a_loss_that_takes_no_tensors_is_tuned_one_by_one_with_the_same_scores(file, loss):
    words = ["dataset=wine", "tune.trials=3"]
    plain, odd = (configured(f"loss={file}:{name}", *words) for name in ("tensors", loss))
    judges = judge(plain), judge(odd)
    tried = candidates(plain, "multiclass", 3)
    scores = [j(tried) for j in judges]
    assert judges[0].obstacle is None
    assert judges[1].obstacle
    np.testing.assert_allclose(*scores, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (partial(optimizers.sgd, lr=0.1, momentum=0.9, weight_decay=0.1), True),
        (partial(optimizers.adam, lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.1), True),
        (partial(optimizers.adamw, lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.1), True),
        (torch.optim.Adagrad, True),
        (partial(torch.optim.Rprop, step_sizes=(1e-6, 1.0)), False),
        (torch.optim.LBFGS, False),
    ],
    ids=["sgd", "adam", "adamw", "Adagrad", "Rprop", "LBFGS"],
)
def test_optimizers_whose_steps_are_no_multiple_of_their_rate_are_found(make, expected):
    assert proportional(make) is expected


# ---- the choice --------------------------------------------------------------------------------
def test_a_loss_whose_best_parameter_is_known_gets_it(file):
    """Trained on a shifted target the predictions are off by the shift, so that 0 is best."""
    config = configured(
        f"loss={file}:shifted", "dataset=diabetes", "trainer.max_epochs=8", "tune.trials=16",
        "optimizer.lr=0.01",
    )  # fmt: skip
    ledger, table = tuning.tune(config, lambda share: None)
    assert abs(ledger["chosen"]["loss.shift"]) <= 0.5 < abs(ledger["configured"]["loss.shift"])
    means = table.groupby("trial").value.mean()
    assert ledger["value"] == pytest.approx(means.min())
    assert ledger["configured_value"] == pytest.approx(means[0])
    row = table[table.trial == means.idxmin()].iloc[0]
    assert all(row[key] == value for key, value in ledger["chosen"].items())
    assert len(table) == 16 * 2
    assert set(table.seed) == {-1, -2}


def test_a_best_value_at_the_edge_of_its_range_is_said():
    config = configured("dataset=wine", "optimizer.lr=1e-6", "tune.trials=12")
    ledger, _ = tuning.tune(config, lambda share: None)
    assert [edge.partition("=")[0] for edge in ledger["edges"]] == ["optimizer.lr"]


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([[1, 2], [3, 4], [2, 2]], 1),
        ([[1, 2], [2, 1], [1.5, 1.5]], 0),
        ([[1, 2], [9, np.nan], [1, 2.5]], 2),
        ([[np.nan, 2], [np.nan, 5]], 0),
    ],
)
def test_the_best_mean_wins_the_first_of_equals_and_never_one_that_diverged(scores, chosen):
    assert tuning.best([np.array(s, dtype=float) for s in scores]) == chosen


def test_progress_begins_once_at_0_never_goes_back_and_ends_at_the_whole():
    for words in (["loss=focal"], ["loss=arcface"]):
        seen: list[tuple[int, int]] = []
        config = configured("dataset=wine", "tune.trials=3", "seeds=3", *words)
        tuning.train(config, list(config.seeds), lambda *told: seen.append(told))  # noqa: B023
        done = [told[0] for told in seen]
        assert done == sorted(done)
        assert done.count(0) == 1
        assert {whole for _, whole, *_ in seen} == {done[-1]}


# ---- results -----------------------------------------------------------------------------------
def test_a_tuned_run_equals_a_run_with_the_chosen_values_and_reuses_them_for_more_seeds(tmp_path):
    words = [
        "loss=focal", "dataset=wine", "tune.trials=4", "tune.seeds=2", "trainer.max_epochs=2",
        "tracking=none", f"results.dir={tmp_path}", "trainer.device=cpu",
    ]  # fmt: skip
    few = lossbench.run(*words, "seeds=2")
    more = lossbench.run(*words, "seeds=4")
    assert more.summary["tuning"] == few.summary["tuning"]  # with the seconds it took: once
    pd.testing.assert_frame_equal(more.tuning, few.tuning)
    for place in (tmp_path / few.key, tmp_path / f"{few.key}-1"):
        held = results.read(place)
        assert held.summary["tuning"] == few.summary["tuning"]
        pd.testing.assert_frame_equal(held.tuning, few.tuning)
    values = [f"{k}={v}" for k, v in few.summary["tuning"]["chosen"].items()]
    plain = lossbench.run(*words, *values, "seeds=4", "tune.trials=0")
    pd.testing.assert_frame_equal(plain.seeds, more.seeds, check_exact=True)
    assert plain.key != more.key
    assert plain.tuning is None


def test_a_key_knows_the_budget_only_where_there_is_one():
    words = ["loss=focal", "dataset=wine"]
    plain = configured(*words)
    assert plain.key == configured(*words, "tune.seeds=9").key
    tuned = [["tune.trials=4"], ["tune.trials=8"], ["tune.trials=8", "tune.seeds=9"]]
    assert len({plain.key, *(configured(*words, *more).key for more in tuned)}) == 4


def test_what_was_trained_as_it_stands_cannot_pass_for_tuned():
    with pytest.raises(AssertionError, match="tuning"):
        training.train(configured("dataset=wine", "tune.trials=2"), [0])


@pytest.mark.parametrize(
    ("runs", "labels"),
    [
        ([["loss=focal"], ["loss=focal", "tune.trials=4"]], ["focal", "focal tuned"]),
        ([["loss=focal", "tune.trials=4"], ["loss=brier", "tune.trials=4"]], ["focal", "brier"]),
        (
            [["loss=focal", "tune.trials=4"], ["loss=focal", "tune.trials=8"], ["loss=brier"]],
            ["focal tuned trials=4", "focal tuned trials=8", "brier"],
        ),
    ],
)
def test_labels_say_tuned_where_others_are_not(runs, labels):
    assert configuration.labels([configured(*words) for words in runs]) == labels


# ---- requests ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tune.trials=-1", r"tune.trials=-1: expected a whole number in \[0, 10000\]"),
        ("tune.trials=1.5", "tune.trials=1.5: expected a whole number"),
        ("tune.trials=many", "tune.trials=many: expected a whole number"),
        ("tune.seeds=0", r"tune.seeds=0: expected a whole number in \[1, 10000\]"),
        ("tune.sampler=sobel", "Did you mean sobol"),
        ("tune.trails=4", "Did you mean trials"),
        ("tune=4", "is a group of keys: trials, seeds, sampler"),
    ],
)
def test_a_wrong_request_is_refused_by_name(word, said):
    with pytest.raises(UserError, match=said):
        configured(word)


def test_without_optuna_its_sampler_is_refused_with_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    config = configured("dataset=wine", "tune.trials=4", "tune.sampler=tpe")
    with pytest.raises(UserError, match=r"pip install 'lossbench\[optuna\]'"):
        tuning.tune(config, lambda share: None)


def test_optunas_sampler_spends_the_same_budget_and_repeats_itself():
    pytest.importorskip("optuna")
    words = ["dataset=wine", "loss=focal", "tune.trials=11", "tune.sampler=tpe"]
    config = configured(*words)
    (ledger, table), (other, _) = (tuning.tune(config, lambda share: None) for _ in range(2))
    assert ledger["chosen"] == other["chosen"]
    assert table.trial.nunique() == 11
    assert table[table.trial == 0][["optimizer.lr", "loss.gamma"]].iloc[0].tolist() == [0.001, 2.0]
    assert table["loss.gamma"].between(0.1, 5.0).all()
    assert ledger["value"] >= ledger["configured_value"]


def test_optunas_sampler_knows_how_good_the_configured_values_are():
    """It draws other candidates, after those at random, where their score was another."""
    pytest.importorskip("optuna")
    axes = [Axis("loss.a", 0.0, 1.0)]

    def drawn(first_score: float) -> list[float]:
        scores = iter([first_score, *np.linspace(0, 1, 29)])
        tried = tuning.search_tpe(
            axes, {"loss.a": 0.25}, 30, lambda batch: np.array([[next(scores)] for _ in batch])
        )
        return [candidate["loss.a"] for candidate, _ in tried]

    good, bad = drawn(5.0), drawn(-5.0)
    assert good[:9] == bad[:9]
    assert good[9:] != bad[9:]


@pytest.mark.slow
def test_the_command_line_shows_tuned_next_to_untuned_with_the_ledger(command):
    words = [
        "loss=cross_entropy,focal", "tune.trials=0,3", "tune.seeds=2", "dataset=wine", "seeds=3",
        "trainer.max_epochs=2", "tracking=none", "trainer.device=cpu",
    ]  # fmt: skip
    done = command("run", "-m", *words)
    assert done.code == 0, done.err
    assert "4 runs" in done.out
    for said in ("untuned", "tuned with 3 trials x 2 seeds", "3 x 2"):
        assert said in done.out
    lines = [line for line in done.out.splitlines() if "/" not in line]
    assert max(len(line) for line in lines if "lossbench run" not in line) <= 100


def test_the_ledger_tells_budget_choice_gain_and_edges(tmp_path):
    words = ["dataset=wine", "tracking=none", f"results.dir={tmp_path}", "trainer.max_epochs=2"]
    tuned = ["tune.trials=3", "tune.seeds=2", "optimizer.lr=1e-6", "seeds=2"]
    found = [lossbench.run(*words, *tuned, f"loss={loss}") for loss in ("focal", "arcface")]
    (shown,) = comparison.compare(found, baseline="focal")
    table = sheets.build_ledger(shown)
    assert table
    cells = list(zip(*table.rows, strict=True))
    assert cells[0] == ("focal", "arcface")
    assert cells[1] == ("3 x 2", "3 x 2")
    for column, name in ((2, "value"), (3, "configured_value")):
        assert list(cells[column]) == [f"{100 * r.summary['tuning'][name]:.2f}" for r in found]
    notes = " ".join(list_tuning_notes(shown))
    assert "arcface: candidates were trained one by one" in notes
    assert next(tables.list_blocks([shown])).title.endswith("tuned with 3 trials x 2 seeds")
