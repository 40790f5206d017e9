"""Convolutional models of images: a classifier, and a U-shaped one that returns an image."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import UserError


def conv(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    channels: tuple[Annotated[int, "[1, inf)"], ...] = (8, 16),
) -> nn.Module:
    """3 x 3 convolutions with rectifiers, then an affine map: (B, C, H, W) -> (B, *output_shape).

    Each convolution after the first halves height and width.
    """
    refuse_other_than_images("conv", input_shape)
    depth, height, width = input_shape
    layers: list[nn.Module] = []
    for number, size in enumerate(channels):
        stride = 2 if number else 1
        layers += [nn.Conv2d(depth, size, 3, stride, padding=1), nn.ReLU()]
        depth, height, width = size, -(-height // stride), -(-width // stride)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(depth * height * width, math.prod(output_shape)),
        nn.Unflatten(1, output_shape) if output_shape else nn.Flatten(0),
    )


class UNet(nn.Module):
    """Convolutions to smaller images and up again, each size joined to itself on the way up."""

    def __init__(self, depth: int, channels: tuple[int, ...], classes: int | None = None) -> None:
        super().__init__()
        self.enter = nn.Conv2d(depth, channels[0], 3, padding=1)
        steps = list(itertools.pairwise(channels))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps)
        self.up = nn.ModuleList(nn.Conv2d(a + b, a, 3, padding=1) for a, b in reversed(steps))
        self.leave = nn.Conv2d(channels[0], classes or 1, 1)
        self.single = classes is None

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H, W), or (B, classes, H, W)."""
        images = F.relu(self.enter(images))
        sizes = [images]
        for layer in self.down:
            sizes.append(F.relu(layer(sizes[-1])))
        images = sizes.pop()
        for layer in self.up:
            skipped = sizes.pop()
            larger = F.interpolate(images, skipped.shape[-2:])
            images = F.relu(layer(torch.cat([skipped, larger], 1)))
        masks: Tensor = self.leave(images)
        return masks.squeeze(1) if self.single else masks


def unet(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    channels: tuple[Annotated[int, "[1, inf)"], ...] = (8, 16),
) -> nn.Module:
    """A small U-shaped convolutional model: (B, C, H, W) -> (B, H, W); one size for each entry.

    Where a task has several classes, (B, classes, H, W).
    """
    refuse_other_than_images("unet", input_shape)
    several = len(output_shape) == 3
    if output_shape[-2:] != input_shape[1:] or len(output_shape) not in (2, 3):
        raise UserError(
            f"model=unet gives one number per pixel, {input_shape[1:]}; this task needs "
            f"{output_shape}. Use model=conv."
        )
    if not channels:
        raise UserError("model.channels=[]: give one number or more.")
    return UNet(input_shape[0], tuple(channels), output_shape[0] if several else None)


def refuse_other_than_images(model: str, input_shape: tuple[int, ...]) -> None:
    """UserError where inputs are not (channels, height, width)."""
    if len(input_shape) != 3:
        raise UserError(
            f"model={model} needs images (channels, height, width); the data have inputs of "
            f"shape {input_shape}. Use model=mlp, or other data."
        )
