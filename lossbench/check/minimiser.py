"""Check of a declared minimiser: train on a known population and look at what is learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lossbench.check.findings import Failed, Skipped
from lossbench.check.hyper import shown
from lossbench.check.subject import Subject, as_dtype
from lossbench.tasks import Population

LEVEL_NAMES = ("q", "quantile", "tau", "level", "alpha")
LEVELS = (0.1, 0.37, 0.5, 0.9)
GRID = 201
ZOOMS = 6
WIDEST = 60.0  # a minimiser lies within; e^-60 from certainty
CLOSE = 3e-3
ALMOST_CERTAIN = 0.02  # from 0 and 1; there a minimiser is far away and need not be met
STEPS = 300  # of the optimiser


def minimiser(subject: Subject) -> None:
    """The minimiser of the expected loss is what is declared: probability, mean, quantile."""
    word, task = subject.declaration.minimiser, subject.task
    if word is None:
        raise Skipped("nothing is declared.")
    populations = task.populations()
    if not populations:
        raise Skipped(f"there is no population to try for {task.name}.")
    if subject.couples and not task.in_target_unit:
        raise Skipped("it couples the batch, so that no example has an expected loss.")
    for hyper, level in _levels(subject, word):
        for population in populations:
            targets = subject.valid_targets(as_dtype(population.targets, torch.float64))
            _learns(subject, Population(targets, population.weights), word, hyper, level)


def _levels(subject: Subject, word: str) -> Iterator[tuple[dict[str, Any], float]]:
    """Hyper-parameters with the level that they stand for, of a quantile."""
    if word not in ("quantile", "expectile"):
        yield {}, 0.5
        return
    names = [p.name for p in subject.parameters if p.name in LEVEL_NAMES]
    if not names:
        raise Skipped(f"no hyper-parameter is named {' or '.join(LEVEL_NAMES)}.")
    for level in LEVELS:
        yield {names[0]: level}, level


def _learns(
    subject: Subject, population: Population, word: str, hyper: dict[str, Any], level: float
) -> None:
    """Failed where the best prediction for a population does not estimate what is expected."""
    task = subject.task
    expected = task.expected(word, population, level)
    if expected is None:
        raise Skipped(f"there is no check for {word!r} of {task.name}.")
    point = _best(subject, population, hyper)
    estimate = task.estimate(point.unsqueeze(0), subject.link(**hyper))[0]
    right = _decides if word in ("sign", "class") else _agrees
    if not right(estimate, expected, subject):
        raise Failed(
            f"where the {word} is {_few(expected)}, the minimiser is {_few(point)}{shown(hyper)}, "
            f"which estimates {_few(estimate)}."
        )


def _agrees(estimate: Tensor, expected: Tensor, subject: Subject) -> bool:
    slack = CLOSE * (1 + expected.abs())
    if subject.task.estimate_range == (0, 1):
        inside = (expected > ALMOST_CERTAIN) & (expected < 1 - ALMOST_CERTAIN)
        slack = torch.where(inside, CLOSE, 0.05)
    return bool(((estimate - expected).abs() <= slack).all())


def _decides(estimate: Tensor, expected: Tensor, subject: Subject) -> bool:
    """Whether both choose the same class; of several, where one has the majority."""
    if subject.task.sums_to_one:
        return bool(expected.max() <= 0.5 or estimate.argmax() == expected.argmax())
    return bool(((estimate > 0.5) == (expected > 0.5)).all())


def _few(values: Tensor) -> str:
    numbers = ", ".join(f"{x:.4g}" for x in values.flatten().tolist()[:4])
    return f"({numbers}{', …' if values.numel() > 4 else ''})" if values.ndim else numbers


def _best(subject: Subject, population: Population, hyper: dict[str, Any]) -> Tensor:
    """The one prediction that is best for the population."""
    shape, targets, weights = subject.example[0].shape[1:], population.targets, population.weights

    def expected_loss(predictions: Tensor) -> Tensor:
        """(G, ...) predictions -> the mean loss (G,) of each over all targets."""
        if subject.couples:
            each = [p.expand(len(targets), *shape) for p in predictions]
            return torch.stack([subject(e, targets, **hyper).mean() for e in each])
        rows = predictions.repeat_interleave(len(targets), 0)
        repeated = targets.repeat(len(predictions), *[1] * (targets.ndim - 1))
        return subject(rows, repeated, **hyper).reshape(-1, len(targets)) @ weights

    generator = torch.Generator().manual_seed(0)
    starts = [torch.zeros(shape, dtype=torch.float64)]
    starts += [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)]
    in_unit = subject.task.in_target_unit and subject.declaration.link is None
    return find_minimiser(expected_loss, torch.stack(starts), targets if in_unit else None)


def find_minimiser(
    function: Callable[[Tensor], Tensor], starts: Tensor, within: Tensor | None = None
) -> Tensor:
    """The prediction for which a function of predictions (G, ...) is least.

    starts: where descents begin; single numbers are searched on grids, between the least and the
    largest of `within` or else wherever probabilities differ.
    """
    if starts.ndim > 1:
        return _descend(function, starts)
    low, high = -WIDEST, WIDEST
    if within is not None:
        margin = float(within.max() - within.min()) / 50
        low, high = float(within.min()) - margin, float(within.max()) + margin
    return _zoom(function, low, high)


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


def _descend(function: Callable[[Tensor], Tensor], starts: Tensor) -> Tensor:
    """The best of the descents from these starts, by Newton-like steps."""
    minima = [_descent(function, start) for start in starts]
    values = torch.cat([function(each.unsqueeze(0)) for each in minima]).nan_to_num(torch.inf)
    return minima[int(values.argmin())]


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


CHECKS = (minimiser,)
