"""Losses that cast what they are given."""

import torch
from torch import Tensor
from torch.nn import functional as F


def computes_in_float32(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    return F.cross_entropy(logits.float(), target, reduction="none").to(logits.dtype)


def returns_float32(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression."""
    return (target - prediction).square().float()


def returns_float64(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression."""
    return (target.double() - prediction).square()


def half_of_it(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary, logits (B,), target (B,) in {0, 1}."""
    value = F.softplus(-(2 * target - 1) * logits)
    return value + 0.1 * torch.sigmoid(logits.to(torch.bfloat16)).to(logits.dtype)


def rounds_the_target(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression."""
    return (target.to(torch.float32) - prediction).square()
