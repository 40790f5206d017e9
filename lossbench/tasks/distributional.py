"""Distributions of real targets, whatever their form: 19 quantiles after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, metric
from lossbench.losses.ensembles import MEMBERS
from lossbench.losses.predictive import LEVELS, QUANTILES, normal, of_members
from lossbench.tasks import Answers, Chart, Population, Section, Study, line
from lossbench.tasks.regression import Regression
from lossbench.tasks.scores import Weight, average, of_columns
from lossbench.tasks.sections import others_at_zero


def _rows(
    estimate: Tensor, target: Tensor, shape: tuple[int, ...], weight: Weight
) -> tuple[Tensor, Tensor, Weight]:
    """Quantiles (..., N, 19), targets (..., N, 1) and weights, examples and columns as one axis.

    A target that is not known is 0 and weighs nothing.
    """
    axis = target.ndim - 1 - len(shape)
    y = target.flatten(axis)
    if (unknown := y.isnan()).any():
        weight = 1 - unknown.to(y.dtype) if weight is None else of_columns(weight, y) * ~unknown
        y = y.masked_fill(unknown, 0)
    return estimate.flatten(axis, -2), y.unsqueeze(-1), weight


def _pinball(estimate: Tensor, target: Tensor, shape: tuple[int, ...], weight: Weight) -> Tensor:
    """The mean of all levels and targets; NaN where a quantile is missing."""
    quantiles, y, weight = _rows(estimate, target, shape, weight)
    residual, levels = y - quantiles, LEVELS.to(quantiles)
    values = torch.maximum(levels * residual, (levels - 1) * residual)
    return values.mean((-2, -1)) if weight is None else average(values.mean(-1), weight)


@metric(direction=-1, bounds=(0, math.inf))
def crps(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Continuous ranked probability score by 19 quantiles, in the unit of the target."""
    value = _pinball(estimate, target, target_shape, example_weight)
    return 2 * QUANTILES / (QUANTILES + 1) * value


