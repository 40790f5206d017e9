"""A point for each example, near those of the same identity: D numbers, compared by angle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import Declaration, UserError, metric
from lossbench.tasks import Answers, Study, Task, scores
from lossbench.tasks.refusals import (
    refuse_indices,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
)
from lossbench.tasks.scores import class_counts, recall, shared
from lossbench.tasks.sections import degrees, turned, unit

RUN = 4  # examples of one identity that follow each other in an epoch
MOST_PAIRS = 50_000  # of all pairs of examples, as many are looked at


@shared
def _ranks(estimate: Tensor, target: Tensor) -> Tensor:
    """Of each example the rank (..., N) of its nearest mate, ties against it; 0 without a mate."""
    cosine, same = estimate @ estimate.mT, target.unsqueeze(-1) == target.unsqueeze(-2)
    itself = torch.eye(target.shape[-1], dtype=torch.bool, device=target.device)
    nearest = cosine.masked_fill(~same | itself, -torch.inf).amax(-1, keepdim=True)
    rank = 1 + (~same & (cosine >= nearest)).sum(-1)
    return rank.masked_fill(same.sum(-1) == 1, 0)


@shared
def _compared(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and "same identity?" of pairs of examples: all, or 50,000, always the same."""
    first, second = _pairs(target.shape[-1], target.device)
    same = target.unsqueeze(-1) == target.unsqueeze(-2)
    return (estimate @ estimate.mT)[..., first, second], same[..., first, second]


@shared
def _angles(estimate: Tensor, target: Tensor) -> Tensor:
    """Of the same pairs, in degrees."""
    return torch.rad2deg(torch.acos(_compared(estimate, target)[0].clamp(-1, 1)))


