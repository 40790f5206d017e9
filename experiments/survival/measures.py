"""What share of the test split is censored."""

from __future__ import annotations

from torch import Tensor

from lossbench.contract import metric


@metric(direction=0, bounds=(0, 1))
def censored_share(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of targets without an event."""
    return 1 - target[..., 1].to(estimate.dtype).mean(-1)
