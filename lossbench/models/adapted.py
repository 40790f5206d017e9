"""Models that were written for no contract of ours, and are made from their own keywords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class Adapted(nn.Module):
    """A model whose output has the shape that is asked for, where only axes of size 1 differ."""

    def __init__(self, model: nn.Module, output_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.output_shape = model, output_shape

    def forward(self, inputs: Tensor) -> Any:
        """(B, ...) -> (B, *output_shape), or what the model gives of another shape or type."""
        output = self.model(inputs)
        if isinstance(output, Tensor) and _long(output.shape[1:]) == _long(self.output_shape):
            return output.reshape(len(output), *self.output_shape)
        return output


def _long(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def adapted(
    make: Callable[[], nn.Module], input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> nn.Module:
    """What `make` makes; it has to be for inputs of this shape."""
    return Adapted(make(), output_shape)


def sized(
    backbone: Callable[[tuple[int, ...], tuple[int, ...]], nn.Module],
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> nn.Module:
    """What the backbone makes; layers that learn their size from inputs, such as LazyLinear, do."""
    model = backbone(input_shape, output_shape)
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape))
        model.train()
    return model