@metric(direction=1, bounds=(0, 1))
def recall_at_1(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of examples, of those with a mate, whose nearest other is one."""
    return recall(_ranks(estimate, target), 1)


@metric(direction=1, bounds=(0, 1))
def recall_at_5(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of examples, of those with a mate, with one among the five nearest others."""
    return recall(_ranks(estimate, target), 5)


@metric(direction=-1, bounds=(0, 1))
def equal_error_rate(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Where false acceptance equals false rejection, of "same identity?" by cosine."""
    return scores.equal_error_rate(*_compared(estimate, target))


@metric(direction=-1, bounds=(0, 180), unit="degrees")
def intra_class_angle(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean angle between examples of one identity."""
    angle, (_, same) = _angles(estimate, target), _compared(estimate, target)
    return (angle * same).sum(-1) / same.sum(-1)


@metric(direction=1, bounds=(0, 180), unit="degrees")
def inter_class_angle(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean angle between examples of different identities."""
    angle, (_, same) = _angles(estimate, target), _compared(estimate, target)
    return (angle * ~same).sum(-1) / (~same).sum(-1)


@metric(direction=1, bounds=(0, 1))
def satisfied_triplets(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of all triplets whose anchor is nearer to its mate than to the other identity."""
    cosine, same = estimate @ estimate.mT, target.unsqueeze(-1) == target.unsqueeze(-2)
    mate = same & ~torch.eye(target.shape[-1], dtype=torch.bool, device=target.device)
    others = cosine.masked_fill(same, torch.inf).sort(-1).values
    further = torch.searchsorted(others, cosine).masked_fill(~mate, 0)  # others, by anchor and mate
    triplets = (mate.sum(-1) * (~same).sum(-1)).sum(-1)
    return further.sum((-2, -1)).to(estimate) / triplets


@dataclass(frozen=True)
class Embedding(Task):
    """Predictions (..., N, D), targets (..., N) int64 identities from 0.

    num_classes: of the identities to learn from; the test split may hold others, of higher number.
    Where one has too few examples for every split, drawn splits have each identity in one of them.
    """

    num_classes: int
    embedding_dim: int = 16

    name = "embedding"
    metrics = (recall_at_1, recall_at_5, equal_error_rate, intra_class_angle, inter_class_angle)
    primary = "equal_error_rate"
    target_dtype = torch.int64
    couples = True
    whole_strata = True
    vocabulary = r"\bembedding: Tensor|\(B, D\)|\bidentit"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Embedding:
        """The embedding task of inputs (N, ...) and identities (N,), every one 0..max present."""
        refuse_targets(cls.name, inputs, targets, "iu", ())
        identities, counts = np.unique(targets, return_counts=True)
        if len(identities) < 2 or not np.array_equal(identities, np.arange(len(identities))):
            shown = ", ".join(map(str, [*identities[:8], *["…"] * (len(identities) > 8)]))
            raise UserError(
                f"embedding: the {len(identities)} identities to learn from are {shown}; "
                "give at least two, numbered 0, 1, 2, … without a gap."
            )
        if counts.max() < 2:
            raise UserError("embedding: no identity has two examples; give mates of some.")
        return cls(tuple(inputs.shape[1:]), len(identities))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Embedding:
        return cls((), 0, prediction.shape[-1])

    @classmethod
    def small(cls) -> Embedding:
        return cls((6, 4), 4)

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        if outputs != self.embedding_dim:
            refuse_single_output(self.name, outputs)
        return (self.embedding_dim,)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        shape = (8, *self.output_shape(outputs))
        prediction = torch.sin(1.0 + torch.arange(8 * self.embedding_dim)).reshape(shape)
        return prediction, torch.arange(8) // 2 % self.num_classes

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != (*target.shape, self.embedding_dim) or not target.ndim:
            expected = f"(..., N, {self.embedding_dim}) and (..., N)"
            refuse_shapes(self.name, prediction, target, expected)
        refuse_indices(self.name, prediction, target, "identities")

    def answers(self, size: float) -> Answers:
        """Mates at one place and others elsewhere; mates elsewhere and others at one place."""
        target, places = torch.arange(8) // 2, size * torch.eye(self.embedding_dim)
        return Answers(places[target], places[torch.arange(8) % 2], target)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """An anchor, one positive and two equal negatives, of which one kind turns."""
        width, identities = self.embedding_dim, torch.tensor([0, 0, 1, 1])

        def batch(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
            rows = [unit(width, 0), turned(positive, width, 2), *[turned(negative, width, 1)] * 2]
            return torch.cat(rows), identities

        def positive_turns(x: Tensor) -> tuple[Tensor, Tensor]:
            return batch(x, torch.full_like(x, 90.0))

        def negatives_turn(x: Tensor) -> tuple[Tensor, Tensor]:
            return batch(torch.full_like(x, 45.0), x)

        axis = "degrees from anchor to positive, two negatives at 90"
        other = "degrees from anchor to both negatives, positive at 45"
        return (
            Study("positive", (("", degrees(axis, positive_turns)),)),
            Study("negatives", (("", degrees(other, negatives_turn)),)),
        )

    def link(self, prediction: Tensor) -> Tensor:
        """Unit length."""
        return F.normalize(prediction, dim=-1)

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        """Of unit length, whatever a loss declares."""
        return self.link(link(prediction) if link else prediction)

    @property
    def chance(self) -> float:
        """The equal error rate of a coin."""
        return 1 / 2

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes, class_counts (..., C) and embedding_dim, from training targets (..., N)."""
        counts = class_counts(target, self.num_classes)
        dimensions = {"num_classes": self.num_classes, "embedding_dim": self.embedding_dim}
        return {**dimensions, "class_counts": counts}

    def order(self, target: Tensor, generator: torch.Generator) -> Tensor:
        """A random order in runs of four of one identity, so that every batch has pairs."""
        order = torch.randperm(len(target), generator=generator)
        order = order[target[order].argsort(stable=True)]
        identity = target[order]
        position = torch.arange(len(target)) - torch.searchsorted(identity, identity)
        starts = (position % RUN == 0).long()
        place = torch.randperm(int(starts.sum()), generator=generator)
        return order[place[starts.cumsum(0) - 1].argsort(stable=True)]


def _pairs(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The indices of both examples of each pair that is looked at."""
    pairs = torch.triu_indices(count, count, 1)
    if pairs.shape[1] > MOST_PAIRS:
        generator = torch.Generator().manual_seed(0)
        pairs = pairs[:, torch.randperm(pairs.shape[1], generator=generator)[:MOST_PAIRS]]
    first, second = pairs.to(device)
    return first, second
