"""What a loss or another plugin is: as text, and losses as pictures and as a site."""

from __future__ import annotations

from lossbench.show.catalogue import write_catalogue
from lossbench.show.others import describe_others
from lossbench.show.pictures import draw
from lossbench.show.records import as_json
from lossbench.show.text import describe

__all__ = ["as_json", "describe", "describe_others", "draw", "write_catalogue"]
