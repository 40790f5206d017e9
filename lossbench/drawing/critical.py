"""Average ranks on a line, those that do not differ joined by a bar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.axes import Axes

from lossbench.drawing.sizes import LETTER, LINE, TOP, WIDTH, Margins, break_name, name_part
from lossbench.looks import INK, Look

FOLD = 18  # letters in a line of a name
SIDE = 0.14 + FOLD * LETTER  # inches for names on each side
ABOVE, BAR = 0.55, 0.1  # inches above the line of ranks, and from a bar to the next


@dataclass(frozen=True)
class Mark:
    """A name and its average rank."""

    label: str
    rank: float
    look: Look


@dataclass(frozen=True)
class Ranks:
    """A critical-difference diagram: marks in order of rank, the best on the left.

    critical: ranks that are further apart differ.
    """

    title: str
    marks: tuple[Mark, ...]
    critical: float

    width = WIDTH
    margins: Margins = (SIDE, SIDE, TOP)

    @property
    def size(self) -> tuple[float, float]:
        return self.width, ABOVE + self._depth() + 2 * TOP

    def bars(self) -> list[tuple[float, float]]:
        """The first and the last rank of each group of several that do not differ."""
        ranks, bars = [mark.rank for mark in self.marks], list[tuple[float, float]]()
        for first in ranks:
            last = max(rank for rank in ranks if rank - first <= self.critical)
            if last > first and (not bars or last > bars[-1][1]):
                bars.append((first, last))
        return bars

    def onto(self, axes: Axes) -> None:
        """Draw it; y is in inches below the line of ranks."""
        worst = max(len(self.marks), 2)
        axes.set(xlim=(0.8, worst + 0.2), ylim=(self._depth(), -ABOVE))
        axes.axis("off")
        line = {"color": INK, "linewidth": 0.8, "clip_on": False}
        axes.plot([1, worst], [0, 0], **line)  # type: ignore[arg-type]
        for rank in range(1, worst + 1, 1 + worst // 12):
            axes.plot([rank, rank], [0, -0.05], **line)  # type: ignore[arg-type]
            axes.text(rank, -0.08, f"{rank}", ha="center", va="bottom")
        axes.plot([1, 1 + self.critical], [-0.3, -0.3], color=INK, linewidth=1.6, clip_on=False)
        axes.text(1, -0.35, f"critical difference {self.critical:.2f}", va="bottom")
        for level, ends in enumerate(self.bars()):
            axes.plot(ends, [BAR * (level + 1)] * 2, color=INK, linewidth=3)
        for mark, name, depth, end in self._rows(worst):
            part = {"color": mark.look.colour, "gid": name_part(mark.label), "clip_on": False}
            axes.plot([mark.rank, mark.rank, end], [0, depth, depth], linewidth=1.1, **part)  # type: ignore[arg-type]
            axes.plot([mark.rank], [0], mark.look.shape, markersize=4.5, **part)  # type: ignore[arg-type]
            side, gap = ("right", -0.02) if end < 1 else ("left", 0.02)
            letters = axes.text(end + gap * worst, depth, name, ha=side, va="center")
            letters.set_gid(name_part(mark.label))

    def _names(self) -> list[str]:
        return ["\n".join(break_name(mark.label, FOLD)) for mark in self.marks]

    def _step(self) -> float:
        """Inches from a name to the next."""
        return LINE * (1.5 + max(name.count("\n") for name in self._names()))

    def _depth(self) -> float:
        return BAR * len(self.bars()) + self._step() * ((len(self.marks) + 1) // 2 + 0.5)

    def _rows(self, worst: int) -> Iterator[tuple[Mark, str, float, float]]:
        """Each mark, its name, how far below the line, and the end of its line."""
        left, top = (len(self.marks) + 1) // 2, BAR * len(self.bars())
        for place, (mark, name) in enumerate(zip(self.marks, self._names(), strict=True)):
            row = place if place < left else len(self.marks) - 1 - place
            end = 0.8 if place < left else worst + 0.2
            yield mark, name, top + self._step() * (row + 1), end
