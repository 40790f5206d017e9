"""Comparisons, and what several show together -> pictures of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from lossbench.comparison import Comparison, DatasetRanking, Group
from lossbench.drawing import save
from lossbench.looks import choose_looks
from lossbench.report.figures.differences import draw_costs, draw_differences
from lossbench.report.figures.kept import (
    draw_agreement,
    draw_falls,
    draw_planes,
    draw_reliability,
    draw_residuals,
)
from lossbench.report.figures.picture import Looks as Looks
from lossbench.report.figures.picture import Picture as Picture
from lossbench.report.figures.predicted import draw_predicted
from lossbench.report.figures.together import draw_group, draw_ranks
from lossbench.report.figures.trainings import draw_budgets, draw_doses, draw_learning_curves
from lossbench.report.tables import list_blocks

IN_FILES = 2  # pictures of a comparison; the page has all
KINDS = {Comparison: "", Group: "-robustness", DatasetRanking: "-ranks"}  # of files
OF_COMPARISON: tuple[Callable[[Comparison, Looks], Iterator[Picture]], ...] = (
    draw_differences,
    draw_learning_curves,
    draw_doses,
    draw_reliability,
    draw_residuals,
    draw_falls,
    draw_planes,
    draw_budgets,
)
FURTHER: tuple[Callable[[Comparison, Looks], Iterator[Picture]], ...] = (
    draw_predicted,
    draw_agreement,
    draw_costs,
)


def assign_looks(comparisons: Sequence[Comparison]) -> Looks:
    """A look for each loss, the same in every figure; the baseline of all has the text's colour."""
    bases = {comparison.baseline for comparison in comparisons}
    labels = chain.from_iterable(comparison.results for comparison in comparisons)
    return choose_looks(sorted(labels), bases.pop() if len(bases) == 1 else None)


def draw_pictures(shown: Comparison | Group | DatasetRanking, looks: Looks) -> list[Picture]:
    """All that can be drawn of it."""
    if isinstance(shown, DatasetRanking):
        return [draw_ranks(shown, looks)]
    if isinstance(shown, Group):
        return list(draw_group(shown, looks)) if shown.is_of_numbers else []
    return [picture for draw in OF_COMPARISON for picture in draw(shown, looks)]


def draw_further(shown: Comparison | Group | DatasetRanking, looks: Looks) -> list[Picture]:
    """What else can be drawn of a comparison, for those who ask."""
    if not isinstance(shown, Comparison):
        return []
    return [picture for draw in FURTHER for picture in draw(shown, looks)]


def write_figures(comparisons: Sequence[Comparison], folder: Path, name: str) -> list[Path]:
    """A file for each comparison, and for what several show together; those that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    look, written, numbers = assign_looks(comparisons), list[Path](), Counter[str]()
    for block in list_blocks(comparisons):
        drawings = [
            replace(drawing, title=drawing.title or picture.title)
            for picture in draw_pictures(block.shown, look)[:IN_FILES]
            for drawing in picture.drawings
        ]
        if drawings:
            kind = KINDS[type(block.shown)]
            number = f"-{numbers[kind]}" if numbers[kind] else ""
            numbers[kind] += 1
            written.append(folder / f"{name}{kind}{number}.png")
            save(drawings, written[-1], title=f"{block.title}\n{block.subtitle}")
    return written
