"""Paired tests, equivalence, and corrections over a family."""

from __future__ import annotations

from itertools import count

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lossbench.statistics.basic import Array, deviation_of, finite

EXACT_LIMIT = 36  # differences that a sign-flip test enumerates: two halves of 2^18 sums
GRID = 2**18  # steps that the summed magnitudes of more differences are rounded to
SKEWED = 1.0  # sample skewness beyond which a sign-flip test on a mean finds too much
SKEWED_FROM = 6  # differences below which a skewness says nothing
ROUNDING = 1e-4  # sums nearer than this share of all magnitudes are ties: metrics are float32


def sign_flip_test(differences: ArrayLike) -> float:
    """Two-sided p of the paired sign-flip test on the mean: exact, from 37 differences on a grid.

    Source: Fisher (1935), The Design of Experiments, section 21.
    """
    d = finite(differences)
    exact = np.count_nonzero(d) <= EXACT_LIMIT
    return exact_sign_flip_test(d) if exact else gridded_sign_flip_test(d)


def exact_sign_flip_test(differences: ArrayLike) -> float:
    """Share of all 2^n sign choices whose absolute sum reaches the observed one.

    Two halves are enumerated and met by binary search (Horowitz and Sahni 1974): 2^(n/2) memory.
    """
    d = finite(differences)
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


def gridded_sign_flip_test(differences: ArrayLike) -> float:
    """The exact test on magnitudes rounded to a grid: p is never too small, and little too large.

    Two sums count as tied where rounding may have parted them. Source: Pagano and Tritchler (1983),
    On obtaining permutation distributions in polynomial time.
    """
    d = finite(differences)
    sizes = np.abs(d[d != 0])
    step = sizes.sum() / GRID if sizes.size else 1.0
    counts = np.rint(sizes / step).astype(np.int64)
    rounding = ROUNDING * sizes.sum() + np.abs(sizes - step * counts).sum()
    threshold = abs(d.sum()) - rounding
    if threshold <= 0:
        return 1.0
    most = int((counts.sum() - threshold / step) // 2)  # steps on the minus side
    chances = np.zeros(most + 1)
    chances[0] = 1.0
    for steps in counts[counts > 0]:
        chances /= 2
        chances[steps:] += chances[:-steps]
    return float(2 * chances.sum())  # the other tail is the mirror image


def mean_test(differences: ArrayLike) -> float:
    """Two-sided p of a mean difference of 0 on the very data that were used.

    The exact sign-flip test, which asks whether each difference could as well have had the other
    sign; where the differences are strongly skewed it finds too much, and the larger p of it and
    of `hall_test` counts. `experiments/statistics` measures how far that holds.
    """
    p = sign_flip_test(differences)
    return max(p, hall_test(differences)) if is_skewed(differences) else p


def is_skewed(differences: ArrayLike) -> bool:
    """Whether the sample skewness of the differences is beyond `SKEWED`, if it says anything."""
    d = finite(differences)
    if d.size < SKEWED_FROM or deviation_of(d) == 0:
        return False
    return abs(float(stats.skew(d, bias=False))) > SKEWED


def hall_test(differences: ArrayLike) -> float:
    """Two-sided p of Student's t on the mean after Hall's transformation, which removes skewness.

    Source: Hall (1992), On the removal of skewness by transformation, eq. 2.2 (monotone, cubic).
    """
    d = finite(differences)
    skewness = float(stats.skew(d, bias=False))
    ratio = float(np.mean(d)) / deviation_of(d)
    cubic = skewness * ratio**2 / 3 + skewness**2 * ratio**3 / 27
    moved = ratio + cubic + skewness / (6 * d.size)
    moved = moved if moved * ratio > 0 else 0.0  # not past 0 to the other side
    return float(2 * stats.t.sf(abs(moved) * np.sqrt(d.size), d.size - 1))


def signed_rank_test(values: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's test of a centre of 0, exact with ties; NaN below six values.

    Zeros are left out. Source: Wilcoxon (1945), Individual comparisons by ranking methods.
    """
    d = finite(values)
    if d.size < 6:
        return float("nan")
    d = d[d != 0]
    return sign_flip_test(np.sign(d) * stats.rankdata(np.abs(d))) if d.size else 1.0


def widened_t_test(differences: ArrayLike, extra: float) -> float:
    """Two-sided p of the paired t test where the mean has some variance that seeds do not show.

    extra: that variance. Splits of one finite data set share examples, so that their mean varies by
    `finite_data_variance` more than independent seeds would have it; the test is then the corrected
    resampled t test of Nadeau and Bengio (2003), Inference for the generalization error.
    NaN for a single difference, and 1 where none differs from 0.
    """
    d = finite(differences)
    mean, error = float(np.mean(d)), float(np.sqrt(deviation_of(d) ** 2 / d.size + extra))
    if mean == 0:
        return 1.0
    if error == 0:
        return smallest_p(d.size)
    return float(2 * stats.t.sf(abs(mean) / error, d.size - 1))


def new_data_test(differences: ArrayLike, extra: float) -> float:
    """Two-sided p of a mean difference of 0 on new data: what holds there must hold here as well.

    The larger p of `mean_test` and of `widened_t_test`; of the first alone where `extra` is 0, each
    seed having drawn new data. NaN where `extra` is NaN, or for a single difference with some.
    """
    if np.isnan(extra):
        return float("nan")
    p = mean_test(differences)
    return p if extra == 0 else float(np.maximum(p, widened_t_test(differences, extra)))


def share_unseen(differences: ArrayLike, extra: float) -> float:
    """`extra` over the differences' own variance, 0 without one: two seeds' correlation."""
    variance = deviation_of(finite(differences)) ** 2
    return extra / variance if variance > 0 else 0.0


def finite_data_variance(differences: ArrayLike, ratio: float) -> float:
    """Variance of the mean over random splits of one data set that more splits do not take away.

    ratio: of test examples to those learnt from, in training and validation.
    Source: Nadeau and Bengio (2003), section 3.
    """
    return ratio * deviation_of(finite(differences)) ** 2


def equivalence_test(
    differences: ArrayLike, margin: float, *, extra: float = 0.0, step: float = 0.0
) -> float:
    """The p of two one-sided tests: small where the mean difference is inside +-margin.

    Each side is tested as a difference is: by `mean_test` and by `widened_t_test` with `extra`.
    step: the least that the metric can change. Never below `smallest_p`, hence no verdict at .05
    below six; nor below the chance that differences of a step, rare enough for their mean to be the
    margin, were not met at all. NaN for a single difference. Source: Schuirmann (1987).
    """
    d = finite(differences)
    if not margin > 0:
        raise ValueError(f"equivalence_test: margin: expected a number above 0, given {margin}")
    if d.size < 2:
        return float("nan")
    if abs(float(np.mean(d))) >= margin:
        return 1.0
    sides = (margin - d, margin + d)
    p = max(max(mean_test(side), widened_t_test(side, extra)) / 2 for side in sides)
    unseen = (1 - margin / step) ** d.size if step > margin else 0.0
    return float(max(p, unseen, smallest_p(d.size)))


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
    """The smallest p that a two-sided exact sign-flip test can give."""
    return float(min(1.0, 2.0 ** (1 - seeds)))


def seeds_needed_for(alpha: float = 0.05, comparisons: int = 1) -> int:
    """Seeds below which no comparison of a Holm family can reach alpha, whatever the data."""
    return next(n for n in count(1) if comparisons * smallest_p(n) <= alpha)
