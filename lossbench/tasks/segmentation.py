"""One binary decision for each pixel: a mask of logits, probabilities after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, metric
from lossbench.losses.masks import IGNORED, split_known
from lossbench.tasks import Answers, Population, Section, Study, Task, line
from lossbench.tasks.refusals import (
    refuse_not_binary,
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import log_likelihood, shared, uneven

SURE = 20.0  # a logit that is as good as certain


@shared
def _overlap(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of each image, known pixels in both masks cut at 0.5, and the sum of the masks' sizes."""
    mask, known = split_known(target.flatten(-2))
    predicted = ((estimate.flatten(-2) > 0.5) & known).to(estimate.dtype)
    mask = (mask > 0.5).to(estimate.dtype)
    return (predicted * mask).sum(-1), (predicted + mask).sum(-1)


def _mean_over_known(values: Tensor, target: Tensor) -> Tensor:
    """The mean over all pixels whose target is known."""
    known = (target != IGNORED).to(values.dtype)
    return (values * known).flatten(-3).sum(-1) / known.flatten(-3).sum(-1)


@metric(direction=1, bounds=(0, 1))
def dice(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over images of twice the overlap by the sum of sizes; 1 where both masks are empty."""
    overlap, sizes = _overlap(estimate, target)
    return (2 * overlap / sizes).masked_fill(sizes == 0, 1).mean(-1)


@metric(direction=1, bounds=(0, 1))
def iou(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over images of overlap by union; 1 where both masks are empty."""
    overlap, sizes = _overlap(estimate, target)
    return (overlap / (sizes - overlap)).masked_fill(sizes == 0, 1).mean(-1)


@metric(direction=1, bounds=(0, 1))
def pixel_accuracy(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of pixels on their side of 0.5."""
    correct = (estimate > 0.5) == (target > 0.5)
    return _mean_over_known(correct.to(estimate.dtype), target)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def log_loss(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over pixels of -y log p - (1 - y) log(1 - p)."""
    mask, _ = split_known(target)
    return -_mean_over_known(log_likelihood(estimate, mask.to(estimate.dtype)), target)


@dataclass(frozen=True)
class Segmentation(Task):
    """Inputs (N, channels, H, W); predictions and targets (..., N, H, W).

    Targets are 0 and 1, or 255 where a pixel is not to count.
    """

    mask_shape: tuple[int, int]

    name = "segmentation"
    metrics = (dice, iou, pixel_accuracy, log_loss)
    primary = "dice"
    target_dtype = torch.float32
    estimate_range = (0, 1)
    soft_targets = True
    ignore = IGNORED
    vocabulary = r"logits|segment|\(B, H|pixel|\bmask"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Segmentation:
        """The segmentation task of images (N, channels, H, W) and masks (N, H, W)."""
        refuse_targets(cls.name, inputs, targets, "fiub", ("H", "W"))
        if inputs.ndim != 4 or inputs.shape[2:] != targets.shape[1:]:
            raise UserError(
                f"segmentation: inputs have shape {inputs.shape}, masks {targets.shape}; "
                "give (N, channels, H, W) and (N, H, W)."
            )
        known = targets[targets != IGNORED]
        refuse_not_binary(
            cls.name,
            known,
            ", 255 where a pixel is not to count; of more classes give "
            "dataset.task=semantic_segmentation",
        )
        if (known == known[:1]).all():
            value = known[0] if known.size else IGNORED
            raise UserError(
                f"segmentation: every pixel of the {len(targets)} masks is {value:g}; "
                "give masks that vary."
            )
        return cls(tuple(inputs.shape[1:]), (targets.shape[1], targets.shape[2]))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Segmentation:
        height, width = (1, 1, *prediction.shape)[-2:]
        return cls((), (height, width))

    @classmethod
    def small(cls) -> Segmentation:
        return cls((6, 4), (4, 5))

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
        advice = "0 and 1, 1 for the foreground, 255 where a pixel is not to count"
        refuse_outside_unit(self.name, self.known(target), advice)

    def answers(self, size: float) -> Answers:
        target = self.example()[1]
        right = size * (2 * target - 1)
        return Answers(right, -right, target)

    def populations(self) -> tuple[Population, ...]:
        _, target = self.example()
        return tuple(Population(target, weights) for weights in uneven(len(target), 2))

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the probability on the foreground, and on the background, of masks of few sizes."""

        def section(foreground: int, moved: bool) -> Section:
            mask = (torch.arange(100) < foreground).double().reshape(10, 10)

            def batch(x: Tensor) -> tuple[Tensor, Tensor]:
                z = torch.logit(x).reshape(-1, 1, 1)
                logits = torch.where(mask == float(moved), z, -SURE if moved else SURE)
                return logits, mask.expand(len(x), 10, 10)

            name, rest = ("foreground", "background") if moved else ("background", "foreground")
            axis = f"probability on {name} pixels, {rest} right"
            return Section(axis, "gradient in the probability", line(0.01, 0.99), batch)

        shares = (10, 50, 1)
        right = tuple((f"{share} % foreground", section(share, True)) for share in shares)
        wrong = tuple((f"{share} % foreground", section(share, False)) for share in shares)
        by = "share of foreground"
        return Study("", right, by), Study("false alarms", wrong, by, vary=False)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """class_counts (..., 2): known pixels of background and foreground."""
        masks = target.flatten(-3)
        counts = [(masks <= 0.5).sum(-1), ((masks > 0.5) & (masks != IGNORED)).sum(-1)]
        return {"class_counts": torch.stack(counts, -1)}

    def link(self, prediction: Tensor) -> Tensor:
        """Sigmoid."""
        return torch.sigmoid(prediction)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: a mask belongs to no class."""
        return np.zeros(len(targets), dtype=np.int64)
