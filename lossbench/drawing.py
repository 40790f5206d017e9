"""The one way to draw: lines, rows of intervals and planes, as files and as parts of a page.

In a page a drawing takes on the colours of the text around it, light or dark.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from lossbench.looks import COLOURS, INK, PLAIN, Look
from lossbench.statistics import Interval

Array = NDArray[np.float64]
Ends = tuple[float, float]
Margins = tuple[float, float, float]  # inches on the left, on the right and below
WIDTH, HEIGHT = 4.2, 2.8  # inches of a graph, whose letters can then be read on a phone
LEFT, RIGHT, BOTTOM, TOP = 0.66, 0.12, 0.27, 0.1  # inches around the axes, but for names
ROW, LETTER, LINE = 0.44, 0.068, 0.145  # inches: a forest's row, a letter's width, a line's height
FOLD, LETTERS_PER_INCH = 20, 12.5  # letters in a line of a label, and of a title
DOTS = 70  # places along an axis for dots
STYLE: Any = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 0),
    **dict.fromkeys(("axes.facecolor", "svg.fonttype"), "none"),
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.unicode_minus": False,
    "font.size": 9,
    "grid.alpha": 0.1,
    "path.simplify": False,  # dots would be lost
    "text.parse_math": False,
}


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
    """Lines on the same axes, named at their ends; a range that is not given holds all of them."""

    title: str
    x: str
    y: str
    lines: tuple[Trace, ...]
    x_range: Ends | None = None
    y_range: Ends | None = None
    log: bool = False

    size = (WIDTH, HEIGHT)

    @property
    def margins(self) -> Margins:
        letters = [len(row) for _, name in self._named() for row in name]
        right = 0.25 + LETTER * max(letters) if letters else RIGHT
        return LEFT, right, _below(self.x, WIDTH)

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
        axes.set(xlim=x, ylim=y, xlabel=_folded(self.x, WIDTH), ylabel=self.y)
        if self.log:
            axes.set_xscale("log")
            axes.xaxis.set(major_formatter="{x:g}", minor_formatter="")
        else:
            whole = all(np.equal(np.mod(line.x, 1), 0).all() for line in self.lines)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        if y[0] < 0 < y[1]:
            axes.axhline(0, color=INK, linewidth=0.7, zorder=1)
        _name_ends(axes, self._named(), y)

    def _named(self) -> list[tuple[Trace, list[str]]]:
        """The lines that have a name, where there are several, and it in rows."""
        named = [line for line in self.lines if line.label]
        return [(line, textwrap.wrap(line.label, FOLD)) for line in named if len(named) > 1]

    def _ranges(self) -> tuple[Ends, Ends]:
        edges = [e for line in self.lines for e in (line.y, line.low, line.high) if e is not None]
        x = self.x_range or cover(*(line.x for line in self.lines), pad=0.02, log=self.log)
        return x, self.y_range or cover(*edges)


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
        return 2 * RIGHT, 2 * RIGHT, _below(self.x, self.width)

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
        axes.set_xlabel(_folded(self.x, self.width))
        axes.xaxis.set_major_locator(MaxNLocator(6))


@dataclass(frozen=True)
class Plane:
    """A class for each place of a square grid, row by row from below, and points with theirs.

    confidence: from 0 to 1, of each place. points: x, y and class, (3, N).
    """

    title: str
    ends: Ends
    classes: Array
    confidence: Array
    points: Array

    size = (2.6, 2.6)
    margins = (0.3, RIGHT, BOTTOM)

    def onto(self, axes: Axes) -> None:
        """Draw it, stronger where it is surer."""
        side = round(len(self.classes) ** 0.5)
        colours = np.array([to_rgb(colour) for colour in COLOURS])
        image = np.empty((side, side, 4))
        image[..., :3] = colours[self.classes.astype(int) % len(COLOURS)].reshape(side, side, 3)
        levels = np.round(5 * self.confidence)  # few, as what is even is small when compressed
        image[..., 3] = 0.1 + 0.07 * levels.reshape(side, side)
        axes.imshow(image, extent=(*self.ends, *self.ends), origin="lower", interpolation="none")
        x, y, kinds = self.points
        for kind in np.unique(kinds):
            colour, held = COLOURS[int(kind) % len(COLOURS)], kinds == kind
            _draw_dots(axes, x[held], y[held], 2.4, color=colour)
        axes.set(xlim=self.ends, ylim=self.ends)
        axes.grid(False)


Drawing = Graph | Forest | Plane


def _folded(text: str, inches: float) -> str:
    """The name of an axis, in lines that stay within a drawing of this width."""
    return textwrap.fill(text, round(inches * 12), break_on_hyphens=False)


def _below(text: str, inches: float) -> float:
    """Inches for numbers and the name of the axis."""
    return BOTTOM + LINE * (_folded(text, inches).count("\n") + 1)


def cover(*values: ArrayLike, pad: float = 0.05, log: bool = False) -> Ends:
    """The range of all that is finite, a little wider."""
    flat = np.concatenate([np.empty(0), *(np.ravel(np.asarray(v, float)) for v in values)])
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 1.0
    if log:
        return tuple(10.0 ** np.array(cover(np.log10(flat), pad=pad)))
    low, high = float(flat.min()), float(flat.max())
    room = pad * (high - low) or abs(high) * pad or pad
    return low - room, high + room


def compose(drawings: Sequence[Drawing], *, title: str = "", columns: int = 2) -> Figure:
    """Drawings on one figure, a few in a row."""
    columns = min(columns, len(drawings))
    rows = [drawings[start : start + columns] for start in range(0, len(drawings), columns)]
    heights = [max(drawing.size[1] for drawing in row) for row in rows]
    width = sum(max(row[i].size[0] for row in rows if i < len(row)) for i in range(columns))
    with mpl.rc_context(STYLE):
        figure = Figure((width, sum(heights) + 0.35 * len(rows) + 0.3), layout="constrained")
        grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
        for axes in grid.flat[len(drawings) :]:
            axes.remove()
        for axes, drawing in zip(grid.flat, drawings, strict=False):
            drawing.onto(axes)
            axes.set_title(drawing.title)
        lines = (textwrap.fill(line, int(LETTERS_PER_INCH * width)) for line in title.split("\n"))
        figure.suptitle("\n".join(lines), fontsize=10)
        return figure


def save(drawings: Sequence[Drawing], path: Path, *, title: str = "", columns: int = 2) -> None:
    """Write drawings as one file, whose suffix says in which format; the same each time."""
    write(compose(drawings, title=title, columns=columns), path, title)


def write(figure: Figure, path: Path, salt: str) -> None:
    """Write a figure; salt: what makes the names within a file of its own."""
    day = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix.lower())
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt, "pdf.fonttype": 42}):
        figure.savefig(path, dpi=110, metadata={day: None} if day else None)


def render_inline(drawing: Drawing, words: str) -> str:
    """The drawing as an SVG element without its title; words say what it shows, and to whom."""
    (width, height), (left, right, bottom) = drawing.size, drawing.margins
    with mpl.rc_context({**STYLE, "svg.hashsalt": words}):
        figure = Figure((width, height))  # fixed margins: a layout costs as much as the drawing
        across, up = width - left - right, height - bottom - TOP
        axes = figure.add_axes((left / width, bottom / height, across / width, up / height))
        drawing.onto(axes)
        figure.set_facecolor("none")
        figure.savefig(stream := io.StringIO(), format="svg", metadata={"Date": None})
        edges = (left, width - right, height - bottom, TOP)
        places = [*axes.get_xlim(), *axes.get_ylim(), *(72 * edge for edge in edges)]  # points
    ends = " ".join(f"{place:.6g}" for place in places)
    log = ' data-log=""' if axes.get_xscale() == "log" else ""
    return _for_page(stream.getvalue(), words, 1.45 * width, f'data-frame="{ends}"{log}')


def _for_page(svg: str, words: str, width: float, frame: str) -> str:
    """The element, small, and in colours that the page may set; it knows the frame's ends."""
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    body = re.sub(r"<[^>]+>\s*", _tag_for_page, body.partition("<svg ")[2].partition(">")[2])
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    style = f'style="width: {width:.1f}in; max-width: 100%; font-family: system-ui, sans-serif"'
    names += f' role="img" aria-label="{escape(words)}"'
    return f"<svg {names} {frame} {box[0]} {style}>{body.replace('<g/>', '')}"


