"""What an embedding is held against: the features themselves."""

from __future__ import annotations

import torch
from torch import nn


def raw(input_shape: tuple[int, ...], output_shape: tuple[int, ...], /) -> nn.Module:
    """The 64 features as they come, as a linear map that is not trained."""
    layer = nn.Linear(*input_shape, *output_shape, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(*layer.weight.shape))
    return layer
