"""A comparison -> the lines of a page's first table, and what pictures show as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lossbench.comparison import Comparison, Row
from lossbench.comparison.needed import seeds_on_these
from lossbench.comparison.scales import scale_of, write_number
from lossbench.comparison.sentences import WORDS, write_p
from lossbench.drawing import Confusion, Drawing, Forest, Graph, Plane, Ranks, Trace
from lossbench.looks import Look
from lossbench.report.picked import write_ends, write_mean, write_other_metrics
from lossbench.report.sheets import explain_signs
from lossbench.statistics import Interval

SIGNS = {
    **{"better": "▲", "worse": "▼", "same": "≈", "identical": "=", "baseline": "0"},
    **{"better here": "△", "worse here": "▽", "same here": "≈", "open": "?", "undefined": "–"},
}
SHOWN = 6  # places of a curve in its table of numbers


@dataclass(frozen=True)
class Verdict:
    """One loss: its verdict, its mean, its difference to the baseline, and what else to know.

    gain: the difference, positive where better, by which lines are sorted. others: the cells for
    each other metric, as JSON.
    """

    label: str
    look: Look
    sign: str
    verdict: str
    mean: str
    half: str
    difference: str
    ends: str
    note: str
    value: float
    gain: float
    others: str


def list_lines(comparison: Comparison, looks: dict[str, Look]) -> list[Verdict]:
    """A line for each loss, best first."""
    return [_line(comparison, row, looks[row.label]) for row in comparison.rows]


def _line(comparison: Comparison, row: Row, look: Look) -> Verdict:
    scale, d = scale_of(comparison), row.difference
    mean = comparison.shown(row).get(comparison.metric)
    half = mean.half if mean else math.nan
    return Verdict(
        row.label,
        look,
        SIGNS[row.verdict],
        row.verdict,
        write_mean(scale, mean) if mean else "diverged" if row.diverged else "undefined",
        f"±{scale.write(half)}" if math.isfinite(half) else "",
        scale.write(d.estimate, "+") if d else "",
        write_ends(scale, d) if d else "",
        "; ".join(_note(comparison, row)),
        mean.estimate if mean else -math.inf * comparison.direction,
        d.estimate * comparison.direction if d else 0.0,
        write_other_metrics(comparison, row),
    )


def _note(comparison: Comparison, row: Row) -> Iterator[str]:
    """What the verdict rests on, or what would settle it."""
    kind, _, here = row.verdict.partition(" ")
    if kind in ("better", "worse"):
        yield f"p = {write_p(row.p_here if here else row.p)}{' on these data' if here else ''}"
    elif kind == "same":
        yield f"within {scale_of(comparison).write(comparison.margin or 0.0)}"
    if kind == "open" or here:
        new = row.settled_on_new_by or 0
        if new > row.seeds:
            yield f"{new:,} seeds would settle it"
        elif row.examples_needed:
            yield f"some {row.examples_needed:,} examples would settle it"
        elif kind == "open" and (number := seeds_on_these(row)):
            yield f"{number:,} seeds would settle it on these data"
    if row.diverged:
        yield f"{row.diverged} of {row.seeds} diverged"


@dataclass(frozen=True)
class Matrix:
    """Losses x settings: each cell the line of the loss there, or None."""

    settings: tuple[str, ...]
    rows: tuple[tuple[str, Look, tuple[Verdict | None, ...]], ...]

    @property
    def legend(self) -> str:
        """What the signs in the cells mean."""
        verdicts = {line.verdict for *_, cells in self.rows for line in cells if line}
        return ", ".join(explain_signs(verdicts, SIGNS, WORDS, "hollow: on these data only"))


def build_matrix(named: Sequence[tuple[str, list[Verdict]]], looks: dict[str, Look]) -> Matrix:
    """Who is better and worse where; losses in the order of how often they are.

    named: settings with their lines.
    """
    settings = [{line.label: line for line in lines} for _, lines in named]
    verdicts = {x: [of[x].verdict for of in settings if x in of] for x in looks}
    order = sorted(verdicts, key=lambda x: verdicts[x].count("worse") - verdicts[x].count("better"))
    rows = tuple((x, looks[x], tuple(of.get(x) for of in settings)) for x in order if verdicts[x])
    return Matrix(tuple(name for name, _ in named), rows)


def list_numbers(drawing: Drawing) -> list[tuple[str, str]]:
    """What a drawing shows, as text for each loss; of curves some places."""
    match drawing:
        case Graph():
            return [
                (line.label, "; ".join(_some_places(line))) for line in drawing.lines if line.label
            ]
        case Forest():
            return [(r.label, _as_text(r.interval)) for r in drawing.rows if r.interval]
        case Ranks():
            return [(mark.label, f"{mark.rank:.2f}") for mark in drawing.marks]
        case Confusion():
            return [(drawing.title, "; ".join(_confused(drawing)))]
        case Plane():
            return [(drawing.title, "; ".join(_regions(drawing)))]


def _some_places(line: Trace) -> Iterator[str]:
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    low, high = (y if ends is None else np.asarray(ends, float) for ends in (line.low, line.high))
    for place in np.unique(np.linspace(0, len(x) - 1, min(SHOWN, len(x))).round().astype(int)):
        value, *ends = (write_number(each[place], 4) for each in (y, low, high))
        band = f" ({' to '.join(ends)})" if low[place] < high[place] else ""
        yield f"{value}{band} at {x[place]:.4g}"


def _confused(matrix: Confusion) -> Iterator[str]:
    """Which classes are taken for which others most."""
    shares = matrix.values * (1 - np.eye(len(matrix.values)))
    for place in np.argsort(-shares, axis=None, kind="stable")[:SHOWN]:
        row, column = divmod(int(place), len(shares))
        if shares[row, column] > 0:
            yield f"{shares[row, column]:.1%} of {row} as {column}"


def _regions(plane: Plane) -> Iterator[str]:
    """How much of a plane each class has."""
    for kind, count in zip(*np.unique(plane.classes, return_counts=True), strict=True):
        yield f"class {kind:.0f} on {count / plane.classes.size:.0%}"


def _as_text(interval: Interval) -> str:
    estimate, low, high = (
        write_number(each, 4) for each in (interval.estimate, interval.low, interval.high)
    )
    return f"{estimate}, {low} to {high}" if math.isfinite(interval.low) else estimate
