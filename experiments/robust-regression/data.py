"""Two real sets of which the target is a number, out of other packages."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossbench.contract import Sample
from lossbench.datasets.wheels import table_in


def autompg(rng: np.random.Generator, /) -> Sample:
    """391 cars by seven features: miles to a gallon, from mlxtend.

    The file has no heading, so that its first car is read as one and left out.
    """
    table = table_in("mlxtend", "mlxtend/data/data/autompg.csv.gz", "autompg")
    inputs = table.iloc[:, :7].to_numpy(np.float64)
    return Sample(inputs, table.iloc[:, 8].to_numpy(np.float64), "regression")


def rings(
    rng: np.random.Generator, /, *, samples: Annotated[int, "[10, 4177]"] = 1000
) -> Sample:
    """Sea snails by sex and seven measurements, drawn by the seed: the rings of a shell."""
    table = table_in("scikit-lego", "sklego/data/abalone.zip", "abalone")
    table = table.iloc[rng.permutation(len(table))[:samples]]
    sex = np.stack([table["sex"] == kind for kind in ("F", "I", "M")], 1)
    rest = table.drop(columns=["sex", "rings"]).to_numpy(np.float64)
    targets = table["rings"].to_numpy(np.float64)
    return Sample(np.concatenate([rest, sex], 1), targets, "regression")
