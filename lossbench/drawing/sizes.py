"""What all drawings share: sizes, style, ranges and dots."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from lossbench.looks import INK

Array = NDArray[np.float64]
Ends = tuple[float, float]
Margins = tuple[float, float, float]  # inches on the left, on the right and below
WIDTH, HEIGHT = 4.2, 2.8  # inches of a graph, whose letters can then be read on a phone
LEFT, RIGHT, BOTTOM, TOP = 0.66, 0.12, 0.27, 0.1  # inches around the axes, but for names
ROW, LETTER, LINE = 0.44, 0.068, 0.16  # inches: a forest's row, a letter's width, a line's height
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


def fold(text: str, inches: float) -> str:
    """The name of an axis, in lines that stay within a drawing of this width."""
    return "\n".join(break_name(text, round(inches * 12)))


def break_name(text: str, letters: int) -> list[str]:
    """The text in lines of so many letters; a name may be broken after an underscore."""
    lines = textwrap.wrap(
        text.replace("_", "_\t"),
        letters,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )
    return [line.replace("_\t", "_") for line in lines]


def below(text: str, inches: float) -> float:
    """Inches for numbers and the name of the axis."""
    return BOTTOM + LINE * (fold(text, inches).count("\n") + 1)


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


def name_part(label: str, kind: str = "part") -> str:
    """The name of a part of a drawing, by which a page finds all that belongs to a loss."""
    return f"{kind}:{label}" if label else "part:"


def draw_dots(axes: Axes, x: Array, y: Array, size: float, **colour: Any) -> None:
    """Dots as short lines with round ends, on one path: a tenth of what markers take in SVG."""
    gap, short = np.full(len(x), np.nan), 1e-3 * (np.ptp(x) if len(x) > 1 else 1.0)
    ends = [np.stack(each, -1).ravel() for each in ((x, x + short, gap), (y, y, gap))]
    axes.plot(*ends, linewidth=size, solid_capstyle="round", snap=False, **colour)
