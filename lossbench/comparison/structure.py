"""What a comparison is: the numbers of each loss, and what they were measured on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from lossbench.comparison import sentences
from lossbench.results import Result
from lossbench.statistics import Interval

if TYPE_CHECKING:
    from lossbench.drawing import Figure


@dataclass(frozen=True)
class Row:
    """One loss against the baseline, on the seeds that the two share.

    metrics, best_epoch: each test metric's mean and 95 % interval over the seeds that finished,
        with the last weights and with those of the epoch that was best on validation.
    score: mean of the compared metric over the seeds that all losses share, higher better, a
        diverged seed counting as the worst.
    rerun: how far the mean of as many other seeds may lie from this one, with 95 %.
    leads: share of bootstrap resamples of the seeds in which this loss is first by `score`.
    differences: this less the baseline, seed by seed; NaN where one of the two diverged.
    difference: their mean over the seeds on which both finished, and an interval that holds with
        95 % for all comparisons of the family at once and says what the test says.
    p: of a difference on new data like these, Holm-corrected over the family, a diverged seed
        losing; None where these data cannot say. p_here: the same on these very data.
    looks: how often the two could have been compared, seeds having been added; p values are
        multiplied by it.
    improvement: share of seeds that gained, a tie counting half; gained, ties: their numbers.
    effect: Cohen's d_z, positive where it gained.
    detectable: the true difference that these seeds would find 4 times in 5.
    settled_by: seeds that would find the observed difference 4 times in 5 on these data;
        settled_on_new_by: on new data; None: none is known. examples_needed: how many would on new
        data, with these seeds.
    same_p, same_p_here: p of the equivalence test within the margin, corrected likewise.
    verdict: "baseline", "better", "worse" or "same" (shown to lie within the margin) on new data;
        "better here", "worse here", "same here": on these data only; "identical", "open", or
        "undefined" where the metric has no value. other_verdict: by the other rule for the epoch.
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
    p_here: float | None = None
    rerun: float | None = None
    looks: int = 1
    improvement: float | None = None
    gained: int = 0
    ties: int = 0
    effect: float | None = None
    detectable: float | None = None
    settled_by: int | None = None
    settled_on_new_by: int | None = None
    examples_needed: int | None = None
    same_p: float | None = None
    same_p_here: float | None = None
    verdict: str = "baseline"
    other_verdict: str | None = None


@dataclass(frozen=True, repr=False)
class Comparison:
    """Losses that met the same data, model, training and tuning budget; rows best first.

    at: whether after the "last" epoch or at the "best" on validation data. origin: where examples
    come from, as `datasets.Origin`. failed: what a diverged seed counts as; None: worse than all.
    setting: what they share, by section of the configuration, and "tuning".
    seeds: those that all losses share; a row may have more.
    paired: false where losses share no seed with the baseline, so that the k-th seeds of two are
        set against each other: as valid, but blind to smaller differences.
    family: comparisons that the p values are corrected over: all that one call of `compare` makes,
        or that it could have made of the same results. tried: what else they are multiplied by.
    margin: difference within which losses count as practically the same, where one was stated.
    stays: how often the loss that is first on one half of the seeds is so on the other.
    better_shares: of every two losses the share of their common seeds on which the first is better
        than the second, a tie counting half.
    leading: the loss with the best mean, then those not told apart from it on new data.
    notes: what a reader must know of how results were chosen.
    """

    setting: dict[str, Any]
    metric: str
    direction: int
    baseline: str
    at: str
    origin: dict[str, Any]
    failed: float | None
    seeds: int
    paired: bool
    family: int
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    results: dict[str, Result]
    tried: int = 1
    stays: float | None = None
    margin: float | None = None
    leading: tuple[str, ...] = ()
    better_shares: dict[str, dict[str, float]] = field(default_factory=dict)

    def __repr__(self) -> str:
        from lossbench.comparison.answers import answer  # which knows of comparisons

        return f"<Comparison: {answer([self]).headline}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the answer, its table and the intervals."""
        from lossbench.report.notebook import render_first

        return render_first(self)

    def frame(self) -> pd.DataFrame:
        """A row for each loss and test metric, with the columns of `compare --format csv`."""
        from lossbench.report.export import list_records

        return pd.DataFrame(list_records([self]))

    def plot(self) -> Figure:
        """Differences and learning curves as a matplotlib figure."""
        from lossbench.report.notebook import draw_first

        return draw_first(self)

    @cached_property
    def conclusion(self) -> list[str]:
        """What can and what cannot be concluded, in words."""
        return sentences.conclude(self)

    def shown(self, row: Row) -> dict[str, Interval | None]:
        """A row's metrics at the epoch that is compared."""
        return row.metrics if self.at == "last" else row.best_epoch

    def row(self, label: str) -> Row:
        """The row of a loss."""
        return next(row for row in self.rows if row.label == label)
