"""Several comparisons at once: ranks over datasets, and what a corruption's strength does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from lossbench import statistics
from lossbench.comparison.contests import PLACES, on_common_seeds
from lossbench.comparison.select import Group
from lossbench.comparison.sentences import ALPHA, write_p
from lossbench.comparison.structure import Comparison
from lossbench.statistics import Interval


@dataclass(frozen=True)
class DatasetRanking:
    """Losses over several datasets; each counts once, however many its seeds or its settings.

    datasets: how often each was met, a generator's several settings among them.
    ranks: each loss's average rank by `Row.score`, 1 the best, best first.
    left_out: losses that some dataset lacks.
    critical_difference: Nemenyi's; losses whose ranks are further apart differ.
    """

    group: Group
    datasets: dict[str, int]
    ranks: dict[str, float]
    left_out: tuple[str, ...]
    p: float
    critical_difference: float

    @cached_property
    def gains(self) -> dict[str, Interval] | None:
        """Interquartile mean over seeds and datasets less the baseline's, positive where better.

        A diverged seed counts as in the comparison of its dataset; seeds are drawn in pairs within
        each dataset. None where datasets have metrics or baselines of their own.
        """
        return _gains(list(self.group.comparisons.values()), list(self.ranks))

    @property
    def conclusion(self) -> list[str]:
        """What the ranks show, in words."""
        return [*self._shown(), *self._counted()]

    def _counted(self) -> Iterator[str]:
        """What was counted once, and what was left out."""
        several = [f"{name} ({count})" for name, count in self.datasets.items() if count > 1]
        if several:
            yield f"Settings of one dataset count once, by their mean rank: {', '.join(several)}."
        if self.left_out:
            listed = ", ".join(self.left_out)
            yield f"Left out of the ranks, because a dataset lacks them: {listed}."

    def _shown(self) -> list[str]:
        datasets, losses = len(self.datasets), len(self.ranks)
        best, *others = self.ranks
        widest = losses - 1
        sentence = f"Friedman's test over {datasets} datasets: p = {write_p(self.p)}."
        if self.critical_difference > widest:
            needed = int(np.ceil(datasets * (self.critical_difference / widest) ** 2))
            return [
                f"{sentence} Ranks of {losses} losses lie at most {widest} apart, and on "
                f"{datasets} datasets only {self.critical_difference:.2f} would tell two apart: "
                f"nothing can be concluded from ranks below {needed} datasets."
            ]
        behind = [x for x in others if self.ranks[x] - self.ranks[best] > self.critical_difference]
        if self.p > ALPHA or not behind:
            return [f"{sentence} No loss is shown to rank above another."]
        return [
            f"{sentence} {best} ranks above {', '.join(behind)}: average ranks differ by more than "
            f"{self.critical_difference:.2f}."
        ]


def rank_losses(group: Group) -> DatasetRanking | None:
    """The losses that all datasets of the group have, ranked; None for one dataset or loss."""
    comparisons = list(group.comparisons.values())
    shared = [x for x in group.labels if all(x in c.results for c in comparisons)]
    settings: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        settings.setdefault(_source(comparison), []).append(comparison)
    if len(settings) < 2 or len(shared) < 2:
        return None
    mean_ranks = [_mean_ranks(alike, shared) for alike in settings.values()]
    test = statistics.friedman(-np.array(mean_ranks))
    ranks = dict(sorted(zip(shared, test.average_ranks.tolist(), strict=True), key=lambda x: x[1]))
    critical = statistics.nemenyi_critical_difference(len(shared), len(settings), ALPHA)
    counts = {name: len(alike) for name, alike in settings.items()}
    left_out = tuple(label for label in group.labels if label not in shared)
    return DatasetRanking(group, counts, ranks, left_out, test.p, critical)


def _source(comparison: Comparison) -> str:
    """What a dataset counts as: a generator by its name, finite data by all of its parameters."""
    dataset = comparison.setting["dataset"]
    made = comparison.origin.get("drawn") == "anew"
    return str(dataset["name"]) if made else json.dumps(dataset, sort_keys=True)


def _mean_ranks(comparisons: list[Comparison], shared: list[str]) -> statistics.Array:
    """Each loss's rank, 1 the best, in the mean over the settings of one dataset."""
    scores = np.array([[c.row(label).score for label in shared] for c in comparisons])
    return np.asarray(stats.rankdata(-scores, axis=1).mean(axis=0))


def _gains(comparisons: list[Comparison], shared: list[str]) -> dict[str, Interval] | None:
    first = comparisons[0]
    alike = {(c.metric, c.baseline) for c in comparisons} == {(first.metric, first.baseline)}
    if not alike or first.baseline not in shared:
        return None
    seeds = min(c.seeds for c in comparisons)
    scores = np.stack([_scores(c, shared)[:seeds] for c in comparisons], axis=2)
    base = scores[:, shared.index(first.baseline)]
    return {
        label: statistics.interquartile_mean_difference(scores[:, place], base)
        for place, label in enumerate(shared)
        if label != first.baseline
    }


def _scores(comparison: Comparison, shared: list[str]) -> statistics.Array:
    """Seeds x losses, higher better, diverged ones worst."""
    column = f"{PLACES[comparison.at]}/{comparison.metric}"
    alike = on_common_seeds([comparison.results[label] for label in shared])
    values = [result.seeds[column].to_numpy(float) for result in alike]
    return statistics.oriented_scores(
        np.stack(values, axis=1),
        higher_is_better=comparison.direction > 0,
        failed=comparison.failed,
    )
