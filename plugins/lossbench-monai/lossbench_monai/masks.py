"""How the library is given a batch: probabilities and one-hot masks, 0 where a pixel is ignored."""

from __future__ import annotations

import torch
from torch import Tensor

IGNORED = 255  # as lossbench's task has it


def known_pixels(target: Tensor) -> Tensor:
    """(B, 1, H, W): 1.0 where a pixel counts."""
    return (target != IGNORED).unsqueeze(1).float()


def one_hot(logits: Tensor, target: Tensor) -> Tensor:
    """(B, C, H, W): 1 for the class of a pixel, all 0 where it is ignored."""
    classes = torch.arange(logits.shape[1], device=target.device).reshape(-1, 1, 1)
    return (target.unsqueeze(1) == classes).to(logits.dtype)


def probabilities(logits: Tensor, target: Tensor) -> Tensor:
    """(B, C, H, W): softmax, all 0 where a pixel is ignored, so that no sum has it."""
    return torch.softmax(logits, 1) * known_pixels(target).to(logits.dtype)


def each_image(values: Tensor) -> Tensor:
    """(B,): the mean over classes, and what else the library leaves of an image."""
    return values.reshape(len(values), -1).mean(1)
