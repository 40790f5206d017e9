"""3,000 examples to learn from, of two tables of counts and of a formula; all others to test on."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossbench.contract import Sample
from lossbench.datasets import amounts

LEARNT, VALIDATED, DRAWN = 3_000, 600, 13_600


def _some(sample: Sample, rng: np.random.Generator, fresh: bool = False) -> Sample:
    place = rng.permutation(len(sample.targets))
    split = np.searchsorted([LEARNT, LEARNT + VALIDATED], place, side="right")
    return Sample(sample.inputs, sample.targets, "counts", fresh=fresh, split=split)


def bikeshare(rng: np.random.Generator, /) -> Sample:
    """Bicycles hired in an hour, by season, time and weather."""
    return _some(amounts.bikeshare(rng), rng)


def randhie(rng: np.random.Generator, /) -> Sample:
    """Visits to a doctor in a year, by insurance and health."""
    return _some(amounts.randhie(rng), rng)


def drawn(
    rng: np.random.Generator,
    /,
    *,
    offset: float = 1.0,
    dispersion: Annotated[float, "[0, inf)"] = 0.5,
) -> Sample:
    """Counts of mean exp(offset + .5 x . w), of variance mean + dispersion * mean^2."""
    family = {"family": "negative_binomial", "dispersion": dispersion} if dispersion else {}
    counts = amounts.count_regression(rng, samples=DRAWN, offset=offset, **family)
    return _some(counts, rng, fresh=True)
