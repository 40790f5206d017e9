"""Losses with an invalid signature, docstring or result."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import declare


@declare(convex=False)
def positional_gamma(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Fades out what is right by (1 - p_y)^gamma; multiclass, logits (B, C)."""
    value = F.cross_entropy(logits, target, reduction="none")
    return (-torch.expm1(-value)).clamp(min=1e-30) ** gamma * value


def target_first(target: Tensor, logits: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression: the order is reversed."""
    return (target - logits).square()


@declare(convex=True)
def takes_anything(prediction: Tensor, target: Tensor, /, **options: float) -> Tensor:
    """Punishes the square of the residual, times options; regression."""
    return options.get("weight", 1.0) * (target - prediction).square()


@declare(convex=True)
def reduces_on_request(prediction: Tensor, target: Tensor, /, *, reduction: str = "none") -> Tensor:
    """Punishes the square of the residual, and does the reduction that is asked for; regression."""
    return F.mse_loss(prediction, target, reduction=reduction)


def untyped(prediction: Tensor, target: Tensor, /, *, delta=1.0) -> Tensor:  # type: ignore
    """Punishes like a square within delta, linearly beyond; regression."""
    return F.huber_loss(prediction, target, delta=delta, reduction="none")


def no_default(prediction: Tensor, target: Tensor, /, *, delta: float) -> Tensor:
    """Punishes like a square within delta, linearly beyond; regression."""
    return F.huber_loss(prediction, target, delta=delta, reduction="none")


class AsksForTheEpoch(nn.Module):
    """Punishes the square of the residual, late in training more; regression."""

    def __init__(self, *, num_examples: int) -> None:
        super().__init__()
        self.num_examples = num_examples

    def forward(self, prediction: Tensor, target: Tensor, /, *, epoch: Tensor) -> Tensor:
        return (1 + epoch) * (target - prediction).square()


def outside_its_interval(
    prediction: Tensor, target: Tensor, /, *, delta: Annotated[float, "(0, 1)"] = 2.0
) -> Tensor:
    """Punishes like a square within delta, linearly beyond; regression."""
    return F.huber_loss(prediction, target, delta=delta, reduction="none")


def no_docstring(prediction: Tensor, target: Tensor, /) -> Tensor:
    return (target - prediction).square()


def returns_a_number(prediction: Tensor, target: Tensor, /) -> Any:
    """Punishes the square of the residual; regression."""
    return (target - prediction).square().mean().item()


def returns_nothing(prediction: Tensor, target: Tensor, /) -> Any:
    """Punishes the square of the residual; regression."""
    (target - prediction).square()
