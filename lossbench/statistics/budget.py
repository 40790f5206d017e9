"""What a budget of trials can be expected to find."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lossbench.statistics.basic import Array


def expected_best(scores: ArrayLike) -> Array:
    """The mean of the best of k scores over all choices of k of the n, for k = 1 .. n; (n,).

    Higher is better. The k are drawn without replacement, which is free of bias for scores that are
    drawn at random; drawn with replacement, as by Dodge et al., it is too low.
    Source: Dodge, Gururangan, Card, Schwartz, Smith (2019), Show Your Work; Tang et al. (2020).

    >>> expected_best([1.0, 2.0, 6.0]).round(3)
    array([3.   , 4.667, 6.   ])
    """
    ordered = np.sort(np.asarray(scores, dtype=float))
    n = len(ordered)
    below = np.arange(n)  # how many scores each is drawn with, where it is the best
    weights, means = np.full(n, 1 / n), []
    for k in range(1, n + 1):
        means.append(weights @ ordered)  # the weight of score i is C(below, k - 1) / C(n, k)
        if k < n:
            weights = weights * (below - k + 1) / k * (k + 1) / (n - k)
    return np.array(means)
