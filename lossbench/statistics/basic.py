"""Checked values, intervals and effect sizes; diverged replicas as the worst outcome."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Array = NDArray[np.float64]
SINGLE = 4 * float(np.finfo(np.float32).eps)  # relative: metrics are computed in single precision


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its confidence interval."""

    estimate: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half its width; the longer side where one end is cut at a bound."""
        return max(self.high - self.estimate, self.estimate - self.low)


def finite(values: ArrayLike, axes: int = 1) -> Array:
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


def deviation_of(values: Array) -> float:
    """Sample standard deviation; what rounding leaves of a constant counts as zero."""
    deviation = float(np.std(values, ddof=1)) if values.size > 1 else float("nan")
    return 0.0 if deviation <= 1e-12 * np.max(np.abs(values)) else deviation


def variance_of(values: Array) -> float:
    """Sample variance; NaN of a single value."""
    return deviation_of(values) ** 2


# --- diverged replicas ----------------------------------------------------------------------


def oriented_scores(
    scores: ArrayLike, *, higher_is_better: bool, failed: float | None = None
) -> Array:
    """Scores of one family with higher better and each diverged (non-finite) one the worst.

    failed: what a model that learnt nothing scores; a diverged one counts as that, or as the worst
    finite score where that is worse still. None: it falls below the worst finite score by the range
    of the finite ones (by 1 where they are all equal), which is an order and not a measurement.
    """
    sign = 1.0 if higher_is_better else -1.0
    oriented = np.array(scores, dtype=np.float64) * sign
    finite = oriented[np.isfinite(oriented)]
    if failed is not None:
        worst = min([sign * failed, *finite])
    else:
        worst = finite.min() - (np.ptp(finite) or 1.0) if finite.size else 0.0
    return np.where(np.isfinite(oriented), oriented, worst)


def paired_differences(
    treatment: ArrayLike,
    baseline: ArrayLike,
    *,
    higher_is_better: bool,
    failed: float | None = None,
) -> Array:
    """Differences by seed, positive where the treatment is better; two diverged tie at 0.

    One diverged of a pair counts as in `oriented_scores`: as `failed`, or else it loses by no less
    than any finite difference.
    """
    pair = np.stack([np.asarray(treatment), np.asarray(baseline)])
    better, worse = oriented_scores(pair, higher_is_better=higher_is_better, failed=failed)
    return difference(better, worse)


def difference(first: Array, second: Array) -> Array:
    """The first less the second; what rounding leaves of equal numbers counts as zero."""
    apart = np.abs(first - second) > SINGLE * np.maximum(np.abs(first), np.abs(second))
    return np.asarray(np.where(apart, first - second, 0.0))


# --- intervals and effects ------------------------------------------------------------------


def t_interval(
    values: ArrayLike,
    level: float = 0.95,
    *,
    extra: float = 0.0,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Student's interval for the mean; of differences, the paired one.

    extra: variance of the mean that more values would not take away, as in `widened_t_test`.
    bounds: of the values, hence of their mean. Below three values the ends are NaN: two say next to
    nothing of their spread.
    """
    x = finite(values)
    mean = float(np.mean(x))
    if x.size < 3:
        return Interval(mean, float("nan"), float("nan"))
    error = np.sqrt(deviation_of(x) ** 2 / x.size + extra)
    half = stats.t.isf((1 - level) / 2, x.size - 1) * error
    return Interval(mean, float(max(mean - half, bounds[0])), float(min(mean + half, bounds[1])))


def ratio_interval(
    over: ArrayLike, under: ArrayLike, level: float = 0.95, *, correlation: float = 0.0
) -> Interval:
    """Interval for the ratio of two means, paired; NaN ends where it would have no bound.

    correlation: of pairs that share finite data, as in `paired_t_power`.
    Source: Fieller (1954), Some problems in interval estimation.
    """
    x, y = finite(over), finite(under)
    ratio = float(np.mean(x) / np.mean(y)) if np.mean(y) else float("nan")
    if x.size < 3:
        return Interval(ratio, float("nan"), float("nan"))
    spread = np.cov(x, y) * (1 / x.size + correlation)
    spread *= stats.t.isf((1 - level) / 2, x.size - 1) ** 2
    square = float(np.mean(y) ** 2 - spread[1, 1])
    middle = float(np.mean(x) * np.mean(y) - spread[0, 1])
    root = middle**2 - square * float(np.mean(x) ** 2 - spread[0, 0])
    if square <= 0 or root < 0:
        return Interval(ratio, float("nan"), float("nan"))
    return Interval(ratio, (middle - root**0.5) / square, (middle + root**0.5) / square)


def rerun_margin(values: ArrayLike, level: float = 0.95) -> float:
    """How far the mean of as many other seeds may lie from this one, with this probability.

    NaN below three values. Source: the prediction interval of a mean, Hahn (1969).
    """
    x = finite(values)
    if x.size < 3:
        return float("nan")
    half = stats.t.isf((1 - level) / 2, x.size - 1)
    return float(half * deviation_of(x) * np.sqrt(2 / x.size))


def probability_of_improvement(differences: ArrayLike) -> float:
    """Share of seeds on which the treatment is better, ties half; paired."""
    return float(np.mean((np.sign(finite(differences)) + 1) / 2))


def effect_size(differences: ArrayLike) -> float:
    """Cohen's d_z (mean over deviation of the differences) without its small-sample bias.

    NaN below three seeds; infinite where the differences are one non-zero constant.
    Source: Hedges (1981), exact correction J; Lakens (2013) for d_z.
    """
    d = finite(differences)
    df = d.size - 1
    if df < 2:
        return float("nan")
    mean, deviation = float(np.mean(d)), deviation_of(d)
    if deviation == 0:
        return float(np.sign(mean) * np.inf) if mean else 0.0
    log_j = special.gammaln(df / 2) - special.gammaln((df - 1) / 2) - np.log(df / 2) / 2
    return float(np.exp(log_j) * mean / deviation)
