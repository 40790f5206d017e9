"""Comparisons: paired, corrected, in words that say no more than the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lossbench.comparison import compare
from lossbench.contract import UserError
from lossbench.report import tables
from lossbench.results import Result

SHARED = {k: {"name": k} for k in ("dataset", "corruption", "model", "regularizer", "optimizer")}


def result(loss: str, values, seeds=None, diverged=(), **hyper) -> Result:
    values = np.array(values, dtype=float)
    seeds = list(range(len(values))) if seeds is None else seeds
    ill = np.isin(seeds, diverged)
    rows = pd.DataFrame({"seed": seeds, "status": np.where(ill, "diverged", "finished")})
    rows["test/accuracy"] = np.where(ill, np.nan, values)
    rows["test/log_loss"] = np.where(ill, np.nan, 1 - values)
    config = {**SHARED, "trainer": {}, "loss": {"name": loss, **hyper}, "seeds": seeds}
    summary = {
        "task": "multiclass",
        "primary": "accuracy",
        "directions": {"accuracy": 1, "log_loss": -1},
        "seconds": 1.0,
    }
    return Result(loss, config, rows, CURVES, summary, {})


CURVES = pd.DataFrame({"seed": [], "epoch": [], "metric": [], "value": []})
RNG = np.random.default_rng(0)
BASE = 0.8 + 0.01 * RNG.standard_normal(20)
BETTER = BASE + 0.02 + 0.005 * RNG.standard_normal(20)
SAME = BASE + 0.005 * RNG.standard_normal(20)


def rows_of(*results: Result, **how):
    (comparison,) = compare(results, **how)
    return {row.label: row for row in comparison.rows}, comparison


def test_the_numbers_are_those_of_scipy():
    rows, _ = rows_of(result("cross_entropy", BASE), result("focal", BETTER), result("poly", SAME))
    for label, values in (("focal", BETTER), ("poly", SAME)):
        row, difference = rows[label], values - BASE
        low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
        assert row.metrics["accuracy"].low == pytest.approx(low)
        assert row.metrics["accuracy"].high == pytest.approx(high)
        assert row.difference.estimate == pytest.approx(difference.mean())
        low, high = stats.t.interval(0.95, 19, difference.mean(), stats.sem(difference))
        assert (row.difference.low, row.difference.high) == pytest.approx((low, high))
        assert row.improvement == np.mean(difference > 0)
    sampled = stats.permutation_test(
        (BETTER - BASE,), np.mean, permutation_type="samples", n_resamples=20_000, rng=0
    )
    assert rows["focal"].p <= 2 * sampled.pvalue
    assert rows["focal"].verdict == "better"
    assert rows["poly"].verdict == "open"


def test_differences_are_paired_by_seed_whatever_the_order_of_the_rows():
    shuffled = RNG.permutation(20)
    first, _ = rows_of(result("cross_entropy", BASE), result("focal", BETTER))
    moved = result("focal", BETTER[shuffled], seeds=shuffled.tolist())
    second, _ = rows_of(result("cross_entropy", BASE), moved)
    assert first["focal"].difference == second["focal"].difference


def test_less_is_better_turns_the_verdict_not_the_difference():
    rows, _ = rows_of(result("cross_entropy", BASE), result("focal", BETTER), metric="log_loss")
    assert rows["focal"].verdict == "better"
    assert rows["focal"].difference.estimate < 0


def test_identical_results_are_called_identical_not_a_tie():
    rows, comparison = rows_of(result("cross_entropy", BASE), result("focal", BASE))
    assert rows["focal"].verdict == "identical"
    assert "exactly the results" in comparison.conclusion[0]


def test_diverged_replicas_count_as_lost_and_are_not_averaged():
    ill = result("focal", BETTER, diverged=range(12))
    rows, _ = rows_of(result("cross_entropy", BASE), ill)
    assert rows["focal"].diverged == 12
    assert rows["focal"].improvement == 8 / 20
    assert rows["focal"].metrics["accuracy"].estimate == pytest.approx(BETTER[12:].mean())
    assert rows["focal"].verdict != "better"


def test_a_loss_that_always_diverged_comes_last_and_can_be_printed():
    ill = result("focal", BASE, diverged=range(20))
    _, comparison = rows_of(result("cross_entropy", BASE), ill)
    assert comparison.rows[-1].label == "focal"
    assert comparison.rows[-1].verdict == "worse"
    assert "diverged" in tables.as_csv(comparison)


def test_too_few_seeds_are_said_with_the_number_needed():
    losses = [result(name, BASE[:5] + i) for i, name in enumerate(["cross_entropy", "focal"])]
    _, comparison = rows_of(*losses)
    assert (
        "5 seeds can never reach p = .05 in 1 comparisons: 6 are needed"
        in comparison.conclusion[-1]
    )


def test_an_open_question_is_never_called_no_difference():
    _, comparison = rows_of(result("cross_entropy", BASE), result("poly", SAME))
    said = " ".join(comparison.conclusion)
    assert "nothing can be concluded" in said
    assert "no difference" not in said


def test_namesakes_are_told_apart_by_what_differs():
    rows, _ = rows_of(
        result("cross_entropy", BASE),
        result("focal", SAME, gamma=1.0),
        result("focal", BETTER, gamma=2.0),
    )
    assert set(rows) == {"cross_entropy", "focal gamma=1.0", "focal gamma=2.0"}


def test_an_unknown_metric_or_baseline_is_refused_by_name():
    losses = [result("cross_entropy", BASE), result("focal", SAME)]
    with pytest.raises(UserError, match="Did you mean accuracy"):
        compare(losses, metric="acuracy")
    with pytest.raises(UserError, match="Did you mean focal"):
        compare(losses, baseline="foccal")
