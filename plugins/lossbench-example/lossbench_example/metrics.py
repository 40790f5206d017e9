"""A metric is a function of estimates and targets, decorated with what its values mean."""

from __future__ import annotations

from torch import Tensor

from lossbench.contract import metric
from lossbench_example.tasks import turn

NEAR = 15  # degrees


@metric(direction=1, bounds=(0, 1))
def within_15_degrees(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of angles that miss their target by at most 15 degrees."""
    return (turn(estimate, target) <= NEAR).to(estimate.dtype).mean(-1)
