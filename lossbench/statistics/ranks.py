"""Several datasets, and whether a ranking would survive other seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lossbench.statistics.basic import Array, Interval, finite
from lossbench.statistics.paired import sign_flip_test


@dataclass(frozen=True)
class Friedman:
    """Friedman's chi-square, its p, and each loss's average rank; rank 1 is best."""

    statistic: float
    p: float
    average_ranks: Array


def friedman(scores: ArrayLike) -> Friedman:
    """Friedman's test on datasets x losses, higher better, ties corrected; exact for two losses.

    Source: Friedman (1937); the form with ties from Conover (1999), section 5.8.
    """
    x = finite(scores, axes=2)
    losses = x.shape[1]
    ranks = stats.rankdata(-x, axis=1)
    centred = ranks - (losses + 1) / 2
    spread = float(np.sum(centred**2))
    between = float(np.sum(centred.sum(axis=0) ** 2))
    statistic = (losses - 1) * between / spread if spread > 0 else 0.0
    p = float(stats.chi2.sf(statistic, losses - 1)) if spread > 0 else 1.0
    if losses == 2:  # the sign test, of which chi-square finds too much: .046 for 4 of 4, not .125
        p = sign_flip_test(centred[:, 0])
    return Friedman(statistic, p, ranks.mean(axis=0))


def nemenyi_critical_difference(losses: int, datasets: int, alpha: float = 0.05) -> float:
    """Average ranks further apart than this differ, over all pairs at once.

    Source: Nemenyi (1963); Demsar (2006), section 3.2.2.
    """
    q = stats.studentized_range.isf(alpha, losses, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(losses * (losses + 1) / (6 * datasets)))


def share_leads(scores: ArrayLike, resamples: int = 2_000, seed: int = 0) -> Array:
    """Each treatment's share of bootstrap resamples of the seeds in which its mean is the highest.

    scores: seeds x treatments. A shared lead is divided.
    """
    x = finite(scores, axes=2)
    rows = np.random.default_rng(seed).integers(0, len(x), (resamples, len(x)))
    means = x[rows].mean(axis=1)
    first = means == means.max(axis=1, keepdims=True)
    return np.mean(first / first.sum(axis=1, keepdims=True), axis=0)


def first_stays(scores: ArrayLike, resamples: int = 2_000, seed: int = 0) -> float:
    """How often the treatment that is first on one random half of the seeds is so on the other.

    scores: seeds x treatments, at least two seeds. A shared lead counts in part.
    """
    x = finite(scores, axes=2)
    generator, half = np.random.default_rng(seed), len(x) // 2
    order = generator.permuted(np.tile(np.arange(len(x)), (resamples, 1)), axis=1)
    leads = []
    for rows in (order[:, :half], order[:, half : 2 * half]):
        means = x[rows].mean(axis=1)
        first = means == means.max(axis=1, keepdims=True)
        leads.append(first / first.sum(axis=1, keepdims=True))
    return float(np.mean(np.sum(leads[0] * leads[1], axis=1)))


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores pooled, whatever their axes.

    Source: Agarwal et al. (2021), section 4.3 (rliable's aggregate_iqm).
    """
    return float(stats.trim_mean(finite(np.ravel(np.asarray(scores))), 0.25))


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
    x, y = finite(treatment, axes=2), finite(baseline, axes=2)
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
