"""Random changes to the batches that a replica is trained on, never to those it is scored on.

Called with one replica's batch, standardised. `torch.rand`, `randn`, `rand_like`, `randn_like` and
`bernoulli` give the replica's own numbers, whatever it is stacked with.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import UserError

Batch = tuple[Tensor, Tensor]


def none(inputs: Tensor, targets: Tensor, /) -> Batch:
    """The examples as they are."""
    return inputs, targets


def crop_flip(
    inputs: Tensor,
    targets: Tensor,
    /,
    *,
    padding: Annotated[int, "[0, inf)"] = 4,
    flip: bool = True,
) -> Batch:
    """Images moved by up to `padding` pixels each way, zeros from outside, half of them mirrored.

    Masks of the images' size move with them. A zero of standardised inputs is their mean.
    """
    _refuse_other_than_images("crop_flip", inputs)
    if targets.shape[1:].numel() == inputs.shape[1:].numel():
        raise UserError("augmentation=crop_flip: the targets are the images, which would move.")
    (height, width), device = inputs.shape[-2:], inputs.device
    down, right = (_whole(len(inputs), 2 * padding + 1) for _ in range(2))
    rows = down[:, None] + torch.arange(height, device=device)
    columns = right[:, None] + torch.arange(width, device=device)
    if flip:
        columns = torch.where(torch.rand(len(inputs), 1) < 0.5, columns.flip(1), columns)
    moved = _picked(F.pad(inputs, [padding] * 4), rows, columns)
    if targets.ndim > 2 and targets.shape[-2:] == inputs.shape[-2:]:
        masks = targets.reshape(len(targets), -1, height, width)
        targets = _picked(F.pad(masks, [padding] * 4), rows, columns).reshape(targets.shape)
    return moved, targets


def noise(
    inputs: Tensor, targets: Tensor, /, *, deviation: Annotated[float, "[0, inf)"] = 0.1
) -> Batch:
    """Independent normal numbers added to inputs of any shape, in deviations of the inputs."""
    return inputs + deviation * torch.randn_like(inputs), targets


def cutout(inputs: Tensor, targets: Tensor, /, *, size: Annotated[int, "[1, inf)"] = 8) -> Batch:
    """A square of each image set to zero, its centre anywhere (DeVries 2017)."""
    _refuse_other_than_images("cutout", inputs)
    (height, width), device = inputs.shape[-2:], inputs.device
    rows, columns = (
        (_whole(len(inputs), side)[:, None] - torch.arange(side, device=device) + size // 2)
        for side in (height, width)
    )
    inside = [(places >= 0) & (places < size) for places in (rows, columns)]
    hidden = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(hidden, torch.zeros_like(inputs), inputs), targets


def _whole(count: int, below: int) -> Tensor:
    """Random whole numbers from 0 on."""
    return (torch.rand(count) * below).long().clamp(max=below - 1)


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of images (B, C, ., .) the rows (B, H) and columns (B, W) of each."""
    channels = images.shape[1]
    index = rows[:, None, :, None].expand(-1, channels, -1, images.shape[-1])
    picked = images.gather(2, index)
    return picked.gather(3, columns[:, None, None, :].expand(-1, channels, rows.shape[1], -1))


def _refuse_other_than_images(name: str, inputs: Tensor) -> None:
    if inputs.ndim != 4:
        raise UserError(
            f"augmentation={name} needs images (channels, height, width); the data have inputs of "
            f"shape {tuple(inputs.shape[1:])}. Use augmentation=noise or none."
        )
