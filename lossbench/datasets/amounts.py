"""Counts and spreads: drawn from a formula, so that the truth is known, and from real tables."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from scipy import stats

from lossbench.contract import Sample
from lossbench.datasets.wheels import table_in

TESTED = 1000  # examples whose target is the true mean
NOISES = {
    "normal": stats.norm(),
    "laplace": stats.laplace(),
    "student_t": stats.t(3),
    "skewed": stats.chi2(2, loc=-2),
}
LEVELS = np.arange(1, 20) / 20


def count_regression(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    features: Annotated[int, "[1, inf)"] = 5,
    family: Literal[
        "poisson", "negative_binomial", "zero_inflated_poisson", "gamma", "tweedie"
    ] = "poisson",
    offset: Annotated[float, "(-inf, inf)"] = 1.0,
    signal: Annotated[float, "[0, inf)"] = 0.5,
    dispersion: Annotated[float, "(0, inf)"] = 0.5,
    share: Annotated[float, "[0, 1)"] = 0.3,
    shape: Annotated[float, "(0, inf)"] = 2.0,
    power: Annotated[float, "(1, 2)"] = 1.5,
    truth: bool = False,
) -> Sample:
    """Targets around a mean of exp(offset + signal * x . w), x ~ N(0, I) and |w| = 1.

    Args:
        family: what the targets are drawn from: counts of variance mean (poisson) or
            mean + dispersion * mean^2 (negative_binomial); poisson counts of which a share is made
            0, which lowers their mean by it; amounts of variance mean^2 / shape (gamma) or
            dispersion * mean^power, a Poisson number of gamma amounts (tweedie).
        truth: the test split is 1,000 more examples whose target is the true mean, so that the test
            deviance is the excess over the best possible one.
    """
    inputs = rng.standard_normal((samples + TESTED * truth, features))
    weights = rng.standard_normal(features)
    mean = np.exp(offset + signal * inputs @ (weights / np.linalg.norm(weights)))
    if family == "poisson":
        targets = rng.poisson(mean).astype(float)
    elif family == "negative_binomial":
        targets = rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, len(mean))).astype(float)
    elif family == "zero_inflated_poisson":
        targets = rng.poisson(mean) * (rng.uniform(size=len(mean)) >= share).astype(float)
        mean = (1 - share) * mean
    elif family == "gamma":
        targets = mean * rng.gamma(shape, 1 / shape, len(mean))
    else:
        parts = rng.poisson(mean ** (2 - power) / (dispersion * (2 - power)))
        scale = dispersion * (power - 1) * mean ** (power - 1)
        targets = rng.gamma((2 - power) / (power - 1) * parts) * scale
    held_out = np.arange(len(mean)) >= samples if truth else None
    targets = np.where(np.arange(len(mean)) >= samples, mean, targets)
    return Sample(inputs, targets, "counts", held_out=held_out)


def heteroscedastic(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    features: Annotated[int, "[1, inf)"] = 5,
    noise: Literal["normal", "laplace", "student_t", "skewed"] = "normal",
    noise_scale: Annotated[float, "(0, inf)"] = 0.5,
    spread: Annotated[float, "[0, inf)"] = 0.5,
) -> Sample:
    """y = x . w + noise_scale * exp(spread * x . v) * noise, x ~ N(0, I), |w| = |v| = 1.

    So every quantile is known: that of the noise, scaled and moved. A note says the least crps that
    any model can have on average.

    Args:
        noise: of mean 0: normal or laplace of scale 1, student_t of 3 degrees, or skewed:
            chi-squared of 2 degrees, less 2.
        spread: how much the logarithm of the noise's scale varies; 0 makes it constant.
    """
    inputs = rng.standard_normal((samples, features))
    centre, width = (inputs @ (w / np.linalg.norm(w)) for w in rng.standard_normal((2, features)))
    law = NOISES[noise]
    drawn = law.ppf(rng.uniform(size=samples))
    targets = centre + noise_scale * np.exp(spread * width) * drawn
    least = noise_scale * np.exp(spread**2 / 2) * least_crps(noise)
    notes = (f"heteroscedastic: the least crps that a model can have is {least:.4g} on average.",)
    return Sample(inputs, targets, "distributional", notes=notes)


def least_crps(noise: str) -> float:
    """The expected crps, by 19 quantiles, of who knows the distribution of the noise."""
    law = NOISES[noise]
    # the pinball loss of level u at its own quantile q expects u E y - E min(y, q), and E y = 0
    return float(-2 / 20 * sum(law.expect(lambda y: y, ub=law.ppf(u)) for u in LEVELS))


def _posed(table: pd.DataFrame, target: str, task: str) -> Sample:
    """All columns but the target, text as a column for each of its levels."""
    targets = table.pop(target).to_numpy(np.float64)
    return Sample(pd.get_dummies(table, dtype=float).to_numpy(np.float64), targets, task)


def randhie(rng: np.random.Generator, /) -> Sample:
    """20,190 person-years by 9 features of insurance and health: counts of visits to a doctor.

    31 % are 0, the mean is 2.9 and the variance 20. Rand's health insurance experiment, inside the
    package statsmodels (pip install --no-deps statsmodels). Licence: public domain.
    """
    table = table_in("statsmodels", "statsmodels/datasets/randhie/randhie.csv", "randhie")
    return _posed(table, "mdvis", "counts")


def bikeshare(rng: np.random.Generator, /) -> Sample:
    """8,645 hours by season, time and weather: counts of bicycles that were hired.

    Casual and registered riders, which add up to the target, are left out. Inside the package ISLP
    (pip install --no-deps ISLP). Licence: CC BY 4.0 (UCI, Fanaee-T).
    """
    table = table_in("ISLP", "ISLP/data/Bikeshare.csv", "bikeshare")
    table = table.drop(columns=["casual", "registered"])
    return _posed(table, "bikers", "counts")


def affairs(rng: np.random.Generator, /) -> Sample:
    """6,366 married women by 8 features: time in affairs, an amount that is 0 for two in three.

    Inside the package statsmodels (pip install --no-deps statsmodels). Licence: with the author's
    permission (Fair 1978).
    """
    table = table_in("statsmodels", "statsmodels/datasets/fair/fair.csv", "affairs")
    return _posed(table, "affairs", "counts")


def engel(rng: np.random.Generator, /) -> Sample:
    """235 households: what they spend on food by income, the spread of which grows with it.

    Engel 1857, as in Koenker & Bassett 1982. Inside the package statsmodels
    (pip install --no-deps statsmodels). Licence: public domain.
    """
    table = table_in("statsmodels", "statsmodels/datasets/engel/engel.csv", "engel")
    return _posed(table, "foodexp", "distributional")


def wage(rng: np.random.Generator, /) -> Sample:
    """3,000 men by year, age, education and work: what they earn.

    The logarithm of the target is left out, and the region, of which there is one. Inside the
    package ISLP (pip install --no-deps ISLP). Licence: BSD, as that package.
    """
    table = table_in("ISLP", "ISLP/data/Wage.csv", "wage")
    table = table.drop(columns=["logwage", "region"])
    return _posed(table, "wage", "distributional")
