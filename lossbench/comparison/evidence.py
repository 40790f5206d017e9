"""A contest -> what its seeds show of each loss, on these data and on new data like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from lossbench import statistics
from lossbench.comparison.contests import PLACES, Array, Contest, bounds_of
from lossbench.comparison.sentences import ALPHA, same_numbers
from lossbench.results import Result
from lossbench.statistics import Interval

MOST_EXAMPLES = 1_000  # times the examples there are, beyond which what was seen is noise
POWER = 0.8


@dataclass(frozen=True)
class Evidence:
    """Of one loss against the baseline: p values, of a difference and of practically the same.

    p, same_p: on new data like these; p_here, same_here: on these data. NaN where nothing can be
    tested. verdict: as `Row.verdict`. hidden: variance of the mean gain over new data that the
    spread over seeds does not show; 0 where every seed draws new examples, NaN where nothing is
    known of it.
    """

    p: float
    p_here: float
    same_p: float
    same_here: float
    verdict: str
    hidden: float


def weigh(
    contests: Sequence[Contest], margin: float | None, family: int
) -> list[dict[str, Evidence]]:
    """The evidence of each contest, by loss.

    p values are corrected over so many comparisons (Holm), of which those that are not here count
    as open, each multiplied by the looks that were taken: seeds that were added after a comparison
    are a second one.
    """
    pairs = [(contest, label) for contest in contests for label in contest.others]
    hidden = [_hidden_variance(contest, label) for contest, label in pairs]
    tested = [
        _test(contest, label, margin, extra)
        for (contest, label), extra in zip(pairs, hidden, strict=True)
    ]
    others = (1.0,) * (family - len(pairs))
    columns = zip(*tested, strict=True) if tested else []
    corrected = [statistics.holm(column + others).tolist()[: len(pairs)] for column in columns]
    evidence: dict[int, dict[str, Evidence]] = {id(contest): {} for contest in contests}
    for (contest, label), (p, here, same, same_here), extra in zip(
        pairs, zip(*corrected, strict=True), hidden, strict=True
    ):
        verdict = _verdict(contest, label, p, here, same, same_here)
        evidence[id(contest)][label] = Evidence(p, here, same, same_here, verdict, extra)
    return [evidence[id(contest)] for contest in contests]


def rivals_of_best(contest: Contest, evidence: dict[str, Evidence], pairs: int) -> tuple[str, ...]:
    """The loss with the best mean, and those not told apart from it on new data, best first.

    evidence: against the baseline, which counts where this is one of the two. pairs: of losses in
    all contests, any of which might have been this one, so that p is corrected over all of them
    (Bonferroni).
    """
    means = dict(zip(contest.results, contest.scores().mean(axis=0), strict=True))
    best, *others = sorted(means, key=lambda label: -means[label])
    decided = {label for label, shown in evidence.items() if shown.verdict in ("better", "worse")}
    apart = decided if best == contest.baseline else {contest.baseline} if best in decided else ()
    against = replace(contest, baseline=best)
    p = {
        label: _test(against, label, None, _hidden_variance(against, label))[0] for label in others
    }
    rivals = [x for x in others if x not in apart and not pairs * p[x] <= ALPHA]
    return (best, *rivals)


def _test(
    contest: Contest, label: str, margin: float | None, hidden: float
) -> tuple[float, float, float, float]:
    """p on new data, p on these, and the same two of the equivalence test."""
    if not contest.defined:
        return (np.nan,) * 4
    p = [statistics.new_data_test(contest.gains(label), each) for each in (hidden, 0.0)]
    same = [_equivalence(contest, label, margin, each) for each in (hidden, 0.0)]
    return tuple(np.minimum(1.0, contest.looks(label) * contest.tried * np.array(p + same)))


def _equivalence(contest: Contest, label: str, margin: float | None, extra: float) -> float:
    """The p of the equivalence test; NaN without a margin, 1 where just one of a pair failed."""
    gains, differences = contest.gains(label), contest.differences(label)
    finished = np.isfinite(differences)
    if margin is None or not finished.any() or np.isnan(extra):
        return float("nan")
    if np.any(gains[~finished] != 0):
        return 1.0
    step = _step(contest)
    return statistics.equivalence_test(differences[finished], margin, extra=extra, step=step)


def _step(contest: Contest) -> float:
    """The least that a bounded metric moves by when one test example changes sides; 0: unknown."""
    span = span_of(contest)
    known = contest.origin and np.isfinite(span)
    return span / contest.origin["test"] if known else 0.0


def span_of(contest: Contest) -> float:
    """The most that two values of the metric differ by; infinite where it is not bounded."""
    low, high = bounds_of(contest.results[contest.baseline].summary, contest.metric)
    return float(high - low)


def _hidden_variance(contest: Contest, label: str) -> float:
    if not contest.defined:
        return float("nan")
    first, second = contest.pairs[label]
    parts = [Part(first, contest.metric, contest.at), Part(second, contest.metric, contest.at, -1)]
    return variance_beyond(parts, contest.gains(label))


class Part(NamedTuple):
    """A result's mean of a metric at an epoch, and its weight in what is judged.

    at: None where it is no mean over test examples.
    """

    result: Result
    metric: str
    at: str | None
    weight: float = 1.0


def variance_beyond(parts: Sequence[Part], gains: Array) -> float:
    """Variance on new data, which seeds do not show, of a weighted sum of means.

    gains: of each seed. Where only some parts have finite data, the sum is judged as if all had.
    """
    origins = [part.result.summary.get("examples", {}) for part in parts]
    drawn = {origin.get("drawn") for origin in origins}
    if drawn == {"anew"}:
        return 0.0
    if drawn <= {"anew", "split"}:
        ratio = max(o["test"] / o["learnt"] for o in origins if o["drawn"] == "split")
        return statistics.finite_data_variance(gains, ratio)
    if drawn == {"held out"} and all(part.at for part in parts):
        from lossbench.results.rescoring import row_variance  # torch: slow to import

        return row_variance([(r, m, PLACES[str(at)], weight) for r, m, at, weight in parts])
    return float("nan")


def _verdict(
    contest: Contest, label: str, p: float, p_here: float, same_p: float, same_here: float
) -> str:
    if same_numbers(*contest.pairs[label]):
        return "identical"
    if not contest.defined:
        return "undefined"
    word = "better" if contest.gains(label).mean() > 0 else "worse"
    if p <= ALPHA:
        return word
    if same_p <= ALPHA:
        return "same"
    if p_here <= ALPHA:
        return f"{word} here"
    return "same here" if same_here <= ALPHA else "open"


def simultaneous_interval(
    contest: Contest, label: str, evidence: Evidence, family: int
) -> Interval | None:
    """The mean difference, and ends that hold for all comparisons of the family at once.

    Bonferroni's, made to say what Holm's test says: beyond 0 where a difference is shown, with 0
    inside where none is. On new data where these can be judged, else on these. Source: Guilbaud
    (2008), Simultaneous confidence regions corresponding to Holm's step-down procedure.
    """
    differences = contest.differences(label)
    finished = differences[np.isfinite(differences)]
    if not len(finished):
        return None
    known = not np.isnan(evidence.hidden)
    extra = evidence.hidden if known else 0.0
    rounding = statistics.ROUNDING * np.abs(finished).max()
    if max(np.ptp(finished), extra**0.5) <= rounding:  # that no spread was seen bounds nothing
        return Interval(float(finished.mean()), np.nan, np.nan)
    level = 1 - ALPHA / family / contest.looks(label) / contest.tried
    span = span_of(contest)
    interval = statistics.t_interval(finished, level, extra=extra, bounds=(-span, span))
    if abs(finished.sum()) <= statistics.ROUNDING * np.abs(finished).sum():
        interval = replace(interval, estimate=0.0)  # what rounding leaves
    p = evidence.p if known else evidence.p_here
    mean, low, high = interval.estimate, interval.low, interval.high
    if p > ALPHA:
        return Interval(mean, min(low, 0.0), max(high, 0.0))
    if len(finished) < len(differences):
        return interval  # the test counts failed replicas, which the mean difference leaves out
    return Interval(mean, max(low, 0.0), high) if mean > 0 else Interval(mean, low, min(high, 0.0))


def examples_needed(contest: Contest, label: str, hidden: float, family: int) -> int | None:
    """About how many examples would show the gain on new data 4 times in 5, were it as seen.

    With as many seeds as there are. The spread over splits and over test examples is taken to fall
    with their number. hidden: as in `Evidence`. None where no such number is known.
    """
    gains = contest.gains(label)
    mean, shown = float(gains.mean()), statistics.variance_of(gains) / len(gains)
    if not hidden > 0 or mean == 0 or len(gains) < statistics.seeds_needed_for(ALPHA):
        return None
    critical = stats.t.isf(ALPHA / family / 2, len(gains) - 1) + stats.norm.isf(1 - POWER)
    allowed = (mean / critical) ** 2
    split = contest.origin["drawn"] == "split"
    room = allowed if split else allowed - shown
    times = ((shown if split else 0.0) + hidden) / room if room > 0 else np.inf
    count = contest.origin["test"] + (contest.origin["learnt"] if split else 0)
    return round_up(times * count) if 1 < times <= MOST_EXAMPLES else None


def round_up(number: float) -> int:
    """To two digits: 1234 -> 1300."""
    unit = 10 ** max(0, int(np.floor(np.log10(number))) - 1)
    return int(np.ceil(number / unit) * unit)
