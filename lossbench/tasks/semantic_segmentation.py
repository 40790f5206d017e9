"""One class of several for each pixel: C masks of logits, probabilities after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import UserError, metric
from lossbench.losses.masks import IGNORED, split_known
from lossbench.losses.stable import is_class
from lossbench.tasks import Answers, Population, Task
from lossbench.tasks.refusals import (
    refuse_beyond,
    refuse_indices,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
)
from lossbench.tasks.scores import log_probability, shared, uneven


@shared
def _regions(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(..., C) each: pixels of the split that are right, and those predicted plus those true."""
    mask, known = split_known(target)
    decided = estimate.argmax(-3)
    right, sizes = [], []
    for k in range(estimate.shape[-3]):
        predicted, true = (decided == k) & known, (mask == k) & known
        right.append((predicted & true).sum((-3, -2, -1)))
        sizes.append(predicted.sum((-3, -2, -1)) + true.sum((-3, -2, -1)))
    return torch.stack(right, -1), torch.stack(sizes, -1)


def _mean_over_met(right: Tensor, all_: Tensor, like: Tensor) -> Tensor:
    """Mean of the quotients of classes that are predicted or true somewhere."""
    return (right.to(like.dtype) / all_.to(like.dtype)).nanmean(-1)


@metric(direction=1, bounds=(0, 1))
def mean_iou(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over classes of intersection by union, over all known pixels of the split.

    A class that is neither predicted nor true anywhere is left out.
    """
    right, sizes = _regions(estimate, target)
    return _mean_over_met(right, sizes - right, estimate)


@metric(direction=1, bounds=(0, 1))
def dice(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over classes of twice the overlap by the sum of sizes, likewise."""
    right, sizes = _regions(estimate, target)
    return _mean_over_met(2 * right, sizes, estimate)


@metric(direction=1, bounds=(0, 1))
def pixel_accuracy(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Share of known pixels whose likeliest class is the target."""
    right, sizes = _regions(estimate, target)
    return 2 * right.sum(-1).to(estimate.dtype) / sizes.sum(-1).to(estimate.dtype)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def log_loss(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over known pixels of -log p of the target's class."""
    mask, known = split_known(target)
    p = estimate.gather(-3, mask.unsqueeze(-3)).squeeze(-3)
    nats = torch.where(known, -log_probability(p), 0).flatten(-3).sum(-1)
    return nats / known.flatten(-3).sum(-1)


@dataclass(frozen=True)
class SemanticSegmentation(Task):
    """Inputs (N, channels, H, W); predictions (..., N, C, H, W), targets (..., N, H, W) int64.

    Targets are classes from 0, or 255 where a pixel is not to count.
    """

    classes: int
    mask_shape: tuple[int, int]

    name = "semantic_segmentation"
    metrics = (mean_iou, dice, pixel_accuracy, log_loss)
    primary = "mean_iou"
    target_dtype = torch.int64
    estimate_range = (0, 1)
    ignore = IGNORED
    vocabulary = r"\(B, C, H, W\)|semantic|pixel|\bmask"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> SemanticSegmentation:
        """The task of images (N, channels, H, W) and masks of classes (N, H, W)."""
        refuse_targets(cls.name, inputs, targets, "iu", ("H", "W"))
        if inputs.ndim != 4 or inputs.shape[2:] != targets.shape[1:]:
            raise UserError(
                f"semantic_segmentation: inputs have shape {inputs.shape}, masks {targets.shape}; "
                "give (N, channels, H, W) and (N, H, W)."
            )
        classes = np.unique(targets[targets != IGNORED])
        if not np.array_equal(classes, np.arange(len(classes))) or len(classes) < 2:
            shown = ", ".join(f"{label}" for label in classes[:8])
            raise UserError(
                f"semantic_segmentation: masks hold the {len(classes)} classes {shown}; give at "
                "least two, numbered from 0 without a gap, and 255 where a pixel is not to count."
            )
        return cls(tuple(inputs.shape[1:]), len(classes), (targets.shape[1], targets.shape[2]))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> SemanticSegmentation:
        classes, height, width = (1, 1, 1, *prediction.shape)[-3:]
        return cls((), classes, (height, width))

    @classmethod
    def small(cls) -> SemanticSegmentation:
        return cls((6, 4), 3, (3, 4))

    @property
    def weighed_classes(self) -> int:
        """All of them."""
        return self.classes

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return (self.classes, *self.mask_shape)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Masks of all classes but the last, which is that of the last image alone."""
        shape = (8, *self.output_shape(outputs))
        step = torch.arange(8 * math.prod(self.mask_shape)).reshape(8, *self.mask_shape)
        target = (step // 2) % max(2, self.classes - 1)
        target[-1] = self.classes - 1
        return 2 * torch.sin(1.0 + torch.arange(math.prod(shape))).reshape(shape), target

    def check(self, prediction: Tensor, target: Tensor) -> None:
        shape = (self.classes, *self.mask_shape)
        fits = prediction.ndim > 3 and prediction.shape[-3:] == shape
        if not fits or target.shape != (*prediction.shape[:-3], *self.mask_shape):
            sizes, mask = ", ".join(map(str, shape)), ", ".join(map(str, self.mask_shape))
            refuse_shapes(self.name, prediction, target, f"(..., N, {sizes}) and (..., N, {mask})")
        known = self.known(target)
        if known.numel() and known.min() < 0:
            raise UserError(
                f"semantic_segmentation: target holds {known.min().item()}; give classes from 0, "
                "and 255 where a pixel is not to count (torch's -100)."
            )
        refuse_indices(self.name, prediction, known, "class indices")
        refuse_beyond(self.name, known, self.classes)

    def answers(self, size: float) -> Answers:
        """The right class of each pixel, and the next one."""
        target = self.example()[1]

        def sure(label: Tensor) -> Tensor:
            one_hot = torch.nn.functional.one_hot(label, self.classes).movedim(-1, -3)
            return size * (2 * one_hot.float() - 1)

        return Answers(sure(target), sure((target + 1) % self.classes), target)

    def populations(self) -> tuple[Population, ...]:
        _, target = self.example()
        return tuple(Population(target, weights) for weights in uneven(len(target), 2))

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """The probabilities of the classes of each pixel."""
        one_hot = torch.nn.functional.one_hot(population.targets, self.classes).movedim(-1, -3)
        return super().expected(minimiser, Population(one_hot, population.weights), level)

    def link(self, prediction: Tensor) -> Tensor:
        """Softmax over the classes, the axis before height and width."""
        return torch.softmax(prediction, -3)

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Intersection by union of each class."""
        right, sizes = _regions(estimate, target)
        return {"iou": right.to(estimate.dtype) / (sizes - right).to(estimate.dtype)}

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes, and the known pixels of each class (..., C), from targets (..., N, H, W)."""
        empty = torch.zeros(self.classes, device=target.device)
        counts = is_class(empty, target).flatten(-4, -2).sum(-2)
        return {"num_classes": self.classes, "class_counts": counts}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: a mask belongs to no class."""
        return np.zeros(len(targets), dtype=np.int64)
