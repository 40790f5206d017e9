"""The peeking tax: what the same trainings would have said under the rules that papers use.

A paper's verdict on k seeds is "better" where the loss's mean over them is better than the
baseline's, "worse" where it is worse; with a t test only where Student's paired test on them has
p <= .05, uncorrected, else neither. It flips where it is not the comparison's verdict: better,
worse, or neither shown on new data. A replica that diverged counts as in the comparison, whatever
the epoch. Nothing but this module reads test curves.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lossbench import statistics
from lossbench.comparison.contests import PLACES, Array, on_common_seeds
from lossbench.comparison.sentences import ALPHA
from lossbench.comparison.structure import Comparison
from lossbench.results import Result
from lossbench.statistics import Interval

EPOCHS = {"test": "best test epoch", "last": "last epoch", "best": "best val. epoch"}
SEEDS = (1, 3, 5)  # of a paper, next to all of them
MOST_CHOICES = 100_000  # of seeds that are enumerated
DRAWN_CHOICES = 20_000  # where there are more
ROUNDING = 1e-9  # sums nearer to 0 than this share of the summed magnitudes are 0
UNTUNED, MIXED = "untuned", "mixed budgets"  # a comparison's tuning, in words


@dataclass(frozen=True)
class Paper:
    """What papers say of a loss by one rule, over choices of so many seeds.

    tuning: "default", "all tuned", "own tuned" (the baseline is not) or "as ranked". total: how
    many choices there are; fewer were drawn where choices is less. better, worse: shares of the
    choices in which the means say so; t_better, t_worse: with a t test, None for one seed.
    verdict: the comparison's.
    """

    label: str
    tuning: str
    epoch: str
    seeds: int
    of: int
    choices: int
    total: int
    better: float
    worse: float
    t_better: float | None
    t_worse: float | None
    verdict: str

    @property
    def flips(self) -> float:
        """The share of choices with another verdict than the comparison's."""
        return self._other_than_verdict(self.better, self.worse)

    @property
    def t_flips(self) -> float | None:
        """The same where a t test is needed for a verdict."""
        if self.t_better is None or self.t_worse is None:
            return None
        return self._other_than_verdict(self.t_better, self.t_worse)

    @property
    def reversed(self) -> float:
        """The share of choices that say better for worse, or worse for better."""
        return {"better": self.worse, "worse": self.better}.get(self.verdict, 0.0)

    def _other_than_verdict(self, better: float, worse: float) -> float:
        return {"better": 1 - better, "worse": 1 - worse}.get(self.verdict, better + worse)


@dataclass(frozen=True)
class PeekingTax:
    """What papers would have said of each loss of a comparison, and of its metric.

    inflation: by loss, by how much the best test epoch looks better than the "last", and than the
    "best" on validation data; over the seeds that finished.
    """

    papers: tuple[Paper, ...]
    inflation: dict[str, dict[str, Interval]]


def has_test_curves(results: Sequence[Result], metric: str) -> bool:
    """Whether every seed that finished has a test curve of the metric."""
    for result in results:
        held = result.test_curves[result.test_curves.metric == f"test/{metric}"].seed
        if not set(result.seeds.seed[result.seeds.status == "finished"]) <= set(held):
            return False
    return True


def peeking_tax(comparison: Comparison, among: Sequence[Comparison] = ()) -> PeekingTax | None:
    """The tax on a comparison; None where it has no test curves.

    among: comparisons that may hold the same losses with default hyper-parameters.
    """
    if not has_test_curves([*comparison.results.values()], comparison.metric):
        return None
    papers = [
        paper
        for tuning, base in _baselines(comparison, among).items()
        for epoch in EPOCHS
        for row in comparison.rows
        if row.verdict not in ("baseline", "undefined")
        for paper in _papers(comparison, row.label, tuning, base, epoch)
    ]
    inflation = {row.label: dict(_inflation(comparison, row.label)) for row in comparison.rows}
    return PeekingTax(tuple(papers), inflation)


def missing_budget(comparisons: Sequence[Comparison]) -> str | None:
    """The override that trains the first losses again that have just default values, or tuned."""
    for one in comparisons:
        tuning = one.setting["tuning"]
        alike = [c for c in comparisons if c.setting == {**one.setting, **_tuning(c)}]
        others = [c for c in alike if UNTUNED in (tuning, c.setting["tuning"]) and c is not one]
        if tuning != MIXED and not others:
            return "tune.trials=16" if tuning == UNTUNED else "tune.trials=0"
    return None


def _tuning(comparison: Comparison) -> dict[str, str]:
    return {"tuning": comparison.setting["tuning"]}


def explain_papers(comparison: Comparison) -> str:
    """What a paper's verdict is, and when it flips."""
    return (
        f"A paper calls a loss better or worse than {comparison.baseline} by its mean over the "
        "seeds that it has; with a t test only where Student's paired test on these has p <= .05, "
        "uncorrected. It flips where that is not the verdict of the comparison: better, worse, or "
        "neither shown on new data; reversed is better for worse or worse for better."
    )


