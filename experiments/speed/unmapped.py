"""Losses as public code has them, with rows that do not depend on each other, that no map takes.

Each is written as it is found: by masks and indices, with checks of the data, in place, or with a
gradient of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100


def focal_of_known(logits: Tensor, target: Tensor, /, *, gamma: float = 2.0) -> Tensor:
    """Focal loss of the rows that a mask selects, as of pixels that are not ignored."""
    known = target != IGNORED
    losses = logits.new_zeros(len(target))
    entropy = F.cross_entropy(logits[known], target[known], reduction="none")
    losses[known] = (1 - torch.exp(-entropy)) ** gamma * entropy
    return losses


def capped_cross_entropy(logits: Tensor, target: Tensor, /, *, cap: float = 2.0) -> Tensor:
    """Cross-entropy that grows a tenth as fast beyond the cap, overwritten there."""
    losses = F.cross_entropy(logits, target, reduction="none").clone()
    losses[losses > cap] = cap + 0.1 * (losses[losses > cap] - cap)
    return losses


def checked_cross_entropy(logits: Tensor, target: Tensor, /, *, smoothing: float = 0.1) -> Tensor:
    """Smoothed cross-entropy that looks at its labels first."""
    if target.min().item() < 0 or target.max().item() >= logits.shape[1]:
        raise ValueError("labels are out of range")
    return F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")


def cross_entropy_by_class(logits: Tensor, target: Tensor, /, *, decay: float = 0.9) -> Tensor:
    """Cross-entropy whose weight falls with the class, class by class."""
    losses = torch.zeros_like(logits[:, 0])
    log_probability = F.log_softmax(logits, 1)
    for label in target.unique().tolist():
        rows = target == label
        losses[rows] = -(decay**label) * log_probability[rows, label]
    return losses


def listed_weights(logits: Tensor, target: Tensor, /) -> Tensor:
    """Cross-entropy with weights that are looked up in a list, label by label."""
    known = [1.0, 2.0, 0.5, 1.5]
    weights = torch.tensor([known[label % 4] for label in target.tolist()]).to(logits)
    return weights * F.cross_entropy(logits, target, reduction="none")


class _Sparsemax(torch.autograd.Function):
    """The loss of Martins and Astudillo (2016) with its gradient written out."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        logits = logits - logits.amax(1, keepdim=True)
        ordered = logits.sort(1, descending=True).values
        ranks = torch.arange(1, logits.shape[1] + 1).to(logits)
        excess = ordered.cumsum(1) - 1
        size = (ranks * ordered > excess).sum(1, keepdim=True)
        threshold = excess.gather(1, size - 1) / size
        share = (logits - threshold).clamp(min=0)
        values = (1 - (share**2).sum(1)) / 2
        share.scatter_add_(1, target.unsqueeze(1), -torch.ones_like(share))
        ctx.save_for_backward(share)
        return values + (share * logits).sum(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.unsqueeze(1) * ctx.saved_tensors[0], None


def sparsemax(logits: Tensor, target: Tensor, /) -> Tensor:
    """An autograd.Function of before there were maps."""
    values: Tensor = _Sparsemax.apply(logits, target)
    return values


def huber_by_index(prediction: Tensor, target: Tensor, /, *, delta: float = 1.0) -> Tensor:
    """Huber's loss put together from the places of its two parts."""
    error = (prediction - target).abs()
    losses = torch.empty_like(error)
    near, far = (error <= delta).nonzero()[:, 0], (error > delta).nonzero()[:, 0]
    losses[near] = 0.5 * error[near] ** 2
    losses[far] = delta * (error[far] - 0.5 * delta)
    return losses


def wing(prediction: Tensor, target: Tensor, /, *, omega: float = 2.0) -> Tensor:
    """Wing loss for coordinates, its parts by masks."""
    error, epsilon = (prediction - target).abs(), 0.5
    losses, near = error.clone(), error < omega
    losses[near] = omega * torch.log1p(error[near] / epsilon)
    losses[~near] = error[~near] - (omega - omega * torch.log1p(torch.tensor(omega / epsilon)))
    return losses


def guarded_positives(logits: Tensor, target: Tensor, /, *, weight: float = 3.0) -> Tensor:
    """Weighted logistic loss that skips a side that a batch does not have."""
    losses = torch.zeros_like(logits)
    positive, negative = target > 0.5, target <= 0.5
    if positive.sum().item() > 0:
        losses[positive] = weight * F.softplus(-logits[positive])
    if negative.sum().item() > 0:
        losses[negative] = F.softplus(logits[negative])
    return losses


def hard_bootstrap(logits: Tensor, target: Tensor, /, *, beta: float = 0.8) -> Tensor:
    """Logistic loss to labels of which those that the model surely contradicts are replaced."""
    probability = torch.sigmoid(logits.detach())
    wrong = torch.masked_select(torch.arange(len(target)), (probability - target).abs() > beta)
    labels = target.clone()
    labels[wrong] = probability[wrong].round()
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


UNMAPPED = {
    "dataset=blobs": [
        focal_of_known,
        capped_cross_entropy,
        checked_cross_entropy,
        cross_entropy_by_class,
        listed_weights,
        sparsemax,
    ],
    "dataset=linear": [huber_by_index, wing],
    "dataset=moons": [guarded_positives, hard_bootstrap],
}