def _tag_for_page(tag: re.Match[str]) -> str:
    text = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", tag[0].rstrip())  # numbers nothing refers to
    text = re.sub(r' id="(part|curve):([^"]*)"', r' class="\1" data-loss="\2"', text)
    text = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", text)
    text = re.sub(r"(?<=\d) \n?L (?=[\d-])", " ", text)  # a line goes on as it began
    text = re.sub(r"font-family: [^;]+; | transform=\"rotate\(-0 [^\"]+\"", "", text)
    for number, colour in enumerate(COLOURS):
        text = text.replace(colour, f"var(--c{number}, {colour})")
    return re.sub(r"\s+", " ", text.replace(INK, "currentColor"))


def _name_part(label: str, kind: str = "part") -> str:
    """The name of a part of a drawing, by which a page finds all that belongs to a loss."""
    return f"{kind}:{label}" if label else "part:"


def _draw_line(axes: Axes, line: Trace) -> None:
    colour = line.look.colour
    if line.low is not None and line.high is not None:
        band = {"color": colour, "alpha": 0.13, "linewidth": 0, "gid": _name_part(line.label)}
        axes.fill_between(line.x, line.low, line.high, **band)  # type: ignore[arg-type]
    width, marker = (1.7, line.look.shape if line.dots else "") if line.label else (0.7, "")
    axes.plot(
        np.asarray(line.x, float),
        np.asarray(line.y, float),
        color=colour,
        linestyle=line.look.dashes,
        linewidth=width,
        marker=marker,
        markersize=3.5,
        gid=_name_part(line.label, "curve"),
    )


