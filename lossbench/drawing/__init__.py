"""The one way to draw: lines, intervals, grids and ranks, as files and as parts of a page."""

from matplotlib.figure import Figure

from lossbench.drawing.critical import Mark, Ranks
from lossbench.drawing.forests import Estimate, Forest
from lossbench.drawing.graphs import Graph, Trace
from lossbench.drawing.inline import render_inline
from lossbench.drawing.planes import Confusion, Plane
from lossbench.drawing.saving import Drawing, compose, save, write
from lossbench.drawing.sizes import LETTER, WIDTH, cover

__all__ = [
    "LETTER",
    "WIDTH",
    "Confusion",
    "Drawing",
    "Estimate",
    "Figure",
    "Forest",
    "Graph",
    "Mark",
    "Plane",
    "Ranks",
    "Trace",
    "compose",
    "cover",
    "render_inline",
    "save",
    "write",
]
