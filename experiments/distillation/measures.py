"""The share of likeliest classes that are the target's."""

from __future__ import annotations

from torch import Tensor

from lossbench.contract import metric


@metric(direction=1, bounds=(0, 1))
def accuracy(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of examples whose likeliest class is that of the target."""
    return (estimate.argmax(-1) == target.argmax(-1)).double().mean(-1)
