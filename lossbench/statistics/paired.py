"""Paired tests, equivalence, and corrections over a family."""

from __future__ import annotations

from itertools import count

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lossbench.statistics.basic import Array, deviation_of, finite

EXACT_LIMIT = 36  # differences that a sign-flip test enumerates: two halves of 2^18 sums
ROUNDING = 1e-9  # sums nearer than this share of the summed magnitudes are ties


def sign_flip_test(differences: ArrayLike) -> float:
    """Two-sided p of the paired sign-flip test on the mean, exact up to 36 non-zero differences.

    Source: Fisher (1935), The Design of Experiments, section 21.
    """
    d = finite(differences)
    exact = np.count_nonzero(d) <= EXACT_LIMIT
    return exact_sign_flip_test(d) if exact else sampled_sign_flip_test(d)


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


def sampled_sign_flip_test(differences: ArrayLike, draws: int = 99_999, seed: int = 0) -> float:
    """The sign-flip test on random signs, with the observed signs counted among them.

    Source: Phipson and Smyth (2010), so that p is never 0 and never too small.
    """
    d = finite(differences)
    threshold = abs(d.sum()) - ROUNDING * np.abs(d).sum()
    generator = np.random.default_rng(seed)
    reached = 0
    for start in range(0, draws, 10_000):  # bounded memory
        signs = generator.integers(0, 2, (min(10_000, draws - start), d.size), dtype=np.int8)
        reached += int(np.sum(np.abs((2.0 * signs - 1.0) @ d) >= threshold))
    return (1 + reached) / (1 + draws)


def equivalence_test(differences: ArrayLike, margin: float) -> float:
    """The p of two one-sided t tests: small where the mean difference is inside +-margin.

    Never below `smallest_p`: few differences without any spread show little, so no verdict at .05
    below six. NaN for a single difference. Source: Schuirmann (1987).
    """
    d = finite(differences)
    if not margin > 0:
        raise ValueError(f"equivalence_test: margin: expected a number above 0, given {margin}")
    mean, error = float(np.mean(d)), deviation_of(d) / np.sqrt(d.size)
    if error == 0:
        return smallest_p(d.size) if abs(mean) < margin else 1.0
    p = stats.t.sf((margin - abs(mean)) / error, d.size - 1)
    return float(np.maximum(p, smallest_p(d.size)))


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
