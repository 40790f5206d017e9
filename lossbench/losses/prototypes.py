"""Losses with a trained prototype for each class: of embeddings (B, D) and int64 classes (B,).

Modules, for the embedding and the multiclass task: what they reward is likeness of an embedding to
its class's prototype, so they are classifiers of which the model is the body. `logits` scores an
embedding against every class, as at test time: softmax of it is the probability.
Symbols: x embedding, y class, w_k prototype, theta_k the angle between x and w_k, C classes, V and
b a linear layer, c_k centre.
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses.stable import is_class, softplus, unit

_INFINITY = float("inf")


def _cross_entropy(logits: Tensor, target: Tensor, own: Tensor) -> Tensor:
    """(B,): log(1 + sum_{j != y} e^(z_j - own)), with another logit in place of z_y."""
    others = logits.masked_fill(is_class(logits, target), -_INFINITY)
    return softplus((others - own.unsqueeze(-1)).logsumexp(-1))


def _prototypes(num_classes: int, embedding_dim: int) -> nn.Parameter:
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_classes, embedding_dim)))


@declare(
    tune={"scale": (4.0, 64.0), "margin": (0.05, 1.0)},
    convex=False,
    source="Deng et al. 2019, arXiv 1801.07698",
)
class Arcface(nn.Module):
    """Rewards an angle to its class's direction that is smaller than any other by the margin.

    L = -log [e^(scale psi) / (e^(scale psi) + sum_{j != y} e^(scale cos theta_j))]
    psi = cos(theta_y + margin), and cos theta_y - margin sin margin where theta_y + margin > pi:
    there the cosine would turn up again and reward a larger angle; psi falls throughout.

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        scale: s in (0, inf).
        margin: in [0, pi], radians.

    Returns:
        (B,), nats; subgradient 0 of the angle at 0 and pi.

    Neighbours: at margin 0 the cross-entropy of cosines; sphereface multiplies the angle.

    Source: Deng et al. 2019, arXiv 1801.07698.

    >>> loss = Arcface(num_classes=2, embedding_dim=2, scale=1.0, margin=0.0)
    >>> _ = loss.weight.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([0, 0])).detach()  # log(1 + e)
    tensor([0.6931, 1.3133])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        scale: Annotated[float, "(0, inf)"] = 64.0,
        margin: Annotated[float, "[0, 3.1416]"] = 0.5,
    ) -> None:
        super().__init__()
        self.weight = _prototypes(num_classes, embedding_dim)
        self.scale, self.margin = scale, margin

    def logits(self, embedding: Tensor) -> Tensor:
        """(B, C): scale cos theta_k, without a margin."""
        return self.scale * (unit(embedding) @ unit(self.weight.to(embedding.dtype)).T)

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        u, w = unit(embedding), unit(self.weight.to(embedding.dtype))[target]
        cosine = (u * w).sum(-1)
        # 2 sin(theta/2) cos(theta/2): sqrt(1 - cos^2) has no gradient at 0 and no digits near it
        norm = torch.linalg.vector_norm
        sine = norm(u - w, dim=-1) * norm(u + w, dim=-1) / 2
        turned = cosine * cos(self.margin) - sine * sin(self.margin)
        fallen = cosine - self.margin * sin(self.margin)
        psi = torch.where(cosine >= -cos(self.margin), turned, fallen)
        return _cross_entropy(self.logits(embedding), target, self.scale * psi)


@declare(convex=False, source="Liu et al. 2017, arXiv 1704.08063")
class Sphereface(nn.Module):
    """Rewards an angle to its class's direction that is smaller than any other m-fold.

    L = -log [e^(||x|| psi) / (e^(||x|| psi) + sum_{j != y} e^(||x|| cos theta_j))]
    psi = (-1)^k cos(m theta_y) - 2k for theta_y in [k pi/m, (k+1) pi/m], which falls throughout

    Args:
        embedding: (B, D), any real, whose length is the scale.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        margin: m, a whole number from 1.

    Returns:
        (B,), nats; an embedding of 0 costs log C.

    Neighbours: at margin 1 the cross-entropy with unit weights and no bias; arcface adds to the
    angle. The paper mixes in margin 1 early in training, which is not done here.

    Source: Liu et al. 2017, arXiv 1704.08063.

    >>> loss = Sphereface(num_classes=2, embedding_dim=2, margin=2)
    >>> _ = loss.weight.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])).detach()
    tensor([0.0486, 2.1269])
    """

    def __init__(
        self, *, num_classes: int, embedding_dim: int, margin: Annotated[int, "[1, inf)"] = 4
    ) -> None:
        super().__init__()
        self.weight = _prototypes(num_classes, embedding_dim)
        self.margin = margin

    def logits(self, embedding: Tensor) -> Tensor:
        """(B, C): ||x|| cos theta_k, without a margin."""
        return embedding @ unit(self.weight.to(embedding.dtype)).T

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        w = unit(self.weight.to(embedding.dtype))[target]
        cosine = (unit(embedding) * w).sum(-1)
        # cos(m theta) as the Chebyshev polynomial of cos theta, whose slope is finite at +-1
        before, multiple = torch.ones_like(cosine), cosine
        for _ in range(self.margin - 1):
            before, multiple = multiple, 2 * cosine * multiple - before
        k = sum((cosine < cos(i * pi / self.margin)).to(cosine) for i in range(1, self.margin))
        psi = (1 - 2 * (k % 2)) * multiple - 2 * k
        length = torch.linalg.vector_norm(embedding, dim=-1)
        return _cross_entropy(self.logits(embedding), target, length * psi)


@declare(tune={"strength": (1e-4, 1.0)}, convex=False, source="Wen et al. 2016")
class Center(nn.Module):
    """Rewards probability on the true class, and an embedding that is near its class's centre.

    L = -log softmax(V x + b)_y + strength/2 ||x - c_y||^2

    Args:
        embedding: (B, D), any real.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        strength: lambda in [0, inf).

    Returns:
        (B,), nats.

    Neighbours: at strength 0 a last linear layer and cross_entropy. The centres c, 0 at first, are
    trained by the gradient like everything else; the paper moves them at a separate rate.

    Source: Wen et al. 2016.

    >>> loss = Center(num_classes=2, embedding_dim=2, strength=1.0)
    >>> _ = loss.weight.data.zero_()
    >>> loss(torch.tensor([[3.0, 4.0]]), torch.tensor([0])).detach()  # log 2 + 25/2
    tensor([13.1931])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        strength: Annotated[float, "[0, inf)"] = 0.003,
    ) -> None:
        super().__init__()
        self.weight = _prototypes(num_classes, embedding_dim)
        self.bias = nn.Parameter(torch.zeros(num_classes))
        self.centres = nn.Parameter(torch.zeros(num_classes, embedding_dim))
        self.strength = strength

    def logits(self, embedding: Tensor) -> Tensor:
        """(B, C): V x + b."""
        return F.linear(embedding, self.weight.to(embedding.dtype), self.bias.to(embedding.dtype))

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        logits = self.logits(embedding)
        own = logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        apart = (embedding - self.centres.to(embedding.dtype)[target]).square().sum(-1)
        return _cross_entropy(logits, target, own) + self.strength / 2 * apart
