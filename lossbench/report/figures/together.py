"""What several comparisons show together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossbench.comparison import DatasetRanking, Group
from lossbench.comparison.scales import scale_of
from lossbench.drawing import Graph, Mark, Ranks
from lossbench.report.figures.picture import Looks, Picture, is_wide, rescale, trace_through


def draw_group(group: Group, looks: Looks) -> Iterator[Picture]:
    """The compared metric on the test split over a number, as a corruption's strength is one."""
    lines = []
    for label in looks:
        points = {
            float(value): rescale(interval, scale_of(c).factor)
            for value, c in group.comparisons.items()
            if label in c.results and (interval := c.shown(c.row(label))[c.metric])
        }
        if points:
            lines.append(trace_through(label, points, looks[label]))
    if lines:
        measured = {f"{c.metric}{scale_of(c).percent}" for c in group.comparisons.values()}
        metrics = ", ".join(sorted(measured))
        words = f"Test {metrics} by {group.key}, mean over seeds with its 95 % interval."
        values = np.concatenate([np.asarray(line.x) for line in lines])
        graph = Graph("", group.key, f"test {metrics}", tuple(lines), log=is_wide(values))
        is_harm = group.key.startswith("corruption.")
        title = "Robustness" if is_harm else f"Sensitivity to {group.key}"
        yield Picture(title, words, graph.split())


def draw_ranks(ranking: DatasetRanking, looks: Looks) -> Picture:
    """A critical-difference diagram of average ranks."""
    marks = tuple(Mark(label, rank, looks[label]) for label, rank in ranking.ranks.items())
    title = f"Ranks over {len(ranking.group.comparisons)} datasets"
    words = "Average rank, 1 the best; losses joined by a bar are not told apart (Nemenyi, .05)."
    return Picture(title, words, (Ranks("", marks, ranking.critical_difference),))
