"""Tables of text for a terminal: names are never cut, and no line is longer than the width."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from lossbench.comparison import Comparison, Row
from lossbench.comparison.needed import seeds_on_new_data, seeds_on_these
from lossbench.comparison.scales import scale_of
from lossbench.comparison.sentences import write_p
from lossbench.report.sheets import MARKS, Sheet, name_column
from lossbench.statistics import Interval

NARROW = 80  # columns, below which cells stand closer
INDENT = 2  # of numbers that stand below their name
LEAST_PICTURE, MOST_PICTURE = 9, 31  # letters of the pictures of intervals
ROOMY = 15  # letters of a picture, next to which its ends have room in numbers
MOST_PLACES = 6


@dataclass(frozen=True)
class Column:
    """A column: its head and its cells. Numbers stand to the right; words fold at spaces."""

    head: str
    cells: tuple[str, ...]
    kind: Literal["words", "number", "picture"] = "number"

    @property
    def least(self) -> int:
        """The width at which no number and no word is cut."""
        if self.kind == "picture":
            return max(map(len, [self.head, *self.cells]))
        cells = " ".join(self.cells).split() if self.kind == "words" else self.cells
        return max(_in_two_lines(self.head), *map(len, cells), 0)

    @property
    def most(self) -> int:
        """The width at which nothing folds."""
        return max(map(len, [self.head, *self.cells])) if self.kind == "words" else self.least

    def fold(self, number: int, width: int) -> list[str]:
        """The lines of the head (-1) or of a cell, all of the width."""
        text = self.cells[number] if number >= 0 else self.head
        folds = self.kind == "words" or (number < 0 and self.kind == "number")
        lines = textwrap.wrap(text, width, break_on_hyphens=False) if folds else [text]
        return [line.rjust(width) if self.kind == "number" else line.ljust(width) for line in lines]


def _in_two_lines(head: str) -> int:
    """The least width at which a head takes no more than two lines."""
    words = head.split(" ")
    halves = ((" ".join(words[:n]), " ".join(words[n:])) for n in range(len(words)))
    return min(max(map(len, pair)) for pair in halves)


def render_sheet(sheet: Sheet, width: int) -> list[str]:
    """The lines of a sheet."""
    cells = zip(*sheet.rows, strict=True)
    columns = [
        Column(head, column, "number" if number else "words")
        for head, column, number in zip(sheet.columns, cells, sheet.numbers, strict=True)
    ]
    return render_columns(columns, width)


def render_columns(
    columns: Sequence[Column], width: int, *, stacked: bool | None = None
) -> list[str]:
    """The lines of a table, of several one below the other where it is wider than allowed.

    stacked: whether numbers stand below their name; None: where there is no room next to it.
    """
    (name, *others), gap = columns, gap_for(width)
    if stacked is None:
        stacked = any(name.least + gap + column.least > width for column in others)
    room = width - (INDENT if stacked else name.least + gap)
    parts: list[list[Column]] = [[]]
    for column in others:
        if parts[-1] and _breadth([*parts[-1], column], gap) > room:
            parts.append([])
        parts[-1].append(column)
    return [line for part in parts for line in _render(name, part, width, stacked)]


def gap_for(width: int) -> int:
    """The spaces between two columns."""
    return 1 if width < NARROW else 2


def _breadth(columns: Sequence[Column], gap: int) -> int:
    return sum(column.least + gap for column in columns) - gap


def _widths(columns: Sequence[Column], width: int, gap: int) -> list[int]:
    """What each column needs, and what is left over to those that would fold, the first first."""
    spare, widths = max(0, width - _breadth(columns, gap)), []
    for column in columns:
        extra = min(spare, column.most - column.least)
        spare -= extra
        widths.append(column.least + extra)
    return widths


def _render(name: Column, others: Sequence[Column], width: int, stacked: bool) -> list[str]:
    """One table; stacked: the cells of a row stand below its name."""
    gap, indent = gap_for(width), " " * INDENT * stacked
    shown = others if stacked else [name, *others]
    widths = _widths(shown, width - len(indent), gap)
    rule = "─" * min(width, len(indent) + sum(widths) + gap * (len(widths) - 1))
    lines = []
    for number in range(-1, len(name.cells)):  # -1 is the head
        lines += name.fold(number, width) if stacked else []
        lines += [indent + line for line in _row(shown, widths, number, gap)]
        lines += [rule] if number < 0 else []
    return [line.rstrip() for line in lines]


def _row(columns: Sequence[Column], widths: Sequence[int], number: int, gap: int) -> list[str]:
    """The lines of a row; a head stands at the bottom, cells at the top."""
    cells = [column.fold(number, w) for column, w in zip(columns, widths, strict=True)]
    if number < 0:
        cells = [[""] * (max(map(len, cells)) - len(cell)) + cell for cell in cells]
    return [
        (" " * gap).join(line.ljust(w) for line, w in zip(lines, widths, strict=True))
        for lines in zip_longest(*cells, fillvalue="")
    ]


# --- the table of a comparison ----------------------------------------------------------------


def render_primary(comparison: Comparison, width: int) -> list[str]:
    """Mean, difference in numbers and as a picture, and p or what would settle it."""
    gap = gap_for(width)
    for stacked in (False, True):
        for ends in (True, False):
            name, mean, *others = _columns(comparison, ends=ends)
            taken = INDENT - gap if stacked else name.least
            room = width - taken - _breadth([mean, *others], gap) - 2 * gap
            if others and room >= (ROOMY if ends else LEAST_PICTURE):
                others.insert(1, draw_intervals(comparison, min(room, MOST_PICTURE)))
                return render_columns([name, mean, *others], width, stacked=stacked)
    return render_columns(_columns(comparison, ends=False), width)


def _columns(comparison: Comparison, *, ends: bool) -> list[Column]:
    """All but the picture. ends: those of the difference's interval as well."""
    rows, scale = comparison.rows, scale_of(comparison)
    places = _places(comparison)

    def number(value: float, sign: str = "") -> str:
        scaled = scale.factor * value + 0.0
        small = 0 < abs(scaled) < 0.5 * 10**-places
        return f"{scaled:{sign}.{'2g' if small else f'{places}f'}}"

    means = [_mean(comparison, row, number) for row in rows]
    columns = [
        Column("loss", tuple(row.label for row in rows), "words"),
        Column(name_column(comparison, comparison.metric), tuple(means)),
    ]
    if len(rows) > 1:
        differences = (_difference(row, number, ends) for row in rows)
        heads = _evidence_heads(comparison)
        proofs = zip(*(evidence(comparison, row) for row in rows), strict=True)
        columns += [Column("difference", tuple(differences))]
        columns += [Column(head, cells) for head, cells in zip(heads, proofs, strict=True)]
    if any(row.diverged for row in rows):
        columns.append(Column("diverged", tuple(str(row.diverged) for row in rows)))
    return columns


