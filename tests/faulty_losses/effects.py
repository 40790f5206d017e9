"""Losses that do more than compute."""

import random

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_SEEN: list[float] = []


def clamps_in_place(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary, logits (B,), target (B,) in {0, 1}."""
    logits.clamp_(-50, 50)
    return F.softplus(-(2 * target - 1) * logits)


def relabels_in_place(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a margin below 1; binary, logits (B,), target (B,) in {0, 1}."""
    target.mul_(2).sub_(1)
    return torch.relu(1 - target * logits)


def writes_the_true_class(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the closest wrong class; multiclass, logits (B, C)."""
    index = target.unsqueeze(-1)
    right = logits.gather(-1, index).squeeze(-1)
    others = logits.scatter_(-1, index, -1e9).amax(-1)
    return torch.relu(1 + others - right)


def draws_noise(prediction: Tensor, target: Tensor, /, *, sigma: float = 0.1) -> Tensor:
    """Punishes the square of a residual that is shaken by sigma; regression."""
    return (target - prediction + sigma * torch.randn_like(prediction)).square()


def drops_out(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    return F.cross_entropy(F.dropout(logits, 0.1), target, reduction="none")


def seeds_everything(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of a residual that is shaken always alike; regression."""
    torch.manual_seed(0)
    return (target - prediction + 0.01 * torch.randn_like(prediction)).square()


def draws_from_numpy(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual, seldom twice; regression."""
    return (target - prediction).square() * (1 + (np.random.rand() < 0.5))


def draws_from_python(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual, seldom twice; regression."""
    return (target - prediction).square() * random.choice((1, 2))


def remembers(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the residual in units of what it has seen; regression."""
    _SEEN.append(float((target - prediction).detach().abs().mean()))
    return (target - prediction).square() / (1 + sum(_SEEN) / len(_SEEN))


def sets_the_default(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass, logits (B, C)."""
    torch.set_default_dtype(torch.float64)
    return F.cross_entropy(logits, target, reduction="none")


class RunningCentre(torch.nn.Module):
    """Punishes the distance from a running mean of the targets; regression."""

    def __init__(self, *, rate: float = 0.1) -> None:
        """rate: of the running mean."""
        super().__init__()
        self.rate = rate
        self.register_buffer("centre", torch.zeros(()))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number per example."""
        self.centre += self.rate * (target.mean().detach() - self.centre)
        return (target - prediction).square() + 0.1 * (prediction - self.centre).square()


class LooseWeights(torch.nn.Module):
    """Rewards probability on the true class at a temperature that nobody trains; multiclass."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = torch.ones((), requires_grad=True)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """One number per example."""
        return F.cross_entropy(logits / self.temperature, target, reduction="none")
