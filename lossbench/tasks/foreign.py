"""Losses that were written for nobody's contract, called as a loss of a task is.

Which form of predictions and targets such a loss takes is found by trying it on the task's answers:
each right answer must cost less than a wrong one, and an ever surer right one not ever less.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lossbench.contract import declare
from lossbench.registry import Plugin, signature
from lossbench.registry.signatures import REDUCTIONS, contract_form, parameters_of
from lossbench.tasks import Task

UNREDUCED: tuple[dict[str, Any], ...] = ({"reduction": "none"}, {"reduce": False}, {})
USUAL, SURER, SUREST = 2.0, 10.0, 50.0  # sizes of answers
REWARD = 2.0  # what a surer right answer may cost less; beyond it there would be no end
BATCH = ("prediction", "target")

Turn = Callable[[Tensor], Tensor]


class Form(NamedTuple):
    """What a loss is given in place of a task's predictions and targets, and how that is called."""

    words: str
    prediction: Turn
    target: Turn


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
        return lambda p, t: self.loss(p, t, **self.unreduced, **values)

    def values(self, made: Callable[..., Any], prediction: Tensor, target: Tensor) -> Any:
        """One for each example (B,), the mean of all that the loss gives for it, or one, ()."""
        values = made(self.form.prediction(prediction), self.form.target(target))
        several = isinstance(values, Tensor) and values.ndim > 1
        return values.flatten(1).mean(1) if several else values

    def fault(self, task: Task, given: dict[str, Any], per_example: bool) -> str:
        """Why the form does not serve on this task, or nothing.

        per_example: whether a value for each example is expected, and not one for the batch.
        """
        prediction, target = task.example()
        leaf = prediction.requires_grad_()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.filterwarnings("error", message="Using a target size")  # broadcast
                values = self.values(self.made(given), leaf, target)
                if fault := _fault_of(values, (len(target),) if per_example else ()):
                    return fault
                (gradient,) = torch.autograd.grad(values.sum(), leaf)
                shown = self.form.target(target)
                if shown.shape == leaf.shape and task.estimate_range == (0, 1):
                    absent = shown == 0
                    if absent.any() and not gradient[absent].any():
                        return "what is absent counts for nothing"
                return self._reversed(task, given)
        except (Exception, SystemExit) as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def _reversed(self, task: Task, given: dict[str, Any]) -> str:
        usual, surer, surest = (task.answers(size) for size in (USUAL, SURER, SUREST))
        if usual is None or surer is None or surest is None or task.couples:
            return ""
        wrong, *costs = (
            self._costs(given, prediction, usual.target)
            for prediction in (usual.wrong, usual.right, surer.right, surest.right)
        )
        if not all((each < wrong).all() for each in costs[:2]):
            return "a right answer does not cost less than a wrong one"
        endless = (costs[2] < costs[0] - REWARD).any()
        return "surer answers are rewarded without end" if endless else ""

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
        if not self.values(made, *task.example()).ndim:
            loss = declare(couples=True)(loss)
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

    given: values of its parameters; the form is the same for all but those that it has to be given.
    The words of the form are in its `words`. UserError where no form of the task's batches serves.
    """
    if not plugin.foreign or _keeps_contract(loss):
        return cast(Callable[..., Any], loss)
    if isinstance(loss, nn.Module) and "reduction" in vars(loss):
        loss = copy.copy(loss)
        loss.reduction = "none"
    parameters = parameters_of(loss)
    needed = {n: v for n, v in given.items() if parameters[n].default is inspect.Parameter.empty}
    faults = []
    reductions = [each for each in UNREDUCED if each.keys() <= parameters.keys()]
    for per_example, unreduced in itertools.product((True, False), reductions):
        for form in _forms(task):
            foreign = ForeignLoss(loss, unreduced, form)
            if not (fault := foreign.fault(task, needed, per_example)):
                return foreign.as_contract(plugin, task, given)
            faults.append(f"With {form.words}: {fault}")
    raise plugin.refused(f"no form of a batch of the task {task.name} serves it. {faults[0]}.")


def _keeps_contract(loss: Any) -> bool:
    """Whether it is written as a loss of ours: two arguments, keywords, and no reduction."""
    if isinstance(loss, nn.Module):
        return False
    parameters = parameters_of(loss)
    positional = [p.name for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    expected = 0 if inspect.isclass(loss) else 2
    return len(positional) == expected and not parameters.keys() & set(REDUCTIONS)


def _fault_of(values: Any, shape: tuple[int, ...]) -> str:
    """What is wrong with the values of an example batch, or nothing."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return f"it returned {getattr(values, 'dtype', type(values).__name__)}"
    if values.shape != shape:
        return f"it returned shape {tuple(values.shape)}"
    if not values.requires_grad:
        return "what it returned is cut off from the prediction"
    return "" if values.isfinite().all() else "it is not finite"


