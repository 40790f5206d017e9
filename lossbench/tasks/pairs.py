"""Two views of one thing, each embedded by its own side of the model, to be found by each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import Declaration, metric
from lossbench.models.two_sided import Towers, keeps_sides_apart
from lossbench.tasks import Answers, Backbone, Study, Task
from lossbench.tasks.refusals import (
    refuse_indices,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_two_sided,
)
from lossbench.tasks.scores import recall, shared
from lossbench.tasks.sections import degrees, turned, unit


@shared
def _ranks(estimate: Tensor, target: Tensor) -> Tensor:
    """Of each left (..., N), the rank of its own identity among those of all rights of the split.

    An identity counts by its best right; ties count against the left's own.
    """
    left, right = estimate.unbind(-2)
    identities, identity = target.unique(return_inverse=True)
    score, columns = left @ right.mT, identity.unsqueeze(-2).expand(*target.shape, -1)
    best = score.new_full((*target.shape, len(identities)), -torch.inf)
    best = best.scatter_reduce(-1, columns, score, "amax")
    return (best >= best.gather(-1, identity.unsqueeze(-1))).sum(-1)


@metric(direction=1, bounds=(0, 1))
def recall_at_1(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of lefts whose own identity scores best."""
    return recall(_ranks(estimate, target), 1)


@metric(direction=1, bounds=(0, 1))
def recall_at_5(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of lefts whose own identity is among the five best."""
    return recall(_ranks(estimate, target), 5)


@metric(direction=1, bounds=(0, 1))
def mean_reciprocal_rank(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean of 1 / rank of a left's own identity."""
    return _ranks(estimate, target).to(estimate.dtype).reciprocal().mean(-1)


@dataclass(frozen=True)
class Pairs(Task):
    """Inputs (N, 2, F), predictions (..., N, 2, E), targets (..., N) int64 identities of pairs.

    Left i and right j belong together where their targets agree. The score of a left and a right
    is the inner product of their estimates, which is the cosine unless the loss's link says else.
    """

    embedding_dim: int = 16

    name = "pairs"
    metrics = (recall_at_1, recall_at_5, mean_reciprocal_rank)
    primary = "recall_at_1"
    target_dtype = torch.int64
    couples = True
    needs_target = False
    vocabulary = r"\bembeddings: Tensor|\bpair\b|two views|modalit"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Pairs:
        """The pairs task of inputs (N, 2, F), the shorter view padded, and identities (N,)."""
        refuse_targets(cls.name, inputs, targets, "iu", ())
        refuse_two_sided(cls.name, inputs)
        return cls(tuple(inputs.shape[1:]))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Pairs:
        return cls((), prediction.shape[-1])

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        if outputs != self.embedding_dim:
            refuse_single_output(self.name, outputs)
        return (2, self.embedding_dim)

    def assemble(self, backbone: Backbone, outputs: int) -> nn.Module:
        """A backbone that would let one side see the other is built once for each side instead."""
        model = super().assemble(backbone, outputs)
        if keeps_sides_apart(model, self.input_shape):
            return model
        each = (self.input_shape[1:], self.output_shape(outputs)[1:])
        return Towers(backbone(*each), backbone(*each))

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Eight pairs; the last two share an identity."""
        shape = (8, *self.output_shape(outputs))
        prediction = torch.sin(1.0 + torch.arange(16 * self.embedding_dim)).reshape(shape)
        return prediction, torch.arange(8).clamp(max=6)

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != (*target.shape, 2, self.embedding_dim) or not target.ndim:
            expected = f"(..., N, 2, {self.embedding_dim}) and (..., N)"
            refuse_shapes(self.name, prediction, target, expected)
        refuse_indices(self.name, prediction, target, "identities")

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The two sides, row by row."""
        return {"one side": prediction[:, 0], "the other": prediction[:, 1]}

    def answers(self, size: float) -> Answers:
        """Both sides of a pair at one place, or at those of different pairs."""
        target, places = torch.arange(8), size * torch.eye(8, self.embedding_dim)
        wrong = torch.stack([places, places.roll(1, 0)], 1)
        return Answers(torch.stack([places, places], 1), wrong, target)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Three pairs; of the first, its own right turns or a wrong one."""
        width, identities = self.embedding_dim, torch.arange(3)

        def batch(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
            left = torch.cat([unit(width, i) for i in range(3)])
            rights = [turned(positive, width, 4), turned(negative, width, 1), unit(width, 2)]
            return torch.stack([left, torch.cat(rights)], 1), identities

        def own_turns(x: Tensor) -> tuple[Tensor, Tensor]:
            return batch(x, torch.full_like(x, 90.0))

        def wrong_turns(x: Tensor) -> tuple[Tensor, Tensor]:
            return batch(torch.full_like(x, 45.0), x)

        axis = "degrees from left to its own right, two wrong at 90"
        other = "degrees from left to a wrong right, its own at 45"
        return (
            Study("own right", (("", degrees(axis, own_turns)),)),
            Study("a wrong right", (("", degrees(other, wrong_turns)),)),
        )

    def link(self, prediction: Tensor) -> Tensor:
        """Unit length of both sides."""
        return F.normalize(prediction, dim=-1)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """embedding_dim, of each side."""
        return {"embedding_dim": self.embedding_dim}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: an identity may occur once only."""
        return np.zeros(len(targets), dtype=np.int64)
