"""Two more tables of times to a death, and times whose hazards cross."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd

from lossbench.contract import Sample
from lossbench.datasets.wheels import table_in


def _posed(table: pd.DataFrame, event: str) -> Sample:
    targets = np.stack([table.pop("time"), table.pop(event)], 1).astype(np.float64)
    return Sample(table.to_numpy(np.float64), targets, "survival")


def kidney(rng: np.random.Generator, /) -> Sample:
    """863 kidney transplants by age and group: days to a death, of 16 %. Inside lifelines."""
    file = "lifelines/datasets/kidney_transplant.csv"
    return _posed(table_in("lifelines", file, "kidney"), "death")


def lung(rng: np.random.Generator, /) -> Sample:
    """223 people with lung cancer by age, sex and three scores: days to a death, of 72 %.

    Inside lifelines; five people of whom a score is missing are left out.
    """
    table = table_in("lifelines", "lifelines/datasets/lung.csv", "lung")
    columns = ["time", "status", "age", "sex", "ph.ecog", "ph.karno", "pat.karno"]
    return _posed(table[columns].dropna(), "status")


def crossing(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[20, inf)"] = 2000,
    censored: Annotated[float, "[0, 0.9]"] = 0.3,
) -> Sample:
    """Weibull times of shape .7 where x1 < 0 and 3 elsewhere, of scale exp(.5 x2); six features.

    So the hazard of the first group starts above that of the second, and ends below it.
    """
    inputs = rng.standard_normal((samples, 6))
    shape = np.where(inputs[:, 0] < 0, 0.7, 3.0)
    time = np.exp(0.5 * inputs[:, 1]) * rng.exponential(size=samples) ** (1 / shape)
    end = rng.exponential(size=samples)
    ratio = np.sort(end / time)  # an end at s times it censors where s ratio < 1
    end /= ratio[round(censored * samples)]
    return Sample(inputs, np.stack([np.minimum(time, end), time <= end], 1), "survival")
