"""Losses for angles: vectors (B, 2), angles (B,) in radians, one value per example."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench_example.tasks import unit


@declare(convex=True, lipschitz=2.0, minimiser="circular mean", source="von Mises 1918")
def von_mises(vector: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a vector that points at the target, and that is long where it may be sure.

    L = log I_0(|v|) - |v| cos(angle of v - target)

    Args:
        vector: (B, 2), any real; its length is the concentration of a von Mises distribution.
        target: (B,), radians.

    Returns:
        (B,), nats, less log 2 pi.

    Neighbours: for long vectors it is, in the angle, a squared error weighed by the length.

    Source: von Mises 1918.

    >>> von_mises(torch.tensor([[3.0, 0.0], [3.0, 0.0]]), torch.tensor([0.0, 1.0]))
    tensor([-1.4147, -0.0356])
    """
    length = torch.linalg.vector_norm(vector, dim=-1)
    along = (vector * unit(target)).sum(-1)
    return torch.log(torch.special.i0e(length)) + length - along


@declare(convex=True, minimiser="circular mean")
def squared_chord(vector: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the squared distance of a vector from the point of the circle at the target.

    L = |v - (cos target, sin target)|^2

    Args:
        vector: (B, 2), any real.
        target: (B,), radians.

    Returns:
        (B,), unitless.

    Neighbours: squared_error of the two coordinates; of unit vectors it is 2 (1 - cos).

    >>> squared_chord(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.zeros(2))
    tensor([1., 0.])
    """
    return (vector - unit(target)).square().sum(-1)
