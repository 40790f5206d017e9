"""Comparisons -> the pictures of a page: one for each loss, on the same axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.comparison import Comparison, DatasetRanking, Group
from lossbench.report.charts import COLOURS, Chart, Frame, Mark, cells, span, strip, thinned
from lossbench.results import Result, bands

Array = NDArray[np.float64]
EARLY = 0.1  # the share of a training in which curves fall so far that the rest looks flat
FEWEST = 10  # examples that make a bin's accuracy worth a dot


@dataclass(frozen=True)
class Figure:
    """Pictures by their titles, what they show, and how to read them."""

    title: str
    words: str
    charts: Mapping[str, Chart]


@dataclass(frozen=True)
class MeanCurve:
    """A mean over x with the ends of its band, where it has one."""

    x: Array
    mean: Array
    low: Array | None = None
    high: Array | None = None


# --- a line for each loss -------------------------------------------------------------------


def intervals(comparison: Comparison) -> dict[str, Chart]:
    """The compared metric: seeds as dots, mean and interval over them, the baseline's mean."""
    column = f"test/{comparison.metric}"
    values = {label: r.seeds[column].to_numpy(float) for label, r in comparison.results.items()}
    frame = strip(span(*values.values()), width=200)
    base = comparison.row(comparison.baseline).metrics[comparison.metric]
    charts = {}
    for row in comparison.rows:
        interval = row.metrics[comparison.metric]
        zero = [base.estimate] * 2 if base else []
        marks = [
            Mark("zero", frame.line(zero, [-1, 1][: len(zero)])),
            *_seeds(frame, values[row.label]),
        ]
        if interval:
            marks += _interval(frame, interval.estimate, interval.low, interval.high)
        label = f"{row.label}: {comparison.metric} of each seed, mean and 95 % interval"
        charts[row.label] = Chart(label, frame, tuple(marks))
    return charts


def differences(comparison: Comparison) -> Figure:
    """Each seed's difference to the baseline, their mean and interval."""
    rows = [row for row in comparison.rows if np.isfinite(row.differences).any()]
    frame = strip(span([0.0], *(row.differences for row in rows)))
    charts = {}
    for row in rows:
        marks = [
            Mark("zero", frame.line([0, 0], [-1, 1])),
            *_seeds(frame, np.array(row.differences)),
        ]
        if row.difference:
            d = row.difference
            marks += _interval(frame, d.estimate, d.low, d.high)
        charts[row.label] = Chart(f"{row.label} less {comparison.baseline}", frame, tuple(marks))
    side = "right" if comparison.direction > 0 else "left"
    return Figure(
        "Paired differences",
        f"{comparison.metric} less that of {comparison.baseline}, a dot for each seed, with mean "
        f"and 95 % interval; the line is no difference, and {side} of it the loss is better. "
        f"The axis runs from {frame.x[0]:+.3g} to {frame.x[1]:+.3g}.",
        charts,
    )


def ranks(ranking: DatasetRanking) -> dict[str, Chart]:
    """Average ranks with half a critical difference on both sides: apart where bars do not meet."""
    half = ranking.critical_difference / 2
    frame = strip((1 - half, len(ranking.ranks) + half))
    return {
        label: Chart(
            f"{label}: average rank {rank:.2f}",
            frame,
            tuple(_interval(frame, rank, rank - half, rank + half)),
        )
        for label, rank in ranking.ranks.items()
    }


def _seeds(frame: Frame, values: Array) -> list[Mark]:
    """Dots, raised and lowered in turn so that they hide each other less."""
    heights = np.resize([0.5, -0.5, 0.0, 0.75, -0.75], len(values))
    return [Mark("seed", frame.dots(values, heights))]


def _interval(frame: Frame, mean: float, low: float, high: float) -> list[Mark]:
    return [Mark("interval", frame.line([low, high], [0, 0])), Mark("mean", frame.dots(mean, 0))]


# --- a picture for each loss ----------------------------------------------------------------


def learning_curves(comparison: Comparison) -> Figure | None:
    """The compared metric on validation data over the epochs."""
    metric = f"val/{comparison.metric}"
    found = {label: _learning(comparison.results[label], metric) for label in _labels(comparison)}
    curves = {label: curve for label, curve in found.items() if len(curve.x)}
    words = (
        f"{comparison.metric} on validation data by epoch, mean over seeds with its 95 % interval; "
        "the first epochs may lie beyond the frame"
    )
    return _multiples("Learning curves", words, curves, comparison.baseline, skip=EARLY)


def _learning(result: Result, metric: str) -> MeanCurve:
    chosen = result.curves[result.curves.metric == metric]
    epochs = np.unique(chosen.epoch)
    few = epochs[thinned(len(epochs))] if len(epochs) else epochs
    table = bands(chosen[chosen.epoch.isin(few)])
    return MeanCurve(*(table[name].to_numpy(float) for name in ("epoch", "mean", "low", "high")))


def robustness(group: Group) -> Figure | None:
    """The compared metric on the test split over a corruption's strength."""
    first = next(iter(group.comparisons.values()))
    curves = {}
    for label in group.labels:
        points = [
            (float(value), interval.estimate, interval.low, interval.high)
            for value, c in group.comparisons.items()
            if label in c.results and (interval := c.row(label).metrics[c.metric])
        ]
        if points:
            curves[label] = MeanCurve(*np.array(points).T)
    words = f"{first.metric} on the test split by {group.key}, mean with its 95 % interval"
    return _multiples("Robustness", words, curves, first.baseline, dots=True)