def _places(comparison: Comparison) -> int:
    """The decimal places of the compared metric: one or two digits of the least half interval."""
    factor = scale_of(comparison).factor
    shown = [comparison.shown(row).get(comparison.metric) for row in comparison.rows]
    halves = [factor * (each.high - each.low) / 2 for each in shown if each]
    least = min((half for half in halves if math.isfinite(half) and half > 0), default=0.0)
    places = -math.floor(math.log10(least / 4)) if least else 4 - 2 * (factor > 1)
    return min(MOST_PLACES, max(places, 1 if factor > 1 else 0))


def _mean(comparison: Comparison, row: Row, number: Callable[..., str]) -> str:
    """Mean and half its interval; starred where seeds that diverged are not in it."""
    interval = comparison.shown(row).get(comparison.metric)
    if interval is None:
        return "diverged" if row.diverged == row.seeds else ""
    spread = f" ±{number(interval.half)}" if math.isfinite(interval.half) else ""
    return f"{number(interval.estimate)}{'*' * bool(row.diverged)}{spread}"


def _difference(row: Row, number: Callable[..., str], ends: bool) -> str:
    if row.verdict in ("baseline", "identical", "undefined"):
        return row.verdict
    if row.difference is None:
        return "-"
    d, finished = row.difference, sum(map(math.isfinite, row.differences))
    star = "*" * (finished < row.seeds)
    known = f" ({number(d.low, '+')} to {number(d.high, '+')})" if math.isfinite(d.low) else ""
    return f"{number(d.estimate, '+')}{star}{known * ends}"


