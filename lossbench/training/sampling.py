"""Which training examples an epoch visits, where rare classes are to be seen as often as others."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.contract import UserError
from lossbench.tasks import Task


def balanced_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """As many examples (N,) as there are labels (N,), of each class as many (+-1), shuffled.

    No example of a class is visited again before all of it were.
    """
    count, classes, parts = len(labels), labels.unique(), []
    for number, label in enumerate(classes):
        share = count * (number + 1) // len(classes) - count * number // len(classes)
        members = (labels == label).nonzero()[:, 0]
        rounds = [
            members[torch.randperm(len(members), generator=generator)]
            for _ in range(-(-share // len(members)))
        ]
        parts.append(torch.cat(rounds)[:share])
    return torch.cat(parts)[torch.randperm(count, generator=generator)]


def refuse_sampler(task: Task, targets: Tensor) -> None:
    """UserError where examples have no one class each that could be balanced."""
    ordered = type(task).order is not Task.order
    if ordered or task.couples or task.in_target_unit or targets.ndim != 1:
        raise UserError(
            f"trainer.sampler=balanced needs one class for each example; the data pose the task "
            f"{task.name}. Leave it out."
        )
