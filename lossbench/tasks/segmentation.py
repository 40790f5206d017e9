"""One binary decision for each pixel: a mask of logits, probabilities after the link."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import UserError
from lossbench.tasks import Task
from lossbench.tasks.lawful import (
    refuse_not_binary,
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import log_likelihood, where_finite


@dataclass(frozen=True)
class Segmentation(Task):
    """Inputs (N, channels, H, W); predictions and targets (..., N, H, W), targets in {0, 1}."""

    mask_shape: tuple[int, int]

    name = "segmentation"
    primary = "dice"
    directions = {  # noqa: RUF012 (declared ClassVar in Task)
        "dice": 1,
        "iou": 1,
        "pixel_accuracy": 1,
        "log_loss": -1,
    }
    target_dtype = torch.float32

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Segmentation:
        """The segmentation task of images (N, channels, H, W) and masks (N, H, W)."""
        refuse_targets(cls.name, inputs, targets, "fiub", ("H", "W"))
        if inputs.ndim != 4 or inputs.shape[2:] != targets.shape[1:]:
            raise UserError(
                f"segmentation: inputs have shape {inputs.shape}, masks {targets.shape}; "
                "give (N, channels, H, W) and (N, H, W)."
            )
        refuse_not_binary(cls.name, targets)
        if (targets == targets.flat[0]).all():
            raise UserError(
                f"segmentation: every pixel of the {len(targets)} masks is {targets.flat[0]:g}; "
                "give masks that vary."
            )
        return cls(tuple(inputs.shape[1:]), (targets.shape[1], targets.shape[2]))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Segmentation:
        height, width = (1, 1, *prediction.shape)[-2:]
        return cls((), (height, width))

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return self.mask_shape

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Masks of a third of the pixels; that of the last image is empty."""
        shape = (8, *self.output_shape(outputs))
        step = torch.arange(math.prod(shape)).reshape(shape)
        target = (step % 3 == 0).float()
        target[-1] = 0
        return 2 * torch.sin(1.0 + step), target

    def check(self, prediction: Tensor, target: Tensor) -> None:
        fits = prediction.ndim > 2 and prediction.shape[-2:] == self.mask_shape
        if prediction.shape != target.shape or not fits:
            height, width = self.mask_shape
            refuse_shapes(self.name, prediction, target, f"both (..., N, {height}, {width})")
        refuse_types(self.name, prediction, target)
        refuse_outside_unit(self.name, target, "0 and 1, 1 for the foreground")

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        return (link or torch.sigmoid)(prediction)

    def metrics(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Means over images, of masks cut at 0.5; both masks empty: dice and iou are 1.

        log_loss is per pixel, in nats.
        """
        estimate, target = estimate.flatten(-2), target.to(estimate.dtype).flatten(-2)
        predicted, mask = (estimate > 0.5).to(estimate.dtype), (target > 0.5).to(estimate.dtype)
        overlap, sizes = (predicted * mask).sum(-1), (predicted + mask).sum(-1)
        empty = sizes == 0
        likelihood = log_likelihood(estimate, target)
        scores = {
            "dice": (2 * overlap / sizes).masked_fill(empty, 1).mean(-1),
            "iou": (overlap / (sizes - overlap)).masked_fill(empty, 1).mean(-1),
            "pixel_accuracy": (predicted == mask).to(estimate.dtype).mean(-1).mean(-1),
            "log_loss": -likelihood.mean(-1).mean(-1),
        }
        return where_finite(estimate.isfinite().flatten(-2).all(-1), scores)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: a mask belongs to no class."""
        return np.zeros(len(targets), dtype=np.int64)
