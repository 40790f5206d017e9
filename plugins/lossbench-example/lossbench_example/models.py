"""A model is a function of the shapes of an input and an output that gives a torch module."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

from torch import nn


def tanh_mlp(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    hidden: tuple[Annotated[int, "[1, inf)"], ...] = (64, 64),
) -> nn.Module:
    """Affine maps with hyperbolic tangents between: (B, *input_shape) -> (B, *output_shape)."""
    widths = [math.prod(input_shape), *hidden]
    layers = [
        layer
        for inputs, outputs in itertools.pairwise(widths)
        for layer in (nn.Linear(inputs, outputs), nn.Tanh())
    ]
    return nn.Sequential(
        nn.Flatten(),
        *layers,
        nn.Linear(widths[-1], math.prod(output_shape)),
        nn.Unflatten(1, output_shape) if output_shape else nn.Flatten(0),
    )
