"""Residual networks of small images, in the form that papers train on CIFAR."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from torch import Tensor, nn

from lossbench.models.convolutional import refuse_other_than_images


class Residual(nn.Module):
    """Two convolutions, added to the images that they are given, or to a 1 x 1 map of these."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *_convolved(inputs, outputs, stride, norm),
            nn.ReLU(),
            *_convolved(outputs, outputs, 1, norm),
        )
        same = inputs == outputs and stride == 1
        self.outer = (
            nn.Identity()
            if same
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(outputs, norm)
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        added: Tensor = self.inner(images) + self.outer(images)
        return added.relu()


def resnet(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    depth: Literal[18, 20, 32, 56] = 20,
    width: Annotated[int, "[1, inf)"] | None = None,
    norm: Literal["batch", "group"] = "batch",
) -> nn.Module:
    """A residual network of small images: (B, C, H, W) -> (B, *output_shape) (He et al. 2016).

    Depths 20, 32 and 56 are of three sizes of image, 18 of four. width is the channels of the
    first; null: 16, of depth 18 64. Each size after it has twice the channels. norm: batch, or
    group with at most 8 groups, for which examples of a batch do not depend on each other.
    """
    refuse_other_than_images("resnet", input_shape)
    sizes, blocks = (4, 2) if depth == 18 else (3, (depth - 2) // 6)
    channels = width or (64 if depth == 18 else 16)
    layers = [*_convolved(input_shape[0], channels, 1, norm), nn.ReLU()]
    inputs = channels
    for size in range(sizes):
        for block in range(blocks):
            stride = 2 if size and not block else 1
            layers.append(Residual(inputs, channels * 2**size, stride, norm))
            inputs = channels * 2**size
    module = nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(inputs, math.prod(output_shape)),
        nn.Unflatten(1, output_shape) if output_shape else nn.Flatten(0),
    )
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return module


def _convolved(inputs: int, outputs: int, stride: int, norm: str) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return [convolution, _norm(outputs, norm)]


def _norm(channels: int, norm: str) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(math.gcd(8, channels), channels)
