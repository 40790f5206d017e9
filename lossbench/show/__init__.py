"""What a loss is: as text in a terminal, as a picture, and all of them as a site."""

from __future__ import annotations

from lossbench.show.catalogue import write_catalogue
from lossbench.show.pictures import draw
from lossbench.show.text import describe

__all__ = ["describe", "draw", "write_catalogue"]
