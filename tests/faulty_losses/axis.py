"""Losses that work along the wrong axis."""

import torch
from torch import Tensor
from torch.nn import functional as F


def softmax_over_the_batch(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    return -F.log_softmax(logits, 0).gather(1, target.unsqueeze(1)).squeeze(1)


def mean_over_the_batch(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the distance from the one-hot label; multiclass, logits (B, C)."""
    return (logits - F.one_hot(target, logits.shape[-1])).square().mean(0)


def keeps_the_classes(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the distance from the one-hot label; multiclass, logits (B, C)."""
    return (logits - F.one_hot(target, logits.shape[-1])).square()


def column_against_row(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression, broadcast to (B, B)."""
    return (target.unsqueeze(1) - prediction).square().mean(1)


def largest_of_the_batch(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the closest wrong class; multiclass, logits (B, C)."""
    own = torch.arange(logits.shape[-1]) == target.unsqueeze(1)
    right = logits.gather(1, target.unsqueeze(1)).squeeze(1)
    return torch.relu(1 + logits.masked_fill(own, -1e9).max(0).values.max() - right)
