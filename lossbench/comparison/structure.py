"""What a comparison is: the numbers of each loss, and what they were measured on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lossbench.comparison import sentences
from lossbench.results import Result
from lossbench.statistics import Interval


@dataclass(frozen=True)
class Row:
    """One loss against the baseline, on the seeds that are compared.

    metrics, best_epoch: each test metric's mean and 95 % interval over the seeds that finished,
        with the last weights and with those of the epoch that was best on validation.
    score: mean of the compared metric, higher better, a diverged seed counting as the worst.
    leads: share of bootstrap resamples of the seeds in which this loss is first by `score`.
    differences: this less the baseline, seed by seed; NaN where one of the two diverged.
    difference: their mean and 95 % interval, over the seeds on which both finished.
    p: exact sign-flip p, a diverged seed losing, Holm-corrected over the family.
    improvement: share of seeds that gained, a tie counting half; gained, ties: their numbers.
    effect: Cohen's d_z, positive where it gained.
    detectable: the true difference that these seeds would find 4 times in 5.
    settled_by: seeds that would find the observed difference 4 times in 5; None: none is known.
    same_p: p of the equivalence test within the margin, Holm-corrected over the family.
    verdict: "baseline", "better", "worse", "identical", "same" (shown to lie within the margin)
        or "open".
    """

    label: str
    seeds: int
    diverged: int
    seconds: float
    budget: str
    metrics: dict[str, Interval | None]
    best_epoch: dict[str, Interval | None]
    score: float
    leads: float
    differences: tuple[float, ...] = ()
    difference: Interval | None = None
    p: float | None = None
    improvement: float | None = None
    gained: int = 0
    ties: int = 0
    effect: float | None = None
    detectable: float | None = None
    settled_by: int | None = None
    same_p: float | None = None
    verdict: str = "baseline"


@dataclass(frozen=True)
class Comparison:
    """Losses that met the same data, model, training and tuning budget; rows best first.

    setting: what they share, by section of the configuration, and "tuning".
    paired: false where losses share no seed, so that the k-th seeds of two are set against each
        other: as valid, but blind to smaller differences.
    family: comparisons that the p values are corrected over: all that one call of `compare` makes.
    margin: difference within which losses count as practically the same, where one was stated.
    notes: what a reader must know of how results were chosen.
    """

    setting: dict[str, Any]
    metric: str
    direction: int
    baseline: str
    seeds: int
    paired: bool
    family: int
    margin: float | None
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    results: dict[str, Result]

    @cached_property
    def conclusion(self) -> list[str]:
        """What can and what cannot be concluded, in words."""
        return sentences.conclude(self)

    def row(self, label: str) -> Row:
        """The row of a loss."""
        return next(row for row in self.rows if row.label == label)
