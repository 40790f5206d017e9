"""Nine objectives of a last layer and the features below it."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import declare

PAPER = "Kornblith et al. 2021, arXiv 2010.16402"
Positive = Annotated[float, "(0, inf)"]


@declare(source=PAPER)
class Softmax(nn.Module):
    """Rewards probability on the true class: cross-entropy of an affine map of the features.

    L = -log softmax(V x + b)_y
    """

    def __init__(self, *, num_classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.last = nn.Linear(embedding_dim, num_classes)

    def scores(self, features: Tensor) -> Tensor:
        """(B, C): what the classes are chosen by."""
        return self.last(features)

    def logits(self, features: Tensor) -> Tensor:
        """(B, D + C): the features and the scores, as the task's metrics take them."""
        return torch.cat([features, self.scores(features)], -1)

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        return F.cross_entropy(self.scores(features), target, reduction="none")

    def _wanted(self, scores: Tensor, target: Tensor) -> Tensor:
        return F.one_hot(target, scores.shape[-1]).to(scores)


@declare(tune={"smoothing": (0.01, 0.3)}, source=PAPER)
class LabelSmoothing(Softmax):
    """Rewards probability on the true class and a little on every one.

    L = -sum_k t_k log softmax(V x + b)_k, t = (1 - smoothing) e_y + smoothing / C
    """

    def __init__(
        self, *, num_classes: int, embedding_dim: int, smoothing: Annotated[float, "[0, 1)"] = 0.1
    ) -> None:
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.smoothing = smoothing

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        return F.cross_entropy(
            self.scores(features), target, reduction="none", label_smoothing=self.smoothing
        )


class SquaredError(Softmax):
    """Rewards scores near the one-hot vector. L = ||V x + b - e_y||^2."""

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        scores = self.scores(features)
        return (scores - self._wanted(scores, target)).square().sum(-1)


class Brier(Softmax):
    """Rewards probabilities near the one-hot vector. L = ||softmax(V x + b) - e_y||^2."""

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        scores = self.scores(features)
        return (torch.softmax(scores, -1) - self._wanted(scores, target)).square().sum(-1)


@declare(tune={"scale": (4.0, 64.0)}, source=PAPER)
class CosineSoftmax(Softmax):
    """Rewards the angle to the true class's direction. L = -log softmax(scale cos theta)_y."""

    def __init__(self, *, num_classes: int, embedding_dim: int, scale: Positive = 20.0) -> None:
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.scale = scale

    def scores(self, features: Tensor) -> Tensor:
        """(B, C): scale cos theta_k."""
        cosine = F.normalize(features, dim=-1) @ F.normalize(self.last.weight, dim=-1).T
        return self.scale * cosine


@declare(tune={"strength": (1e-4, 0.1)}, source=PAPER)
class LogitPenalty(Softmax):
    """Rewards probability on the true class, and small scores.

    L = -log softmax(z)_y + strength ||z||^2, z = V x + b
    """

    def __init__(self, *, num_classes: int, embedding_dim: int, strength: Positive = 0.01) -> None:
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.strength = strength

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        penalty = self.scores(features).square().sum(-1)
        return super().forward(features, target) + self.strength * penalty


@declare(tune={"rate": (0.1, 0.8)}, source=PAPER)
class Dropout(Softmax):
    """Rewards probability on the true class when a share of the features is missing."""

    def __init__(
        self, *, num_classes: int, embedding_dim: int, rate: Annotated[float, "[0, 1)"] = 0.5
    ) -> None:
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.rate = rate

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        return super().forward(F.dropout(features, self.rate), target)


@declare(tune={"strength": (1e-4, 0.1)}, source=PAPER)
class LastLayerPenalty(Softmax):
    """Rewards probability on the true class, and a small last layer.

    L = -log softmax(V x + b)_y + strength ||V||^2
    """

    def __init__(self, *, num_classes: int, embedding_dim: int, strength: Positive = 0.01) -> None:
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.strength = strength

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        return super().forward(features, target) + self.strength * self.last.weight.square().sum()


@declare(
    tune={"temperature": (0.05, 0.5)}, couples=True, source="Khosla et al. 2020, arXiv 2004.11362"
)
class SupCon(Softmax):
    """Rewards angles that are smaller to the class's other examples than to all others.

    The mean over mates of -log softmax(cos / temperature) among the batch; the last layer learns
    by cross-entropy, and moves no feature.
    """

    def __init__(
        self, *, num_classes: int, embedding_dim: int, temperature: Positive = 0.1
    ) -> None:
        super().__init__(num_classes=num_classes, embedding_dim=embedding_dim)
        self.temperature = temperature

    def forward(self, features: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        u = F.normalize(features, dim=-1)
        itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
        mate = (target[:, None] == target) & ~itself
        nats = -torch.log_softmax((u @ u.T / self.temperature).masked_fill(itself, -1e9), -1)
        contrast = (nats * mate).sum(-1) / mate.sum(-1).clamp(min=1)
        return contrast + super().forward(features.detach(), target)
