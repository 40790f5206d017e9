"""Losses with a gradient that is cut off or not their own."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def detached(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    return F.cross_entropy(logits.detach(), target, reduction="none")


def counts_errors(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes an error by 1; multiclass, logits (B, C)."""
    return (logits.argmax(-1) != target).to(logits.dtype)


def detached_weight(logits: Tensor, target: Tensor, /, *, gamma: float = 2.0) -> Tensor:
    """Fades out what is right by (1 - p_y)^gamma; multiclass, logits (B, C)."""
    value = F.cross_entropy(logits, target, reduction="none")
    return (1 - torch.exp(-value)).detach() ** gamma * value


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(residual: Tensor) -> Tensor:
        return residual.square()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (residual,) = ctx.saved_tensors
        return slope * (2 * residual).clamp(-10, 10)


def clipped_backward(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression: its backward is clipped far out."""
    return _Clipped.apply(target - prediction)


def straight_through(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a hard decision's error; binary, target (B,) in {0, 1}."""
    p = torch.sigmoid(logits)
    hard = (p > 0.5).to(p.dtype) + p - p.detach()
    return (hard - target).square() + 0.1 * p


def through_numpy(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression."""
    return torch.from_numpy((target - prediction).detach().numpy() ** 2)
