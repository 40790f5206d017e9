"""Curves as text: dots of braille, or ASCII where that cannot be written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from lossbench.show.curves import Curve, Panel

WIDTH, HEIGHT = 60, 12
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of braille, by row and column
ASCII = "*o+x"
DASHES = ((1, 1), (5, 8), (1, 4), (1, 8))  # dots drawn out of so many
ROOM = 2.5  # times the first curve's range that others may have


def window(values: Sequence[Tensor]) -> tuple[float, float]:
    """The range to show: all curves, as long as they leave the first one with a slope visible."""
    ranges = [_range(v) for v in values]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    first_low, first_high = next((r for r in ranges if r[1] > r[0]), ranges[0])
    spread = (first_high - first_low) or abs(high) or 1.0
    low = max(low, first_low - (ROOM - 1) * spread)
    high = min(high, first_high + (ROOM - 1) * spread)
    return (low, high) if high > low else (low - spread / 2, high + spread / 2)


def labels(panel: Panel, values: Sequence[Tensor]) -> list[str]:
    """The curves' names, with a word where one is out of the window altogether."""
    low, high = window(values)
    seen = [bool(((v >= low) & (v <= high)).any()) for v in values]
    return [
        each.label + ("" if is_seen else " (out of sight)")
        for each, is_seen in zip(panel.curves, seen, strict=True)
    ]


def _range(values: Tensor) -> tuple[float, float]:
    finite = values[values.isfinite()]
    return (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 0.0)


def plotted(panel: Panel, *, braille: bool) -> list[str]:
    """The values of a panel's curves, with axes and a legend, in lines of at most 76 characters."""
    low, high = window([c.value for c in panel.curves])
    columns, rows = (2 * WIDTH, 4 * HEIGHT) if braille else (WIDTH, HEIGHT)
    cells = [[0] * WIDTH for _ in range(HEIGHT)]
    for number, each in reversed(list(enumerate(panel.curves[: len(DASHES)]))):
        on, period = DASHES[number]
        for step, (column, row) in enumerate(_dots(each, low, high, columns, rows)):
            if not braille:
                cells[row][column] = number + 1
            elif step % period < on:
                cells[row // 4][column // 2] |= BITS[row % 4][column % 2]
    lines = ["".join(_character(cell, braille) for cell in row) for row in cells]
    return [*_framed(lines, panel, low, high, braille), *_legend(panel, braille)]


def _dots(each: Curve, low: float, high: float, columns: int, rows: int) -> list[tuple[int, int]]:
    """(column, row) along the curve, without gaps where it is steep, within the window."""
    start, stop = float(each.x[0]), float(each.x[-1])
    points = [
        ((x - start) / (stop - start) * (columns - 1), (high - y) / (high - low) * (rows - 1))
        for x, y in zip(each.x.tolist(), each.value.tolist(), strict=True)
        if math.isfinite(y)
    ]
    found: dict[tuple[int, int], None] = {}
    for (x0, y0), (x1, y1) in pairwise(points):
        count = max(1, math.ceil(min(abs(y1 - y0), 4 * rows)), math.ceil(abs(x1 - x0)))
        for i in range(count + 1):
            share = i / count
            column, row = round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0))
            if 0 <= row < rows:
                found[column, row] = None
    return list(found)


def _character(cell: int, braille: bool) -> str:
    if braille:
        return chr(0x2800 + cell) if cell else " "
    return ASCII[cell - 1] if cell else " "


def _framed(lines: list[str], panel: Panel, low: float, high: float, braille: bool) -> list[str]:
    """The numbers at the ends of both axes, and what runs along the lower one."""
    bar, corner, rule = ("│", "└", "─") if braille else ("|", "+", "-")
    low, high = (0.0 if abs(y) < (high - low) / 1000 else y for y in (low, high))
    numbers = {0: f"{high:.3g}", len(lines) - 1: f"{low:.3g}"}
    framed = [f"{numbers.get(i, ''):>9} {bar}{line}".rstrip() for i, line in enumerate(lines)]
    x = panel.curves[0].x
    left, middle, right = f"{x[0]:g}", f"{(x[0] + x[-1]) / 2:g}", f"{x[-1]:g}"
    half = WIDTH // 2 + len(middle) // 2
    scale = f"{left}{middle:>{half - len(left)}}{right:>{WIDTH - half}}"
    return [*framed, f"{'':>10}{corner}{rule * WIDTH}", f"{'':>11}{scale}"]


def _legend(panel: Panel, braille: bool) -> list[str]:
    """How each curve is drawn, where there are several."""
    if len(panel.curves) == 1:
        return []
    values = [each.value for each in panel.curves]
    samples = [_sample(number, braille) for number in range(len(DASHES))]
    return [
        f"{'':>11}{sample} {label}"
        for sample, label in zip(samples, labels(panel, values), strict=False)
    ]


def _sample(number: int, braille: bool) -> str:
    on, period = DASHES[number]
    if not braille:
        return ASCII[number] * 4
    dots = [step % period < on for step in range(16)]
    return "".join(
        chr(0x2800 + 0x40 * a + 0x80 * b) for a, b in zip(dots[::2], dots[1::2], strict=True)
    )
