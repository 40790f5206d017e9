"""A real set of which the target is a number, out of another package."""

from __future__ import annotations

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
