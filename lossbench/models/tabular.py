"""The multi-layer perceptron as it is trained on tables."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

from torch import nn


def tabular(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    hidden: tuple[Annotated[int, "[1, inf)"], ...] = (128, 128),
    dropout: Annotated[float, "[0, 1)"] = 0.1,
) -> nn.Module:
    """Affine maps with batch norm, rectifiers and dropout: (B, *input_shape) -> (B, *output_shape).

    Categories are the columns that a table makes of them, one for each.
    """
    widths = [math.prod(input_shape), *hidden]
    layers = [
        layer
        for inputs, outputs in itertools.pairwise(widths)
        for layer in (
            nn.Linear(inputs, outputs),
            nn.BatchNorm1d(outputs),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
    ]
    return nn.Sequential(
        nn.Flatten(),
        *layers,
        nn.Linear(widths[-1], math.prod(output_shape)),
        nn.Unflatten(1, output_shape) if output_shape else nn.Flatten(0),
    )
