"""What seven of the nineteen quantiles are worth: .05, .1, .25, .5, .75, .9 and .95."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossbench.contract import metric
from lossbench.losses.predictive import LEVELS

SEVEN = [0, 1, 4, 9, 14, 17, 18]


@metric(direction=0, bounds=(0, 1))
def coverage_80(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of targets between the quantiles at .1 and .9: 0.8 where these are right."""
    inside = (estimate[..., 1] <= target) & (target <= estimate[..., -2])
    return inside.to(target.dtype).mean(-1)


@metric(direction=-1, bounds=(0, 1))
def crossing_7(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of targets of which a higher one of the seven quantiles lies below a lower one."""
    crossed = (estimate[..., SEVEN].diff(dim=-1) < 0).any(-1)
    return crossed.to(target.dtype).mean(-1)


@metric(direction=-1, bounds=(0, math.inf))
def sorted_pinball(estimate: Tensor, target: Tensor, /) -> Tensor:
    """The metric pinball of the nineteen quantiles in order, in the unit of the target."""
    residual = target.unsqueeze(-1) - estimate.sort(-1).values
    levels = LEVELS.to(estimate)
    return torch.maximum(levels * residual, (levels - 1) * residual).mean((-2, -1))
