"""What a report draws next to metrics and curves, small enough to be kept with every result."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lossbench.datasets.pool import Batch
from lossbench.tasks import Task

GRID = 60  # places along each axis of a plane of inputs
EDGE = 3.0  # where it ends, in standard deviations of the inputs
POINTS = 200  # training examples shown on it


def collect_details(
    task: Task,
    estimate: Callable[[Tensor], Tensor],
    train: Callable[[int], Batch],
    test_estimate: Tensor,
    test_target: Tensor,
) -> dict[str, Tensor]:
    """Name -> (R, K): the task's details of the test split, and of a plane where inputs are one.

    train: gives so many examples.
    """
    shown = task.details(test_estimate, test_target)
    if task.input_shape == (2,):
        replicas = len(test_estimate)
        inputs, targets = train(POINTS)
        decided = task.decisions(estimate(list_places().to(inputs).expand(replicas, -1, -1)))
        if decided:
            shown = {
                **shown,
                **{name: values.float().round(decimals=2) for name, values in decided.items()},
                "plane.extent": torch.tensor([-EDGE, EDGE]).expand(replicas, 2),
                "points.x": inputs[..., 0],
                "points.y": inputs[..., 1],
                "points.class": targets,
            }
    return {name: values.detach().float().cpu() for name, values in shown.items()}


def list_places() -> Tensor:
    """The places (GRID * GRID, 2) of a plane of inputs, row by row from below."""
    line = torch.linspace(-EDGE, EDGE, GRID)
    return torch.cartesian_prod(line, line).flip(-1)
