"""Lines on the same axes, named at their ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from lossbench.drawing.sizes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    LETTER,
    LINE,
    RIGHT,
    TOP,
    WIDTH,
    Array,
    Ends,
    Margins,
    below,
    break_name,
    cover,
    fold,
    name_part,
)
from lossbench.looks import COLOURS, INK, PLAIN, Look

FOLD = 20  # letters in a line of a name
NEAR = 0.8  # of the frame's width, from which on a name is joined to the line itself


@dataclass(frozen=True)
class Trace:
    """A curve with the ends of its band, where it has one; without a label it is a reference."""

    label: str
    x: ArrayLike
    y: ArrayLike
    look: Look = PLAIN
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    dots: bool = False


@dataclass(frozen=True)
class Graph:
    """Lines on the same axes, named at their ends; a range that is not given holds all of them.

    ticks: the names of the places 0, 1, … along x, where these are no numbers.
    """

    title: str
    x: str
    y: str
    lines: tuple[Trace, ...]
    x_range: Ends | None = None
    y_range: Ends | None = None
    log: bool = False
    ticks: tuple[str, ...] = ()

    size = (WIDTH, HEIGHT)

    @property
    def margins(self) -> Margins:
        letters = [len(row) for _, name in self._named() for row in name]
        right = 0.25 + LETTER * max(letters) if letters else RIGHT
        rows = max((tick.count("\n") for tick in self.ticks), default=0)
        left = LEFT + LINE * fold(self.y, HEIGHT - BOTTOM).count("\n")
        return left, right, below(self.x, WIDTH) + LINE * rows

    def split(self) -> tuple[Graph, ...]:
        """As many lines to a graph as there are colours, those in ink in each, on the same axes."""
        ink = [line for line in self.lines if line.look.colour == INK]
        others = [line for line in self.lines if line.look.colour != INK]
        x, y = self._ranges()
        return tuple(
            replace(self, lines=(*others[i : i + len(COLOURS)], *ink), x_range=x, y_range=y)
            for i in range(0, max(1, len(others)), len(COLOURS))
        )

    def onto(self, axes: Axes) -> None:
        """Draw it; the first line lies above the others."""
        for line in reversed(self.lines):
            _draw_line(axes, line)
        x, y = self._ranges()
        axes.set(xlim=x, ylim=y, xlabel=fold(self.x, WIDTH), ylabel=fold(self.y, HEIGHT - BOTTOM))
        if self.ticks:
            axes.set_xticks(range(len(self.ticks)), self.ticks)
        elif self.log:
            axes.set_xscale("log")
            axes.xaxis.set(major_formatter="{x:g}", minor_formatter="")
        else:
            whole = all(np.equal(np.mod(line.x, 1), 0).all() for line in self.lines)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        if y[0] < 0 < y[1]:
            axes.axhline(0, color=INK, linewidth=0.7, zorder=1)
        _name_ends(axes, self._named())

    def _named(self) -> list[tuple[Trace, list[str]]]:
        """The lines that have a name, where there are several, and it in rows."""
        named = [line for line in self.lines if line.label]
        return [(line, break_name(line.label, FOLD)) for line in named if len(named) > 1]

    def _ranges(self) -> tuple[Ends, Ends]:
        edges = [e for line in self.lines for e in (line.y, line.low, line.high) if e is not None]
        x = self.x_range or cover(*(line.x for line in self.lines), pad=0.02, log=self.log)
        return x, self.y_range or cover(*edges)


def _draw_line(axes: Axes, line: Trace) -> None:
    colour = line.look.colour
    if line.low is not None and line.high is not None:
        part = {"color": colour, "gid": name_part(line.label)}
        if np.size(line.x) == 1:
            axes.vlines(line.x, line.low, line.high, linewidth=1.2, **part)  # type: ignore[arg-type]
        else:
            axes.fill_between(line.x, line.low, line.high, alpha=0.13, linewidth=0, **part)  # type: ignore[arg-type]
    width, marker = (1.7, line.look.shape if line.dots else "") if line.label else (0.7, "")
    axes.plot(
        np.asarray(line.x, float),
        np.asarray(line.y, float),
        color=colour,
        linestyle=line.look.dashes,
        linewidth=width,
        marker=marker,
        markersize=3.5,
        gid=name_part(line.label, "curve"),
    )


def _name_ends(axes: Axes, named: list[tuple[Trace, list[str]]]) -> None:
    """Write each name next to the frame, joined to the end of its line."""
    if not named:
        return
    ends = np.array([_end_of(axes, line) for line, _ in named])
    heights = np.array([len(rows) for _, rows in named]) * LINE / (HEIGHT - BOTTOM - TOP)
    for (line, rows), (x, y), place in zip(named, ends, _spread(ends[:, 1], heights), strict=True):
        axes.plot(
            [x, 1.06],
            [y, place],
            color=line.look.colour,
            linewidth=0.7,
            marker=line.look.shape,
            markevery=[1],
            markersize=4,
            transform=axes.transAxes,
            clip_on=False,
            gid=name_part(line.label),
        )
        name = axes.text(1.1, place, "\n".join(rows), transform=axes.transAxes)
        name.set(verticalalignment="center", gid=name_part(line.label))


def _end_of(axes: Axes, line: Trace) -> Array:
    """Where a line ends, or, where that is far from the frame, at its height on the frame.

    As shares of the frame's width and height; a long join would be read as an interval.
    """
    points = np.stack([np.asarray(values, float) for values in (line.x, line.y)], -1)
    points = points[np.isfinite(points).all(-1)]
    if not len(points):
        return np.array([1.0, 0.0])
    x, y = axes.transAxes.inverted().transform(axes.transData.transform(points[-1]))
    return np.clip([x if x > NEAR else 1.0, y], 0, 1)


def _spread(wanted: ArrayLike, heights: Array) -> Array:
    """Places between 0 and 1 as near to those wanted as the heights of what stands there allow."""
    order = np.argsort(wanted, kind="stable")
    places, gaps = np.array(wanted)[order], heights[order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + (gaps[i - 1] + gaps[i]) / 2)
    ceiling = 1.0
    for i in reversed(range(len(places))):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - (gaps[i - 1] + gaps[i]) / 2
    spread = np.empty(len(places))
    spread[order] = places
    return spread
