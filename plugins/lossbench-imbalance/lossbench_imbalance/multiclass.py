"""Losses for rare classes: logits (B, C), int64 classes (B,), one value in nats per example.

Symbols: z logits, y the true class, p = softmax(z), C classes, n_k examples of class k in training,
the fact `class_counts`; a class without any counts as if it had one. Ldam takes an embedding in the
place of logits. Declared properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from math import inf, log
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import declare


def _softplus(x: Tensor) -> Tensor:
    """log(1 + e^x); torch's own threshold of 20 would cost float64 half of its digits."""
    return F.softplus(x, threshold=40)


def _cross_entropy(logits: Tensor, target: Tensor, own: Tensor) -> Tensor:
    """(B,): log(1 + sum_{j != y} e^(z_j - own)), with another logit in the place of z_y."""
    is_own = target.unsqueeze(-1) == torch.arange(logits.shape[-1], device=logits.device)
    return _softplus((logits.masked_fill(is_own, -inf) - own.unsqueeze(-1)).logsumexp(-1))


def _own(values: Tensor, target: Tensor) -> Tensor:
    """(B,): of each row the value at its class."""
    return values.gather(-1, target.unsqueeze(-1)).squeeze(-1)


def _surprise(logits: Tensor, target: Tensor) -> Tensor:
    """(B,): -log p_y, made from the other classes so that it keeps its digits near 0."""
    return _cross_entropy(logits, target, _own(logits, target))


def _counts(class_counts: Tensor, like: Tensor) -> Tensor:
    """(C,): the examples of each class, at least 1, in the type of the predictions."""
    return class_counts.to(like.dtype).clamp(min=1)


def _unit(x: Tensor) -> Tensor:
    """x / ||x||, and 0 at 0, with finite derivatives there too."""
    size = x.detach().abs().amax(-1, keepdim=True)
    scaled = x / torch.where(size > 0, size, 1.0)  # so that no square overflows or vanishes
    return scaled / torch.where(size > 0, scaled, 1.0).norm(dim=-1, keepdim=True)


@declare(tune={"beta": (0.9, 0.99999)}, convex=True, source="Cui et al. 2019, arXiv 1901.05555")
def class_balanced(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    beta: Annotated[float, "[0, 1)"] = 0.9999,
) -> Tensor:
    """Rewards probability on the true class, by weights that fall with the size of the class.

    L = -w_y log p_y, with w_k proportional to (1 - beta) / (1 - beta^n_k) and C their sum

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        class_counts: (C,), n_k.
        beta: in [0, 1), 1/(1 - beta) examples are as good as infinitely many.

    Returns:
        (B,), nats, the weights' mean over classes being 1.

    beta = 0 gives cross_entropy. Weights 1/n_k for beta near 1. Estimates w_k eta_k, normalised:
    probabilities for classes that were more equal.

    Source: Cui et al. 2019, arXiv 1901.05555, the softmax form.

    >>> counts = torch.tensor([1, 2])  # weights 1 and 1/(1 + ½), times 2 over their sum
    >>> class_balanced(torch.zeros(2, 2), torch.tensor([0, 1]), class_counts=counts, beta=0.5)
    tensor([0.8318, 0.5545])
    """
    log_beta = log(beta) if beta > 0 else -inf
    weight = -1 / torch.expm1(log_beta * _counts(class_counts, logits))
    return (weight / weight.mean())[target] * _surprise(logits, target)


