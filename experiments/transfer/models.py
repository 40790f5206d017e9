"""The network whose last hidden layer is the features, and the inputs in their place."""

from __future__ import annotations

import math

from torch import nn


def net(input_shape: tuple[int, ...], output_shape: tuple[int, ...], /) -> nn.Module:
    """Two hidden layers: 128 units, and the features, which are rectified too."""
    (features,) = output_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(input_shape), 128),
        nn.ReLU(),
        nn.Linear(128, features),
        nn.ReLU(),
    )


def raw(input_shape: tuple[int, ...], output_shape: tuple[int, ...], /) -> nn.Module:
    """The inputs as they come, as a linear map that is not trained."""
    layer = nn.Linear(math.prod(input_shape), math.prod(output_shape), bias=False)
    nn.init.eye_(layer.weight)
    return layer
