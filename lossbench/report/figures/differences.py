"""Differences to the baseline seed by seed, scores, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossbench.comparison import PLACES, Comparison, Row
from lossbench.comparison.scales import scale_of
from lossbench.drawing import Estimate, Forest, Graph
from lossbench.report.figures.picture import (
    Looks,
    Picture,
    is_wide,
    list_finished,
    rescale,
    trace_through,
    write_unit,
)
from lossbench.statistics import Interval


def draw_differences(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Each seed's difference to the baseline, or its score where there is nothing to compare."""
    rows = [row for row in comparison.rows if np.isfinite(row.differences).any()]
    if not rows:
        yield from _scores(comparison, looks)
        return
    scale, base = scale_of(comparison), comparison.baseline
    margin = scale.factor * (comparison.margin or 0.0)
    zero = Estimate(f"{base} (baseline)", Interval(0, 0, 0), (), looks[base], margin)
    drawn = (_row(row, looks, margin, scale.factor) for row in rows)
    arrow = "better →" if comparison.direction > 0 else "← better"
    axis = f"{comparison.metric} less that of {base}{write_unit(scale)}; {arrow}"
    together = " for all losses at once" if comparison.family > 1 else ""
    words = f"A dot for each seed, with their mean and its 95 % interval{together}"
    words += "" if comparison.origin.get("drawn") == "anew" else " on new data"
    words += "; the line is no difference"
    shade = f", what lies in the shade does not matter (within {margin:g})" if margin else ""
    title = "Paired differences" if comparison.paired else "Differences"
    yield Picture(title, f"{words}{shade}.", (Forest("", axis, (*drawn, zero)),))


def _row(row: Row, looks: Looks, margin: float, factor: float) -> Estimate:
    interval = row.difference and rescale(row.difference, factor)
    return Estimate(
        row.label, interval, factor * np.array(row.differences), looks[row.label], margin
    )


def _scores(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    column, rows = f"{PLACES[comparison.at]}/{comparison.metric}", []
    for row in comparison.rows:
        values = comparison.results[row.label].seeds[column].to_numpy(float)
        interval = comparison.shown(row)[comparison.metric]
        rows.append(Estimate(row.label, interval, values, looks[row.label]))
    words = "A dot for each seed, with their mean and its 95 % interval."
    title = f"{comparison.metric} on the test split"
    yield Picture(title, words, (Forest("", comparison.metric, tuple(rows), rule=None),))


def draw_costs(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """The compared metric on the test split over the seconds that a seed took."""
    scale, lines = scale_of(comparison), []
    for label in list_finished(comparison, looks):
        row = comparison.row(label)
        if (interval := comparison.shown(row)[comparison.metric]) and row.seconds > 0:
            points = {row.seconds / row.seeds: rescale(interval, scale.factor)}
            lines.append(trace_through(label, points, looks[label]))
    if len(lines) > 1:
        words = (
            "Mean with its 95 % interval over seconds for each seed, as it was trained here: in a "
            "stack with the others, next to whatever else the machine did."
        )
        y = f"test {comparison.metric}{scale.percent}"
        seconds = np.concatenate([np.asarray(line.x) for line in lines])
        wide = is_wide(seconds)
        room = None if wide else (0.0, 1.1 * seconds.max())
        graph = Graph("", "seconds for each seed", y, tuple(lines), room, log=wide)
        yield Picture("Cost and quality", words, graph.split())