@declare(
    tune={"tau": (0.25, 2.0)},
    convex=True,
    lipschitz=2**0.5,
    source="Menon et al. 2021, arXiv 2007.07314",
)
def logit_adjustment(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    tau: Annotated[float, "[0, inf)"] = 1.0,
) -> Tensor:
    """Rewards a true class whose logit leads by more, the rarer it is next to the others.

    L = -log softmax(z + tau log pi)_y, with pi_k = n_k / sum_j n_j

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        class_counts: (C,), n_k.
        tau: in [0, inf).

    Returns:
        (B,), nats.

    tau = 0 gives cross_entropy. tau = 1 gives balanced_softmax. softmax(z), which the metrics take,
    estimates probabilities as if all classes were equally frequent: better balanced accuracy at the
    price of accuracy and of calibration where they are not.

    Source: Menon et al. 2021, arXiv 2007.07314.

    >>> counts = torch.tensor([1, 3])
    >>> logit_adjustment(torch.zeros(2, 2), torch.tensor([0, 1]), class_counts=counts)  # 1/4, 3/4
    tensor([1.3863, 0.2877])
    """
    return _surprise(logits + tau * _counts(class_counts, logits).log(), target)


@declare(convex=True, lipschitz=2**0.5, source="Ren et al. 2020, arXiv 2007.10740")
def balanced_softmax(logits: Tensor, target: Tensor, /, *, class_counts: Tensor) -> Tensor:
    """Rewards probability on the true class, from logits to which frequency is added in training.

    L = -log [n_y e^z_y / sum_k n_k e^z_k]

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        class_counts: (C,), n_k.

    Returns:
        (B,), nats.

    Neighbours: cross_entropy for equal counts; logit_adjustment at tau 1, another road to it.
    softmax(z), which the metrics take, is for classes that are equally frequent.

    Source: Ren et al. 2020, arXiv 2007.10740, without their meta-sampler.

    >>> counts = torch.tensor([1, 3])
    >>> balanced_softmax(torch.zeros(2, 2), torch.tensor([0, 1]), class_counts=counts)
    tensor([1.3863, 0.2877])
    """
    return _surprise(logits + _counts(class_counts, logits).log(), target)


@declare(
    tune={"margin": (0.1, 1.0), "scale": (4.0, 64.0)},
    convex=False,
    source="Cao et al. 2019, arXiv 1906.07413",
)
class Ldam(nn.Module):
    """Rewards a cosine to the own class's direction that leads by more, the rarer the class.

    L = -log [e^(s psi) / (e^(s psi) + sum_{j != y} e^(s cos theta_j))], psi = cos theta_y - D_y
    D_k = K n_k^(-1/4), with K such that the rarest class has the margin

    Args:
        embedding: (B, D), any real, normalised inside as are the directions.
        target: (B,) int64.
        num_classes: C.
        embedding_dim: D.
        class_counts: (C,), n_k.
        margin: in [0, inf), the largest, a difference of cosines.
        scale: s in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: at margin 0 the cross-entropy of cosines; arcface adds one margin to every angle.
    The paper's equation has logits and no s; its experiments normalise features and directions, and
    its code scales by 30. Reweighting late in training (DRW) is not part of the loss.

    Source: Cao et al. 2019, arXiv 1906.07413.

    >>> counts = torch.tensor([1, 16])  # margins ½ and ¼
    >>> loss = Ldam(num_classes=2, embedding_dim=2, class_counts=counts, scale=1.0)
    >>> _ = loss.weight.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 0.0], [0.0, 5.0]]), torch.tensor([0, 1])).detach()  # leads ½, ¾
    tensor([0.4741, 0.3869])
    """

    class_counts: Tensor

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        class_counts: Tensor,
        margin: Annotated[float, "[0, inf)"] = 0.5,
        scale: Annotated[float, "(0, inf)"] = 30.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_classes, embedding_dim)))
        self.register_buffer("class_counts", class_counts)
        self.margin, self.scale = margin, scale

    def logits(self, embedding: Tensor) -> Tensor:
        """(B, C): scale cos theta_k, without a margin."""
        return self.scale * (_unit(embedding) @ _unit(self.weight.to(embedding.dtype)).T)

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        rarity = _counts(self.class_counts, embedding) ** -0.25
        margins = self.margin * rarity / rarity.amax(-1, keepdim=True)
        logits = self.logits(embedding)
        return _cross_entropy(logits, target, _own(logits, target) - self.scale * margins[target])
