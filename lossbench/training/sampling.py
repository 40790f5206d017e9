"""Which training examples an epoch visits, where rare classes are to be seen as often as others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossbench.contract import UserError
from lossbench.datasets.pool import Splits
from lossbench.streams import stream
from lossbench.tasks import Task


def orders_of(splits: Splits, seeds: Sequence[int], epoch: int, *, balanced: bool) -> Tensor:
    """Each replica's order of its training examples in an epoch, (R, N), on the CPU."""
    task, orders, size = splits.task, [], splits.train.size
    draw = balanced_order if balanced else task.order
    blind = type(task).order is Task.order and not balanced  # any targets do
    for r, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(stream(seed, "order", epoch))
        targets = torch.empty(size) if blind else splits.train_targets(r).cpu()
        orders.append(draw(targets, generator))
    return torch.stack(orders)


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