def _name_ends(axes: Axes, named: list[tuple[Trace, list[str]]], y: Ends) -> None:
    """Write each name next to the end of its line, joined to it where names make room."""
    if not named:
        return
    ends = []
    for line, _ in named:
        values = np.asarray(line.y, float)
        values = values[np.isfinite(values)]
        ends.append((values[-1] - y[0]) / (y[1] - y[0]) if len(values) else 0.0)
    heights = np.array([len(rows) for _, rows in named]) * LINE / (HEIGHT - BOTTOM - TOP)
    ends = np.clip(ends, 0, 1).tolist()
    for (line, rows), end, place in zip(named, ends, _spread(ends, heights), strict=True):
        axes.plot(
            [1.0, 1.06],
            [end, place],
            color=line.look.colour,
            linestyle=line.look.dashes,
            linewidth=1.2,
            marker=line.look.shape,
            markevery=[1],
            markersize=4,
            transform=axes.transAxes,
            clip_on=False,
            gid=_name_part(line.label),
        )
        name = axes.text(1.1, place, "\n".join(rows), transform=axes.transAxes)
        name.set(verticalalignment="center", gid=_name_part(line.label))


def _spread(wanted: Sequence[float], heights: Array) -> Array:
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


def _draw_estimate(axes: Axes, row: Estimate, place: int, room: Ends) -> None:
    colour, shape, part = row.look.colour, row.look.shape, _name_part(row.label)
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
    _draw_dots(axes, values, heights, 2.2, color=INK, alpha=0.55, gid=part)


def _draw_zone(axes: Axes, row: Estimate, place: int, rule: float) -> None:
    """What lies within the margin of a row, between two lines."""
    axes.barh(place - 0.1, 2 * row.margin, 1, rule - row.margin, color=INK, alpha=0.06)
    for end in (rule - row.margin, rule + row.margin):
        axes.plot([end, end], [place - 0.6, place + 0.4], color=INK, alpha=0.55, linewidth=0.6)


def _draw_dots(axes: Axes, x: Array, y: Array, size: float, **colour: Any) -> None:
    """Dots as short lines with round ends, on one path: a tenth of what markers take in SVG."""
    gap, short = np.full(len(x), np.nan), 1e-3 * (np.ptp(x) if len(x) > 1 else 1.0)
    ends = [np.stack(each, -1).ravel() for each in ((x, x + short, gap), (y, y, gap))]
    axes.plot(*ends, linewidth=size, solid_capstyle="round", snap=False, **colour)


def _stacked(values: Array, room: Ends) -> Array:
    """How many values before it each would hide, sharing its place on the axis."""
    places = np.floor((values - room[0]) / (room[1] - room[0]) * DOTS)
    return np.array([np.sum(places[:i] == place) for i, place in enumerate(places)], float)
