"""One class of several in order: C numbers or C-1 thresholds, probabilities after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, declaration_of, metric
from lossbench.losses.ordinal import coral, corn
from lossbench.tasks import Answers, Section, Study, line
from lossbench.tasks.multiclass import Multiclass
from lossbench.tasks.refusals import refuse_beyond, refuse_indices, refuse_shapes, refuse_targets
from lossbench.tasks.scores import average, class_counts, shared
from lossbench.tasks.sections import others_at_zero

FEWEST_CLASSES = 3  # two have no order that a loss could use


@shared
def _decided(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest class of each example, of equals the lowest, and how far it is off."""
    decided = estimate.argmax(-1)
    return decided, (decided - target).abs()


@metric(direction=1, bounds=(-1, 1))
def quadratic_weighted_kappa(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """1 - squared distances of decisions from classes / those of all pairs; NaN for 0 / 0."""
    decided, off = _decided(estimate, target)
    weight = torch.ones_like(target) if example_weight is None else example_weight.double()
    count, squares = weight.sum(-1), (weight * (decided.square() + target.square())).sum(-1)
    sums = [(weight * each).sum(-1) for each in (decided, target)]
    by_chance = count * squares - 2 * sums[0] * sums[1]  # of integers exact
    observed = count * (weight * off.square()).sum(-1)
    return 1 - observed.to(estimate.dtype) / by_chance.to(estimate.dtype)


@metric(direction=-1, bounds=(0, math.inf), unit="classes")
def mean_absolute_error(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean number of classes between the decision and the target."""
    return average(_decided(estimate, target)[1].to(estimate.dtype), example_weight)


@metric(direction=1, bounds=(0, 1))
def accuracy(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Share of examples whose likeliest class is the target."""
    return average((_decided(estimate, target)[1] == 0).to(estimate.dtype), example_weight)


@metric(direction=1, bounds=(0, 1))
def accuracy_within_1(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Share of examples whose likeliest class is the target or next to it."""
    return average((_decided(estimate, target)[1] <= 1).to(estimate.dtype), example_weight)


@metric(direction=-1, bounds=(0, math.inf))
def ranked_probability_score(
    estimate: Tensor, target: Tensor, /, *, example_weight: Tensor | None = None
) -> Tensor:
    """Mean of the summed squares of the cumulated probabilities less those of the target."""
    reached = target.unsqueeze(-1) <= torch.arange(estimate.shape[-1], device=target.device)
    distance = (estimate.cumsum(-1) - reached.to(estimate.dtype)).square().sum(-1)
    return average(distance, example_weight)


@dataclass(frozen=True)
class Ordinal(Multiclass):
    """Predictions (..., N, C) or (..., N, C-1), targets (..., N) int64 from 0, order meant."""

    name = "ordinal"
    parts_declarations = tuple(
        Declaration(link=each.link, outputs=each.outputs, head=each.head, start=each.start)
        for each in map(declaration_of, (coral, corn))
    )
    version = 2
    metrics = (
        quadratic_weighted_kappa,
        mean_absolute_error,
        accuracy,
        accuracy_within_1,
        ranked_probability_score,
    )
    primary = "quadratic_weighted_kappa"
    scores_classes = False
    vocabulary = r"\bordinal|\bthresholds?\b|\(B, C-1\)|cumulative|\bkappa"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Ordinal:
        """The ordinal task of inputs (N, ...) and integers (N,), every class 0..max present."""
        refuse_targets(cls.name, inputs, targets, "iu", ())
        classes = np.unique(targets)
        if len(classes) < FEWEST_CLASSES or not np.array_equal(classes, np.arange(len(classes))):
            shown = ", ".join(f"{label}" for label in classes[:8])
            raise UserError(
                f"ordinal: targets hold the {len(classes)} labels {shown}; give at least three "
                "classes, numbered 0, 1, 2, … in their order without a gap (two are binary)."
            )
        return cls(tuple(inputs.shape[1:]), len(classes))

    def check(self, prediction: Tensor, target: Tensor) -> None:
        widths = (self.num_classes, self.num_classes - 1)
        fits = prediction.shape[:-1] == target.shape and prediction.shape[-1:] in map(
            torch.Size, zip(widths)
        )
        if not fits:
            expected = f"(..., N, {widths[0]}) or, of thresholds, (..., N, {widths[1]}); (..., N)"
            refuse_shapes(self.name, prediction, target, expected)
        refuse_indices(self.name, prediction, target, "class indices")
        refuse_beyond(self.name, target, self.num_classes)

    def answers(self, size: float) -> Answers:
        """A row for each class, and the class furthest from it."""
        target = torch.arange(self.num_classes)
        last = self.num_classes - 1
        furthest = torch.where(2 * target > last, 0, last)
        logits = size * (2 * torch.eye(self.num_classes) - 1)
        return Answers(logits[target], logits[furthest], target)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the place of the likeliest class, or the first threshold; for three targets."""
        last, outputs = self.num_classes - 1, self.outputs_of(declaration)
        places = torch.arange(outputs if outputs != 1 else self.num_classes, dtype=torch.float64)

        def section(label: int) -> Section:
            def batch(x: Tensor) -> tuple[Tensor, Tensor]:
                if outputs != 1:
                    moved = others_at_zero(x, outputs)
                else:
                    moved = -(x.unsqueeze(-1) - places).square()
                if declaration.couples:  # next to one certain example of each class
                    others = -100 * (places.unsqueeze(-1) - places).square()
                    labels = torch.cat([torch.tensor([label]), places.long()])
                    return torch.cat([moved, others]), labels
                return moved, torch.full((len(x),), label)

            axis = "first output, the others at 0" if outputs != 1 else "x, where z_k = -(x - k)^2"
            return Section(axis, "gradient in x", line(-4, last + 4), batch, declaration.couples)

        cases = tuple((f"y = {label}", section(label)) for label in (0, 1, last))
        return (Study("", cases, "target"),)

    @property
    def chance(self) -> float:
        """The kappa of a guess."""
        return 0.0

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {}

    def start(self, target: Tensor, declaration: Declaration) -> Tensor | None:
        """As declared, else of one output for each class where they give the shares of classes."""
        start = super().start(target, declaration)
        if start is not None or declaration.outputs != 1 or declaration.link:
            return start
        return class_counts(target, self.num_classes).clamp_min(0.5).log().log_softmax(-1)

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Logits of "y > k", and whether it is."""
        steps = torch.arange(prediction.shape[-1], device=target.device)
        exceeded = (target.unsqueeze(-1) > steps).to(prediction.dtype)
        return {"threshold logits": prediction, "levels": exceeded}

    def facts(self, target: Tensor) -> dict[str, Any]:
        """num_classes and class_counts (..., C), from targets (..., N)."""
        return {
            "num_classes": self.num_classes,
            "class_counts": class_counts(target, self.num_classes),
        }
