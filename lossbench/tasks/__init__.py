"""What a problem fixes: the shapes, the example batch that is the contract, and the metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.contract import Metric

Backbone = Callable[[tuple[int, ...], tuple[int, ...]], nn.Module]


@dataclass(frozen=True)
class Task(ABC):
    """One problem. Batches carry any number of leading axes, so that replicas are scored at once.

    metrics: those that every run of the task has; primary: the name of the one that chooses epochs
    and orders tables.
    version: of the numbers, raised where a change of the task moves them; results of before are
    then trained again.
    target_dtype: of the targets that losses and metrics meet.
    scores_classes: whether an embedding counts only by the logits that the loss makes of it.
    """

    input_shape: tuple[int, ...]

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    primary: ClassVar[str]
    version: ClassVar[int] = 1
    target_dtype: ClassVar[torch.dtype]
    scores_classes: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Task:
        """The task that these data pose; UserError where the targets are not lawful."""

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Task:
        """The task that a batch (B, ...) belongs to, as far as `check` needs to know it."""
        return cls(())

    @abstractmethod
    def output_shape(self, outputs: int) -> tuple[int, ...]:
        """Shape of one prediction for a loss that needs so many outputs per target."""

    @abstractmethod
    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """A lawful batch of predictions (B, *output_shape) and targets."""

    @abstractmethod
    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Raise UserError where shape, type or value of a batch breaks the contract."""

    @abstractmethod
    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        """Raw prediction -> what the metrics score (probabilities, point estimates)."""

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """What a report draws of a split: name -> a few numbers (..., K) for each replica."""
        return {}

    def decisions(self, estimate: Tensor) -> dict[str, Tensor]:
        """The class decided on and how surely (..., N), where the task decides on one."""
        return {}

    def facts(self, target: Tensor) -> dict[str, Any]:
        """What a loss may ask for by a keyword without default, from the training targets."""
        return {}

    def assemble(self, backbone: Backbone, outputs: int) -> nn.Module:
        """A model of this task, for a loss that needs so many outputs per target."""
        return backbone(self.input_shape, self.output_shape(outputs))

    def order(self, target: Tensor, generator: torch.Generator) -> Tensor:
        """The order (N,) in which an epoch visits a replica's training examples."""
        return torch.randperm(len(target), generator=generator)

    @property
    def weighed_classes(self) -> int:
        """How many classes a loss may weigh: two, absent and present, of labels and pixels."""
        return getattr(self, "num_classes", 2)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The group of each example; every split gets the same share of every group."""
        return np.asarray(targets).astype(np.int64)

    def scaled(self, targets: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Targets as corruptions meet them: labels int64, numbers in units of the reference."""
        return np.asarray(targets).astype(np.int64)
