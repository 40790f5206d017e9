"""Check of a declared minimiser: train on a known population and look at what is learnt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lossbench.check.findings import Failed, Skipped
from lossbench.check.subject import Subject

POSTERIORS = (0.08, 0.3, 0.55, 0.8, 0.95)  # of class 1
LEVEL_NAMES = ("q", "quantile", "tau", "level", "alpha")
LEVELS = (0.1, 0.37, 0.5, 0.9)
SAMPLE = 41  # targets of a population: odd, so that its median is one of them
GRID = 201
ZOOMS = 6
WIDEST = 60.0  # a minimiser lies within; e^-60 from certainty
CLOSE = 3e-3
STEPS = 300  # of the optimiser


@dataclass(frozen=True)
class Population:
    """Targets with their probabilities, and what the loss should estimate from them."""

    targets: Tensor
    weights: Tensor
    expected: Tensor


def minimiser(subject: Subject) -> None:
    """The minimiser of the expected loss is what is declared: probability, mean, quantile."""
    word, task = subject.declaration.minimiser, subject.task.name
    if word is None:
        raise Skipped("nothing is declared.")
    if task == "regression":
        _of_numbers(subject, word)
    elif subject.couples:
        raise Skipped("it couples the batch, so that no example has an expected loss.")
    elif task in ("binary", "multiclass", "multilabel", "distribution", "segmentation"):
        _of_labels(subject, word)
    else:
        raise Skipped(f"there is no population to try for {task}.")


# ---- numbers -----------------------------------------------------------------------------------
def _of_numbers(subject: Subject, word: str) -> None:
    targets = _skewed(subject)
    if word == "quantile":
        _of_quantiles(subject, targets)
        return
    statistics: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": torch.mean,
        "median": torch.median,
        "geometric mean": lambda y: y.log().mean().exp(),
    }
    if word not in statistics:
        raise Skipped(f"there is no check for {word!r}; there is for {', '.join(statistics)}.")
    expected = statistics[word](targets)
    found = _estimate(subject, targets, {})
    if abs(found - expected) > CLOSE * (1 + expected.abs()):
        raise Failed(
            f"of numbers with the {word} {float(expected):.4g} it estimates {float(found):.4g} "
            f"(mean {targets.mean():.4g}, median {targets.median():.4g})."
        )


def _of_quantiles(subject: Subject, targets: Tensor) -> None:
    names = [p.name for p in subject.parameters if p.name in LEVEL_NAMES]
    if not names:
        raise Skipped(f"no hyper-parameter is named {' or '.join(LEVEL_NAMES)}.")
    for level in LEVELS:
        expected = targets.sort().values[math.ceil(level * len(targets)) - 1]
        found = _estimate(subject, targets, {names[0]: level})
        if abs(found - expected) > CLOSE * (1 + expected.abs()):
            share = (targets < found).double().mean()
            raise Failed(
                f"with {names[0]}={level} it estimates {float(found):.4g}, the quantile of level "
                f"{float(share):.2f}, not {float(expected):.4g}."
            )


def _skewed(subject: Subject) -> Tensor:
    """Numbers whose mean, median and quantiles all differ, in the loss's declared interval."""
    ranks = (torch.arange(SAMPLE, dtype=torch.float64) + 0.5) / SAMPLE
    sample = -torch.log1p(-ranks)
    low, high = subject.domain
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * (0.1 + 0.8 * sample / sample.max())
    if math.isfinite(low):
        return low + 0.1 + sample
    return high - 0.1 - sample if math.isfinite(high) else sample - 0.5


def _estimate(subject: Subject, targets: Tensor, hyper: dict[str, float]) -> Tensor:
    """What the one prediction for all targets says, after the link."""
    shape = subject.example[0].shape[1:]
    width = float(targets.max() - targets.min())

    def expected_loss(predictions: Tensor) -> Tensor:
        """(G, ...) predictions -> the mean loss (G,) of each over all targets."""
        if subject.couples:
            each = [p.expand(len(targets), *shape) for p in predictions]
            return torch.stack([subject(e, targets, **hyper).mean() for e in each])
        rows = predictions.repeat_interleave(len(targets), 0)
        values = subject(rows, targets.repeat(len(predictions)), **hyper)
        return values.reshape(len(predictions), -1).mean(1)

    if shape:
        best = _descend(expected_loss, shape)
    else:
        linked = subject.declaration.link is not None
        low, high = (
            (-WIDEST / 2, WIDEST / 2)
            if linked
            else (float(targets.min()) - width / 50, float(targets.max()) + width / 50)
        )
        best = _zoom(expected_loss, low, high)
    return subject.task.estimate(best.unsqueeze(0), subject.declaration.link)[0]


