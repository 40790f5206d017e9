"""The one way to draw: lines, rows of intervals and planes, as files and as parts of a page."""

from matplotlib.figure import Figure

from lossbench.drawing.canvas import LETTER, WIDTH, cover
from lossbench.drawing.files import compose, save, write
from lossbench.drawing.forests import Estimate, Forest
from lossbench.drawing.graphs import Graph, Trace
from lossbench.drawing.inline import render_inline
from lossbench.drawing.kinds import Drawing
from lossbench.drawing.planes import Plane

__all__ = [
    "LETTER",
    "WIDTH",
    "Drawing",
    "Estimate",
    "Figure",
    "Forest",
    "Graph",
    "Plane",
    "Trace",
    "compose",
    "cover",
    "render_inline",
    "save",
    "write",
]
