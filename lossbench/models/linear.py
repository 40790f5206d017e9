"""The linear model."""

from __future__ import annotations

import math

from torch import nn


def linear(input_shape: tuple[int, ...], output_shape: tuple[int, ...], /) -> nn.Module:
    """One affine map of the flattened input: (B, *input_shape) -> (B, *output_shape)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(input_shape), math.prod(output_shape)),
        nn.Unflatten(1, output_shape) if output_shape else nn.Flatten(0),
    )
