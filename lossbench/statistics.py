"""Intervals, paired tests, corrections, ranks and power; the seed is the unit, pairs share a seed.

Every score is oriented, higher is better, before it enters: `oriented_scores` and
`paired_differences` do that, and there a diverged replica becomes the worst outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]

EXACT_LIMIT = 36  # differences that a sign-flip test enumerates: two halves of 2^18 sums
ROUNDING = 1e-9  # sums nearer than this share of the summed magnitudes are ties


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Friedman:
    """Friedman's chi-square, its p, and each loss's average rank; rank 1 is best."""

    statistic: float
    p: float
    average_ranks: Array


@dataclass(frozen=True)
class RankStability:
    """How a ranking by mean survives other seeds.

    first: per treatment, the share of resamples that it leads, a shared lead divided.
    tau: mean Kendall tau-b between resampled and full ranking; 0 where all means are equal.
    """

    first: Array
    tau: float


def _finite(values: ArrayLike, axes: int = 1) -> Array:
    """The values as float64; anything that is empty, not finite or of other shape is refused."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != axes or array.size == 0:
        raise ValueError(f"statistics: expected {axes} axes and a value, given shape {array.shape}")
    bad = int(np.sum(~np.isfinite(array)))
    if bad:
        raise ValueError(
            f"statistics: expected finite values, given {bad} NaN or infinite of {array.size}; "
            "oriented_scores and paired_differences turn diverged replicas into worst outcomes"
        )
    return array


def _deviation(values: Array) -> float:
    """Sample standard deviation; what rounding leaves of a constant counts as zero."""
    deviation = float(np.std(values, ddof=1)) if values.size > 1 else float("nan")
    return 0.0 if deviation <= 1e-12 * np.max(np.abs(values)) else deviation


# --- diverged replicas ----------------------------------------------------------------------


def oriented_scores(scores: ArrayLike, *, higher_is_better: bool) -> Array:
    """Scores of one family with higher better and each diverged (non-finite) one the worst.

    It falls below the worst finite score by the range of the finite ones (by 1 where they are all
    equal): an order, not a measurement, so take intervals of means over finite replicas.
    """
    oriented = np.array(scores, dtype=np.float64) * (1.0 if higher_is_better else -1.0)
    finite = oriented[np.isfinite(oriented)]
    worst = finite.min() - (np.ptp(finite) or 1.0) if finite.size else 0.0
    return np.where(np.isfinite(oriented), oriented, worst)


def paired_differences(
    treatment: ArrayLike, baseline: ArrayLike, *, higher_is_better: bool
) -> Array:
    """Differences by seed, positive where the treatment is better.

    One diverged of a pair loses by at least the range of all finite scores, hence by no less than
    any finite difference; two diverged tie at 0.
    """
    pair = np.stack([np.asarray(treatment), np.asarray(baseline)])
    better, worse = oriented_scores(pair, higher_is_better=higher_is_better)
    return np.asarray(better - worse)


# --- intervals and effects ------------------------------------------------------------------


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's interval for the mean; of differences, the paired one; one value has NaN ends."""
    x = _finite(values)
    mean = float(np.mean(x))
    half = stats.t.isf((1 - level) / 2, x.size - 1) * _deviation(x) / np.sqrt(x.size)
    return Interval(mean, float(mean - half), float(mean + half))


def probability_of_improvement(differences: ArrayLike) -> float:
    """Share of seeds on which the treatment is better, ties half; paired."""
    return float(np.mean((np.sign(_finite(differences)) + 1) / 2))


def effect_size(differences: ArrayLike) -> float:
    """Cohen's d_z (mean over deviation of the differences) without its small-sample bias.

    NaN below three seeds; infinite where the differences are one non-zero constant.
    Source: Hedges (1981), exact correction J; Lakens (2013) for d_z.
    """
    d = _finite(differences)
    df = d.size - 1
    if df < 2:
        return float("nan")
    mean, deviation = float(np.mean(d)), _deviation(d)
    if deviation == 0:
        return float(np.sign(mean) * np.inf) if mean else 0.0
    log_j = special.gammaln(df / 2) - special.gammaln((df - 1) / 2) - np.log(df / 2) / 2
    return float(np.exp(log_j) * mean / deviation)


# --- paired tests ---------------------------------------------------------------------------


def sign_flip_test(differences: ArrayLike) -> float:
    """Two-sided p of the paired sign-flip test on the mean, exact up to 36 non-zero differences.

    Source: Fisher (1935), The Design of Experiments, section 21.
    """
    d = _finite(differences)
    exact = np.count_nonzero(d) <= EXACT_LIMIT
    return exact_sign_flip_test(d) if exact else sampled_sign_flip_test(d)


