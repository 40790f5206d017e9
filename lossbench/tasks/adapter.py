"""A loss that was written for nobody's contract, called as a loss of a task is."""

from __future__ import annotations

import copy
import copyreg
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lossbench.contract import Declaration
from lossbench.registry import Plugin, signature
from lossbench.registry.signatures import OTHER_WORDS, contract_form, parameters_of
from lossbench.tasks import Task
from lossbench.tasks.forms import Form, example_of

BATCH = ("prediction", "target")
Again = tuple[Callable[..., Any], tuple[Any, ...]]  # what makes it, and of what


@dataclass(frozen=True)
class ForeignLoss:
    """A function, an object or the class of one, and the form in which it takes a batch.

    unreduced: how it is asked for a value of each example. settings: its own parameters that are
    set for it. adds_up: whether it adds up the values of one example, and does not average them.
    rewritten: whether it has calls that torch maps only as others that do the same.
    """

    loss: Any
    unreduced: dict[str, Any]
    settings: dict[str, Any]
    form: Form
    adds_up: bool = False
    rewritten: bool = False

    @property
    def words(self) -> str:
        """How it is given a batch and what is set for it, to be shown."""
        of_object = isinstance(self.loss, nn.Module) and vars(self.loss).get("reduction")
        known = {"reduction": of_object} if of_object else self.unreduced
        settings = [f"{name}={value}" for name, value in {**self.settings, **known}.items()]
        return ", ".join([self.form.words, *settings])

    @cached_property
    def tensors(self) -> set[str]:
        """The parameters that are tensors, which a configuration has as lists."""
        return {n for n, p in parameters_of(self.loss).items() if "Tensor" in str(p.annotation)}

    def made(self, given: dict[str, Any]) -> Callable[..., Any]:
        """What is called with a batch, at these values of its parameters."""
        if isinstance(self.loss, nn.Module):
            return copy.deepcopy(self.loss)
        known = {**given, **self.settings, **self.unreduced}
        values = {name: self._typed(name, value) for name, value in known.items()}
        if inspect.isclass(self.loss):
            return cast(Callable[..., Any], self.loss(**values))
        return partial(self.loss, **values)

    def _typed(self, name: str, value: Any) -> Any:
        """A list as the tensor that is asked for, class counts as the list of another name."""
        if isinstance(value, list) and name in self.tensors:
            return torch.tensor(value)
        is_counts = isinstance(value, Tensor) and OTHER_WORDS.get(name) == "class_counts"
        return value.tolist() if is_counts else value

    def values(self, made: Callable[..., Any], prediction: Tensor, target: Tensor) -> Any:
        """One for each example (B,), of all that the loss gives for it, or one, ()."""
        with _Rewriting(prediction) if self.rewritten else nullcontext():
            values = made(*self.form.called(prediction, target))
        if not isinstance(values, Tensor):
            return values
        if type(values) is not Tensor:  # a kind of a library's own
            values = values.as_subclass(Tensor)
        if not values.ndim:
            return values
        if values.shape == (1,) != target.shape[:1]:
            return values.squeeze(0)
        if values.ndim == 1:
            return values
        return values.flatten(1).sum(1) if self.adds_up else values.flatten(1).mean(1)

    def refined(self, task: Task, given: dict[str, Any]) -> ForeignLoss:
        """The loss with what a call on the task's example shows of it."""
        batch = example_of(task, self.form.declaration)
        with _Rewriting(batch[0]) as seen:
            self.values(self.made(given), *batch)
        refined = replace(self, rewritten=seen.used)
        return replace(refined, adds_up=refined._reduces_to_sums(given, *batch))

    def _reduces_to_sums(self, given: dict[str, Any], prediction: Tensor, target: Tensor) -> bool:
        """Whether its own reduction adds up the values of one example."""
        summed, reduced = replace(self, adds_up=True), replace(self, unreduced={})
        try:
            whole = reduced.made(given)(*self.form.called(prediction, target))
            mean, total = (
                each.values(each.made(given), prediction, target) for each in (self, summed)
            )
            is_mean, *is_sum = (
                torch.allclose(whole, value, 1e-4)
                for value in (mean.mean(), total.mean(), total.sum())
            )
        except Exception:
            return False
        return any(is_sum) and not is_mean

    def as_contract(
        self, plugin: Plugin, task: Task, given: dict[str, Any], again: Again
    ) -> Callable[..., Any]:
        """A function or, of what has weights or a memory of its own, the class of a module."""
        made = self.made(given)
        own = isinstance(made, nn.Module) and [*made.parameters(), *made.buffers()]
        parameters = [*parameters_of(self.loss).values()]
        parameters = contract_form("loss", parameters, inspect.isclass(self.loss))
        known = {p.name for p in signature(plugin)}
        keywords = [p for p in parameters if p.name in known]
        batch = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in BATCH]
        members = {
            "foreign": self,
            "again": again,
            "words": self.words,
            "declaration": self._declared(task, made),
            "__name__": plugin.attribute.rpartition(".")[2],
            "__module__": plugin.module,
            "__doc__": self.loss.__doc__,
            "__signature__": inspect.Signature(keywords if own else [*batch, *keywords]),
        }
        loss: Any = ForeignClass("ForeignModule", (ForeignModule,), {}) if own else _Function()
        for name, value in members.items():
            setattr(loss, name, value)
        return cast(Callable[..., Any], loss)

    def _declared(self, task: Task, made: Callable[..., Any]) -> Declaration:
        if hasattr(self.loss, "declaration"):
            return cast(Declaration, self.loss.declaration)
        declared = self.form.declaration or Declaration()
        whole = not self.values(made, *example_of(task, self.form.declaration)).ndim
        return replace(declared, couples=True) if whole else declared


