"""Losses that reduce what exists for each example."""

from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


def mean_inside(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary, logits (B,), target (B,) in {0, 1}."""
    return F.binary_cross_entropy_with_logits(logits, target)


def sum_inside(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    return F.cross_entropy(logits, target, reduction="sum")


def mean_of_everything(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression."""
    return (target - prediction).square().mean() / 2


def worst_of_the_batch(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a margin below 1; binary: the maximum runs over the wrong things."""
    return (1 - (2 * target - 1) * logits).clamp(min=0).max()


def mean_told_to_the_batch(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    return F.cross_entropy(logits, target).expand(len(target))


def share_of_the_mean(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the size of the residual; regression: entries that sum to the mean."""
    return (target - prediction).abs() / len(target)


def focal_of_the_mean(logits: Tensor, target: Tensor, /, *, gamma: float = 2.0) -> Tensor:
    """Rewards probability on the true class; multiclass: gamma weighs the mean and no example."""
    surprise = F.cross_entropy(logits, target)
    return (1 - (-surprise).exp()) ** gamma * surprise


def root_of_the_mean(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the size of the residuals; regression: one number for all, and not declared."""
    return ((target - prediction).square().mean() + 1e-6).sqrt()


@declare(couples=True)
def couples_nothing(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression: its rows do not depend on each other."""
    return (target - prediction).square()
