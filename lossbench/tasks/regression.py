"""Real targets: one number per example, or T of them; a point estimate after the link."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import DEVIATIONS, Declaration, Metric, UserError, metric
from lossbench.registry.schema import ends_of
from lossbench.tasks import Answers, Chart, Population, Section, Study, Task, line
from lossbench.tasks.scores import Weight, average, of_columns

RESIDUAL_LEVELS = (0.01, 0.02, 0.05, *(k / 10 for k in range(1, 10)), 0.95, 0.98, 0.99)
GRID, PLACES = 20_001, 16.0  # of biases, from -sinh 16 to sinh 16, at which a link is tried
SAMPLE = 41  # targets of a population: odd, so that its median is one of them
ENDS: tuple[tuple[Any, float], ...] = ((np.min, math.inf), (np.max, -math.inf))


def _residual(
    estimate: Tensor, target: Tensor, target_shape: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Estimate less target, 0 where it is not known, and whether it is; one axis of all."""
    known = ~target.isnan()
    residual = torch.where(known, estimate - target, 0)
    return residual.flatten(-1 - len(target_shape)), known.flatten(-1 - len(target_shape))


def _weigh_known(known: Tensor, weight: Weight) -> Tensor:
    """What each target counts: 0 where it is not known, else 1 or the weight of its example."""
    return known.long() if weight is None else known * of_columns(weight, known)


def _mean_known(values: Tensor, known: Tensor, weight: Weight) -> Tensor:
    return average(values, _weigh_known(known, weight))


