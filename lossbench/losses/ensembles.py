"""Distributional losses of an ensemble: prediction (B, M) or (B, D, M), target (B,) or (B, D).

Symbols: x_i the M members, y target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.predictive import mean_of_features
from lossbench.losses.stable import euclidean_norm

MEMBERS = 20  # that a model gives


def _ensemble(prediction: Tensor, target: Tensor, pairs: float) -> Tensor:
    """mean |x - y| less half the distances of all pairs over their number, by sorting."""
    members = prediction.shape[-1]
    apart = (prediction - target.unsqueeze(-1)).sort(-1).values
    rank = torch.arange(1, members + 1, device=apart.device, dtype=apart.dtype)
    spread = ((2 * rank - members - 1) * apart).sum(-1) / pairs
    return mean_of_features(apart.abs().mean(-1) - spread)


@declare(outputs=MEMBERS, convex=False, source="Gneiting & Raftery 2007")
def crps_ensemble(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards members near the target and apart from each other.

    L = mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 M^2), mean over features

    Args:
        prediction: (B, M) or (B, D, M), any real; a model gives M = 20 members.
        target: (B,) or (B, D).

    Returns:
        (B,), in units of the target; at least 0. Of one member it is absolute_error.

    Neighbours: the CRPS of the distribution of the members, which at finite M is best for members
    closer to each other than samples of the truth; fair_crps_ensemble is not. Scoringrules' and
    properscoring's default.

    Source: Gneiting & Raftery 2007.

    >>> crps_ensemble(torch.tensor([[0.0, 2.0], [0.0, 0.0]]), torch.tensor([1.0, 1.0]))
    tensor([0.5000, 1.0000])
    """
    return _ensemble(prediction, target, prediction.shape[-1] ** 2)


@declare(outputs=MEMBERS, convex=False, source="Ferro 2014")
def fair_crps_ensemble(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards members near the target and as far apart as samples of the truth are.

    L = mean_i |x_i - y| - sum_ij |x_i - x_j| / (2 M (M - 1)), mean over features

    Args:
        prediction: (B, M) or (B, D, M) of M >= 2, any real; a model gives M = 20 members.
        target: (B,) or (B, D).

    Returns:
        (B,), in units of the target; may be negative.

    Neighbours: crps_ensemble as M grows. Two members that enclose the target cost 0 wherever they
    are, and run away; use at least five.

    Source: Ferro 2014.

    >>> fair_crps_ensemble(torch.tensor([[0.0, 2.0], [0.0, 0.0]]), torch.tensor([1.0, 1.0]))
    tensor([0., 1.])
    """
    members = prediction.shape[-1]
    return _ensemble(prediction, target, members * (members - 1))


@declare(outputs=MEMBERS, convex=False, source="Gneiting & Raftery 2007")
def energy_score(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards members near the target and apart from each other, all features together.

    L = mean_i ||x_i - y|| - sum_ij ||x_i - x_j|| / (2 M^2), norms over features

    Args:
        prediction: (B, M) or (B, D, M), any real; a model gives M = 20 members.
        target: (B,) or (B, D).

    Returns:
        (B,), in units of the target; at least 0. Members that are equal have gradient 0 to each
        other.

    Neighbours: crps_ensemble where there is one feature. It sees the dependence of features, if
    weakly, and costs M^2 D.

    Source: Gneiting & Raftery 2007.

    >>> energy_score(torch.tensor([[[0.0, 0.0], [0.0, 2.0]]]), torch.tensor([[0.0, 1.0]]))
    tensor([0.5000])
    """
    wide = prediction if target.ndim > 1 else prediction.unsqueeze(-2)
    members = wide.mT
    y = target if target.ndim > 1 else target.unsqueeze(-1)
    reach = euclidean_norm(members - y.unsqueeze(-2)).mean(-1)
    apart = euclidean_norm(members.unsqueeze(-2) - members.unsqueeze(-3))
    return reach - apart.mean((-2, -1)) / 2
