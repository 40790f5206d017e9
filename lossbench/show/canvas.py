"""Curves as text: dots of braille, or ASCII where that cannot be written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lossbench.show.curves import Curve, Panel, choose_window, label_curves

WIDTH, HEIGHT = 60, 12  # of a picture in signs, at most
FRAME = 16  # columns next to it
BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of a braille sign
ASCII = "*o+x"
DASHES = ((1, 1), (5, 8), (1, 4), (1, 8))  # dots drawn out of so many


def plot(panel: Panel, columns: int, *, braille: bool) -> list[str]:
    """The values of a panel's curves, with axes and a legend, within so many columns."""
    width = min(WIDTH, columns - FRAME)
    low, high = choose_window([c.value for c in panel.curves])
    tall, wide = BITS.shape if braille else (1, 1)
    cells = np.zeros((HEIGHT, width), int)
    for number, each in reversed(list(enumerate(panel.curves[: len(DASHES)]))):
        row, column = _dots(each, low, high, tall * HEIGHT, wide * width)
        if braille:
            on, period = DASHES[number]
            bits = BITS[row % tall, column % wide] * (np.arange(len(row)) % period < on)
            np.bitwise_or.at(cells, (row // tall, column // wide), bits)
        else:
            cells[row, column] = number + 1
    signs = [" ", *(map(chr, range(0x2801, 0x2900)) if braille else ASCII)]
    lines = ["".join(signs[cell] for cell in row) for row in cells]
    return [*_framed(lines, panel, low, high, braille), *_legend(panel, braille)]


def _dots(each: Curve, low: float, high: float, rows: int, columns: int) -> NDArray[np.int64]:
    """Row and column of each dot along the curve, without gaps where it is steep, (2, N)."""
    place = np.linspace(0, 1, 50 * columns)
    x = each.x[0].item() + place * (each.x[-1] - each.x[0]).item()
    y = np.interp(x, each.x.numpy(), each.value.numpy())
    row, column = (high - y) / (high - low) * (rows - 1), place * (columns - 1)
    seen = np.isfinite(row) & (row > -0.5) & (row < rows - 0.5)
    dots = np.stack([row[seen], column[seen]]).round().astype(int)
    return dots[:, np.diff(dots, prepend=-1).any(axis=0)]


def _framed(lines: list[str], panel: Panel, low: float, high: float, braille: bool) -> list[str]:
    """The numbers at the ends of both axes, and what runs along the lower one."""
    bar, corner, rule = ("│", "└", "─") if braille else ("|", "+", "-")
    low, high = (0.0 if abs(y) < (high - low) / 1000 else y for y in (low, high))
    numbers = {0: f"{high:.3g}", len(lines) - 1: f"{low:.3g}"}
    framed = [f"{numbers.get(i, ''):>9} {bar}{line}".rstrip() for i, line in enumerate(lines)]
    x = panel.curves[0].x
    left, middle, right = f"{x[0]:g}", f"{(x[0] + x[-1]) / 2:g}", f"{x[-1]:g}"
    width = max(map(len, lines))
    half = width // 2 + len(middle) // 2
    scale = f"{left}{middle:>{half - len(left)}}{right:>{width - half}}"
    return [*framed, f"{'':>10}{corner}{rule * width}", f"{'':>11}{scale}"]


def _legend(panel: Panel, braille: bool) -> list[str]:
    """How each curve is drawn, where there are several."""
    if len(panel.curves) == 1:
        return []
    values = [each.value for each in panel.curves]
    samples = [_sample(number, braille) for number in range(len(DASHES))]
    return [
        f"{'':>11}{sample} {label}"
        for sample, label in zip(samples, label_curves(panel, values), strict=False)
    ]


def _sample(number: int, braille: bool) -> str:
    on, period = DASHES[number]
    if not braille:
        return ASCII[number] * 4
    dots = [step % period < on for step in range(16)]
    return "".join(
        chr(0x2800 + 0x40 * a + 0x80 * b) for a, b in zip(dots[::2], dots[1::2], strict=True)
    )