def _forms(task: Task) -> Iterator[Form]:
    """What a batch of the task can be given as, the nearest first."""
    prediction, target = task.example()
    predictions: dict[str, Turn] = {"raw predictions": lambda p: p}
    targets: dict[str, Turn] = {"targets": lambda t: t}
    signed: dict[str, Turn] = {}  # late: a loss of probabilities makes something of them too
    binary = target.is_floating_point() and bool(((target == 0) | (target == 1)).all())
    if task.estimate_range == (0, 1):
        log = partial(functional.log_softmax, dim=-1) if task.sums_to_one else functional.logsigmoid
        predictions["logarithms of the estimates"] = log
        predictions["estimates"] = task.link
    if binary:
        targets["targets as integers"] = lambda t: t.long()
        if target.ndim < 3:
            signed["targets of -1 and 1"] = lambda t: 2 * t - 1
    elif not target.is_floating_point():
        targets["targets as floats"] = lambda t: t.float()
        if prediction.ndim == target.ndim + 1 and task.sums_to_one:
            classes = prediction.shape[-1]
            targets["one-hot targets"] = lambda t: _one_hot(t, classes)
            signed["one-hot targets of -1 and 1"] = lambda t: 2 * _one_hot(t, classes) - 1
    raw, *others = predictions.items()
    with_signs = itertools.product([raw], signed.items())
    as_labels = itertools.product(others, targets.items())
    later = (with_signs, as_labels) if task.sums_to_one else (as_labels, with_signs)
    pairs = itertools.chain(itertools.product([raw], targets.items()), *later)
    forms = [Form(f"{p} and {t}", to_p, to_t) for (p, to_p), (t, to_t) in pairs]
    if prediction.shape == target.shape:
        channelled = [_with_channel(form) for form in forms]
        forms = [*channelled, *forms] if target.ndim > 2 else [*forms, *channelled]
    yield from forms
    if binary and prediction.shape == target.shape and task.estimate_range == (0, 1):
        yield from _TWO_CLASSES


def _with_channel(form: Form) -> Form:
    words, prediction, target = form
    return Form(
        f"{words}, with a channel axis",
        lambda p: prediction(p).unsqueeze(1),
        lambda t: target(t).unsqueeze(1),
    )


def _two_logits(prediction: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(prediction), prediction], 1)


_TWO_CLASSES = (
    Form("logits of two classes and indices", _two_logits, lambda t: t.long()),
    Form(
        "log-probabilities of two classes and indices",
        lambda p: functional.log_softmax(_two_logits(p), 1),
        lambda t: t.long(),
    ),
    Form(
        "logits of two classes and one-hot targets",
        _two_logits,
        lambda t: torch.stack([1 - t, t], 1),
    ),
)


def _one_hot(target: Tensor, classes: int) -> Tensor:
    return (target.unsqueeze(-1) == torch.arange(classes, device=target.device)).float()
