"""A square grid of places, each in the colour of what is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from lossbench.drawing.canvas import BOTTOM, RIGHT, Array, Ends, draw_dots
from lossbench.looks import COLOURS


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

    size = (2.6, 2.6)
    margins = (0.3, RIGHT, BOTTOM)

    def onto(self, axes: Axes) -> None:
        """Draw it, stronger where it is surer."""
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
        axes.set(xlim=self.ends, ylim=self.ends)
        axes.grid(False)
