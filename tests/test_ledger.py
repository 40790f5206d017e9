"""What the trials of tuning say: edges, flat ranges, budgets, and whose examples they were."""

from __future__ import annotations

import re
import time
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
from lossbench.training.tuning import Axis, sobol

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
AXES = [Axis("optimizer.lr", 1e-4, 1e-1), Axis("loss.gamma", 0.1, 10.0)]
GRID = np.array([list(candidate.values()) for candidate in sobol(AXES, 16)])


def hill(values: np.ndarray, slope: float) -> np.ndarray:
    """Best at a rate of 0.003 and a gamma of 1, with a cliff beyond a rate of 0.05."""
    rate, gamma = np.log10(values).T
    cliff = 0.5 * np.clip(rate - np.log10(0.05), 0, None)
    return 0.9 - 0.05 * (rate - np.log10(0.003)) ** 2 - slope * gamma**2 - cliff


def trials_at(values: np.ndarray, scores: np.ndarray) -> Result:
    """A result whose trials had these values and scores, (trials, seeds)."""
    table = pd.DataFrame(
        [
            {"trial": t, "seed": -1 - s, "optimizer.lr": rate, "loss.gamma": gamma, "value": score}
            for t, (rate, gamma) in enumerate(values)
            for s, score in enumerate(scores[t])
        ]
    )
    return replace(result("focal", BASE, trials=len(values)), tuning=table)


def ends_of(words: str) -> list[list[float]]:
    """The ends of the ranges that are called flat."""
    ranges = re.findall(r"(?:lr|gamma) from (\S+) to ([^\s,:]+)", words)
    return [[float(end) for end in each] for each in ranges]


def test_a_parameter_without_effect_is_flat_wherever_it_was_tried_and_another_around_its_best():
    words = describe_flat(trials_at(GRID, hill(GRID, 0.0)[:, None] + NOISE / 4))
    assert words
    (slowest, fastest), gammas = ends_of(words)
    assert gammas[0] < 0.25
    assert gammas[1] > 4
    assert 1e-4 < slowest < 0.003 < fastest < 5e-2
    assert "within 0.0029, a standard error over 3 tuning seeds, of the best accuracy" in words


def test_what_is_called_flat_loses_hardly_more_than_it_says():
    """In nine of ten studies no end is worse than the best by two standard errors."""
    rng, losses = np.random.default_rng(0), []
    for slope in (0.0, 0.02, 0.1) * 20:
        noise = rng.normal(0, 0.008, 5) + rng.normal(0, 0.004, (len(GRID), 5))
        if words := describe_flat(trials_at(GRID, hill(GRID, slope)[:, None] + noise)):
            error = float(re.search(r"within (\S+), a standard", words)[1])
            rates, gammas = ends_of(words)
            ends = np.array([*((rate, 1.0) for rate in rates), *((0.003, g) for g in gammas)])
            losses.append((0.9 - hill(ends, slope).min()) / error)
    assert len(losses) >= 20
    assert np.quantile(losses, 0.9) < 2


def test_a_trial_whose_value_is_no_number_is_left_out():
    values = np.vstack([[0.001, np.nan], GRID])
    made = trials_at(values, np.append(0.7, hill(GRID, 0.0))[:, None] + NOISE / 4)
    words = describe_flat(made)
    assert words
    assert words.endswith("by a quadratic through the best 15 of 17 trials.")


def test_thousands_of_trials_are_fitted_in_a_moment():
    values = np.array([list(candidate.values()) for candidate in sobol(AXES, 4096)])
    began = time.process_time()
    assert describe_flat(trials_at(values, hill(values, 0.1)[:, None] + NOISE / 4))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        (GRID[:7], hill(GRID[:7], 0.1)[:, None] + NOISE / 4),  # too few trials
        (GRID, hill(GRID, 0.1)[:, None] + NOISE[:2] / 4),  # too few seeds
        (GRID, np.where(np.arange(16) < 9, np.nan, hill(GRID, 0.1))[:, None] + NOISE / 4),
        (GRID, np.random.default_rng(1).random((16, 1)) + NOISE / 4),  # no hill
        (GRID, np.ones((16, 3))),  # no difference
        (np.tile(GRID[:1], (16, 1)), hill(GRID, 0.1)[:, None] + NOISE / 4),  # one value alone
    ],
    ids=["trials", "seeds", "diverged", "hill", "difference", "value"],
)
def test_nothing_is_called_flat_where_trials_cannot_show_it(values, scores):
    assert describe_flat(trials_at(values, scores)) is None


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


def test_another_rule_for_the_epoch_than_tuning_s_is_named():
    (shown,) = compare([tuned("first", [0.5, 0.6]), tuned("b", [0.5, 0.6])], at="best")
    words = "Tuning judged after the last epoch, this comparison at the epoch chosen on validation"
    assert [note for note in list_tuning_notes(shown) if note.startswith(words)]
    (shown,) = compare([tuned("first", [0.5, 0.6]), tuned("b", [0.5, 0.6])], at="last")
    assert not any("epoch" in note for note in list_tuning_notes(shown))


def test_another_metric_than_the_one_that_tuning_judged_by_is_named():
    shown = compared(tuned("first", [0.5, 0.6], metric="val/log_loss"))
    assert "Tuning judged by log_loss, not accuracy." in list_tuning_notes(shown)
