"""Losses that lose value or gradient where a prediction is confident."""

import torch
from torch import Tensor
from torch.nn import functional as F


def log_of_sigmoid(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary, logits (B,), target (B,) in {0, 1}."""
    p = torch.sigmoid(logits)
    return -torch.where(target > 0.5, torch.log(p), torch.log(1 - p))


def log_of_softmax(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    return -torch.softmax(logits, -1).gather(-1, target.unsqueeze(-1)).squeeze(-1).log()


def naive_soft_margin(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a large margin; binary, logits (B,), target (B,) in {0, 1}."""
    return torch.log(1 + torch.exp(-(2 * target - 1) * logits))


def naive_log_cosh(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes small residuals by their square and large ones linearly; regression."""
    return torch.log(torch.cosh(target - prediction))


def saturated_power(logits: Tensor, target: Tensor, /, *, gamma: float = 0.5) -> Tensor:
    """Fades out what is right by (1 - p_t)^gamma; binary, target (B,) in {0, 1}."""
    m = (2 * target - 1) * logits
    return (1 - torch.sigmoid(m)) ** gamma * F.softplus(-m)


def root_at_zero(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the distance; regression: the root of a square has no slope at 0."""
    return (target - prediction).square().sqrt()


def where_of_nan(prediction: Tensor, target: Tensor, /, *, delta: float = 2.0) -> Tensor:
    """Punishes like a square root beyond delta, like a line within; regression."""
    size = (target - prediction).abs()
    return torch.where(size > delta, 2 * torch.sqrt(size - delta + 1) + delta - 2, size)


def clipped_probability(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary: float32 stops where 1 - p is rounded to 0."""
    p = torch.sigmoid(logits).clamp(1e-12, 1 - 1e-12)
    return F.binary_cross_entropy(p, target, reduction="none")
