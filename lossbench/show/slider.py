"""A curve that follows a hyper-parameter, and the same curve as small as a letter."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from torch import Tensor

from lossbench.registry.schema import Parameter
from lossbench.show.anatomy import Entry
from lossbench.show.curves import (
    Curve,
    Panel,
    build_loss,
    choose_window,
    measure_curve,
    one_thread,
)
from lossbench.show.studies import choose_studies
from lossbench.show.variants import choose_values

STEPS, POINTS = 13, 60
SIDE = 1000  # of the square that paths are drawn in
NOTHING = 1e-6  # of a scale
WIDE = 20.0  # a range that is searched by orders of magnitude has such ends or more


@dataclass(frozen=True)
class Frame:
    """What is drawn, the ends of its scale, and a path for each value of the hyper-parameter."""

    words: str
    low: str
    high: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Slider:
    """Values of one hyper-parameter, and the curves of value and gradient at each of them.

    start: the place of the default. ends: of the axis.
    """

    name: str
    values: tuple[str, ...]
    start: int
    axis: str
    ends: tuple[str, str]
    frames: tuple[Frame, ...]

    @property
    def data(self) -> str:
        """What the page's script reads."""
        return json.dumps({"values": self.values, "paths": [frame.paths for frame in self.frames]})


def make_slider(entry: Entry) -> Slider | None:
    """Of the first hyper-parameter that is a number, a tuned one first; None where there is none.

    Over the range in which it is tuned, or between the values that pictures show.
    """
    tuned = {name: (low, high) for name, low, high in entry.declaration.tune}
    numbers = [p for p in entry.parameters if type(p.default) in (int, float)]
    ranges = {p.name: tuned.get(p.name) or _shown(entry, p) for p in numbers}
    several = [p for p in numbers if ranges[p.name][0] < ranges[p.name][1]]
    chosen = sorted(several, key=lambda p: p.name not in tuned)
    studies = choose_studies(entry, build_loss(entry)) if chosen else ()
    if not studies or not studies[0].vary:
        return None
    name, section = chosen[0].name, studies[0].cases[0][1]
    values = _steps(chosen[0], *ranges[name])
    with one_thread():
        curves = [measure_curve(section, build_loss(entry, **{name: v}), "") for v in values]
    start = values.index(chosen[0].default)
    shown = (("value", "value"), ("gradient", section.slope))
    return Slider(
        name,
        tuple(f"{value:.4g}" for value in values),
        start,
        section.axis,
        (f"{section.x[0]:g}", f"{section.x[-1]:g}"),
        tuple(_frame(curves, start, part, words) for part, words in shown),
    )


def _shown(entry: Entry, parameter: Parameter) -> tuple[float, float]:
    values = choose_values(entry, parameter)
    return min(values), max(values)


def _frame(curves: Sequence[Curve], start: int, part: str, words: str) -> Frame:
    """Value or gradient, within the range that shows the curve at the default well."""
    ordered = [curves[start], *curves[:start], *curves[start + 1 :]]
    window = choose_window([getattr(curve, part) for curve in ordered])
    least = NOTHING * (window[1] - window[0])
    low, high = (f"{0.0 if abs(end) < least else end:.3g}" for end in window)
    return Frame(
        words, low, high, tuple(_path(curve.x, getattr(curve, part), window) for curve in curves)
    )


def _steps(parameter: Parameter, low: float, high: float) -> list[Any]:
    """Values from end to end of what is searched, with the default among them."""
    if low > 0 and high / low >= WIDE:
        places = [low * (high / low) ** (step / (STEPS - 1)) for step in range(STEPS)]
    else:
        places = [low + (high - low) * step / (STEPS - 1) for step in range(STEPS)]
    rounded = [type(parameter.default)(float(f"{place:.2g}")) for place in places]
    return sorted({*rounded, parameter.default})


def _path(x: Tensor, y: Tensor, window: tuple[float, float]) -> str:
    """A line in a square, from the lower left; what is out of it is cut off by the page."""
    step = max(1, len(x) // POINTS)
    across = (x - x[0]) / (x[-1] - x[0]) * SIDE
    up = (window[1] - y) / (window[1] - window[0]) * SIDE
    points = [
        f"{a:.0f} {b:.0f}"
        for a, b in zip(across[::step].tolist(), up[::step].tolist(), strict=True)
        if math.isfinite(b)
    ]
    return f"M{'L'.join(points)}"


def draw_thumbnail(panel: Panel) -> Markup:
    """The first curve of a panel, without axes."""
    first = panel.curves[0]
    path = _path(first.x, first.value, choose_window([first.value]))
    return Markup(
        f'<svg class="thumbnail" viewBox="-40 -40 {SIDE + 80} {SIDE + 80}" aria-hidden="true" '
        f'preserveAspectRatio="none"><path d="{path}"/></svg>'
    )
