"""Losses that mix the rows of a batch."""

import torch
from torch import Tensor
from torch.nn import functional as F


def rolled_target(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary, logits (B,), target (B,) in {0, 1}."""
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return 0.9 * loss + 0.1 * loss.roll(1)


def centred_logits(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary, logits (B,), target (B,) in {0, 1}."""
    return F.binary_cross_entropy_with_logits(logits - logits.mean(), target, reduction="none")


def sorted_targets(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression."""
    return (target.sort().values - prediction).square()


def scaled_by_the_batch(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the residual in units of the batch's spread; regression."""
    residual = target - prediction
    return (residual / (residual.detach().abs().median() + 1e-6)).square()


def weighted_by_the_batch(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes rare classes more; multiclass, logits (B, C)."""
    counts = F.one_hot(target, logits.shape[-1]).sum(0).to(logits.dtype)
    weight = 1 / (1 + torch.log1p(counts))
    return weight[target] * F.cross_entropy(logits, target, reduction="none")


def squares_the_weights(prediction: Tensor, target: Tensor, /, *, example_weight: Tensor) -> Tensor:
    """Punishes the square of the residual; regression, weights (B,)."""
    return (example_weight.square() * (target - prediction).square()).sum()
