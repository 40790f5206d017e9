"""Scores of predicted means, of which some may be below 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossbench.contract import metric

LEAST = 0.1  # of the mean target: lower predictions are raised to it


def _deviance(mean: Tensor, y: Tensor) -> Tensor:
    return 2 * (torch.xlogy(y, y) - torch.xlogy(y, mean) - y + mean).mean(-1)


@metric(direction=1, bounds=(-math.inf, 1))
def d2(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of the null Poisson deviance that is explained.

    Predictions below a tenth of the mean target are raised to it, so that it is defined for any.
    """
    y = target.double()
    null = y.mean(-1, keepdim=True)
    mean = torch.maximum(estimate.double(), LEAST * null)
    return 1 - _deviance(mean, y) / _deviance(null, y)


@metric(direction=1, bounds=(-math.inf, 1))
def r2(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of the variance that is explained."""
    residual, y = estimate.double() - target, target.double()
    return 1 - residual.square().mean(-1) / y.var(-1, correction=0)


@metric(direction=0, bounds=(0, 1))
def negative_share(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of predictions below 0."""
    return (estimate < 0).to(target.dtype).mean(-1)


@metric(direction=0, bounds=(0, math.inf))
def dispersion(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Pearson's: the mean of (y - mean)^2 / mean, 1 where targets are Poisson."""
    mean = estimate.double()
    return ((target - mean).square() / mean).mean(-1)
