"""What a number of seeds can find, and how many would settle a question."""

from __future__ import annotations

from functools import cache
from itertools import count

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from lossbench.statistics.basic import Array, deviation_of, finite
from lossbench.statistics.paired import (
    EXACT_LIMIT,
    SKEWED,
    SKEWED_FROM,
    seeds_needed_for,
    smallest_p,
)

DEVIATIONS = 15  # quantiles of the estimated deviation that power is averaged over
SKEWNESSES = 5  # quantiles of a skewness beyond `SKEWED`, likewise
SKEWED_TO = 60  # seeds beyond which no normal sample is skewed, but one in a thousand
SAMPLES = 10_000  # that show how often fewer seeds are
MANY = 10_000  # seeds beyond which an observed effect is not told from noise


def paired_t_power(
    effect: float, seeds: int, alpha: float = 0.05, correlation: float = 0.0
) -> float:
    """Power of the two-sided paired t test at a true d_z, by the noncentral t distribution.

    correlation: of the seeds' differences, for which the test is widened (`widened_t_test`).

    Source: Cohen (1988), Statistical Power Analysis, chapter 2.
    """
    df = seeds - 1
    critical = stats.t.isf(alpha / 2, df)
    shift = abs(effect) / np.sqrt(1 / seeds + correlation)
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


def mean_test_power(effect: float, seeds: int, alpha: float = 0.05) -> float:
    """Power of `mean_test` on normal differences, some of which are skewed by chance.

    Then `hall_test` has to find the effect too. Its p is below alpha from some ratio of mean to
    deviation on, and of normal values that ratio does not depend on the skewness (Basu 1955).
    """
    power = sign_flip_power(effect, seeds, alpha)
    share, skewness = skewed_by_chance(seeds)
    if share == 0:
        return power
    skewness = np.concatenate([skewness, -skewness])
    least = stats.t.isf(alpha / 2, seeds - 1) / np.sqrt(seeds) - skewness / (6 * seeds)
    ratio = 3 * (np.cbrt(1 + skewness * least) - 1) / skewness
    root = np.sqrt(seeds)
    found = stats.nct.sf(ratio * root, seeds - 1, abs(effect) * root)
    return float(power - share * np.mean(np.maximum(power - found, 0)))


@cache
def skewed_by_chance(seeds: int) -> tuple[float, Array]:
    """Share of normal samples that `is_skewed`, and quantiles of how much: simulated."""
    if not SKEWED_FROM <= seeds <= SKEWED_TO:
        return 0.0, np.empty(0)
    samples = np.random.default_rng(seeds).standard_normal((SAMPLES, seeds))
    sizes = np.abs(stats.skew(samples, axis=1, bias=False))
    sizes = sizes[sizes > SKEWED]
    chances = (np.arange(SKEWNESSES) + 0.5) / SKEWNESSES
    return sizes.size / SAMPLES, np.quantile(sizes, chances)


def power_of(effect: float, seeds: int, level: float, correlation: float = 0.0) -> float:
    """Power of the test of a difference: on these data, or on new ones where seeds correlate."""
    power = mean_test_power(effect, seeds, level)
    if not correlation:
        return power
    return min(power, paired_t_power(effect, seeds, level, correlation))


def smallest_detectable_difference(
    deviation: float,
    seeds: int,
    *,
    alpha: float = 0.05,
    comparisons: int = 1,
    power: float = 0.8,
    correlation: float = 0.0,
) -> float:
    """The true mean difference that is found with this power, given a deviation that was seen.

    deviation: estimated from as many seeds; that it may be too small is counted in.
    At level alpha / comparisons, Holm's first step; infinite where no p gets there. correlation: as
    in `paired_t_power`.
    """
    return deviation * _smallest_effect(seeds, alpha / comparisons, power, correlation)


@cache
def _smallest_effect(seeds: int, level: float, power: float, correlation: float) -> float:
    if seeds < 2 or sign_flip_power(0.0, seeds, level) == 0:
        return float("inf")

    chances = (np.arange(DEVIATIONS) + 0.5) / DEVIATIONS
    seen = np.sqrt(stats.chi2.ppf(chances, seeds - 1) / (seeds - 1))  # in true deviations

    def surplus(effect: float) -> float:
        powers = [power_of(effect * float(share), seeds, level, correlation) for share in seen]
        return float(np.mean(powers)) - power

    enough = next(2.0**k for k in count(-8) if surplus(2.0**k) > 0)
    return float(optimize.brentq(surplus, 0.0, enough, xtol=1e-10))


def seeds_to_settle(
    differences: ArrayLike,
    *,
    alpha: float = 0.05,
    comparisons: int = 1,
    power: float = 0.8,
    correlation: float = 0.0,
) -> int | None:
    """Seeds that would find the observed effect with this power, at level alpha / comparisons.

    None where no number can be named: from fewer seeds than any verdict needs, at a mean of exactly
    0, or beyond `MANY`, where what was seen is noise. correlation: of seeds that share finite data,
    for new data like them, which no number of seeds may settle.
    """
    d = finite(differences)
    mean, deviation = abs(float(np.mean(d))), deviation_of(d)
    fewest = max(2, seeds_needed_for(alpha, comparisons))
    if d.size < seeds_needed_for(alpha) or mean == 0:
        return None
    if deviation == 0:
        return fewest
    effect, level = mean / deviation, alpha / comparisons
    # a known deviation needs fewer seeds than t, so the search starts just below
    room = (effect / (stats.norm.isf(level / 2) + stats.norm.isf(1 - power))) ** 2 - correlation
    if room <= 1 / MANY:
        return None
    start = max(fewest, int(1 / room))
    powers = ((n, power_of(effect, n, level, correlation)) for n in range(start, MANY + 1))
    enough = (n for n, reached in powers if reached >= power)
    return next(enough, None)
