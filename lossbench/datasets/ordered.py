"""Classes in order: drawn by cuts through a score, and three real sets that come in packages."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from scipy.special import expit

from lossbench.contract import Sample
from lossbench.datasets.wheels import table_in


def graded(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[15, inf)"] = 1000,
    features: Annotated[int, "[1, inf)"] = 8,
    classes: Annotated[int, "[3, inf)"] = 5,
    signal: Annotated[float, "(0, inf)"] = 3.0,
    spacing: Annotated[float, "(0, inf)"] = 1.5,
) -> Sample:
    """Grades: y is the number of cuts below x . w plus standard logistic noise; x ~ N(0, I).

    |w| = signal, so P(y > k | x) = sigmoid(x . w - c_k): the proportional-odds model is true. The
    cuts c_k run from -signal to signal, each gap `spacing` times the one before. Every seed has as
    many of each class as are expected.
    """
    cuts = cuts_of(classes, signal, spacing)
    counts = _expected_counts(samples, cuts, signal)
    weights = rng.standard_normal(features)
    weights *= signal / np.linalg.norm(weights)
    inputs, targets = np.empty((0, features)), np.empty(0, np.int64)
    while (np.bincount(targets, minlength=classes) < counts).any():
        drawn = rng.standard_normal((samples, features))
        noisy = drawn @ weights + rng.logistic(size=samples)
        inputs = np.concatenate([inputs, drawn])
        targets = np.concatenate([targets, (noisy[:, None] > cuts).sum(1)])
    first = [np.flatnonzero(targets == k)[:count] for k, count in enumerate(counts)]
    rows = np.sort(np.concatenate(first))
    return Sample(inputs[rows], targets[rows], "ordinal")


def _expected_counts(samples: int, cuts: np.ndarray, signal: float) -> np.ndarray:
    """(C,): of so many examples those of each class, rounded so that they add up."""
    points, weights = np.polynomial.hermite_e.hermegauss(99)
    beyond = expit(signal * points[:, None] - cuts).T @ weights / weights.sum()
    return np.diff(np.rint(samples * (1 - np.append(beyond, 0))), prepend=0).astype(np.int64)


def cuts_of(classes: int, signal: float, spacing: float) -> np.ndarray:
    """(C-1,): from -signal to signal, each gap so many times the one before."""
    reached = np.cumsum(np.append(0.0, spacing ** np.arange(classes - 2)))
    return signal * (2 * reached / reached[-1] - 1)


def abalone(rng: np.random.Generator, /, *, classes: Annotated[int, "[3, 8]"] = 6) -> Sample:
    """4,177 sea snails by sex and seven measurements; the rings of a shell, cut into classes.

    Cuts are where classes become as equal as whole rings allow. It comes inside the package
    scikit-lego (pip install --no-deps scikit-lego). Licence: CC BY 4.0 (UCI, Nash et al. 1994).
    """
    table = table_in("scikit-lego", "sklego/data/abalone.zip", "abalone")
    rings = table.pop("rings").to_numpy()
    edges = np.quantile(rings, np.arange(1, classes) / classes)
    inputs = pd.get_dummies(table, columns=["sex"]).to_numpy(np.float64)
    notes = (f"abalone: classes begin above {', '.join(f'{e:g}' for e in edges)} rings.",)
    return Sample(inputs, np.searchsorted(edges, rings), "ordinal", notes=notes)


def party(rng: np.random.Generator, /) -> Sample:
    """944 voters of 1996 by eight answers: how near they are to a party, in seven steps.

    From strong Democrat to strong Republican; their vote is left out. It comes inside the package
    statsmodels (pip install --no-deps statsmodels). Licence: public domain (ANES).
    """
    table = table_in("statsmodels", "statsmodels/datasets/anes96/anes96.csv", "party", "\t")
    targets = table.pop("PID").to_numpy(np.int64)
    return Sample(table.drop(columns="vote").to_numpy(np.float64), targets, "ordinal")


def marriage(rng: np.random.Generator, /) -> Sample:
    """6,366 wives by eight answers: how they rate their marriage, in five steps.

    It comes inside the package statsmodels (pip install --no-deps statsmodels). Licence: with the
    author's permission (Fair 1978).
    """
    table = table_in("statsmodels", "statsmodels/datasets/fair/fair.csv", "marriage")
    targets = table.pop("rate_marriage").to_numpy(np.int64) - 1
    return Sample(table.to_numpy(np.float64), targets, "ordinal")
