"""What the trials of tuning say: edges, flat ranges, budgets, and whose examples they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_results import BASE, BETTER, result

from lossbench.comparison import Comparison, compare
from lossbench.report import figures, html
from lossbench.report.ledger import describe_flat, expected_budgets, list_tuning_notes
from lossbench.results import Result
from lossbench.statistics import expected_best

RATES = [0.001, 0.0001, 0.0003, 0.002, 0.004, 0.01, 0.02, 0.03]
NOISE = np.array([-0.02, 0.0, 0.02])  # of three tuning seeds; a standard error of 0.0115


def tuned(
    loss: str, means: Sequence[float], values=BASE, sampler: str = "sobol", **ledger: object
) -> Result:
    """A result whose trials had these means on three tuning seeds."""
    made = result(loss, values, trials=len(means))
    rows = [
        {"trial": t, "seed": -1 - s, "optimizer.lr": RATES[t % 8], "loss.gamma": t, "value": m + d}
        for t, m in enumerate(means)
        for s, d in enumerate(NOISE)
    ]
    tune = replace(made.config.tune, sampler=sampler)
    summary = {**made.summary, "tuning": {**made.summary["tuning"], **ledger}}
    config = replace(made.config, tune=tune)
    return replace(made, tuning=pd.DataFrame(rows), summary=summary, config=config)


def compared(*results: Result) -> Comparison:
    (shown,) = compare(list(results), baseline="first")
    return shown


# ---- sensitivity -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("means", "range_of_gamma"),
    [
        ([0.5, 0.6, 0.7, 0.90, 0.905, 0.91, 0.7, 0.6], "3 to 5 (3 trials"),
        ([0.5, 0.6, 0.7, 0.89, 0.905, 0.91, 0.7, 0.6], None),  # 0.02 is more than an error: two
        ([0.5, 0.6, 0.91, 0.7, 0.905, 0.91, 0.7, 0.6], "2 to 5 (3 trials"),
        ([0.91, 0.6, 0.5, 0.91, 0.5, 0.5, 0.5, 0.91], None),  # most within the range are worse
        ([0.91] * 8, None),  # nothing is told apart
        ([0.6, 0.7, 0.90, 0.905, 0.91, 0.7, 0.6], None),  # seven trials
        ([0.5, 0.6, 0.7, 0.90, np.nan, 0.91, 0.905, 0.6, 0.5], "3 to 6 (3 trials"),
        ([0.5, np.nan, 0.7, 0.90, np.nan, 0.91, 0.905, np.nan], None),  # five that finished
    ],
)
def test_a_parameter_is_flat_where_trials_are_within_a_standard_error_of_the_best(
    means, range_of_gamma
):
    words = describe_flat(tuned("focal", means))
    assert (words is not None) == (range_of_gamma is not None)
    if words and range_of_gamma:
        assert f"loss.gamma from {range_of_gamma} within one standard error, 0.012" in words


def test_trials_within_the_flat_range_that_did_worse_are_counted():
    words = describe_flat(tuned("focal", [0.5, 0.6, 0.91, 0.7, 0.905, 0.91, 0.7, 0.6]))
    assert words
    assert "optimizer.lr from 0.0003 to 0.01" in words
    assert "1 more there did worse" in words


def test_two_tuning_seeds_show_no_flat_range():
    made = tuned("focal", [0.5, 0.6, 0.7, 0.90, 0.905, 0.91, 0.7, 0.6])
    assert made.tuning is not None
    few = replace(made, tuning=made.tuning[made.tuning.seed > -3])
    assert describe_flat(made)
    assert describe_flat(few) is None


# ---- budgets -----------------------------------------------------------------------------------
def test_a_budget_s_curve_has_the_metric_s_direction_and_counts_divergence_as_the_worst():
    up = compared(tuned("first", [0.9, 0.5, np.nan, 0.8]))
    down = compared(tuned("first", [0.9, 0.5, np.nan, 0.8], metric="val/log_loss"))
    curves = [budgets.curves["first"] for c in (up, down) if (budgets := expected_budgets(c))]
    np.testing.assert_allclose(curves[0], expected_best([0.9, 0.5, 0.5, 0.8]))
    np.testing.assert_allclose(curves[1], -expected_best([-0.9, -0.5, -0.9, -0.8]))


def test_trials_of_a_sampler_that_learns_have_no_curve():
    assert expected_budgets(compared(tuned("first", [0.9, 0.5], sampler="tpe"))) is None


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([0.5, 0.7, 0.9], [0.4, 0.6, 0.8], "first leads at every budget from 1 to 3 trials"),
        ([0.8, 0.8, 0.8], [0.5, 0.6, 0.9], "depends on the trials of its budget: first from 1, "),
        ([0.5, 0.7, 0.9], [0.4, 0.6, 0.8, 0.9], None),  # not the same budget
    ],
)
def test_which_loss_leads_is_said_by_budget(first, second, words):
    made = [tuned("first", first), tuned("second", second, BETTER)]
    shown = compare(made, baseline="first", mixed_budgets=True)[0]
    notes = " ".join(list_tuning_notes(shown))
    assert (words in notes) if words else ("budget" not in notes)
    assert ("second from 3" in notes) == (words is not None and "depends" in words)


def test_the_page_draws_budgets_with_the_notes_and_without_tuning_neither():
    notes = {"edges": ["optimizer.lr=0.03 of 3e-05 .. 0.03"], "seen": 0.672}
    shown = compared(*(tuned(n, [0.5, 0.7, 0.9, 0.91, 0.92, 0.9], **notes) for n in ("first", "b")))
    looks = figures.assign_looks([shown])
    (picture,) = [p for p in figures.draw_pictures(shown, looks) if "budget" in p.title]
    lines = {line.label: line for graph in picture.drawings for line in graph.lines}
    budgets = expected_budgets(shown)
    assert budgets
    assert set(lines) == {"first", "b"}
    for label, line in lines.items():
        assert list(line.x) == [1, 2, 3, 4, 5, 6]
        np.testing.assert_array_equal(line.y, budgets.curves[label])
    page = html.render_page([shown], html.Words("x"))
    for words in (
        "Performance against tuning budget",
        "optimizer.lr=0.03 searches around it",
        "Tuning judged candidates on 67% of the examples that these seeds are tested on",
    ):
        assert words in page
    plain = compared(result("first", BASE), result("b", BETTER))
    assert "tuning budget" not in html.render_page([plain], html.Words("x"))


def test_another_metric_than_the_one_that_tuning_judged_by_is_named():
    shown = compared(tuned("first", [0.5, 0.6], metric="val/log_loss"))
    assert "Tuning judged by log_loss, not accuracy." in list_tuning_notes(shown)
