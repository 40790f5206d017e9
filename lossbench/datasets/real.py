"""Small real data that come with scikit-learn; a seed decides only how they are split."""

from __future__ import annotations

import numpy as np
from sklearn import datasets

from lossbench.contract import Sample


def digits(rng: np.random.Generator, /) -> Sample:
    """1,797 handwritten digits of 8 x 8 pixels, flattened to (64,) in [0, 1]: ten classes.

    Licence: CC BY 4.0 (UCI, Alpaydin & Kaynak).
    """
    inputs, targets = datasets.load_digits(return_X_y=True)
    return Sample(inputs / 16, targets, "multiclass")


def breast_cancer(rng: np.random.Generator, /) -> Sample:
    """569 tumours by 30 measurements of cell nuclei: binary, 1 = benign (63 %).

    Licence: CC BY 4.0 (UCI, Wolberg et al.).
    """
    inputs, targets = datasets.load_breast_cancer(return_X_y=True)
    return Sample(inputs, targets, "binary")


def wine(rng: np.random.Generator, /) -> Sample:
    """178 wines of three growers by 13 chemical measurements: three classes.

    Licence: CC BY 4.0 (UCI, Aeberhard & Forina).
    """
    inputs, targets = datasets.load_wine(return_X_y=True)
    return Sample(inputs, targets, "multiclass")


def diabetes(rng: np.random.Generator, /) -> Sample:
    """442 patients by 10 measurements; the target is the disease's progress after a year.

    Licence: none is stated (Efron et al. 2004).
    """
    inputs, targets = datasets.load_diabetes(scaled=False, return_X_y=True)
    return Sample(inputs, targets, "regression")
