"""Which of two ranks higher: one number for each, from the same scorer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.contract import Declaration, UserError, metric
from lossbench.models.two_sided import Shared, keeps_sides_apart, treats_sides_alike
from lossbench.tasks import Answers, Backbone, Section, Study, Task, line
from lossbench.tasks.refusals import (
    refuse_not_binary,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_two_sided,
    refuse_types,
)
from lossbench.tasks.scores import shared


@shared
def _agreement(estimate: Tensor, target: Tensor) -> Tensor:
    """Of each pair 1 in the right order, -1 in the wrong, 0 where the scores are equal."""
    first, second = estimate.unbind(-1)
    return torch.sign(first - second) * torch.where(target > 0.5, 1, -1)


@metric(direction=1, bounds=(0, 1))
def accuracy(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of pairs in the right order."""
    return (_agreement(estimate, target) > 0).to(estimate.dtype).mean(-1)


@metric(direction=1, bounds=(-1, 1))
def kendall_tau(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of pairs in the right order less the share in the wrong."""
    return _agreement(estimate, target).mean(-1)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def log_loss(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean of -log sigmoid of the preferred item's lead: log-odds, as of dpo at beta 1."""
    first, second = estimate.unbind(-1)
    lead = torch.where(target > 0.5, first - second, second - first)
    return torch.nn.functional.softplus(-lead, threshold=40).mean(-1)


@dataclass(frozen=True)
class Ranking(Task):
    """Inputs (N, 2, F), predictions (..., N, 2), targets (..., N): 1 where the first ranks higher.

    The estimate of an item is a score, higher is better; a loss of distances has a link that
    turns them round.
    """

    name = "ranking"
    metrics = (accuracy, kendall_tau, log_loss)
    primary = "accuracy"
    target_dtype = torch.float32
    vocabulary = r"\branks?\b|\bordered\b"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Ranking:
        """The ranking task of inputs (N, 2, F) and targets (N,) in {0, 1}."""
        refuse_targets(cls.name, inputs, targets, "fiub", ())
        refuse_two_sided(cls.name, inputs)
        refuse_not_binary(cls.name, targets)
        return cls(tuple(inputs.shape[1:]))

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return (2,)

    def assemble(self, backbone: Backbone, outputs: int) -> nn.Module:
        """A backbone that is no scorer of single items is built for one item and used on both."""
        model = super().assemble(backbone, outputs)
        apart = keeps_sides_apart(model, self.input_shape)
        if apart and treats_sides_alike(model, self.input_shape):
            return model
        if apart:
            raise UserError(
                "model: it scores the two items of a ranking by different rules; "
                "use model=pair_scorer."
            )
        return Shared(backbone(self.input_shape[1:], self.output_shape(outputs)[1:]))

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        self.output_shape(outputs)
        step = torch.arange(8)
        return 2 * torch.sin(1.0 + torch.arange(16)).reshape(8, 2), (step % 2).float()

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != (*target.shape, 2) or not target.ndim:
            refuse_shapes(self.name, prediction, target, "(..., N, 2) and (..., N)")
        refuse_types(self.name, prediction, target)
        odd = target[(target != 0) & (target != 1)]
        if odd.numel():
            raise UserError(
                f"ranking: target holds {odd[0].item():g} ({odd.numel()} of {target.numel()} "
                "values); give 1 where the first ranks higher, 0 where the second does."
            )

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The two scores, and 1 where the first ranks higher, else -1."""
        return {"first": prediction[:, 0], "second": prediction[:, 1], "sign": 2 * target - 1}

    def other_parts(self, prediction: Tensor, target: Tensor) -> list[dict[str, Tensor]]:
        """The scores with the target, or that of what ranks higher and the other without it."""
        first, second = prediction.unbind(-1)
        is_first = target > 0.5
        higher = torch.where(is_first, first, second)
        lower = torch.where(is_first, second, first)
        return [
            {"first": first, "second": second, "target": target},
            {"higher": higher, "lower": lower},
        ]

    def answers(self, size: float) -> Answers:
        target = self.example()[1]
        right = size * torch.stack([target, 1 - target], -1)
        return Answers(right, right.flip(-1), target)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the difference of two scores."""

        def batch(x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.stack([x, torch.zeros_like(x)], -1), torch.ones_like(x)

        axis = "x_1 - x_2, where the first ranks higher"
        return (Study("", (("", Section(axis, "gradient in x_1", line(-5, 5), batch)),)),)

    def link(self, prediction: Tensor) -> Tensor:
        """None, higher is better."""
        return prediction

    @property
    def chance(self) -> float:
        """A coin's accuracy."""
        return 1 / 2

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: which item of a pair is named first means nothing."""
        return np.zeros(len(targets), dtype=np.int64)

    @property
    def num_classes(self) -> int:
        """Two orders, which label noise turns round."""
        return 2
