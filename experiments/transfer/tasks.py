"""Features for classes that are learnt from and for others: accuracy, separation and a probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import UserError, metric
from lossbench.tasks import Task
from lossbench.tasks.scores import class_counts

NEW = 1000  # as in data.py
PENALTIES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
STEPS = 200


@metric(direction=1, bounds=(0, 1))
def accuracy(estimate: Tensor, target: Tensor, /, *, embedding_dim: int) -> Tensor:
    """Share of examples of learnt classes whose highest score is that of the target."""
    (scores, labels), *_ = _parts(estimate[..., embedding_dim:], target)
    return (scores.argmax(-1) == labels).double().mean(-1)


@metric(direction=0, bounds=(0, 1))
def separation(estimate: Tensor, target: Tensor, /, *, embedding_dim: int) -> Tensor:
    """R² of learnt classes: 1 less the mean cosine distance within them over that of all."""
    (features, labels), *_ = _parts(estimate[..., :embedding_dim], target)
    own = F.one_hot(labels, estimate.shape[-1] - embedding_dim).to(estimate)
    centres = own.mT @ F.normalize(features, dim=-1) / own.sum(-2).unsqueeze(-1)
    within = 1 - centres.square().sum(-1).mean(-1)
    return 1 - within / (1 - centres.mean(-2).square().sum(-1))


@metric(direction=1, bounds=(0, 1))
def probe_accuracy(estimate: Tensor, target: Tensor, /, *, embedding_dim: int) -> Tensor:
    """Accuracy on new classes of logistic regression on the features; NaN where there are none.

    It learns from a part of their rows, and its penalty is the best on another part of them.
    """
    _, learn, choose, test = _parts(estimate[..., :embedding_dim].double(), target)
    if not learn[1].shape[-1]:
        return torch.full(target.shape[:-1], torch.nan, dtype=torch.float64, device=target.device)
    scores = probe(*learn, torch.cat([choose[0], test[0]], -2))
    right = scores.argmax(-1) == torch.cat([choose[1], test[1]], -1).unsqueeze(-1)
    chosen, tested = right.double().split([choose[1].shape[-1], test[1].shape[-1]], -2)
    best = chosen.mean(-2).argmax(-1, keepdim=True)  # the first of equals, the largest penalty
    return tested.mean(-2).gather(-1, best).squeeze(-1)


def probe(features: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """Scores (..., M, P, K) of others (..., M, D), by logistic regression at each penalty.

    Features are centred and scaled to a mean square length of 1; the mean cross-entropy and
    penalty/2 ||W||^2 are made less, by accelerated steps whose curvature is Böhning's bound, 1/2.
    """
    mean = features.mean(-2, keepdim=True)
    scale = (features - mean).square().sum(-1).mean(-1).sqrt().clamp(min=1e-12)[..., None, None]
    u, lengths, v = torch.linalg.svd((features - mean) / scale, full_matrices=False)
    x, z = (
        F.pad(rows, (0, 1), value=1.0)
        for rows in (u * lengths.unsqueeze(-2), (others - mean) / scale @ v.mT)
    )
    wanted, count = F.one_hot(labels).to(x).unsqueeze(-2), labels.shape[-1]
    penalty = torch.tensor(PENALTIES).to(x)[:, None]
    free = torch.arange(x.shape[-1], device=x.device) == x.shape[-1] - 1  # the intercept
    penalty = torch.where(free[:, None, None], 0, penalty)  # (D, P, 1)
    curvature = (x.square().mean(-2) / 2)[..., None, None] + penalty
    shape = (*curvature.shape[:-1], wanted.shape[-1])  # (..., D, P, K)
    w = before = x.new_zeros(shape)
    for i in range(STEPS):
        ahead = w + i / (i + 3) * (w - before)
        p = torch.softmax((x @ ahead.flatten(-2)).unflatten(-1, shape[-2:]), -1)
        slope = (x.mT @ (p - wanted).flatten(-2)).unflatten(-1, shape[-2:]) / count
        before, w = w, ahead - (slope + penalty * ahead) / curvature
    return (z @ w.flatten(-2)).unflatten(-1, shape[-2:])


def _parts(values: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Values (..., n, D) and labels (..., n) of learnt classes, and of three parts of new ones."""
    order = target.argsort(dim=-1, stable=True)
    part = target // NEW
    counts = [int((part.reshape(-1, part.shape[-1])[0] == k).sum()) for k in range(4)]
    values = values.gather(-2, order.unsqueeze(-1).expand(values.shape))
    labels = target.gather(-1, order) % NEW
    return list(zip(values.split(counts, -2), labels.split(counts, -1), strict=True))


@dataclass(frozen=True)
class Transfer(Task):
    """Features (..., N, D) and after them the scores of C classes; targets (..., N) int64.

    A target below 1,000 is a class to learn from; above, its thousands are 1 where a probe of new
    classes learns from the row, 2 where its penalty is chosen by it and 3 where it is tested on it.
    """

    num_classes: int
    embedding_dim: int = 128

    name = "experiments/transfer/tasks.py:Transfer"
    metrics = (accuracy, separation, probe_accuracy)
    primary = "accuracy"
    target_dtype = torch.int64
    couples = True
    scores_classes = True

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Transfer:
        """The task of inputs (N, ...) and classes to learn from (N,)."""
        return cls(tuple(inputs.shape[1:]), int(targets[targets < NEW].max()) + 1)

    @classmethod
    def small(cls) -> Transfer:
        return cls((6, 4), 2)

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        return (self.embedding_dim,)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        prediction = torch.sin(1.0 + torch.arange(8 * self.embedding_dim)).reshape(8, -1)
        return prediction, torch.arange(8) % self.num_classes

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != (*target.shape, self.embedding_dim):
            raise UserError(f"{self.name}: a loss meets features (B, {self.embedding_dim}).")

    def link(self, prediction: Tensor) -> Tensor:
        """Features and scores as they are."""
        return prediction

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes, class_counts (..., C) and embedding_dim."""
        counts = class_counts(target, self.num_classes)
        sizes = {"num_classes": self.num_classes, "embedding_dim": self.embedding_dim}
        return {**sizes, "class_counts": counts}
