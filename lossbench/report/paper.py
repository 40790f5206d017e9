"""Comparisons and decisions on claims -> a file for each picture, as wide as a paper's column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lossbench.comparison import Comparison
from lossbench.drawing import Drawing, Forest, compose, write
from lossbench.report.claim_figures import draw_claims
from lossbench.report.figures import KINDS, assign_looks, draw_further, draw_pictures
from lossbench.report.tables import list_blocks
from lossbench.verdicts import Decision

WIDTHS = {"column": 3.35, "page": 6.9}  # inches
NAMES = {"The same, paired": "Paired curves"}  # of files, for titles that follow another one
UNTITLED = 0.6  # inches that a figure keeps for its titles, of which these have none


def write_for_paper(
    comparisons: Sequence[Comparison],
    decisions: Sequence[Decision],
    folder: Path,
    name: str,
    form: str,
) -> list[Path]:
    """Write each picture of the page in both widths, without title; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for title, drawings in _list_drawings(comparisons, decisions):
        for width, inches in WIDTHS.items():
            written.append(folder / f"{name}{title}-{width}.{form}")
            _save(drawings, written[-1], inches)
    return written


def _list_drawings(
    comparisons: Sequence[Comparison], decisions: Sequence[Decision]
) -> Iterator[tuple[str, Sequence[Drawing]]]:
    """What stands together, and how its files end."""
    looks, numbers = assign_looks(comparisons), Counter[str]()
    for block in list_blocks(comparisons):
        kind = KINDS[type(block.shown)]
        number = f"-{numbers[kind]}" if numbers[kind] else ""
        numbers[kind] += 1
        for picture in (*draw_pictures(block.shown, looks), *draw_further(block.shown, looks)):
            title = picture.title.partition(":")[0]
            words = re.sub(r"[^\w]+", "-", NAMES.get(title, title).lower())
            yield f"{kind}{number}-{words}", picture.drawings
    for forest in draw_claims(decisions):
        yield f"-claims-{re.sub(r'[^a-zA-Z0-9_]+', '-', forest.title)}", [forest]


def _save(drawings: Sequence[Drawing], path: Path, inches: float) -> None:
    """Write drawings below each other, or in two columns where there is room."""
    each = inches / 2 if inches == WIDTHS["page"] and len(drawings) > 1 else inches
    fitted: list[Drawing] = [
        replace(d, width=each) if isinstance(d, Forest) else d for d in drawings
    ]
    figure = compose(fitted, columns=round(inches / each))
    figure.set_size_inches(inches, figure.get_figheight() - UNTITLED)
    write(figure, path, path.name)
