"""A small transformer of sequences, and of images as sequences of patches."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from lossbench.contract import UserError


class Attention(nn.Module):
    """Multi-head self-attention over the steps."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.asked, self.given = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, steps: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, E)."""
        parts = self.asked(steps).unflatten(-1, (3, self.heads, -1)).transpose(-4, -2)
        query, key, value = parts.unbind(-3)  # (B, heads, T, E / heads)
        weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
        output: Tensor = self.given((weights @ value).transpose(-3, -2).flatten(-2))
        return output


class Layer(nn.Module):
    """Self-attention, then a perceptron, each with layer norm before and a residual around it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = nn.Sequential(
            nn.LayerNorm(width), Attention(width, heads), nn.Dropout(dropout)
        )
        self.think = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, steps: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, E)."""
        steps = steps + self.attend(steps)
        output: Tensor = steps + self.think(steps)
        return output


class Transformer(nn.Module):
    """Patches or steps, learned positions, layers, and an affine map of each step or their mean."""

    def __init__(
        self, enter: nn.Module, steps: int, width: int, layers: nn.Module, leave: nn.Module
    ) -> None:
        super().__init__()
        self.enter, self.layers = enter, layers
        self.places = nn.Parameter(0.02 * torch.randn(steps, width))
        self.norm, self.leave = nn.LayerNorm(width), leave

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T, F) or (B, C, H, W) -> (B, ...)."""
        steps = self.enter(inputs)
        if inputs.ndim == 4:
            steps = steps.flatten(2).transpose(1, 2)
        output: Tensor = self.leave(self.norm(self.layers(steps + self.places)))
        return output


class Mean(nn.Module):
    """The mean over the steps."""

    def forward(self, steps: Tensor) -> Tensor:
        """(B, T, E) -> (B, E)."""
        return steps.mean(1)


def transformer(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    width: Annotated[int, "[1, inf)"] = 32,
    layers: Annotated[int, "[1, inf)"] = 2,
    heads: Annotated[int, "[1, inf)"] = 4,
    patch: Annotated[int, "[1, inf)"] = 4,
    dropout: Annotated[float, "[0, 1)"] = 0.1,
) -> nn.Module:
    """A small transformer encoder: (B, T, F) or images (B, C, H, W) -> (B, *output_shape).

    patch: the side of the squares that an image is cut into. An output of as many steps as the
    sequence is one for each step, any other is made of their mean.
    """
    if width % heads:
        raise UserError(f"model.width={width}: give a multiple of model.heads={heads}.")
    enter, steps = _entry(input_shape, width, patch)
    if len(input_shape) == 2 and len(output_shape) == 2 and output_shape[0] == steps:
        leave: nn.Module = nn.Linear(width, output_shape[1])
    else:
        shape = nn.Unflatten(1, output_shape) if output_shape else nn.Flatten(0)
        leave = nn.Sequential(Mean(), nn.Linear(width, math.prod(output_shape)), shape)
    stacked = nn.Sequential(*(Layer(width, heads, dropout) for _ in range(layers)))
    return Transformer(enter, steps, width, stacked, leave)


def _entry(input_shape: tuple[int, ...], width: int, patch: int) -> tuple[nn.Module, int]:
    """What embeds the inputs as steps of `width` numbers, and how many steps it gives."""
    if len(input_shape) == 2:
        return nn.Linear(input_shape[1], width), input_shape[0]
    if len(input_shape) != 3:
        raise UserError(
            "model=transformer needs sequences (T, F) or images (C, H, W); the data have inputs of "
            f"shape {input_shape}. Use model=mlp or tabular."
        )
    depth, height, wide = input_shape
    if height % patch or wide % patch:
        raise UserError(
            f"model.patch={patch} does not divide images of {height} x {wide}; give another."
        )
    return nn.Conv2d(depth, width, patch, patch), (height // patch) * (wide // patch)