def _zoom(function: Callable[[Tensor], Tensor], low: float, high: float) -> Tensor:
    """The minimiser on ever finer grids."""
    best = 0.0
    for _ in range(ZOOMS):
        grid = torch.linspace(low, high, GRID, dtype=torch.float64)
        values = function(grid).nan_to_num(torch.inf)
        best = float(grid[values.argmin()])
        # of a flat stretch, its middle
        flat = grid[values <= values.min() + 1e-15 * values.min().abs()]
        best = float(flat.mean()) if len(flat) > 1 else best
        step = (high - low) / (GRID - 1)
        low, high = best - 2 * step, best + 2 * step
    return torch.tensor(best, dtype=torch.float64)


def _descend(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Tensor:
    """The best of three descents, by Newton-like steps and then by small ones for kinks."""
    generator = torch.Generator().manual_seed(0)
    starts = [torch.zeros(shape, dtype=torch.float64)]
    starts += [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    found = [_descent(function, start) for start in starts]
    values = torch.cat([function(each.unsqueeze(0)) for each in found]).nan_to_num(torch.inf)
    return found[int(values.argmin())]


def _descent(function: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    point = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [point], max_iter=STEPS, tolerance_grad=1e-10, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> float:
        optimiser.zero_grad()
        value = function(point.unsqueeze(0)).sum()
        value.backward()
        return value.item()

    optimiser.step(closure)
    return point.detach()


# ---- labels ------------------------------------------------------------------------------------
def _of_labels(subject: Subject, word: str) -> None:
    if word not in ("probability", "sign", "class"):
        raise Skipped(f"there is no check for {word!r}; there is for probability, sign, class.")
    for population in _populations(subject):
        point = _best(subject, population)
        estimate = subject.task.estimate(point.unsqueeze(0), subject.declaration.link)[0]
        expected = population.expected
        if word == "probability":
            inside = (expected > 0.02) & (expected < 0.98)
            off = (estimate - expected).abs()
            wrong = bool((off > torch.where(inside, CLOSE, 0.05)).any())
        elif subject.task.name == "binary":
            wrong = bool(torch.sign(point) != torch.sign(expected - 0.5))
        else:
            decided = bool(expected.max() > 0.5)
            wrong = decided and bool(estimate.argmax() != expected.argmax())
        if wrong:
            raise Failed(
                f"where the probability is {_few(expected)}, the minimiser is {_few(point)}, "
                f"which estimates {_few(estimate)}; {word} is declared."
            )


def _few(values: Tensor) -> str:
    numbers = ", ".join(f"{x:.4g}" for x in values.flatten().tolist()[:4])
    return f"({numbers}{', …' if values.numel() > 4 else ''})" if values.ndim else numbers


def _populations(subject: Subject) -> list[Population]:
    task, targets = subject.task.name, subject.example[1]
    if task == "binary":
        labels = torch.tensor([0.0, 1.0], dtype=torch.float64)
        chances = [torch.tensor([1 - p, p], dtype=torch.float64) for p in POSTERIORS]
        return [Population(labels, chance, chance[1]) for chance in chances]
    generator = torch.Generator().manual_seed(0)
    if task == "multiclass":
        labels = targets.unique()
        draws = torch.rand(3, len(labels), generator=generator, dtype=torch.float64) + 0.1
        return [
            Population(labels, chance / chance.sum(), chance / chance.sum()) for chance in draws
        ]
    draws = torch.rand(2, len(targets), generator=generator, dtype=torch.float64) + 0.1
    found = []
    for chance in draws / draws.sum(1, keepdim=True):
        found.append(Population(targets, chance, torch.tensordot(chance, targets.double(), 1)))
    return found


def _best(subject: Subject, population: Population) -> Tensor:
    """The one prediction that is best for the population."""
    shape, count = subject.example[0].shape[1:], len(population.targets)

    def expected_loss(predictions: Tensor) -> Tensor:
        rows = predictions.repeat_interleave(count, 0)
        targets = population.targets.repeat(len(predictions), *[1] * (population.targets.ndim - 1))
        return subject(rows, targets).reshape(-1, count) @ population.weights

    return _descend(expected_loss, shape) if shape else _zoom(expected_loss, -WIDEST, WIDEST)


CHECKS = (minimiser,)
