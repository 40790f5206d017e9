"""What losses of masks share: the value of a pixel that is not known, and means over the others."""

from __future__ import annotations

import torch
from torch import Tensor

IGNORED = 255  # as in PASCAL VOC and Cityscapes


def split_known(target: Tensor) -> tuple[Tensor, Tensor]:
    """Masks with 0 in unknown pixels, and which pixels are known."""
    known = target != IGNORED
    return torch.where(known, target, 0), known


def mean_over_known(values: Tensor, known: Tensor) -> Tensor:
    """(B, H, W) -> (B,): the mean over the known pixels of an image, 0 where there is none."""
    known = known.to(values.dtype)
    return (values * known).flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)