@metric(direction=-1, bounds=(0, math.inf))
def root_mean_squared_error(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Square root of the mean square of all residuals, in the unit of the target."""
    residual, known = _residual(estimate, target, target_shape)
    return _mean_known(residual.square(), known, example_weight).sqrt()


@metric(direction=-1, bounds=(0, math.inf))
def mean_squared_error(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean square of all residuals; a run has it where it is named."""
    residual, known = _residual(estimate, target, target_shape)
    return _mean_known(residual.square(), known, example_weight)


@metric(direction=-1, bounds=(0, math.inf))
def mean_absolute_error(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Mean size of all residuals, in the unit of the target."""
    residual, known = _residual(estimate, target, target_shape)
    return _mean_known(residual.abs(), known, example_weight)


@metric(direction=-1, bounds=(0, math.inf))
def median_absolute_error(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Median size of all residuals, in the unit of the target."""
    residual, known = _residual(estimate, target, target_shape)
    ordered, order = residual.abs().masked_fill(~known, torch.nan).sort(-1)
    weight = _weigh_known(known, example_weight)
    reached = weight.gather(-1, order).double().cumsum(-1)
    twice, total = 2 * reached, reached[..., -1:]
    places = torch.stack([(twice < total).sum(-1), (twice <= total).sum(-1)], -1)
    return ordered.gather(-1, places.clamp(max=ordered.shape[-1] - 1)).sum(-1) / 2


@metric(direction=-1, bounds=(0, math.inf), unit=DEVIATIONS)
def standardised_error(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """root_mean_squared_error in standard deviations of the training targets, per column."""
    residual, known = _residual(estimate, target, target_shape)
    return _mean_known(residual.square(), known, example_weight).sqrt()


@metric(direction=-1, bounds=(0, math.inf), unit=DEVIATIONS)
def standardised_absolute_error(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """mean_absolute_error in standard deviations of the training targets, per column."""
    residual, known = _residual(estimate, target, target_shape)
    return _mean_known(residual.abs(), known, example_weight)


@metric(direction=1, bounds=(-math.inf, 1))
def r2(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """1 - squared residuals / squared distances from the mean, on average over columns."""
    axis, known = -1 - len(target_shape), ~target.isnan()
    weight = known.to(target.dtype)
    if example_weight is not None:
        weight = weight * example_weight.reshape(*example_weight.shape, *[1] * len(target_shape))
    target = torch.where(known, target, 0)
    mean = (weight * target).sum(axis, keepdim=True) / weight.sum(axis, keepdim=True)
    spread = (weight * (target - mean).square()).sum(axis)
    error = (weight * (estimate - target).square()).sum(axis)
    share = error / spread.masked_fill(spread == 0, torch.nan)
    return 1 - (share.mean(-1) if target_shape else share)


def _pinball(q: float) -> Metric:
    def pinball(
        estimate: Tensor,
        target: Tensor,
        /,
        *,
        target_shape: tuple[int, ...],
        example_weight: Tensor | None = None,
    ) -> Tensor:
        """Mean of q times what was too low and 1 - q times what was too high, in its unit."""
        residual, known = _residual(estimate, target, target_shape)
        return _mean_known(torch.maximum(-q * residual, (1 - q) * residual), known, example_weight)

    return Metric(f"pinball_{100 * q:.0f}", pinball, direction=-1, bounds=(0, math.inf))


@metric(direction=0, bounds=(0, 1))
def coverage(
    estimate: Tensor,
    target: Tensor,
    /,
    *,
    target_shape: tuple[int, ...],
    example_weight: Tensor | None = None,
) -> Tensor:
    """Share of targets that are no more than their estimate: q for a q-quantile."""
    residual, known = _residual(estimate, target, target_shape)
    return _mean_known((known & (residual >= 0)).to(residual.dtype), known, example_weight)


@dataclass(frozen=True)
class Regression(Task):
    """Predictions and targets (..., N) or (..., N, T); a loss with k outputs adds a last axis k.

    A target that is not known is NaN.
    """

    target_shape: tuple[int, ...] = ()

    name = "regression"
    version = 2
    metrics = (
        root_mean_squared_error,
        mean_absolute_error,
        median_absolute_error,
        r2,
        standardised_error,
        standardised_absolute_error,
        *map(_pinball, (0.1, 0.5, 0.9)),
        coverage,
    )
    primary = "root_mean_squared_error"
    target_dtype = torch.float32
    stand_ins: ClassVar[tuple[tuple[float, float], ...]] = ((0.5, 0.5), (0.25, 0.25))
    in_target_unit = True
    charts: ClassVar[tuple[Chart, ...]] = ("residuals", "normal_quantiles")
    vocabulary = r"\bprediction|residual|error\b|target - prediction|real targets?\b|quantile|huber"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Regression:
        """The regression task of inputs (N, ...) and finite numbers (N,) or (N, T)."""
        valid = targets.ndim in (1, 2) and targets.dtype.kind in "fiu"
        if not valid or len(targets) != len(inputs):
            raise UserError(
                f"{cls.name}: targets are {targets.dtype} of shape {targets.shape} for "
                f"{len(inputs)} inputs; give numbers ({len(inputs)},) or ({len(inputs)}, T)."
            )
        with np.errstate(over="ignore"):
            finite = np.isfinite(targets.astype(np.float32))
        numbers = targets.astype(np.float64)
        known = ~np.isnan(numbers) if cls.stand_ins else np.ones(targets.shape, bool)
        broken = int((known & ~finite).sum())
        if broken:
            raise UserError(
                f"{cls.name}: {broken} of {targets.size} targets are "
                f"{'' if cls.stand_ins else 'NaN, '}infinite or beyond float32; remove or repair "
                "those rows."
            )
        least, most = (at(numbers, 0, initial=end, where=known) for at, end in ENDS)
        if (least >= most).any():
            raise UserError(f"{cls.name}: the targets (or a column) are constant; give others.")
        return cls(tuple(inputs.shape[1:]), tuple(targets.shape[1:]))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Regression:
        return cls((), tuple(target.shape[1:]))

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        return self.target_shape if outputs == 1 else (*self.target_shape, outputs)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Targets in (0, 1) and predictions in (-1, 1), valid for losses of a bounded domain."""
        shape, target_shape = (8, *self.output_shape(outputs)), (8, *self.target_shape)
        prediction = 0.9 * torch.sin(1.0 + torch.arange(math.prod(shape))).reshape(shape)
        target = 0.5 + 0.4 * torch.cos(1.0 + torch.arange(math.prod(target_shape)))
        return prediction.float(), target.reshape(target_shape).float()

    def check(self, prediction: Tensor, target: Tensor) -> None:
        axes = target.ndim - len(self.target_shape)
        extra = prediction.shape[target.ndim :]
        alike = prediction.shape[: target.ndim] == target.shape
        if axes < 1 or target.shape[axes:] != self.target_shape or not alike or extra[:1] == (1,):
            shape = ", ".join(["..., N", *map(str, self.target_shape)])
            raise UserError(
                f"{self.name}: prediction has shape {tuple(prediction.shape)}, target "
                f"{tuple(target.shape)}; both must be ({shape}): add or squeeze the odd axis."
            )
        if not (prediction.is_floating_point() and target.is_floating_point()):
            raise UserError(
                f"{self.name}: prediction is {prediction.dtype}, target {target.dtype}; "
                "give floats."
            )
        broken = int((~target.isfinite()).sum())
        if broken:
            raise UserError(
                f"{self.name}: {broken} of {target.numel()} targets are NaN or infinite; "
                "give finite numbers."
            )

    def answers(self, size: float) -> Answers:
        """A row for each target and each side of it."""
        _, target = self.example()
        side = torch.ones_like(target)
        wrong = torch.cat([target + size * side, target - size * side])
        return Answers(target.repeat(2, *side.shape[1:]), wrong, target.repeat(2, *side.shape[1:]))

    def populations(self) -> tuple[Population, ...]:
        """Numbers in (0, 1) whose mean, median and quantiles all differ."""
        ranks = (torch.arange(SAMPLE, dtype=torch.float64) + 0.5) / SAMPLE
        drawn = -torch.log1p(-ranks)
        targets = (0.1 + 0.8 * drawn / drawn.max()).reshape(-1, *[1] * len(self.target_shape))
        weights = torch.full((SAMPLE,), 1 / SAMPLE, dtype=torch.float64)
        return (Population(targets.expand(-1, *self.target_shape), weights),)

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """Of targets of equal weight."""
        targets = population.targets
        statistics: dict[str, Callable[[], Tensor]] = {
            "mean": lambda: targets.mean(0),
            "median": lambda: targets.median(0).values,
            "geometric mean": lambda: targets.log().mean(0).exp(),
            "quantile": lambda: targets.sort(0).values[math.ceil(level * len(targets)) - 1],
        }
        if minimiser == "expectile":
            from scipy import stats  # slow to import, seldom wanted

            return torch.from_numpy(
                np.apply_along_axis(stats.expectile, 0, targets.numpy(), alpha=level)
            )
        return statistics[minimiser]() if minimiser in statistics else None

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the residual, for a few values of a second output where there is one."""
        low, _ = ends_of(declaration.target or "(-inf, inf)")
        target = low + 4 if math.isfinite(low) else 0.0
        more = self.outputs_of(declaration) - 1

        def section(second: float) -> Section:
            def batch(x: Tensor) -> tuple[Tensor, Tensor]:
                prediction = target - x
                if more:
                    rest = torch.full((len(x), more), second).to(x)
                    prediction = torch.cat([prediction.unsqueeze(-1), rest], -1)
                return prediction, torch.full_like(x, target)

            known = f", target {target:g}" if target else ""
            axis = f"residual r = target - prediction{known}"
            # near the end of its domain the value may grow without end
            x = line(-4, 4)[: -12 if target else None]
            mistakes = None if target or more else (2.0, 20.0, 0.0)
            slope = "gradient in the prediction"
            return Section(axis, slope, x, batch, sign=-1.0, mistakes=mistakes)

        if not more:
            return (Study("", (("", section(0.0)),)),)
        cases = tuple((f"second output {s:g}", section(s)) for s in (0.0, -2.0, 2.0))
        return (Study("", cases, "second output"),)

    def link(self, prediction: Tensor) -> Tensor:
        """None, the prediction as it is."""
        return prediction

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Quantiles of target less estimate over all entries, at RESIDUAL_LEVELS."""
        residual = (target - estimate).flatten(-1 - len(self.target_shape)).sort(-1).values
        level = torch.tensor(RESIDUAL_LEVELS)
        last = (~residual.isnan()).sum(-1, keepdim=True) - 1  # what is not known is sorted last
        quantile = residual.gather(-1, (level * last.clamp_min(0)).round().long())
        return {"residuals.level": level.expand_as(quantile), "residuals.quantile": quantile}

    def start(self, target: Tensor, declaration: Declaration) -> Tensor | None:
        """As declared, else where the link of the same number for all outputs is the mean."""
        target = torch.where(target.isnan(), target.nanmean(0), target)
        start = super().start(target, declaration)
        if start is not None or declaration.outputs != 1 or not self.in_own_unit(declaration):
            return start
        mean = target.mean(0)
        if declaration.link is None:
            return mean
        places = torch.sinh(torch.linspace(-PLACES, PLACES, GRID, dtype=mean.dtype))
        estimate = declaration.link(places.reshape(-1, *[1] * mean.ndim).expand(-1, *mean.shape))
        return places[(estimate - mean).abs().nan_to_num(torch.inf).argmin(0)]

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: the splits of a regression are drawn without regard to the target."""
        return np.zeros(len(targets), dtype=np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Numbers as they are."""
        return targets

    def units(
        self, targets: np.ndarray, weights: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and standard deviation of what is known, per column; 0 and 1 where nothing is."""
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            mean, spread = np.nanmean(targets, 0), np.nanstd(targets, 0)
        if weights is not None:
            counted = np.ma.masked_invalid(targets)
            mean = np.ma.filled(np.ma.average(counted, 0, weights), np.nan)
            variance = np.ma.average(np.square(counted - mean), 0, weights)
            spread = np.sqrt(np.ma.filled(variance, np.nan))
        return np.where(np.isnan(mean), 0, mean), np.where(spread > 0, spread, 1)
