"""Charts of stored predictions for the test split: those that the task declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from lossbench.comparison import Comparison
from lossbench.drawing import Confusion, Graph, Trace
from lossbench.looks import Look
from lossbench.report.figures.picture import (
    Array,
    Looks,
    Picture,
    list_finished,
    mean_over_seeds,
    trace_through,
)
from lossbench.results import Result
from lossbench.results.predictions import of_seeds
from lossbench.results.rescoring import task_of
from lossbench.tasks import Chart, Task

Numbers = dict[str, Array]
RATES = np.unique(np.concatenate([np.linspace(0, 0.1, 11), np.linspace(0.1, 1, 19)]))
RECALLS = np.linspace(0.04, 1, 25)
TENTHS = 10  # parts into which examples are dealt by their prediction
LEVELS = (np.arange(40) + 0.5) / 40  # of normal quantiles
LETTERS = 30  # along an axis as wide as a column, for the names of classes


@dataclass(frozen=True)
class Scored:
    """What a loss's finished seeds made of the test split (R, N, ...), and its targets.

    counts: (R, C) examples of each class, of training where that is known, else of the test split.
    """

    task: Task
    estimate: np.ndarray
    target: np.ndarray
    counts: np.ndarray | None


@dataclass(frozen=True)
class Charted:
    """What is measured of one loss, or None where it has no such numbers; and the pictures."""

    measure: Callable[[Scored], Numbers | None]
    draw: Callable[[dict[str, Numbers], Looks], Iterator[Picture]]


def draw_predicted(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """A picture for each chart of the task, of the losses whose predictions are kept."""
    task = task_of(next(iter(comparison.results.values())))
    measured: dict[Chart, dict[str, Numbers]] = {name: {} for name in task.charts}
    for label in list_finished(comparison, looks) if measured else ():
        scored = _read(comparison.results[label], task, comparison.at)
        for name in measured if scored else ():
            assert scored
            if (numbers := CHARTS[name].measure(scored)) is not None:
                measured[name][label] = numbers
    for name, of_losses in measured.items():
        if of_losses:
            yield from CHARTS[name].draw(of_losses, looks)


def _read(result: Result, task: Task, at: str) -> Scored | None:
    """The predictions after the epoch that is compared; None where they are not kept."""
    seeds = result.seeds.seed[result.seeds.status == "finished"]
    arrays = of_seeds(result.predictions, seeds)
    if arrays is None:
        return None
    estimate = arrays["test" if at == "last" else "test_best"]
    return Scored(task, estimate, arrays["test_target"], arrays.get("class_counts"))


# --- classes --------------------------------------------------------------------------------


def _count_confusions(scored: Scored) -> Array:
    """How often each class is taken for which, (R, C, C), a row for each true one."""
    decided = scored.task.decisions(torch.from_numpy(scored.estimate))["plane.class"].numpy()
    labels = range(scored.task.weighed_classes)
    pairs = zip(scored.target, decided, strict=True)
    return np.stack([confusion_matrix(y, label, labels=[*labels]) for y, label in pairs])


def _measure_confusion(scored: Scored) -> Numbers:
    counts = _count_confusions(scored)
    return {"share": np.nanmean(_divided(counts, counts.sum(-1, keepdims=True)), 0)}


def _measure_class_recall(scored: Scored) -> Numbers:
    counts = _count_confusions(scored)
    support = counts.sum(-1)
    sizes = support if scored.counts is None else scored.counts
    order = np.argsort(-sizes, axis=-1, kind="stable")
    recall = _divided(np.diagonal(counts, axis1=1, axis2=2), support)
    return {
        "recall": np.take_along_axis(recall, order, -1),
        "size": np.take_along_axis(sizes, order, -1).mean(0),
        "order": order,
        "of_training": np.array(scored.counts is not None),
    }


def _divided(values: Array, by: Array) -> Array:
    """NaN for 0 / 0."""
    return np.divide(values, by, out=np.full(values.shape, np.nan), where=by > 0)


def _draw_class_recall(measured: dict[str, Numbers], looks: Looks) -> Iterator[Picture]:
    first = next(iter(measured.values()))
    size, order, lines = first["size"], first["order"], list[Trace]()
    for label, numbers in measured.items():
        points = {
            float(place): mean_over_seeds(recall, (0, 1))
            for place, recall in enumerate(numbers["recall"].T)
            if np.isfinite(recall).any()
        }
        lines.append(trace_through(label, points, looks[label]))
    alike = bool((order == order[0]).all())  # else which class is rare is the seed's own
    names = order[0] if alike else 1 + np.arange(len(size))
    every = 1 + len(size) * len(f" {size[0]:.0f}") // LETTERS
    pairs = enumerate(zip(names, size, strict=True))
    ticks = tuple("" if i % every else f"{name}\n{count:.0f}" for i, (name, count) in pairs)
    split = "training" if first["of_training"] else "test"
    words = (
        "Share of each class's test examples that are decided right, mean over seeds with its "
        f"95 % interval; classes by their {split} examples, {size[0]:.0f} to {size[-1]:.0f}."
    )
    axis = f"{'class' if alike else 'place of the class'}, and its {split} examples"
    graph = Graph("", axis, "recall", tuple(lines), ticks=ticks)
    yield Picture("Recall by class size", words, graph.split())


def _draw_confusion(measured: dict[str, Numbers], looks: Looks) -> Iterator[Picture]:
    words = (
        "Of the test examples of each class, a row, the per cent that are decided to be of each, a "
        "column; mean over seeds."
    )
    drawings = (Confusion(label, "decided", "true", n["share"]) for label, n in measured.items())
    yield Picture("Confusion matrices", words, tuple(drawings))


# --- a class against the other --------------------------------------------------------------


def _labels(scored: Scored) -> list[np.ndarray] | None:
    """Whether each target is class 1, seed by seed; None where a seed has one class only."""
    labels = [target > 0.5 for target in scored.target]
    return labels if all(0 < each.mean() < 1 for each in labels) else None


def _measure_precision(scored: Scored) -> Numbers | None:
    if (labels := _labels(scored)) is None:
        return None
    curves = []
    for label, estimate in zip(labels, scored.estimate, strict=True):
        precision, recall, _ = precision_recall_curve(label, estimate)
        curves.append(precision[::-1][np.searchsorted(recall[::-1], RECALLS)])
    return {"y": np.stack(curves), "share": np.array([np.mean(labels)])}


def _measure_roc(scored: Scored) -> Numbers | None:
    if (labels := _labels(scored)) is None:
        return None
    curves = []
    for label, estimate in zip(labels, scored.estimate, strict=True):
        false_rate, true_rate, _ = roc_curve(label, estimate)
        curves.append(true_rate[np.searchsorted(false_rate, RATES, side="right") - 1])
    return {"y": np.stack(curves)}


def _draw_precision(measured: dict[str, Numbers], looks: Looks) -> Iterator[Picture]:
    share = float(next(iter(measured.values()))["share"][0])
    lines = [_band(label, RECALLS, n["y"], looks[label]) for label, n in measured.items()]
    lines.append(Trace("", (0.0, 1.0), (share, share)))
    words = (
        "Precision and recall of class 1 on the test split as the threshold falls, mean over seeds "
        f"with its 95 % interval. The line is its share of the examples, {share:.1%}."
    )
    graph = Graph("", "recall of class 1", "precision", tuple(lines), (0, 1), (0, 1.02))
    yield Picture("Precision and recall", words, graph.split())


def _draw_roc(measured: dict[str, Numbers], looks: Looks) -> Iterator[Picture]:
    lines = [_band(label, RATES, n["y"], looks[label]) for label, n in measured.items()]
    lines.append(Trace("", RATES, RATES))
    words = (
        "Share of class 1 that is found against the share of class 0 that is taken for it, on the "
        "test split; mean over seeds with its 95 % interval. The diagonal is chance."
    )
    x, y = "false positive rate", "true positive rate"
    graph = Graph("", x, y, tuple(lines), (0, 1), (0, 1.02))
    yield Picture("ROC", words, graph.split())


def _band(label: str, x: Array, values: Array, look: Look) -> Trace:
    """The mean of curves (R, K) and its interval."""
    each = [mean_over_seeds(column, (0, 1)) for column in values.T]
    y, low, high = np.array([(i.estimate, i.low, i.high) for i in each]).T
    return Trace(label, x, y, look, low, high)


# --- numbers --------------------------------------------------------------------------------


def _measure_residuals(scored: Scored) -> Numbers | None:
    if scored.estimate.ndim != 2:
        return None
    estimate, residual = scored.estimate.ravel(), (scored.target - scored.estimate).ravel()
    parts = np.array_split(np.argsort(estimate, kind="stable"), TENTHS)
    quartiles = [np.quantile(residual[part], (0.25, 0.5, 0.75)) for part in parts]
    return {"x": np.array([estimate[part].mean() for part in parts]), "y": np.array(quartiles).T}


def _measure_normal(scored: Scored) -> Numbers | None:
    if scored.estimate.ndim != 2:
        return None
    residual = scored.target - scored.estimate
    deviation = residual.std(1, keepdims=True)
    if not deviation.all():
        return None
    scaled = (residual - residual.mean(1, keepdims=True)) / deviation
    return {"y": np.quantile(scaled, LEVELS, axis=1).mean(1)}


def _draw_residuals(measured: dict[str, Numbers], looks: Looks) -> Iterator[Picture]:
    lines = [
        Trace(label, n["x"], n["y"][1], looks[label], n["y"][0], n["y"][2], dots=True)
        for label, n in measured.items()
    ]
    words = (
        "Target less prediction on the test split by prediction, in the target's unit: median and "
        "quartiles of each tenth of the predictions of all seeds. Medians at 0 everywhere miss no "
        "shape."
    )
    graph = Graph("", "prediction", "target less prediction", tuple(lines))
    yield Picture("Residuals by prediction", words, graph.split())


def _draw_normal(measured: dict[str, Numbers], looks: Looks) -> Iterator[Picture]:
    x = stats.norm.ppf(LEVELS)
    lines = [Trace(label, x, n["y"], looks[label]) for label, n in measured.items()]
    lines.append(Trace("", x, x))
    words = (
        "Quantiles of standardised residuals on the test split, mean over seeds, against those of "
        "a normal distribution. Ends that leave the line are heavier, or lighter, tails."
    )
    graph = Graph("", "normal quantile", "quantile of residuals", tuple(lines))
    yield Picture("Normal quantiles of residuals", words, graph.split())


# --- distributions --------------------------------------------------------------------------


def _measure_coverage(scored: Scored) -> Numbers | None:
    if scored.estimate.ndim != 3 or not np.isfinite(scored.estimate).all():
        return None
    outer = np.arange((scored.estimate.shape[-1] - 1) // 2)[::-1]  # the narrowest interval first
    low, high = scored.estimate[..., outer], scored.estimate[..., -1 - outer]
    target = scored.target[..., None]
    covered = (low <= target) & (target <= high)
    return {"y": covered.mean(1), "width": (high - low).mean((0, 1))}


def _draw_coverage(measured: dict[str, Numbers], looks: Looks) -> Iterator[Picture]:
    count = len(next(iter(measured.values()))["width"])
    nominal = np.arange(1, count + 1) / (count + 1)
    lines = [_band(label, nominal, n["y"], looks[label]) for label, n in measured.items()]
    lines.append(Trace("", (0.0, 1.0), (0.0, 1.0)))
    widths = [
        Trace(label, n["y"].mean(0), n["width"], looks[label]) for label, n in measured.items()
    ]
    words = (
        "Share of test targets within the central intervals against what these promise, mean over "
        "seeds with its 95 % interval; below the diagonal they are too narrow. Then how wide they "
        "are at what they cover: of two that cover alike, the narrower says more."
    )
    covers = Graph("", "nominal coverage", "coverage", tuple(lines), (0, 1), (0, 1))
    width = Graph("", "coverage", "mean width, in the target's unit", tuple(widths))
    yield Picture("Coverage", words, (*covers.split(), *width.split()))


CHARTS: dict[Chart, Charted] = {
    "class_recall": Charted(_measure_class_recall, _draw_class_recall),
    "confusion": Charted(_measure_confusion, _draw_confusion),
    "precision_recall": Charted(_measure_precision, _draw_precision),
    "roc": Charted(_measure_roc, _draw_roc),
    "residuals": Charted(_measure_residuals, _draw_residuals),
    "normal_quantiles": Charted(_measure_normal, _draw_normal),
    "coverage": Charted(_measure_coverage, _draw_coverage),
}