def explain_choices(tax: PeekingTax) -> str:
    """What shares are means over: losses, and which choices of seeds."""
    drawn: dict[int, dict[int, str]] = {}
    for paper in (paper for paper in tax.papers if paper.seeds < paper.of):
        all_of_them = paper.choices == paper.total
        count = "all" if all_of_them else f"{paper.choices:,} from a fixed random stream of"
        words = f"{count} {paper.total:,} of {paper.seeds}"
        drawn.setdefault(paper.of, {})[paper.seeds] = words
    listed = "; ".join(f"{', '.join(by.values())} out of {of}" for of, by in drawn.items())
    losses = len({paper.label for paper in tax.papers})
    over = "1 loss" if losses == 1 else f"{losses} losses"
    return f"Shares are means over {over}" + (
        f" and choices of seeds: {listed}." if listed else "."
    )


def _baselines(comparison: Comparison, among: Sequence[Comparison]) -> dict[str, Result]:
    """By who is tuned, the baseline's result."""
    base, tuning = comparison.results[comparison.baseline], comparison.setting["tuning"]
    if tuning in (UNTUNED, MIXED):
        return {"default" if tuning == UNTUNED else "as ranked": base}
    untuned = [
        other.results[comparison.baseline]
        for other in among
        if other.setting == {**comparison.setting, "tuning": UNTUNED}
        and comparison.baseline in other.results
    ]
    held = [result for result in untuned if has_test_curves([result], comparison.metric)]
    return {"all tuned": base, **({"own tuned": held[0]} if held else {})}


def _papers(
    comparison: Comparison, label: str, tuning: str, base: Result, epoch: str
) -> Iterator[Paper]:
    """A loss against the baseline by one rule for the epoch, for each number of seeds."""
    pair = on_common_seeds([comparison.results[label], base])
    gains = statistics.paired_differences(
        *(_values(comparison, result, epoch) for result in pair),
        higher_is_better=comparison.direction > 0,
        failed=comparison.failed,
    )
    for seeds in [*(count for count in SEEDS if count < len(gains)), len(gains)]:
        means, tested = _verdicts(gains[_choices(len(gains), seeds)])
        yield Paper(
            label,
            tuning,
            epoch,
            seeds,
            of=len(gains),
            choices=len(means),
            total=math.comb(len(gains), seeds),
            better=float(np.mean(means > 0)),
            worse=float(np.mean(means < 0)),
            t_better=None if seeds == 1 else float(np.mean(tested > 0)),
            t_worse=None if seeds == 1 else float(np.mean(tested < 0)),
            verdict=comparison.row(label).verdict,
        )


def _values(comparison: Comparison, result: Result, epoch: str) -> Array:
    """The metric of each seed by a rule for the epoch; not finite where the replica failed."""
    metric, rows = comparison.metric, result.seeds
    if epoch in PLACES:
        return rows[f"{PLACES[epoch]}/{metric}"].to_numpy(dtype=np.float64)
    curves = result.test_curves[result.test_curves.metric == f"test/{metric}"]
    oriented = (curves.value * comparison.direction).groupby(curves.seed).max()
    best = rows.seed.map(oriented) * comparison.direction
    return best.where(rows.status == "finished").to_numpy(dtype=np.float64)


@functools.cache
def _choices(count: int, chosen: int) -> NDArray[np.int64]:
    """All choices of so many of the seeds, or some at random from a fixed stream, one a row."""
    if math.comb(count, chosen) <= MOST_CHOICES:
        return np.array([*itertools.combinations(range(count), chosen)])
    draws = np.random.default_rng(0).integers(count, size=(4 * DRAWN_CHOICES, chosen))
    draws.sort(axis=1)
    return draws[(np.diff(draws, axis=1) > 0).all(axis=1)][:DRAWN_CHOICES]


def _verdicts(gains: Array) -> tuple[Array, Array]:
    """Of each row of gains the sign of its mean, and that sign where a paired t test finds it."""
    total, seeds = gains.sum(axis=1), gains.shape[1]
    signs = np.sign(np.where(abs(total) > ROUNDING * abs(gains).sum(axis=1), total, 0.0))
    if seeds == 1:
        return signs, np.zeros_like(signs)
    error = gains.std(axis=1, ddof=1) * np.sqrt(seeds)
    return signs, np.where(abs(total) >= stats.t.isf(ALPHA / 2, seeds - 1) * error, signs, 0.0)


def _inflation(comparison: Comparison, label: str) -> Iterator[tuple[str, Interval]]:
    """By how much a loss looks better at its best test epoch than by each other rule."""
    result = comparison.results[label]
    peeked = _values(comparison, result, "test")
    for epoch in PLACES:
        gains = (peeked - _values(comparison, result, epoch)) * comparison.direction
        if len(finite := gains[np.isfinite(gains)]):
            yield epoch, statistics.t_interval(finite)
