"""Digits of which few are learnt from, and purchases of orange juice."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from lossbench.contract import Sample
from lossbench.datasets.wheels import table_in

LEARNT, VALIDATED = 300, 297


def digits_300(rng: np.random.Generator, /) -> Sample:
    """1,797 handwritten digits: 300 to learn from, 297 to validate on, 1,200 to test on."""
    inputs, targets = load_digits(return_X_y=True)
    place = rng.permutation(len(targets))
    split = np.where(place < LEARNT, 0, np.where(place < LEARNT + VALIDATED, 1, 2))
    return Sample(inputs / 16, targets, "multiclass", fresh=False, split=split)


def oj(rng: np.random.Generator, /) -> Sample:
    """1,070 purchases of orange juice by price, discount and loyalty: which of two brands.

    Inside the package ISLP (pip install --no-deps ISLP). Licence: BSD, as that package.
    """
    table = table_in("ISLP", "ISLP/data/OJ.csv", "oj")
    brand = (table.pop("Purchase") == "MM").to_numpy(np.int64)
    table["Store7"] = table["Store7"] == "Yes"
    return Sample(table.to_numpy(np.float64), brand, "multiclass")
