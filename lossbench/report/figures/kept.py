"""What a result keeps for figures: reliability, residuals, where targets fall, planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lossbench.comparison import Comparison
from lossbench.drawing import Graph, Plane, Trace, cover
from lossbench.report.figures.picture import Array, Looks, Picture, list_finished
from lossbench.results import Result

FEWEST = 10  # examples that make a bin's accuracy worth a dot


def read_details(result: Result) -> dict[str, Array]:
    """Name -> a row of numbers for each seed that finished, seeds ascending."""
    if not len(result.details):
        return {}
    ordered = result.details.sort_values("seed", kind="stable")
    return {
        str(name): np.stack(list(values)).astype(float)
        for name, values in ordered.groupby("name")["values"]
    }


def _detailed(
    comparison: Comparison, looks: Looks, name: str
) -> Iterator[tuple[str, dict[str, Array]]]:
    """The losses whose details have the name, and their details."""
    for label in list_finished(comparison, looks):
        kept = read_details(comparison.results[label])
        if name in kept:
            yield label, kept


def draw_reliability(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Accuracy against confidence, in bins over all seeds."""
    lines, counts = list[Trace](), list[Trace]()
    for label, kept in _detailed(comparison, looks, "reliability.count"):
        count = kept["reliability.count"].sum(0)
        middles = (np.arange(len(count)) + 0.5) / len(count)
        counts.append(Trace(label, middles, 100 * count / count.sum(), looks[label]))
        some = count >= FEWEST
        parts = ("reliability.confidence", "reliability.accuracy")
        x, y = (
            np.nansum(kept[p] * kept["reliability.count"], 0)[some] / count[some] for p in parts
        )
        lines.append(Trace(label, x, y, looks[label], dots=True))
    if lines:
        words = (
            "Accuracy against confidence on the test split, in bins of confidence over all seeds, "
            f"those of fewer than {FEWEST} examples left out. On the diagonal a model is right as "
            "often as it is sure; below it, it is too sure. Then how many examples each bin has."
        )
        ends = (cover(*(line.x for line in lines))[0], 1.0)
        lines.append(Trace("", ends, ends))
        graph = Graph("", "confidence", "accuracy", tuple(lines), ends, (0.0, 1.0))
        share = Graph("", "confidence", "test examples, %", tuple(counts), x_range=ends)
        yield Picture("Reliability", words, (*graph.split(), *share.split()))


def draw_residuals(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Quantiles of what was missed, over the seeds' means."""
    lines = [
        Trace(
            label,
            kept["residuals.level"][0],
            kept["residuals.quantile"].mean(0),
            looks[label],
        )
        for label, kept in _detailed(comparison, looks, "residuals.quantile")
    ]
    if lines:
        words = (
            "Target less prediction on the test split, in the target's unit: the value at each "
            "share of the examples, mean over seeds. The line is no error."
        )
        graph = Graph("", "share of examples", "residual", tuple(lines))
        yield Picture("Residual quantiles", words, graph.split())


def draw_falls(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """How many targets lie between each quantile and the next, over the seeds' means."""
    middles, detailed = np.arange(0.025, 1, 0.05), _detailed(comparison, looks, "pit.share")
    shares = [(label, kept["pit.share"].mean(0)) for label, kept in detailed]
    if shares := [each for each in shares if np.isfinite(each[1]).all()]:
        lines = [Trace(label, middles, y, looks[label], dots=True) for label, y in shares]
        lines.append(Trace("", (0.0, 1.0), (0.05, 0.05)))
        words = "Share of test targets between a quantile and the next: 1 in 20 if they are right."
        graph = Graph("", "level of the quantiles", "share of targets", tuple(lines))
        yield Picture("Where targets fall", words, graph.split())


def draw_planes(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Where inputs are a plane: the class decided on, with training examples of the first seed."""
    kept = dict(_detailed(comparison, looks, "plane.class"))
    if kept:
        seed = int(comparison.results[next(iter(kept))].details.seed.iloc[0])
        words = (
            f"The class that each place is given by the model of seed {seed}, stronger where it is "
            "surer, with training examples of that seed. Inputs are in standard deviations."
        )
        drawings = tuple(_plane(label, each) for label, each in kept.items())
        yield Picture("Decision boundaries", words, drawings)


def draw_agreement(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Where inputs are a plane: what most seeds decide, and how many of them."""
    kept = {
        label: each
        for label, each in _detailed(comparison, looks, "plane.class")
        if len(each["plane.class"]) > 1
    }
    if kept:
        words = (
            "The class that most seeds decide on, paler where fewer of them agree. Inputs are "
            "in standard deviations."
        )
        drawings = tuple(_agreed(label, each) for label, each in kept.items())
        yield Picture("Decision boundaries of all seeds", words, drawings)


def _agreed(label: str, kept: dict[str, Array]) -> Plane:
    decided = kept["plane.class"]
    votes = np.stack([(decided == k).mean(0) for k in range(int(decided.max()) + 1)])
    classes, most = votes.argmax(0), votes.max(0)
    sure = np.clip(2 * most - 1, 0, 1)
    return replace(_plane(label, kept), classes=classes, confidence=sure, points=np.empty((3, 0)))


def _plane(label: str, kept: dict[str, Array]) -> Plane:
    first = {name: values[0] for name, values in kept.items()}
    low, high = first["plane.extent"]
    classes, points = first["plane.class"], first["points.class"]
    chance = 1 / (max(classes.max(), points.max()) + 1)
    sure = np.clip((first["plane.confidence"] - chance) / (1 - chance), 0, 1)
    examples = np.stack([first["points.x"], first["points.y"], points])
    return Plane(label, (float(low), float(high)), classes, sure, examples)
