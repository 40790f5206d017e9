"""A perceptron for each output, none of which knows of the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class _Affine(nn.Module):
    """As many affine maps next to each other, begun as `nn.Linear` begins each."""

    def __init__(self, maps: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(maps, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(maps, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class _Apart(nn.Module):
    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.maps = nn.Sequential(
            _Affine(outputs, inputs, width),
            nn.ReLU(),
            _Affine(outputs, width, width),
            nn.ReLU(),
            _Affine(outputs, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        each = x.flatten(1).unsqueeze(0).expand(self.outputs, -1, -1)
        return self.maps(each).squeeze(-1).T


def apart(
    input_shape: tuple[int, ...], output_shape: tuple[int, ...], /, *, width: int = 64
) -> nn.Module:
    """Two hidden layers for each output: (B, *input_shape) -> (B, *output_shape)."""
    return _Apart(math.prod(input_shape), math.prod(output_shape), width)
