"""Intervals on the same axis, a row for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from lossbench.drawing.sizes import (
    RIGHT,
    ROW,
    TOP,
    WIDTH,
    Array,
    Ends,
    Margins,
    below,
    cover,
    draw_dots,
    fold,
    name_part,
)
from lossbench.looks import INK, PLAIN, Look
from lossbench.statistics import Interval

DOTS = 70  # places along an axis for dots


@dataclass(frozen=True)
class Estimate:
    """A row: an interval, the values below it, and how far from the rule does not matter."""

    label: str
    interval: Interval | None
    values: ArrayLike = ()
    look: Look = PLAIN
    margin: float = 0.0


@dataclass(frozen=True)
class Forest:
    """Intervals on the same axis, a row for each; rule: where a line stands across all rows."""

    title: str
    x: str
    rows: tuple[Estimate, ...]
    rule: float | None = 0.0
    width: float = WIDTH

    @property
    def size(self) -> Ends:
        return self.width, self.margins[2] + TOP + ROW * len(self.rows)

    @property
    def margins(self) -> Margins:
        return 2 * RIGHT, 2 * RIGHT, below(self.x, self.width)

    def onto(self, axes: Axes) -> None:
        """Draw it, the first row at the top."""
        ends = [(r.interval.low, r.interval.high) for r in self.rows if r.interval]
        margins = [row.margin for row in self.rows]
        rule = [] if self.rule is None else [self.rule, self.rule - max(margins, default=0)]
        low, high = cover(rule, *ends, *(row.values for row in self.rows))
        for place, row in enumerate(self.rows):
            if row.margin and self.rule is not None:
                _draw_zone(axes, row, place, self.rule)
            _draw_estimate(axes, row, place, (low, high))
        if self.rule is not None:
            axes.axvline(self.rule, color=INK, alpha=0.6, linewidth=0.8, zorder=1)
        axes.set(xlim=(low, high), ylim=(len(self.rows) - 0.45, -0.7), yticks=[])
        axes.set_xlabel(fold(self.x, self.width))
        axes.xaxis.set_major_locator(MaxNLocator(6))


def _draw_estimate(axes: Axes, row: Estimate, place: int, room: Ends) -> None:
    colour, shape, part = row.look.colour, row.look.shape, name_part(row.label)
    name = axes.text(0, place - 0.33, row.label, transform=axes.get_yaxis_transform())
    name.set(verticalalignment="center", gid=part)
    if row.interval:
        low, high = row.interval.low, row.interval.high
        axes.plot([low, high], [place, place], color=colour, linewidth=2, gid=part)
        (point,) = axes.plot([row.interval.estimate], [place], shape, color=colour, gid=part)
        point.set(markersize=6, markeredgewidth=1.6)
    values = (every := np.asarray(row.values, float))[np.isfinite(every)]
    depth = _stacked(values, room)
    heights = place + 0.15 + 0.3 / max(4.0, depth.max(initial=0)) * depth
    draw_dots(axes, values, heights, 2.2, color=INK, alpha=0.55, gid=part)


def _draw_zone(axes: Axes, row: Estimate, place: int, rule: float) -> None:
    """What lies within the margin of a row, between two lines."""
    axes.barh(place - 0.1, 2 * row.margin, 1, rule - row.margin, color=INK, alpha=0.06)
    for end in (rule - row.margin, rule + row.margin):
        axes.plot([end, end], [place - 0.6, place + 0.4], color=INK, alpha=0.55, linewidth=0.6)


def _stacked(values: Array, room: Ends) -> Array:
    """How many values before it each would hide, sharing its place on the axis."""
    places = np.floor((values - room[0]) / (room[1] - room[0]) * DOTS)
    return np.array([np.sum(places[:i] == place) for i, place in enumerate(places)], float)