@metric(direction=-1, bounds=(0, math.inf))
def pinball(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean pinball loss of the 19 quantiles, in the unit of the target."""
    return _pinball(estimate, target, target_shape, example_weight)


def _ends(
    estimate: Tensor, target: Tensor, shape: tuple[int, ...], outer: int, weight: Weight
) -> tuple[Tensor, Tensor, Tensor, Weight]:
    """The quantiles at outer / 20 and 1 - outer / 20, the targets and weights."""
    quantiles, y, weight = _rows(estimate, target, shape, weight)
    return quantiles[..., outer - 1], quantiles[..., -outer], y.squeeze(-1), weight


def _coverage(
    estimate: Tensor, target: Tensor, shape: tuple[int, ...], outer: int, weight: Weight
) -> Tensor:
    low, high, y, weight = _ends(estimate, target, shape, outer, weight)
    share = average(((low <= y) & (y <= high)).to(y.dtype), weight)
    return share.masked_fill((low + high).isnan().any(-1), torch.nan)


@metric(direction=0, bounds=(0, 1))
def coverage_90(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Share of targets between the quantiles at .05 and .95: 0.9 where these are right."""
    return _coverage(estimate, target, target_shape, 1, example_weight)


@metric(direction=0, bounds=(0, 1))
def coverage_50(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Share of targets between the quantiles at .25 and .75: 0.5 where these are right."""
    return _coverage(estimate, target, target_shape, 5, example_weight)


@metric(direction=0)
def width_90(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean distance of the quantiles at .05 and .95, in the unit of the target."""
    low, high, _, weight = _ends(estimate, target, target_shape, 1, example_weight)
    return average(high - low, weight)


@metric(direction=-1)
def interval_score_90(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """width_90, and 20 times what targets lie outside of it, in the unit of the target."""
    low, high, y, weight = _ends(estimate, target, target_shape, 1, example_weight)
    outside = torch.relu(low - y) + torch.relu(y - high)
    return average(high - low + 20 * outside, weight)


@metric(direction=-1, bounds=(0, 1))
def crossing_rate(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Share of targets of which a higher quantile lies below a lower one."""
    quantiles, _, weight = _rows(estimate, target, target_shape, example_weight)
    share = average((quantiles.diff(dim=-1) < 0).any(-1).to(target.dtype), weight)
    return share.masked_fill(quantiles.isnan().flatten(-2).any(-1), torch.nan)


@metric(direction=-1, bounds=(0, 1))
def calibration_error(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean distance of the share of targets up to a quantile from its level, over the 19."""
    quantiles, y, weight = _rows(estimate, target, target_shape, example_weight)
    reached = (y <= quantiles).to(y.dtype).mT
    share = average(reached, None if weight is None else weight.unsqueeze(-2))
    share = share.masked_fill(quantiles.isnan().any(-2), torch.nan)
    return (share - LEVELS.to(share)).abs().mean(-1)


@dataclass(frozen=True)
class Distributional(Regression):
    """Predictions (..., N, k) or (..., N, D, k), targets (..., N) or (..., N, D); 19 quantiles."""

    name = "distributional"
    parts_declarations = (Declaration(link=normal, outputs=2),)
    version = 1
    stand_ins = ((0.5, 0.5), (0.25, 0.25))
    metrics = (
        crps,
        pinball,
        coverage_90,
        coverage_50,
        width_90,
        interval_score_90,
        crossing_rate,
        calibration_error,
    )
    primary = "crps"
    in_target_unit = False
    charts: ClassVar[tuple[Chart, ...]] = ("coverage",)
    vocabulary = r"\bensemble|\bcrps\b|predictive distribution|\bquantiles\b"

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        return (*self.target_shape, outputs)

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape[:-1] != target.shape:
            shape = ", ".join(["..., N", *map(str, self.target_shape)])
            raise UserError(
                f"distributional: prediction has shape {tuple(prediction.shape)}, target "
                f"{tuple(target.shape)}; give ({shape}, k) and ({shape})."
            )
        super().check(prediction.narrow(-1, 0, 1).squeeze(-1), target)

    def answers(self, size: float) -> Answers:
        """Ensembles around each target, and off it on either side."""
        _, target = self.example()
        right = (target.repeat(2).unsqueeze(-1) + torch.linspace(-0.1, 0.1, MEMBERS)).double()
        side = torch.tensor([1.0, -1.0]).repeat_interleave(len(target)).unsqueeze(-1)
        return Answers(right, right + size * side, target.repeat(2))

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """Quantiles of the distribution of a kind that is likest the targets."""
        y = population.targets
        median, side = y.median(0).values, LEVELS - 0.5
        if minimiser == "normal distribution":
            return y.mean(0) + y.std(0, correction=0) * torch.special.ndtri(LEVELS)
        if minimiser == "Laplace distribution":
            spread = (y - median).abs().mean(0)
            return median - spread * side.sign() * torch.log1p(-2 * side.abs())
        return None

    def part_answers(self) -> Answers:
        """Means at the target, and off it on either side, of a small variance."""
        target = torch.linspace(-5, 5, 8).repeat(2)
        right = torch.stack([target, torch.full_like(target, -2.0)], -1)
        side = torch.tensor([[2.0, 0.0], [-2.0, 0.0]]).repeat_interleave(len(target) // 2, 0)
        return Answers(right, right + side, target)

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The mean and the variance, of a mean and a log-variance."""
        mean, log_variance = prediction.unbind(-1)
        return {"mean": mean, "target": target, "variance": log_variance.exp()}

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the residual where there is a centre and a spread, else along the first output."""
        outputs = self.outputs_of(declaration)
        if outputs == 2:
            return super().studies(declaration)
        section = Section(
            "first output, the others 0",
            "gradient in the first output",
            line(-4, 4),
            lambda x: (others_at_zero(x, outputs), torch.zeros_like(x)),
        )
        return (Study("", (("target 0", section),)),)

    def link(self, prediction: Tensor) -> Tensor:
        """Quantiles of the outputs as an ensemble, linear between its members."""
        return of_members(prediction)

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The share of targets between each quantile and the next: 1 / 20 where these are right."""
        quantiles, y, known = _rows(estimate, target, self.target_shape, None)
        bins = (y > quantiles).sum(-1).unsqueeze(-2)
        places = torch.arange(QUANTILES + 1, device=bins.device).unsqueeze(-1)
        is_there = (bins == places).to(y.dtype)
        shares = average(is_there, None if known is None else known.unsqueeze(-2))
        missing = quantiles.isnan().flatten(-2).any(-1, keepdim=True)
        return {"pit.share": shares.masked_fill(missing, torch.nan)}
