"""Square grids: places in the colour of what is there, and classes against classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import distance_transform_edt

from lossbench.drawing.sizes import BOTTOM, LINE, RIGHT, Array, Ends, draw_dots
from lossbench.looks import COLOURS

WRITTEN = 10  # classes, at most, whose shares are written into a matrix
LEAST = 0.005  # of the shares that are


@dataclass(frozen=True)
class Plane:
    """A class for each place of a square grid, row by row from below, and points with theirs.

    confidence: from 0 to 1, of each place. points: x, y and class, (3, N).
    """

    title: str
    ends: Ends
    classes: Array
    confidence: Array
    points: Array

    size = (2.75, 2.75)
    margins = (0.5, RIGHT, BOTTOM + LINE)

    def onto(self, axes: Axes) -> None:
        """Draw it, stronger where it is surer, and name each class where it has most room."""
        side = round(len(self.classes) ** 0.5)
        colours = np.array([to_rgb(colour) for colour in COLOURS])
        image = np.empty((side, side, 4))
        image[..., :3] = colours[self.classes.astype(int) % len(COLOURS)].reshape(side, side, 3)
        levels = np.round(5 * self.confidence)  # few, as what is even is small when compressed
        image[..., 3] = 0.1 + 0.07 * levels.reshape(side, side)
        axes.imshow(image, extent=(*self.ends, *self.ends), origin="lower", interpolation="none")
        x, y, kinds = self.points
        for kind in np.unique(kinds):
            colour, held = COLOURS[int(kind) % len(COLOURS)], kinds == kind
            draw_dots(axes, x[held], y[held], 2.4, color=colour)
        self._name_classes(axes, side)
        axes.set(xlim=self.ends, ylim=self.ends, xlabel="first input", ylabel="second input")
        axes.grid(False)

    def _name_classes(self, axes: Axes, side: int) -> None:
        for kind in np.unique(self.classes):
            room = distance_transform_edt(np.pad(self.classes.reshape(side, side) == kind, 1))
            places = np.unravel_index(room[1:-1, 1:-1].argmax(), (side, side))
            y, x = np.interp(np.add(places, 0.5), (0, side), self.ends)
            axes.text(x, y, f"{kind:.0f}", ha="center", va="center", weight="bold")


@dataclass(frozen=True)
class Confusion:
    """Shares from 0 to 1 (C, C), a row for each class, the first at the top."""

    title: str
    x: str
    y: str
    values: Array

    size = (2.9, 2.9)
    margins = (0.5, RIGHT, BOTTOM + LINE)

    def onto(self, axes: Axes) -> None:
        """Draw it, the stronger the more, with per cent where there is room."""
        count = len(self.values)
        image = np.empty((count, count, 4))
        image[..., :3] = to_rgb(COLOURS[0])
        image[..., 3] = 0.55 * self.values  # letters on it can be read on light and dark paper
        axes.imshow(image, interpolation="none")
        for row, column in np.argwhere(self.values >= LEAST) if count <= WRITTEN else ():
            percent = f"{100 * self.values[row, column]:.0f}"
            axes.text(column, row, percent, ha="center", va="center", fontsize=7)
        axes.set(xlabel=self.x, ylabel=self.y)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(WRITTEN, integer=True))
        axes.grid(False)
