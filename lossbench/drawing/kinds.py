"""All kinds of drawings."""

from __future__ import annotations

from lossbench.drawing.forests import Forest
from lossbench.drawing.graphs import Graph
from lossbench.drawing.planes import Plane

Drawing = Graph | Forest | Plane
