"""Drawings -> figures and files."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from lossbench.drawing.critical import Ranks
from lossbench.drawing.forests import Forest
from lossbench.drawing.graphs import Graph
from lossbench.drawing.planes import Confusion, Plane
from lossbench.drawing.sizes import STYLE

Drawing = Graph | Forest | Plane | Confusion | Ranks
LETTERS_PER_INCH = 12.5  # of a title


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