def _evidence_heads(comparison: Comparison) -> list[str]:
    if comparison.origin.get("drawn") == "anew":
        return ["p"]
    return ["p here", "p new"] if any(row.p is not None for row in comparison.rows) else ["p here"]


def evidence(comparison: Comparison, row: Row) -> list[str]:
    """On these data and on new ones, as far as they can be told apart: p, or what would settle it.

    A sign stands where p decides.
    """
    heads = _evidence_heads(comparison)
    if row.verdict in ("baseline", "identical", "undefined"):
        return ["=" if row.verdict == "identical" else ""] * len(heads)
    return [_on_these(row) if head == "p here" else _on_new(row) for head in heads]


def _on_these(row: Row) -> str:
    p = row.same_p_here if row.verdict.startswith("same") else row.p_here
    number = seeds_on_these(row)
    if row.verdict == "open" and number:
        return f"{write_count(number)} seeds"
    return f"{'' if row.verdict == 'open' else MARKS[row.verdict].strip('()')} {write_p(p)}".strip()


def _on_new(row: Row) -> str:
    if row.verdict in MARKS and row.verdict in ("better", "worse", "same"):
        return f"{MARKS[row.verdict]} {write_p(row.same_p if row.verdict == 'same' else row.p)}"
    if number := seeds_on_new_data(row):
        return f"{write_count(number)} seeds"
    return f"{write_count(row.examples_needed)} ex." if row.examples_needed else write_p(row.p)


def write_count(number: int) -> str:
    """A number of seeds or examples in few letters.

    >>> [write_count(n) for n in (330, 1841, 5500, 180_000, 2_400_000)]
    ['330', '1,841', '5,500', '180k', '2.4m']
    """
    for size, letter in ((1_000_000, "m"), (1000, "k")):
        if number >= max(size, 10_000):
            return f"{number / size:.3g}{letter}"
    return f"{number:,}"


def draw_intervals(comparison: Comparison, width: int) -> Column:
    """The differences with their intervals on one axis, a line of letters for each loss."""
    shown = [row.difference for row in comparison.rows]
    ends = [0.0, *(x for d in shown if d for x in (d.low, d.estimate, d.high) if math.isfinite(x))]
    low, high = min(ends), max(ends)
    span = high - low or 1.0

    def place(value: float) -> int:
        return round((value - low) / span * (width - 1))

    scale, places = scale_of(comparison), _places(comparison)
    sides = [f"{scale.factor * end:+.{places}f}" for end in (low, high)]
    return Column(
        _axis(sides, place(0.0), width),
        tuple(_picture(difference, place, width) for difference in shown),
        "picture",
    )


def _axis(sides: Sequence[str], zero: int, width: int) -> str:
    """The ends of the axis and its zero, as far as there is room for them."""
    left, right = (side if float(side) else "" for side in sides)
    start, end = len(left) + bool(left), width - len(right) - bool(right)
    if start > zero or zero >= end:
        left, right = "", ""
    letters = list(left.ljust(width - len(right)) + right)
    letters[zero] = "0"
    return "".join(letters)


def _picture(interval: Interval | None, place: Callable[[float], int], width: int) -> str:
    letters = [" "] * width
    if interval and math.isfinite(interval.low):
        first, last = place(interval.low), place(interval.high)
        letters[first : last + 1] = "─" * (last + 1 - first)
    letters[place(0.0)] = "┼" if letters[place(0.0)] == "─" else "│"
    if interval:
        letters[place(interval.estimate)] = "●"
    return "".join(letters)
