"""Digits to be embedded, of which every class is known: the test split has new examples."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from lossbench.contract import Sample


def known_digits(rng: np.random.Generator, /) -> Sample:
    """1,797 handwritten digits, 64 pixels in [0, 1], as ten identities. Licence: CC BY 4.0."""
    inputs, targets = load_digits(return_X_y=True)
    return Sample(inputs / 16, targets, "embedding", standardise=False)
