"""Charts of stored predictions: what a task declares is drawn, and says what its metrics say."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from made_results import BASE, result
from scipy import special
from sklearn.metrics import roc_auc_score

from lossbench.comparison import compare
from lossbench.drawing.critical import Mark, Ranks
from lossbench.looks import PLAIN
from lossbench.report.figures import assign_looks, draw_further
from lossbench.report.figures.predicted import CHARTS
from lossbench.report.html import Words, render_page
from lossbench.results import Result
from lossbench.results.predictions import PerSeed
from lossbench.tasks import Chart, task_class

SEEDS, EXAMPLES = 4, 120
RNG = np.random.default_rng(0)
LABELS = np.stack([np.arange(EXAMPLES) % 5 % 3 for _ in range(SEEDS)])
PROBABILITIES = special.softmax(
    RNG.normal(size=(SEEDS, EXAMPLES, 3)) + 2 * np.eye(3)[LABELS], axis=-1
)
SCORES = special.expit(RNG.normal(size=(SEEDS, EXAMPLES)) + (LABELS == 2))
NUMBERS = 50 + 10 * RNG.normal(size=(SEEDS, EXAMPLES))
QUANTILES = special.ndtri(np.arange(1, 20) / 20) * np.ones((SEEDS, EXAMPLES, 1))
DATA = {
    "multiclass": (PROBABILITIES, LABELS, {"num_classes": 3}),
    "binary": (SCORES, (LABELS == 2).astype(float), {}),
    "regression": (NUMBERS, NUMBERS + RNG.standard_t(2, size=NUMBERS.shape), {"target_shape": []}),
    "distributional": (QUANTILES, RNG.normal(size=(SEEDS, EXAMPLES)), {"target_shape": []}),
}


def predicted(task: str, loss: str = "cross_entropy", diverged=(), **arrays) -> Result:
    """A result of the task whose predictions are kept."""
    estimate, target, fields = DATA[task]
    made = result(loss, BASE[:SEEDS], diverged=diverged)
    kept = {"test": estimate, "test_best": estimate, "test_target": target, **arrays}
    fields = {"input_shape": [4], **fields}
    return replace(
        made,
        summary={**made.summary, "task": task, "task_fields": fields},
        predictions=(PerSeed(tuple(range(SEEDS)), lambda: kept),),
    )


def charts(*results: Result) -> dict[str, list]:
    """The drawings of each chart by its title."""
    (comparison,) = compare(results)
    pictures = draw_further(comparison, assign_looks([comparison]))
    return {picture.title: [*picture.drawings] for picture in pictures}


def test_every_chart_that_a_task_may_declare_is_drawn():
    assert set(CHARTS) == set(get_args(Chart))
    declared = {chart for task in DATA for chart in task_class(task).charts}
    assert declared == set(CHARTS)


@pytest.mark.parametrize("task", DATA)
def test_the_page_folds_the_charts_of_the_task_and_says_their_numbers(task):
    page = render_page(compare([predicted(task), predicted(task, "focal")]), Words("title"))
    drawn = charts(predicted(task), predicted(task, "focal"))
    for title in drawn:
        assert f'<details class="further"><summary>{title}</summary>' in page
    assert len(drawn) == len(task_class(task).charts) + 1, "and what it costs"
    assert "Cost and quality" in drawn


def test_recall_of_classes_is_ordered_by_their_examples_and_confusions_are_shares():
    counts = np.tile([10, 40, 20], (SEEDS, 1))
    drawn = charts(predicted("multiclass", class_counts=counts))
    (graph,), (matrix,) = drawn["Recall by class size"], drawn["Confusion matrices"]
    assert graph.ticks == ("1\n40", "2\n20", "0\n10")
    right = PROBABILITIES.argmax(-1) == LABELS
    recalls = [
        np.mean([r[y == k].mean() for r, y in zip(right, LABELS, strict=True)]) for k in (1, 2, 0)
    ]
    assert graph.lines[0].y == pytest.approx(recalls)
    assert np.diag(matrix.values)[[1, 2, 0]] == pytest.approx(recalls)
    assert matrix.values.sum(1) == pytest.approx(np.ones(3))


def test_where_each_seed_has_its_own_rare_class_recall_is_of_places_by_size():
    counts = np.array([[10, 40, 20], [40, 10, 20], [40, 10, 20], [40, 10, 20]])
    (graph,) = charts(predicted("multiclass", class_counts=counts))["Recall by class size"]
    assert graph.ticks == ("1\n40", "2\n20", "3\n10")
    assert graph.x.startswith("place of the class")


def test_without_counts_of_training_classes_are_ordered_by_those_of_the_test_split():
    (graph,) = charts(predicted("multiclass"))["Recall by class size"]
    assert graph.x == "class, and its test examples"


def test_curves_of_a_rare_class_hold_the_areas_that_metrics_give():
    drawn = charts(predicted("binary"))
    roc, chance = drawn["ROC"][0].lines
    areas = [roc_auc_score(LABELS[0] == 2, scores) for scores in SCORES]
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(np.mean(areas), abs=0.02)
    assert chance.x is chance.y
    precision, share = drawn["Precision and recall"][0].lines
    assert share.y == (0.2, 0.2)
    assert precision.y[-1] >= 0.2
    assert precision.low[-1] <= precision.y[-1] <= precision.high[-1]


def test_heavy_tails_leave_the_normal_line_and_residuals_are_in_the_target_s_unit():
    drawn = charts(predicted("regression"))
    residuals, normal = drawn["Normal quantiles of residuals"][0].lines
    assert abs(residuals.y[0]) > abs(normal.y[0])
    medians = drawn["Residuals by prediction"][0].lines[0]
    assert len(medians.y) == 10
    assert np.all((medians.low < medians.y) & (medians.y < medians.high))
    assert 30 < medians.x[0] < medians.x[-1] < 70


def test_right_quantiles_cover_what_they_promise():
    covered, width = charts(predicted("distributional"))["Coverage"]
    assert covered.lines[0].x == pytest.approx(np.arange(1, 10) / 10)
    assert covered.lines[0].y == pytest.approx(covered.lines[0].x, abs=0.07)
    assert width.lines[0].y[-1] == pytest.approx(2 * 1.645, abs=0.01)


def test_a_seed_that_diverged_and_a_result_without_predictions_are_left_out():
    unsound = PROBABILITIES.copy()
    unsound[3] = np.nan
    whole, bare = predicted("multiclass"), predicted("multiclass", "focal")
    drawn = charts(
        predicted("multiclass", "poly", diverged=(3,), test=unsound), replace(bare, predictions=())
    )
    (line,) = drawn["Recall by class size"][0].lines
    assert line.label == "poly"
    assert np.isfinite(np.asarray(line.y)).all()
    assert charts(replace(whole, predictions=())) == {}


def test_ranks_that_are_no_further_apart_than_the_critical_difference_are_joined():
    marks = tuple(
        Mark(label, rank, PLAIN) for label, rank in zip("abcd", (1, 1.8, 2.6, 4), strict=True)
    )
    assert Ranks("", marks, 1.0).bars() == [(1, 1.8), (1.8, 2.6)]
    assert Ranks("", marks, 0.5).bars() == []
    assert Ranks("", marks, 5.0).bars() == [(1, 4)]


def test_a_task_that_declares_an_unknown_chart_is_refused(monkeypatch):
    from lossbench import registry
    from lossbench.contract import UserError

    monkeypatch.setattr(task_class("binary"), "charts", ("pie",))
    registry.refresh()
    with pytest.raises(UserError, match="charts has pie; there are class_recall"):
        task_class("binary")