def exact_sign_flip_test(differences: ArrayLike) -> float:
    """Share of all 2^n sign choices whose absolute sum reaches the observed one.

    Two halves are enumerated and met by binary search (Horowitz and Sahni 1974): 2^(n/2) memory.
    """
    d = _finite(differences)
    d = d[d != 0]  # a zero doubles the count and the total alike
    threshold = abs(d.sum()) - ROUNDING * np.abs(d).sum()
    if threshold <= 0:
        return 1.0
    left, right = np.sort(_signed_sums(d[::2])), np.sort(_signed_sums(d[1::2]))
    reached = left.size - np.searchsorted(left, threshold - right)
    return float(2 * reached.sum() / 2.0**d.size)  # the other tail is the mirror image


def _signed_sums(values: Array) -> Array:
    """The 2^n sums of +-values."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def sampled_sign_flip_test(differences: ArrayLike, draws: int = 99_999, seed: int = 0) -> float:
    """The sign-flip test on random signs, with the observed signs counted among them.

    Source: Phipson and Smyth (2010), so that p is never 0 and never too small.
    """
    d = _finite(differences)
    threshold = abs(d.sum()) - ROUNDING * np.abs(d).sum()
    generator = np.random.default_rng(seed)
    reached = 0
    for start in range(0, draws, 10_000):  # bounded memory
        signs = generator.integers(0, 2, (min(10_000, draws - start), d.size), dtype=np.int8)
        reached += int(np.sum(np.abs((2.0 * signs - 1.0) @ d) >= threshold))
    return (1 + reached) / (1 + draws)


def wilcoxon_test(differences: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test, zeros dropped; all zero gives 1.

    Differences that only rounding tells apart rank as ties. Source: Wilcoxon (1945).
    """
    d = _finite(differences)
    shares = np.round(d / float(np.max(np.abs(d)) or 1.0), 12)
    nonzero = shares[shares != 0]
    return float(stats.wilcoxon(nonzero).pvalue) if nonzero.size else 1.0


def equivalence_test(differences: ArrayLike, margin: float) -> float:
    """The p of two one-sided t tests: small where the mean difference is inside +-margin.

    NaN for a single difference. Source: Schuirmann (1987).
    """
    d = _finite(differences)
    if not margin > 0:
        raise ValueError(f"equivalence_test: margin: expected a number above 0, given {margin}")
    mean, error = float(np.mean(d)), _deviation(d) / np.sqrt(d.size)
    if error == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(stats.t.sf((margin - abs(mean)) / error, d.size - 1))


# --- families -------------------------------------------------------------------------------


