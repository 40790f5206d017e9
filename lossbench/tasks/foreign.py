"""Losses that were written for nobody's contract, called as a loss of a task is.

Which form of predictions and targets such a loss takes is found by trying it on the task's answers:
each right answer must cost less than a wrong one, and an ever surer right one not ever less.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from lossbench.contract import Declaration
from lossbench.registry import Plugin, signature
from lossbench.registry.signatures import (
    REDUCTIONS,
    arguments_of,
    contract_form,
    parameters_of,
)
from lossbench.tasks import Task
from lossbench.tasks.forms import Form, example_of, forms_of

UNREDUCED: tuple[dict[str, Any], ...] = (
    {"reduction": "none"},
    {"reduction": None},
    {"reduce": False},
    {},
)
USUAL, SURER, SUREST = 2.0, 10.0, 50.0  # sizes of answers
REWARD = 2.0  # what a surer right answer may cost less; beyond it there would be no end
SLIGHT = 1e-6
NEGATIVE = "raw predictions have a negative cost"  # as of a loss that expects probabilities
BATCH = ("prediction", "target")


@dataclass(frozen=True)
class ForeignLoss:
    """A function, an object or the class of one, and the form in which it takes a batch."""

    loss: Any
    unreduced: dict[str, Any]
    form: Form

    @cached_property
    def tensors(self) -> set[str]:
        """The parameters that are tensors, which a configuration has as lists."""
        return {n for n, p in parameters_of(self.loss).items() if "Tensor" in str(p.annotation)}

    def made(self, given: dict[str, Any]) -> Callable[..., Any]:
        """What is called with a batch, at these values of its parameters."""
        if isinstance(self.loss, nn.Module):
            return copy.deepcopy(self.loss)
        values = {
            name: torch.tensor(value) if isinstance(value, list) and name in self.tensors else value
            for name, value in given.items()
        }
        if inspect.isclass(self.loss):
            return cast(Callable[..., Any], self.loss(**self.unreduced, **values))
        return lambda *batch: self.loss(*batch, **self.unreduced, **values)

    def values(self, made: Callable[..., Any], prediction: Tensor, target: Tensor) -> Any:
        """One for each example (B,), the mean of all that the loss gives for it, or one, ()."""
        values = made(*self.form.arguments(prediction, target))
        several = isinstance(values, Tensor) and values.ndim > 1
        return values.flatten(1).mean(1) if several else values

    def fault(self, task: Task, given: dict[str, Any], per_example: bool) -> str:
        """Why the form does not serve on this task, or nothing.

        per_example: whether a value for each example is expected, and not one for the batch.
        """
        prediction, target = example_of(task, self.form.declaration)
        leaf = prediction.requires_grad_()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.filterwarnings("error", message="Using a target size")  # broadcast
                values = self.values(self.made(given), leaf, target)
                if fault := _fault_of(values, (len(target),) if per_example else ()):
                    return fault
                (gradient,) = torch.autograd.grad(values.sum(), leaf)
                shown = self.form.arguments(leaf, target)[1]
                if shown.shape == leaf.shape and task.estimate_range == (0, 1):
                    absent = shown == 0
                    if absent.any() and not gradient[absent].any():
                        return "what is absent counts for nothing"
                return "" if self.form.declaration else self._reversed(task, given, per_example)
        except (Exception, SystemExit) as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def _reversed(self, task: Task, given: dict[str, Any], per_example: bool) -> str:
        usual, surer, surest = (task.answers(size) for size in (USUAL, SURER, SUREST))
        if usual is None or surer is None or surest is None or task.couples:
            return ""
        wrong, *costs = (
            self._costs(given, prediction, usual.target)
            for prediction in (usual.wrong, usual.right, surer.right, surest.right)
        )
        mute = _is_empty(usual.target)
        if per_example and not self._adds_an_axis(usual.right, usual.target):
            mute = torch.zeros_like(mute)  # an axis of pixels could be taken for one of classes
        for each in costs[: 1 if self.form.in_parts else 2]:
            less = each < wrong
            expected = less | (each == wrong) & mute if less.ndim else less
            if not (expected.all() and less.any()):
                return "a right answer does not cost less than a wrong one"
        if (costs[2] < costs[1] - REWARD).any():
            return "surer answers are rewarded without end"
        is_negative = self.form.is_raw and any((each < -SLIGHT).any() for each in costs)
        return NEGATIVE if is_negative else ""

    def _adds_an_axis(self, prediction: Tensor, target: Tensor) -> bool:
        return self.form.arguments(prediction, target)[0].ndim > prediction.ndim

    def _costs(self, given: dict[str, Any], prediction: Tensor, target: Tensor) -> Tensor:
        """Of each example by itself, where one alone has a cost."""
        made = self.made(given)
        values: Tensor = self.values(made, prediction, target)
        if values.ndim:
            return values
        pairs = zip(prediction.split(1), target.split(1), strict=True)
        try:
            alone = torch.stack([self.values(made, *pair) for pair in pairs])
        except Exception:
            return values
        compares = (alone == alone[0]).all() or alone.isnan().any()
        return values if compares and "reduction" not in parameters_of(self.loss) else alone

    def as_contract(self, plugin: Plugin, task: Task, given: dict[str, Any]) -> Callable[..., Any]:
        """A function or, of what has weights or a memory of its own, the class of a module."""
        made = self.made(given)
        own = isinstance(made, nn.Module) and [*made.parameters(), *made.buffers()]
        loss: Any = self._as_class() if own else self._as_function()
        loss.__name__, loss.__doc__ = plugin.attribute, self.loss.__doc__
        loss.__module__, loss.words = plugin.module, self.form.words
        parameters = contract_form(
            "loss", [*parameters_of(self.loss).values()], inspect.isclass(self.loss)
        )
        known = {p.name for p in signature(plugin)}
        keywords = [p for p in parameters if p.name in known]
        batch = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in BATCH]
        loss.__signature__ = inspect.Signature(keywords if own else [*batch, *keywords])
        loss.declaration = self.form.declaration or Declaration()
        if not self.values(made, *example_of(task, self.form.declaration)).ndim:
            loss.declaration = replace(loss.declaration, couples=True)
        if hasattr(self.loss, "declaration"):
            loss.declaration = self.loss.declaration
        return cast(Callable[..., Any], loss)

    def _as_function(self) -> Callable[..., Any]:
        def loss(prediction: Tensor, target: Tensor, /, **given: Any) -> Any:
            return self.values(self.made(given), prediction, target)

        return loss

    def _as_class(self) -> type[nn.Module]:
        foreign = self

        class ForeignModule(nn.Module):
            def __init__(self, **given: Any) -> None:
                super().__init__()
                self.made = foreign.made(given)

            def forward(self, prediction: Tensor, target: Tensor) -> Any:
                return foreign.values(self.made, prediction, target)

        return ForeignModule


def fit_form(plugin: Plugin, loss: Any, task: Task, /, **given: Any) -> Callable[..., Any]:
    """A loss that keeps the contract by calling this one, or this one where it does so itself.

    given: values of its parameters; the form is the same whatever numbers stand in place of others.
    The words of the form are in its `words`. UserError where no form of the task's batches serves.
    """
    if not plugin.foreign or _keeps_contract(plugin, loss):
        return cast(Callable[..., Any], loss)
    if isinstance(loss, nn.Module) and "reduction" in vars(loss):
        loss = copy.copy(loss)
        loss.reduction = "none"
    parameters = parameters_of(loss)
    decisive = {n: v for n, v in given.items() if not _is_number(parameters[n].default)}
    faults, reserve = [], None
    reductions = [each for each in UNREDUCED if each.keys() <= parameters.keys()]
    for per_example, unreduced in itertools.product((True, False), reductions):
        for form in forms_of(task, arguments_of(loss)):
            foreign = ForeignLoss(loss, unreduced, form)
            if not (fault := foreign.fault(task, decisive, per_example)):
                return foreign.as_contract(plugin, task, given)
            reserve = reserve or (foreign if fault == NEGATIVE else None)
            faults.append(f"With {form.words}: {fault}")
    if reserve:
        return reserve.as_contract(plugin, task, given)
    raise plugin.refused(f"no form of a batch of the task {task.name} serves it. {faults[0]}.")


def _keeps_contract(plugin: Plugin, loss: Any) -> bool:
    """Whether it is written as a loss of ours: two arguments, keywords, and no reduction.

    What a library has not declared may look so and mean probabilities, or targets that are one-hot.
    """
    if isinstance(loss, nn.Module) or (plugin.library and not hasattr(loss, "declaration")):
        return False
    parameters = parameters_of(loss)
    positional = [p.name for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    expected = 0 if inspect.isclass(loss) else 2
    return len(positional) == expected and not parameters.keys() & set(REDUCTIONS)


def _is_number(default: Any) -> bool:
    return isinstance(default, int | float) and not isinstance(default, bool)


def _is_empty(target: Tensor) -> Tensor:
    """The examples (B,) whose several targets are all 0: an overlap may say nothing of them."""
    several = target.ndim > 1
    return (
        (target.flatten(1) == 0).all(1) if several else torch.zeros_like(target, dtype=torch.bool)
    )


def _fault_of(values: Any, shape: tuple[int, ...]) -> str:
    """What is wrong with the values of an example batch, or nothing."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return f"it returned {getattr(values, 'dtype', type(values).__name__)}"
    if values.shape != shape:
        return f"it returned shape {tuple(values.shape)}"
    if not values.requires_grad:
        return "what it returned is cut off from the prediction"
    return "" if values.isfinite().all() else "it is not finite"
