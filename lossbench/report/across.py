"""Figures over several comparisons: critical differences, and robustness curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lossbench.comparison import Comparison, DatasetRanking, Group, datasets, rank_losses
from lossbench.comparison import robustness as strengths_of
from lossbench.report.tables import shared


def draw(comparisons: Sequence[Comparison], folder: Path, name: str) -> list[Path]:
    """The figures that these comparisons allow, in folder: the files that were written."""
    folder.mkdir(exist_ok=True)
    drawn = []
    for number, group in enumerate(datasets(comparisons)):
        if ranked := rank_losses(group):
            drawn.append(folder / f"{name}-ranks{_suffix(number)}.png")
            critical_difference(ranked, drawn[-1])
    for number, group in enumerate(strengths_of(comparisons)):
        drawn.append(folder / f"{name}-robustness{_suffix(number)}.png")
        robustness(group, drawn[-1])
    return drawn


def _suffix(number: int) -> str:
    return f"-{number}" if number else ""


def critical_difference(ranking: DatasetRanking, path: Path) -> None:
    """Demsar's diagram: losses on an axis of average ranks, a bar joins those not told apart."""
    names, ranks = list(ranking.ranks), list(ranking.ranks.values())
    height = 0.22 * len(names) + 1.4
    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.add_subplot()
    for line, (name, rank) in enumerate(ranking.ranks.items()):
        axes.plot([rank, rank], [0, -line - 1], color="0.6", linewidth=0.8)
        axes.plot([rank], [-line - 1], "o", color="C0")
        axes.annotate(f"  {name} {rank:.2f}", (rank, -line - 1), va="center", fontsize=9)
    for level, (low, high) in enumerate(_not_told_apart(ranks, ranking.critical_difference)):
        axes.plot([low - 0.03, high + 0.03], [0.5 + 0.3 * level] * 2, "k", linewidth=3)
    axes.set(
        xlim=(0.9, len(names) + 0.9),
        ylim=(-len(names) - 0.8, None),
        yticks=[],
        xticks=range(1, len(names) + 1),
    )
    axes.set_xlabel("average rank, 1 is best; a bar joins losses that are not told apart")
    axes.set_title(
        f"{len(ranking.group.comparisons)} datasets, critical difference "
        f"{ranking.critical_difference:.2f} (Nemenyi, .05)\n{shared(ranking.group.fixed)}",
        fontsize=9,
    )
    axes.spines[["left", "right", "top"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _not_told_apart(ranks: list[float], difference: float) -> list[tuple[float, float]]:
    """First and last rank of each longest run of losses within the difference; ranks ascend."""
    ends = [max(r for r in ranks if r - first <= difference) for first in ranks]
    return [
        (first, end)
        for place, (first, end) in enumerate(zip(ranks, ends, strict=True))
        if end > first and (place == 0 or end > ends[place - 1])
    ]


def robustness(group: Group, path: Path) -> None:
    """The compared metric against the corruption's strength, a line and a 95 % band a loss."""
    comparisons = list(group.comparisons.values())
    strengths = np.array([float(value) for value in group.comparisons])
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, label in enumerate(group.labels):
        found = [
            c.row(label).metrics[c.metric] if label in c.results else None for c in comparisons
        ]
        nothing = (np.nan,) * 3
        ends = np.array([(i.estimate, i.low, i.high) if i else nothing for i in found])
        style = ("-", "--", ":")[number // 10 % 3]
        axes.fill_between(strengths, ends[:, 1], ends[:, 2], alpha=0.2, color=f"C{number % 10}")
        axes.plot(strengths, ends[:, 0], f"o{style}", label=label, color=f"C{number % 10}")
    if strengths.min() > 0 and strengths.max() >= 20 * strengths.min():
        axes.set_xscale("log")
    metrics = ", ".join(sorted({c.metric for c in comparisons}))
    axes.set_title(shared(group.fixed), fontsize=9)
    axes.set(xlabel=group.key, ylabel=f"{metrics}, test split, mean and 95 % interval")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)
