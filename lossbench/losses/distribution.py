"""Losses of the distribution task: logits (B, C), targets (B, C) that sum to 1, nats per example.

Symbols: z logits, t the target distribution, p = softmax(z). An outcome with t_k = 0 adds nothing,
whatever its p_k; one with t_k > 0 = p_k makes the loss infinite.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses.stable import softplus, weights_of_classes

_INFINITY = float("inf")


def _nats(logits: Tensor) -> Tensor:
    """(B, C): -log p_k; that of the likeliest class is made from the others, to keep its digits."""
    top = logits.argmax(-1, keepdim=True)
    is_top = top == torch.arange(logits.shape[-1], device=logits.device)
    # finite, since a row of -inf alone has no gradient
    others = logits.masked_fill(is_top, -_INFINITY).clamp(min=torch.finfo(logits.dtype).min / 4)
    small = softplus(others.logsumexp(-1, keepdim=True) - logits.gather(-1, top))
    return torch.where(is_top, small, -F.log_softmax(logits, -1))


@declare(convex=True, lipschitz=2**0.5, minimiser="probability", source="Good 1952; Bridle 1990")
def cross_entropy(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_weight: Literal["balanced"]
    | Annotated[tuple[float, ...], "(C,) in [0, inf), not all 0"]
    | None = None,
    class_counts: Tensor | None = None,
) -> Tensor:
    """Rewards probability on each outcome, in proportion to the target's own.

    L = -sum_k w_k t_k log p_k, with 0 log 0 = 0

    Args:
        logits: (B, C), any real, -inf for an outcome that cannot be.
        target: (B, C) >= 0, sums to 1.
        class_weight: (w_0 .. w_{C-1}) >= 0, not normalised; None is all ones, "balanced" is
            N / (C n_k).
        class_counts: (C,), the sum of each outcome over the training targets.

    Returns:
        (B,), nats; its least value is the entropy of the target, not 0; p - t is its gradient at
        unit weights.

    Neighbours: on a one-hot target, the multiclass loss of the same name; kl_divergence differs by
    the entropy of the target.

    Source: Good 1952 (logarithmic score); Bridle 1990 (softmax).

    >>> cross_entropy(torch.tensor([[20.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.5, 0.5], [1, 0]]))
    tensor([10.0000,  0.6931])
    """
    weight: Tensor | int = 1
    if class_weight is not None:
        weight = weights_of_classes(class_weight, class_counts, logits)
    t = target.to(logits.dtype)
    return (weight * t * _nats(logits).masked_fill(t == 0, 0.0)).sum(-1)


@declare(convex=True, lipschitz=2**0.5, minimiser="probability", source="Kullback & Leibler 1951")
def kl_divergence(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes probabilities by the extra nats that it costs to code the target with them.

    L = sum_k t_k log(t_k / p_k), with 0 log 0 = 0

    Args:
        logits: (B, C), any real, -inf for an outcome that cannot be.
        target: (B, C) >= 0, sums to 1.

    Returns:
        (B,), nats, 0 exactly where p = t (up to rounding); p - t is its gradient.

    Neighbours: cross_entropy less the entropy of the target: the same gradient, the same on
    one-hot targets. The other direction, sum_k p_k log(p_k / t_k), is another loss.
    torch's kl_div takes log p first, and divides by B C unless reduction is "batchmean".

    Source: Kullback & Leibler 1951.

    >>> kl_divergence(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.5, 0.5], [1, 0]]))
    tensor([0.0000, 0.6931])
    """
    t = target.to(logits.dtype)
    return cross_entropy(logits, t) + torch.xlogy(t, t).sum(-1)
