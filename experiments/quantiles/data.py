"""Data of known quantiles, linear in the features, and two real sets."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from sklearn.datasets import load_diabetes

from lossbench.contract import Sample
from lossbench.datasets.wheels import table_in

TESTED = 10_000
FEATURES = 10


def scaled(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 250,
    task: Literal["distributional", "regression"] = "distributional",
) -> Sample:
    """y = x1 - x2 + x3 + (0.3 + x1) * normal noise, ten features x uniform on [0, 1].

    The test split is 10,000 more examples; a fifth of the samples validates.
    """
    inputs = rng.uniform(size=(samples + TESTED, FEATURES))
    x1, x2, x3 = inputs[:, :3].T
    targets = x1 - x2 + x3 + (0.3 + x1) * rng.standard_normal(len(inputs))
    return Sample(inputs, targets, task, held_out=np.arange(len(inputs)) >= samples)


def diabetes(rng: np.random.Generator, /) -> Sample:
    """442 patients by 10 measurements: the disease's progress after a year."""
    inputs, targets = load_diabetes(return_X_y=True)
    return Sample(inputs, targets, "distributional")


def rings(rng: np.random.Generator, /) -> Sample:
    """4,177 sea snails by sex and seven measurements: the rings of a shell, from scikit-lego."""
    table = table_in("scikit-lego", "sklego/data/abalone.zip", "abalone")
    targets = table.pop("rings").to_numpy(np.float64)
    sex = np.stack([table["sex"] == kind for kind in ("F", "I", "M")], 1)
    rest = table.drop(columns="sex").to_numpy(np.float64)
    return Sample(np.concatenate([rest, sex], 1), targets, "distributional")
