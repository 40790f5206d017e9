"""Times to events, some of them censored: drawn from a formula, and three real sets."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pandas as pd

from lossbench.contract import Sample
from lossbench.datasets.wheels import table_in


def event_times(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[20, inf)"] = 1000,
    features: Annotated[int, "[1, inf)"] = 6,
    kind: Literal["weibull", "log_normal"] = "weibull",
    shape: Annotated[float, "(0, inf)"] = 1.5,
    signal: Annotated[float, "[0, inf)"] = 1.0,
    censored: Annotated[float, "[0, 0.9]"] = 0.3,
    round_to: Annotated[float, "[0, inf)"] = 0.0,
) -> Sample:
    """Times of which a share is censored, at random: log t = x . w + noise, x ~ N(0, I).

    |w| = signal. weibull: S(t | x) = exp(-(t / e^(x . w))^shape), so hazards are proportional;
    log_normal: log t has the deviation 1 / shape. Censoring times are exponential, of a scale that
    censors exactly that share. round_to: times are rounded up to multiples of it, 0 for none.
    """
    inputs = rng.standard_normal((samples, features))
    weights = rng.standard_normal(features)
    scale = signal * inputs @ (weights / np.linalg.norm(weights))
    drawn = rng.exponential(size=samples)
    noise = np.log(drawn) if kind == "weibull" else rng.standard_normal(samples)
    time, end = np.exp(scale + noise / shape), rng.exponential(size=samples)
    ratio = np.sort(end / time)  # an end at s times it censors where s ratio < 1
    count = round(censored * samples)
    bounds = ratio[max(count - 1, 0)], ratio[count]
    end /= np.sqrt(bounds[0] * bounds[1]) if count else bounds[1] / 2
    event = time <= end
    watched = np.where(event, time, end)
    if round_to:
        watched = np.ceil(watched / round_to) * round_to
    return Sample(inputs, np.stack([watched, event], axis=1), "survival")


def rossi(rng: np.random.Generator, /) -> Sample:
    """432 released prisoners by seven facts: weeks to an arrest, of at most 52; 26 % arrested.

    It comes inside the package lifelines (pip install --no-deps lifelines). Licence: MIT, as of
    lifelines; that of the data (Rossi et al. 1980) was not traced.
    """
    table = table_in("lifelines", "lifelines/datasets/rossi.csv", "rossi")
    return _posed(table, "week", "arrest")


def gbsg2(rng: np.random.Generator, /) -> Sample:
    """686 women with breast cancer by eight facts: days to a relapse or death, 44 % with one.

    It comes inside the package lifelines (pip install --no-deps lifelines). Licence: MIT, as of
    lifelines; that of the data (Schumacher et al. 1994) was not traced.
    """
    table = table_in("lifelines", "lifelines/datasets/gbsg2.csv", "gbsg2")
    return _posed(table, "time", "cens")


def actg175(rng: np.random.Generator, /) -> Sample:
    """2,139 people with HIV by what was known at the start: days to a decline or death, 24 %.

    Of four treatments; what was measured later is left out. It comes inside the package lifelines
    (pip install --no-deps lifelines). Licence: MIT, as of lifelines; that of the data (Hammer et
    al. 1996) was not traced.
    """
    table = table_in("lifelines", "lifelines/datasets/ACTG175.csv", "actg175")
    later = ["cd420", "cd496", "cd820", "r", "offtrt"]
    table = table.drop(columns=[table.columns[0], "pidnum", "zprior", "treat", *later])
    return _posed(table.astype({"arms": str, "strat": str}), "days", "cens")


def _posed(table: pd.DataFrame, time: str, event: str) -> Sample:
    targets = table[[time, event]].to_numpy(np.float64)
    inputs = pd.get_dummies(table.drop(columns=[time, event]))
    return Sample(inputs.to_numpy(np.float64), targets, "survival")