def holm(pvalues: ArrayLike) -> Array:
    """Step-down adjusted p values in the given order; NaN stays NaN and leaves the family.

    Source: Holm (1979); NaN as in R's p.adjust.
    """
    p = np.asarray(pvalues, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def smallest_p(seeds: int) -> float:
    """The smallest p that a two-sided exact sign-flip (or Wilcoxon) test can give."""
    return float(min(1.0, 2.0 ** (1 - seeds)))


def seeds_needed_for(alpha: float = 0.05, comparisons: int = 1) -> int:
    """Seeds below which no comparison of a Holm family can reach alpha, whatever the data."""
    return next(n for n in count(1) if comparisons * smallest_p(n) <= alpha)


# --- power ----------------------------------------------------------------------------------


def paired_t_power(effect: float, seeds: int, alpha: float = 0.05) -> float:
    """Power of the two-sided paired t test at a true d_z, by the noncentral t distribution.

    Source: Cohen (1988), Statistical Power Analysis, chapter 2.
    """
    df = seeds - 1
    critical = stats.t.isf(alpha / 2, df)
    shift = abs(effect) * np.sqrt(seeds)
    # nct.cdf is NaN rather than 0 in its far tail
    other_tail = np.nan_to_num(stats.nct.cdf(-critical, df, shift))
    return float(stats.nct.sf(critical, df, shift) + other_tail)


def sign_flip_power(effect: float, seeds: int, alpha: float = 0.05) -> float:
    """Power of the exact sign-flip test on normal differences, from above, close from 12 seeds on.

    That of t at the largest level which the test's steps of 2/2^n allow; and no more than the
    chance of few enough minority signs, since j of them leave 2^j sign choices at least as extreme.
    """
    if seeds > EXACT_LIMIT:
        return paired_t_power(effect, seeds, alpha)
    step = smallest_p(seeds)
    steps = np.floor(alpha / step)
    if steps == 0:
        return 0.0
    minority, chances = np.floor(np.log2(steps)), stats.norm.cdf([-abs(effect), abs(effect)])
    signs_agree = np.sum(stats.binom.cdf(minority, seeds, chances))
    return float(min(paired_t_power(effect, seeds, steps * step), signs_agree))


def smallest_detectable_difference(
    deviation: float, seeds: int, *, alpha: float = 0.05, comparisons: int = 1, power: float = 0.8
) -> float:
    """The true mean difference found with this power, given the deviation of the differences.

    At level alpha / comparisons, Holm's first step; infinite where no p gets there.
    """
    level = alpha / comparisons
    if seeds < 2 or sign_flip_power(0.0, seeds, level) == 0:
        return float("inf")

    def surplus(effect: float) -> float:
        return sign_flip_power(effect, seeds, level) - power

    enough = next(2.0**k for k in count(-8) if surplus(2.0**k) > 0)
    return float(deviation * optimize.brentq(surplus, 0.0, enough, xtol=1e-10))


def seeds_to_settle(
    differences: ArrayLike, *, alpha: float = 0.05, comparisons: int = 1, power: float = 0.8
) -> int | None:
    """Seeds that would find the observed effect with this power, at level alpha / comparisons.

    None where no number would: a mean of exactly 0, a single seed, or more than a million seeds.
    """
    d = _finite(differences)
    mean, deviation = abs(float(np.mean(d))), _deviation(d)
    fewest = max(2, seeds_needed_for(alpha, comparisons))
    if d.size < 2 or mean == 0:
        return None
    if deviation == 0:
        return fewest
    effect, level = mean / deviation, alpha / comparisons
    # a known deviation needs fewer seeds than t, so the search starts just below
    known = ((stats.norm.isf(level / 2) + stats.norm.isf(1 - power)) / effect) ** 2
    if known > 1e6:
        return None
    start = max(fewest, int(known))
    return next(n for n in count(start) if sign_flip_power(effect, n, level) >= power)


# --- several datasets -----------------------------------------------------------------------


def friedman(scores: ArrayLike) -> Friedman:
    """Friedman's test on datasets x losses, higher better, ties corrected.

    Source: Friedman (1937); the form with ties from Conover (1999), section 5.8.
    """
    x = _finite(scores, axes=2)
    losses = x.shape[1]
    ranks = stats.rankdata(-x, axis=1)
    centred = ranks - (losses + 1) / 2
    spread = float(np.sum(centred**2))
    between = float(np.sum(centred.sum(axis=0) ** 2))
    statistic = (losses - 1) * between / spread if spread > 0 else 0.0
    p = float(stats.chi2.sf(statistic, losses - 1)) if spread > 0 else 1.0
    return Friedman(statistic, p, ranks.mean(axis=0))


def nemenyi_critical_difference(losses: int, datasets: int, alpha: float = 0.05) -> float:
    """Average ranks further apart than this differ, over all pairs at once.

    Source: Nemenyi (1963); Demsar (2006), section 3.2.2.
    """
    q = stats.studentized_range.isf(alpha, losses, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(losses * (losses + 1) / (6 * datasets)))


def rank_stability(scores: ArrayLike, resamples: int = 2_000, seed: int = 0) -> RankStability:
    """Bootstrap over seeds of the ranking by mean; seeds x treatments, higher better."""
    x = _finite(scores, axes=2)
    rows = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    means = np.stack([x[row].mean(axis=0) for row in rows])
    leads = means == means.max(axis=1, keepdims=True)
    first = np.mean(leads / leads.sum(axis=1, keepdims=True), axis=0)
    i, j = np.triu_indices(x.shape[1], k=1)
    full = x.mean(axis=0)
    drawn, whole = np.sign(means[:, i] - means[:, j]), np.sign(full[i] - full[j])
    untied = np.sqrt(np.sum(drawn**2, axis=1) * np.sum(whole**2))
    tau = np.divide(drawn @ whole, untied, out=np.zeros(resamples), where=untied > 0)
    return RankStability(first, float(np.mean(tau)))


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores pooled, whatever their axes.

    Source: Agarwal et al. (2021), section 4.3 (rliable's aggregate_iqm).
    """
    return float(stats.trim_mean(_finite(np.ravel(np.asarray(scores))), 0.25))


def interquartile_mean_interval(
    scores: ArrayLike, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Percentile interval of the interquartile mean of runs x datasets.

    Runs are resampled within each dataset. Source: Agarwal et al. (2021), section 4.1.
    """
    nothing = np.zeros(np.shape(scores))
    return interquartile_mean_difference(scores, nothing, level, resamples, seed)


def interquartile_mean_difference(
    treatment: ArrayLike,
    baseline: ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of treatment's interquartile mean less baseline's, runs x datasets.

    Paired: both take the same runs in every resample.
    """
    x, y = _finite(treatment, axes=2), _finite(baseline, axes=2)
    if x.shape != y.shape:
        raise ValueError(f"statistics: expected equal shapes, given {x.shape} and {y.shape}")
    drawn_x, drawn_y = (_stratified_interquartile_means(s, resamples, seed) for s in (x, y))
    estimate = interquartile_mean(x) - interquartile_mean(y)
    low, high = np.quantile(drawn_x - drawn_y, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def _stratified_interquartile_means(scores: Array, resamples: int, seed: int) -> Array:
    """The interquartile mean of each resample; one seed draws the same runs for equal shapes."""
    generator, columns = np.random.default_rng(seed), np.arange(scores.shape[1])
    drawn = []
    for start in range(0, resamples, 500):  # bounded memory
        rows = generator.integers(0, len(scores), (min(500, resamples - start), *scores.shape))
        drawn.append(stats.trim_mean(scores[rows, columns].reshape(len(rows), -1), 0.25, axis=1))
    return np.concatenate(drawn)
