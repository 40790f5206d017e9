"""What goes into a stack, and what training leaves of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.contract import Metric


@dataclass(frozen=True)
class Recipe:
    """How to make a replica and how to train it; the same for all.

    output_shape: of a prediction of one example.
    loss: the facts of a replica's data, those that the loss asks for, -> a loss or a module.
    link: with what it asks for and all replicas share; link_asks: what it asks for.
    start: training targets -> where the model's last bias starts, if that is somewhere.
    call_facts: what the loss asks for at each call.
    through_loss: whether the module's `logits` stand between a prediction and its link.
    augmentation: of a replica's training batches, if there is one.
    schedule: the share of training that is done -> a factor of the learning rate.
    balanced: whether an epoch visits each class alike.
    clip_norm: the longest gradient of a replica, if there is one.
    metrics: what every split is scored by; primary: the one that chooses epochs.
    notes: what a reader of the results must know of how the loss is called.
    """

    model: Callable[[], nn.Module]
    output_shape: tuple[int, ...]
    loss: Callable[[dict[str, Any]], Callable[..., Tensor]]
    facts: tuple[str, ...]
    call_facts: tuple[str, ...]
    link: Callable[..., Tensor] | None
    link_asks: tuple[str, ...]
    start: Callable[[Tensor], Tensor | None] | None
    through_loss: bool
    regularizer: Callable[..., Tensor]
    optimizer: Callable[..., torch.optim.Optimizer]
    augmentation: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None
    schedule: Callable[[float], float]
    epochs: int
    batch_size: int
    balanced: bool
    clip_norm: float | None
    metrics: Mapping[str, Metric]
    primary: Metric
    notes: tuple[str, ...] = ()

    def batches(self, count: int) -> int:
        """How many batches, of equal size but for one example, an epoch is cut into."""
        return -(-count // self.batch_size)

    def smallest_batch(self, count: int) -> int:
        return count // self.batches(count)


@dataclass
class History:
    """What training leaves, a value for each replica in the order of the seeds.

    curves: (epoch, metric, values); an epoch is 0 before training. final: metric -> values.
    test_curves: the same of the test and training splits, empty unless asked for; apart, to choose
    nothing.
    notes: how the replicas were run, where not all was mapped.
    details: name -> numbers (R, K), for figures. predictions: as in `predictions.Predictions`.
    diverged_epoch, best_epoch: -1 where there is none. earlier: seconds that processes before this
    one spent.
    """

    diverged_epoch: Tensor
    best_epoch: Tensor
    best_score: Tensor
    curves: list[tuple[int, str, Tensor]] = field(default_factory=list)
    final: dict[str, Tensor] = field(default_factory=dict)
    earlier: float = 0.0
    details: dict[str, Tensor] = field(default_factory=dict)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)
    test_curves: list[tuple[int, str, Tensor]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def first(self, count: int) -> History:
        """The history of the first replicas alone."""
        return History(
            self.diverged_epoch[:count],
            self.best_epoch[:count],
            self.best_score[:count],
            [(epoch, name, values[:count]) for epoch, name, values in self.curves],
            {name: values[:count] for name, values in self.final.items()},
            self.earlier,
            {name: values[:count] for name, values in self.details.items()},
            {name: values[:count] for name, values in self.predictions.items()},
            [(epoch, name, values[:count]) for epoch, name, values in self.test_curves],
            self.notes,
        )
