"""Whether a form of a batch is the one that a loss means, found by trying it on answers."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import torch
from torch import Tensor

from lossbench.tasks import Task
from lossbench.tasks.adapter import ForeignLoss
from lossbench.tasks.forms import example_of

USUAL, SURER, SUREST = 2.0, 10.0, 50.0  # sizes of answers
POPULATION, AT_REST = 120, 1e-3  # examples; the share of a slope that is none
REWARD = 2.0  # what a surer right answer may cost less; beyond it there would be no end
SLIGHT = 1e-6
NEGATIVE = "some answers have a negative cost"  # as where probabilities or logarithms are meant
IDLE = "a wrong answer by itself has no gradient"  # as where it is clipped, or classes are meant
REVERSED = "a right answer does not cost less than a wrong one"
SHAPE = "it returned shape"


def fault_of(foreign: ForeignLoss, task: Task, given: dict[str, Any], per_example: bool) -> str:
    """Why the form does not serve on this task, or nothing.

    per_example: whether a value for each example is expected, and not one for the batch.
    """
    prediction, target = example_of(task, foreign.form.declaration)
    leaf = prediction.requires_grad_()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="Using a target size")  # broadcast
            values = foreign.values(foreign.made(given), leaf, target)
            if fault := _fault_of_values(values, (len(target),) if per_example else ()):
                return fault
            (gradient,) = torch.autograd.grad(values.sum(), leaf)
            shown = foreign.form.arguments(leaf, target)[-1]
            if shown.shape == leaf.shape and task.estimate_range == (0, 1):
                absent = shown == 0
                if absent.any() and not gradient[absent].any():
                    return "what is absent counts for nothing"
            declared = foreign.form.declaration
            check = _unlinked if declared and declared.outputs != 1 else _reversed
            return check(foreign, task, given, per_example)
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _unlinked(foreign: ForeignLoss, task: Task, given: dict[str, Any], per_example: bool) -> str:
    """Whether its link is another one: at the shares of a population no step pays.

    Where the form has no such shares, whether its right answers cost less than its wrong ones.
    """
    assert foreign.form.declaration
    if not foreign.form.declaration.start and (known := task.part_answers()):
        right, wrong = (_costs(foreign, given, p, known.target) for p in (known.right, known.wrong))
        return "" if (right < wrong).all() else REVERSED
    populations = task.populations() if foreign.form.declaration.start else ()
    for population in populations:
        repeats = (population.weights * POPULATION).round().long()
        target = population.targets.repeat_interleave(repeats, 0)
        start = foreign.form.declaration.start(target).float()  # type: ignore[misc]
        slopes = []
        for prediction in (start, start + 1):
            leaf = prediction.expand(len(target), *start.shape).clone().requires_grad_()
            value = foreign.values(foreign.made(given), leaf, target).mean()
            slopes.append(torch.autograd.grad(value, leaf)[0].sum(0).abs().max())
        if not slopes[0] <= AT_REST * slopes[1] < math.inf:
            return "the estimate that costs least is not the one that the link has for it"
    return ""


def _reversed(foreign: ForeignLoss, task: Task, given: dict[str, Any], per_example: bool) -> str:
    usual, surer, surest = (task.answers(size) for size in (USUAL, SURER, SUREST))
    if usual is None or surer is None or surest is None or task.couples:
        return ""
    target = usual.target
    costs = [_costs(foreign, given, each.right, target) for each in (usual, surer, surest)]
    wrong = [_costs(foreign, given, each.wrong, target) for each in (usual, surer)]
    mute = _is_empty(target)
    if per_example and not _adds_an_axis(foreign, usual.right, target):
        mute = torch.zeros_like(mute)  # an axis of pixels could be taken for one of classes
    is_score = task.estimate_range == (-math.inf, math.inf)  # its size may mean something
    pairs = zip(costs, wrong if is_score else [wrong[0]] * 2, strict=False)
    for right, other in itertools.islice(pairs, 1 if foreign.form.in_parts else 2):
        less = right < other
        expected = less | (right == other) & mute if less.ndim else less
        if not (expected.all() and less.any()):
            return REVERSED
    if (costs[2] < costs[1] - REWARD).any():
        return "surer answers are rewarded without end"
    if foreign.form.in_parts:
        return ""
    if any((each < -SLIGHT).any() for each in (wrong[0], *costs)):
        return NEGATIVE
    return "" if _pulls(foreign, given, usual.wrong, target) else IDLE


def _pulls(foreign: ForeignLoss, given: dict[str, Any], prediction: Tensor, target: Tensor) -> bool:
    """Whether any of the examples by itself has a gradient, or none can be by itself."""
    made = foreign.made(given)
    for one, label in zip(prediction.split(1), target.split(1), strict=True):
        leaf = one.clone().requires_grad_()
        try:
            value = foreign.values(made, leaf, label).sum()
            (gradient,) = torch.autograd.grad(value, leaf)
        except Exception:
            return True
        if gradient.any() or not value.isfinite():
            return True
    return False


def _adds_an_axis(foreign: ForeignLoss, prediction: Tensor, target: Tensor) -> bool:
    return foreign.form.arguments(prediction, target)[0].ndim > prediction.ndim


def _costs(
    foreign: ForeignLoss, given: dict[str, Any], prediction: Tensor, target: Tensor
) -> Tensor:
    """Of each example by itself, where that of a batch is made of them."""
    made = foreign.made(given)
    values: Tensor = foreign.values(made, prediction, target)
    if values.ndim:
        return values
    pairs = zip(prediction.split(1), target.split(1), strict=True)
    try:
        alone = torch.stack([foreign.values(made, *pair).reshape(()) for pair in pairs])
    except Exception:
        return values
    sums = torch.stack([alone.mean(), alone.sum()])
    return alone if sums.isclose(values, 1e-4, 1e-5).any() else values


def _is_empty(target: Tensor) -> Tensor:
    """The examples (B,) whose several targets are all 0: an overlap may say nothing of them."""
    several = target.ndim > 1
    return (
        (target.flatten(1) == 0).all(1) if several else torch.zeros_like(target, dtype=torch.bool)
    )


def _fault_of_values(values: Any, shape: tuple[int, ...]) -> str:
    """What is wrong with the values of an example batch, or nothing."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return f"it returned {getattr(values, 'dtype', type(values).__name__)}"
    if values.shape != shape:
        return f"{SHAPE} {tuple(values.shape)}"
    if not values.requires_grad:
        return "what it returned is cut off from the prediction"
    return "" if values.isfinite().all() else "it is not finite"
