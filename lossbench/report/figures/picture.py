"""What every figure is made of: a picture's title and words, and the looks of losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossbench.comparison import Comparison
from lossbench.comparison.scales import Scale
from lossbench.drawing import Drawing, Trace
from lossbench.looks import Look
from lossbench.statistics import Interval, t_interval

Array = NDArray[np.float64]
Looks = dict[str, Look]


@dataclass(frozen=True)
class Picture:
    """Drawings under one title, and how to read them."""

    title: str
    words: str
    drawings: tuple[Drawing, ...]


def rescale(interval: Interval, factor: float) -> Interval:
    return Interval(factor * interval.estimate, factor * interval.low, factor * interval.high)


def trace_through(label: str, points: dict[float, Interval], look: Look) -> Trace:
    """A curve with a dot for each interval, which stands at a number."""
    ends = [(each.estimate, each.low, each.high) for each in points.values()]
    y, low, high = np.array(ends).reshape(-1, 3).T
    return Trace(label, np.array([*points]), y, look, low, high, dots=True)


def mean_over_seeds(values: Array, bounds: tuple[float, float]) -> Interval:
    """Of those that are a number."""
    return t_interval(values[np.isfinite(values)], bounds=bounds)


def write_unit(scale: Scale) -> str:
    return f", percentage {scale.unit}" if scale.unit else ""


def is_wide(values: Array) -> bool:
    """Whether an axis of these is better drawn by their logarithms."""
    return bool(len(values) and 0 < 20 * values.min() <= values.max())


def list_finished(comparison: Comparison, looks: Looks) -> list[str]:
    """The losses that finished on some seed, in the order of their looks."""
    finished = {row.label for row in comparison.rows if row.diverged < row.seeds}
    return [label for label in looks if label in finished]