class _Rewriting(TorchFunctionMode):
    """`x[mask] = number` and `x.data` by `masked_fill_` and `detach`, which can be mapped.

    And zeros of each replica, into which its own numbers can be written. used: whether any was.
    """

    def __init__(self, prediction: Tensor) -> None:
        super().__init__()
        self.prediction, self.used = prediction, False

    def __torch_function__(
        self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        if function == Tensor.data.__get__:  # type: ignore[attr-defined]
            self.used = True
            return arguments[0].detach()
        if function is torch.zeros and (keywords or {}).keys() <= {"size", "dtype", "device"}:
            self.used = True
            usual = {"dtype": torch.get_default_dtype(), "device": torch.get_default_device()}
            return self.prediction.new_zeros(*arguments, **usual | (keywords or {}))
        if function is Tensor.__setitem__:
            x, mask, value = arguments
            is_mask = isinstance(mask, Tensor) and mask.dtype is torch.bool
            if is_mask and not (isinstance(value, Tensor) and value.ndim):
                self.used = True
                return x.masked_fill_(mask.reshape(*mask.shape, *[1] * (x.ndim - mask.ndim)), value)
        return function(*arguments, **(keywords or {}))


class _Function:
    """A foreign loss as a function; pickled by what it is made of, since forms cannot be."""

    foreign: ForeignLoss
    again: Again

    def __call__(self, prediction: Tensor, target: Tensor, /, **given: Any) -> Any:
        return self.foreign.values(self.foreign.made(given), prediction, target)

    def __reduce__(self) -> Again:
        return self.again


class ForeignClass(type):
    """The class of a loss with weights of its own, pickled likewise."""

    again: Again


copyreg.pickle(ForeignClass, lambda each: each.again)


class ForeignModule(nn.Module):
    """A foreign loss with weights or a memory of its own."""

    foreign: ClassVar[ForeignLoss]

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.made = self.foreign.made(given)

    def forward(self, prediction: Tensor, target: Tensor) -> Any:
        """The values of a batch."""
        return self.foreign.values(self.made, prediction, target)
