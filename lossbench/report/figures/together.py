"""What several comparisons show together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossbench.comparison import DatasetRanking, Group
from lossbench.drawing import Graph, Mark, Ranks
from lossbench.report.figures.picture import Looks, Picture, is_wide, trace_through


def draw_robustness(group: Group, looks: Looks) -> Iterator[Picture]:
    """The compared metric on the test split over a corruption's strength."""
    lines = []
    for label in looks:
        points = {
            float(value): interval
            for value, c in group.comparisons.items()
            if label in c.results and (interval := c.shown(c.row(label))[c.metric])
        }
        if points:
            lines.append(trace_through(label, points, looks[label]))
    if lines:
        metrics = ", ".join(sorted({c.metric for c in group.comparisons.values()}))
        words = f"{metrics} on the test split by {group.key}, mean with its 95 % interval."
        values = np.concatenate([np.asarray(line.x) for line in lines])
        graph = Graph("", group.key, f"test {metrics}", tuple(lines), log=is_wide(values))
        yield Picture("Robustness", words, graph.split())


def draw_ranks(ranking: DatasetRanking, looks: Looks) -> Picture:
    """A critical-difference diagram of average ranks."""
    marks = tuple(Mark(label, rank, looks[label]) for label, rank in ranking.ranks.items())
    title = f"Ranks over {len(ranking.group.comparisons)} datasets"
    words = "Average rank, 1 the best; losses joined by a bar are not told apart (Nemenyi, .05)."
    return Picture(title, words, (Ranks("", marks, ranking.critical_difference),))
