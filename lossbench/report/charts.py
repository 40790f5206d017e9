"""Numbers -> small vector pictures for a page, whose style gives them their colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Range = tuple[float, float]
COLOURS = 8  # classes told apart by colour
LEVELS = 3  # of how sure a decision is, told apart by how strong its colour is


@dataclass(frozen=True)
class Mark:
    """A path and the classes of style that it takes."""

    kind: str
    path: str


@dataclass(frozen=True)
class Tick:
    """A number on an axis and where it stands, in pixels."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """What a page draws: marks in a frame of pixels, with ticks, described by a sentence."""

    label: str
    frame: Frame
    marks: tuple[Mark, ...]
    x: tuple[Tick, ...] = ()
    y: tuple[Tick, ...] = ()


@dataclass(frozen=True)
class Frame:
    """A rectangle of pixels in a picture, and the ranges of data that it shows."""

    x: Range
    y: Range
    width: float = 176
    height: float = 132
    left: float = 34
    right: float = 6
    top: float = 6
    bottom: float = 18

    def points(self, x: ArrayLike, y: ArrayLike) -> Array:
        """Data as pixels (N, 2), outside values at the edge; what is not finite is left out."""
        pairs = np.stack(np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)), -1)
        pairs = pairs.reshape(-1, 2)
        pairs = pairs[np.isfinite(pairs).all(1)]
        low, high = np.array([self.x[0], self.y[0]]), np.array([self.x[1], self.y[1]])
        share = np.clip((pairs - low) / np.where(high > low, high - low, 1), 0, 1)
        size = (self.width - self.left - self.right, self.height - self.top - self.bottom)
        share[:, 1] = 1 - share[:, 1]
        return share * size + (self.left, self.top)

    def line(self, x: ArrayLike, y: ArrayLike) -> str:
        """A path through the points."""
        return f"M{_joined(self.points(x, y))}" if len(self.points(x, y)) else ""

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike) -> str:
        """The area between two curves."""
        below, above = self.points(x, low), self.points(x, high)
        return f"M{_joined(np.concatenate([above, below[::-1]]))}z" if len(below) else ""

    def dots(self, x: ArrayLike, y: ArrayLike) -> str:
        """Lines of no length, which a round pen draws as dots."""
        return "".join(f"M{_number(a)} {_number(b)}h0" for a, b in self.points(x, y))

    def ticks(self, label: str, marks: Sequence[Mark]) -> Chart:
        """The marks in a frame with a few round numbers at its axes."""
        across = [Tick(self.points(v, self.y[0])[0, 0], t) for v, t in round_numbers(self.x, 4)]
        up = [Tick(self.points(self.x[0], v)[0, 1], t) for v, t in round_numbers(self.y, 4)]
        return Chart(label, self, tuple(m for m in marks if m.path), tuple(across), tuple(up))


def strip(x: Range, width: float = 300, height: float = 26) -> Frame:
    """A frame of one line without axes; y runs from -1 to 1."""
    return Frame(x, (-1, 1), width, height, left=6, right=6, top=3, bottom=3)


def cells(frame: Frame, classes: Array, confidence: Array, chance: float) -> Iterator[Mark]:
    """A square grid of decisions, row by row from below, equal neighbours as one rectangle.

    confidence: from chance to 1.
    """
    side = round(len(classes) ** 0.5)
    share = (confidence - chance) / max(1 - chance, 1e-9)
    level = np.clip((share * LEVELS).astype(int), 0, LEVELS - 1)
    code = (classes.astype(int) % COLOURS * LEVELS + level).reshape(side, side)[::-1]
    left, top = frame.left, frame.top
    wide = (frame.width - left - frame.right) / side
    high = (frame.height - top - frame.bottom) / side
    paths: dict[int, list[str]] = {}
    for number, row in enumerate(code):
        ends = [0, *(np.flatnonzero(np.diff(row)) + 1), side]
        for start, end in pairwise(ends):
            at = f"M{_number(left + start * wide)} {_number(top + number * high)}"
            run = _number((end - start) * wide)
            paths.setdefault(int(row[start]), []).append(f"{at}h{run}v{_number(high)}h-{run}z")
    for found, path in sorted(paths.items()):
        yield Mark(f"cell c{found // LEVELS} l{found % LEVELS}", "".join(path))


def span(*values: ArrayLike, pad: float = 0.05) -> Range:
    """The range of all that is finite, a little wider."""
    flat = np.concatenate([np.empty(0), *(np.ravel(np.asarray(v, float)) for v in values)])
    flat = flat[np.isfinite(flat)]
    if not flat.size:
        return 0.0, 1.0
    low, high = float(flat.min()), float(flat.max())
    room = pad * (high - low) or abs(high) * pad or pad
    return low - room, high + room


def thinned(count: int, most: int = 60) -> NDArray[np.intp]:
    """Places of at most so many of a curve's points, its ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def round_numbers(ends: Range, most: int) -> list[tuple[float, str]]:
    """A few round numbers within a range, as they are printed."""
    values = [float(v) for v in MaxNLocator(most).tick_values(*ends) if ends[0] <= v <= ends[1]]
    return [(v, f"{0.0 if abs(v) < 1e-12 else v:.4g}") for v in values]


def _joined(points: Array) -> str:
    return "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
