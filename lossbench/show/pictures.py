"""Curves as pictures: a file for each loss, or parts of a page that take on its colours."""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lossbench.contract import UnusableError, UserError
from lossbench.show.anatomy import entries_of
from lossbench.show.canvas import labels, window
from lossbench.show.curves import Curve, Panel, drawn

COLOURS = ("#2f7fc1", "#c8661a", "#2a9460", "#a258b0", "#d0435a", "#7d7d7d", "#8a7500", "#008b9e")
DASHES = ("-", "--", ":", "-.")
INK = "#0a0b0c"  # stands for the colour of the page's text
NUMBERED = re.compile(r' id="[a-zA-Z0-9.]+_\d+"')
FORMATS = (".svg", ".png")
WRAP = 56  # characters of an axis's label in a line
FEW = 3  # panels that stand below each other


def draw(name: str, path: Path, *, task: str | None = None) -> Path:
    """Write the picture of a loss, for all its tasks or the one asked for; the suffix says how.

    UserError where there is no such loss, no such format, or nothing that would mean something.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: a picture ends in {' or '.join(FORMATS)}.")
    panels, reasons = [], []
    for entry in entries_of(name, task):
        found = drawn(entry)
        panels += [(f"{entry.place}: {p.title}".rstrip(": "), p) for p in found.panels]
        reasons += [f"{entry.place}: {found.reason}"] if found.reason else []
    if not panels:
        raise UserError(f"loss={name}: nothing is drawn. {' '.join(reasons)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(name, panels, path)
    except OSError as error:
        raise UnusableError(f"{path} cannot be written: {error.strerror}. Name another.") from error
    return path


def _write(name: str, panels: Sequence[tuple[str, Panel]], path: Path) -> None:
    """Each panel's value beside its gradient, under its title."""
    across = 1 if len(panels) <= FEW else 2
    rows = -(-len(panels) // across)
    with mpl.rc_context({"font.size": 8, "svg.hashsalt": name}):
        figure = Figure(figsize=(7.6 * across, 0.4 + 2.7 * rows), layout="constrained")
        grid = figure.subplots(rows, 2 * across, squeeze=False).flatten()
        for axes in grid[2 * len(panels) :]:
            axes.remove()
        for (title, panel), value, gradient in zip(panels, grid[::2], grid[1::2], strict=False):
            _plot(value, panel, gradient=False)
            _plot(gradient, panel, gradient=True)
            value.set_title(title, loc="left", fontsize=8, fontweight="bold")
        figure.suptitle(name, fontsize=11)
        # with a date in it, the same picture would be another file
        undated = {"Date": None} if path.suffix.lower() == ".svg" else None
        figure.savefig(path, dpi=110, metadata=undated)


def inline(panel: Panel, *, gradient: bool, key: str) -> str:
    """One of a panel's two pictures as an SVG element; key keeps its inner names unique."""
    style: Any = {
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
        **dict.fromkeys(("xtick.color", "ytick.color"), INK),
        "svg.fonttype": "none",
        "svg.hashsalt": f"{key} {gradient}",
        "font.size": 9,
    }
    with mpl.rc_context(style):
        # fixed margins: a layout that is worked out costs as much as the picture
        figure = Figure(figsize=(4.2, 3.0), facecolor="none")
        bottom = 0.15 if len(panel.axis) <= WRAP else 0.2
        axes = figure.add_axes((0.18, bottom, 0.8, 0.97 - bottom), facecolor="none")
        _plot(axes, panel, gradient=gradient)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    # its parts are numbered from 1 in every picture, and nothing refers to those numbers
    body = NUMBERED.sub("", stream.getvalue().partition("<svg ")[2])
    names = ", ".join(filter(None, (each.label for each in panel.curves)))
    what = f"{panel.slope if gradient else 'value'} against {panel.axis}; {names}"
    label = html.escape(what.strip("; "), quote=True)
    return f'<svg role="img" aria-label="{label}" {body}'.replace(INK, "currentColor")


def _plot(axes: Axes, panel: Panel, *, gradient: bool) -> None:
    """Value or gradient of each curve, within a window that leaves the first one visible."""
    values = [_of(each, gradient) for each in panel.curves]
    named = labels(panel, values)
    for number, (each, value) in reversed(list(enumerate(zip(panel.curves, values, strict=True)))):
        colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        axes.plot(each.x, value, dashes, color=colour, label=named[number], linewidth=1.8)
    low, high = window(values)
    pad = 0.05 * (high - low)
    axes.set_ylim(low - pad, high + pad)
    axes.set_xlabel(textwrap.fill(panel.axis, WRAP, break_on_hyphens=False))
    axes.set_ylabel(panel.slope if gradient else "value")
    axes.axhline(0, color="#808080", linewidth=0.6, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.curves) > 1 and not gradient:
        handles, names = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], names[::-1], frameon=False, fontsize="small")


def _of(each: Curve, gradient: bool) -> Tensor:
    return each.gradient if gradient else each.value