def reliability(comparison: Comparison) -> Figure | None:
    """Accuracy against confidence, in bins over all seeds."""
    curves = {}
    for label in _labels(comparison):
        found = details(comparison.results[label])
        if "reliability.count" not in found:
            return None
        count = found["reliability.count"].sum(0)
        some = count >= FEWEST
        parts = ("reliability.confidence", "reliability.accuracy")
        sums = [np.nansum(found[p] * found["reliability.count"], 0)[some] for p in parts]
        curves[label] = MeanCurve(*(s / count[some] for s in sums))
    words = (
        "Accuracy against confidence on the test split, in bins of confidence over all seeds, "
        f"those of fewer than {FEWEST} examples left out; on the diagonal a model is right as "
        "often as it is sure, below it is too sure"
    )
    frame = Frame((span(*(c.x for c in curves.values()))[0], 1.0), (0.0, 1.0))
    diagonal = Mark("zero", frame.line([frame.x[0], 1], [frame.x[0], 1]))
    return _drawn("Reliability", words, curves, comparison.baseline, frame, (diagonal,), dots=True)


def residuals(comparison: Comparison) -> Figure | None:
    """Quantiles of what was missed, over the seeds' means."""
    curves = {}
    for label in _labels(comparison):
        found = details(comparison.results[label])
        if "residuals.quantile" not in found:
            return None
        curves[label] = MeanCurve(found["residuals.level"][0], found["residuals.quantile"].mean(0))
    words = (
        "Target less prediction on the test split, in standard deviations of the target: the value "
        "at each share of the examples, mean over seeds; the line is no error"
    )
    frame = Frame((0, 1), span(*(c.mean for c in curves.values())))
    zero = Mark("zero", frame.line([0, 1], [0, 0]))
    return _drawn("Residual quantiles", words, curves, comparison.baseline, frame, (zero,))


def planes(comparison: Comparison) -> Figure | None:
    """Where inputs are a plane: the class decided on, with training examples of the first seed."""
    charts = {}
    seed = None
    for label in _labels(comparison):
        result = comparison.results[label]
        found = details(result)
        if "plane.class" not in found:
            return None
        seed = int(result.details.seed.iloc[0])
        first = {name: values[0] for name, values in found.items()}
        charts[label] = _plane(label, first)
    words = (
        f"The class that each place is given, by the model of seed {seed}, stronger where it is "
        "surer, with training examples of that seed; axes in standard deviations"
    )
    return Figure("Decision boundaries", f"{words}.", charts) if charts else None


def _plane(label: str, found: dict[str, Array]) -> Chart:
    ends = (float(found["plane.extent"][0]), float(found["plane.extent"][1]))
    frame = Frame(ends, ends, height=160)
    classes = found["points.class"].astype(int)
    chance = 1 / (max(found["plane.class"].max(), classes.max()) + 1)
    marks = [*cells(frame, found["plane.class"], found["plane.confidence"], chance)]
    for number in np.unique(classes):
        own = classes == number
        path = frame.dots(found["points.x"][own], found["points.y"][own])
        marks += [Mark("rim", path), Mark(f"point c{number % COLOURS}", path)]
    return frame.ticks(f"{label}: decisions on the plane of inputs", marks)


def details(result: Result) -> dict[str, Array]:
    """Name -> a row of numbers for each seed that finished, seeds ascending."""
    if not len(result.details):
        return {}
    ordered = result.details.sort_values("seed", kind="stable")
    return {
        str(name): np.stack(list(found)).astype(float)
        for name, found in ordered.groupby("name")["values"]
    }


def _labels(comparison: Comparison) -> list[str]:
    """The losses that finished on some seed, best first."""
    return [row.label for row in comparison.rows if row.diverged < row.seeds]


def _multiples(
    title: str,
    words: str,
    curves: dict[str, MeanCurve],
    baseline: str,
    *,
    skip: float = 0.0,
    dots: bool = False,
) -> Figure | None:
    """Curves on axes that hold them with their bands, but for the first so many of their points."""
    if not curves:
        return None
    edges = [
        edge[int(skip * len(edge)) :]
        for c in curves.values()
        for edge in (c.mean, c.low, c.high)
        if edge is not None
    ]
    frame = Frame(span(*(c.x for c in curves.values()), pad=0.02), span(*edges))
    return _drawn(title, words, curves, baseline, frame, (), dots=dots)


def _drawn(
    title: str,
    words: str,
    curves: dict[str, MeanCurve],
    baseline: str,
    frame: Frame,
    under: tuple[Mark, ...],
    *,
    dots: bool = False,
) -> Figure | None:
    """Each curve over the baseline's."""
    if not curves:
        return None
    base = curves.get(baseline)
    dashed = (Mark("base", frame.line(base.x, base.mean)),) if base else ()
    charts = {}
    for label, curve in curves.items():
        marks = [*under, *(dashed if label != baseline else ())]
        if curve.low is not None and curve.high is not None:
            marks.append(Mark("band", frame.band(curve.x, curve.low, curve.high)))
        marks.append(Mark("curve", frame.line(curve.x, curve.mean)))
        if dots:
            marks.append(Mark("mean", frame.dots(curve.x, curve.mean)))
        charts[label] = frame.ticks(f"{label}: {words}", marks)
    dashes = f"; dashed, {baseline}" if base and len(curves) > 1 else ""
    return Figure(title, f"{words}{dashes}.", charts)


FIGURES: tuple[Callable[[Comparison], Figure | None], ...] = (
    learning_curves,
    reliability,
    residuals,
    planes,
)
