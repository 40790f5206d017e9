"""What the page's first table shows where a reader picks another metric: values, no verdict."""

from __future__ import annotations

import json
import math

import numpy as np

from lossbench.comparison import PLACES, Comparison, Row
from lossbench.comparison.scales import Scale, scale_of, write_number
from lossbench.results import duplicates
from lossbench.statistics import Interval, t_interval

Cells = tuple[str, str, str, str, float, float]  # mean, half, difference, its ends; value, gain


def list_other_metrics(comparison: Comparison) -> list[str]:
    """Those that results have, but for what another one says."""
    hidden = {comparison.metric, *duplicates(comparison.results.values(), comparison.metric)}
    return [name for name in comparison.rows[0].metrics if name not in hidden]


def title_metrics(comparison: Comparison) -> str:
    """The compared metric and the others as the table's head has them, and which way, as JSON."""
    names = [comparison.metric, *list_other_metrics(comparison)]
    ways = {1: ", more is better", -1: ", less is better"}
    return json.dumps(
        [
            (
                f"{name}{scale_of(comparison, name).percent}",
                ways.get(_direction(comparison, name), ""),
            )
            for name in names
        ]
    )


def write_other_metrics(comparison: Comparison, row: Row) -> str:
    """The cells of a loss for each of the other metrics, as JSON."""
    return json.dumps([_cells(comparison, row, name) for name in list_other_metrics(comparison)])


def _cells(comparison: Comparison, row: Row, metric: str) -> Cells:
    """Of the seeds that both finished the mean paired difference, with its own 95 % interval."""
    scale, mean = scale_of(comparison, metric), comparison.shown(row).get(metric)
    if mean is None:
        return "", "", "", "", 0.0, 0.0
    gap = _difference(comparison, row.label, metric)
    return (
        write_mean(scale, mean),
        f"±{scale.write(mean.half)}" if math.isfinite(mean.half) else "",
        scale.write(gap.estimate, "+") if gap else "",
        write_ends(scale, gap) if gap else "",
        mean.estimate,
        gap.estimate * (_direction(comparison, metric) or 1) if gap else 0.0,
    )


def _direction(comparison: Comparison, metric: str) -> int:
    return int(next(iter(comparison.results.values())).summary["directions"][metric])


def _difference(comparison: Comparison, label: str, metric: str) -> Interval | None:
    if label == comparison.baseline or not comparison.paired:
        return None
    column = f"{PLACES[comparison.at]}/{metric}"
    ours, base = (
        comparison.results[name].seeds.set_index("seed")[column]
        for name in (label, comparison.baseline)
    )
    gaps = (ours - base).to_numpy(float)
    return t_interval(gaps[np.isfinite(gaps)]) if np.isfinite(gaps).any() else None


def write_mean(scale: Scale, mean: Interval) -> str:
    """A mean as a page has it."""
    return f"{100 * mean.estimate:.1f}" if scale.unit else write_number(mean.estimate, 4)


def write_ends(scale: Scale, interval: Interval) -> str:
    """The ends of a difference, where it has some."""
    if not math.isfinite(interval.low):
        return ""
    return f"{scale.write(interval.low, '+')} to {scale.write(interval.high, '+')}"
