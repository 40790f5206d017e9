"""A loss outside of training, given what training supplies at each call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.registry.signatures import call_facts


def outside_training(loss: Any, progress: float = 1.0) -> Any:
    """The loss, or the module, given what training supplies at each call, if it asks for it.

    A class is given back as it is: its modules are to be.
    """
    if inspect.isclass(loss) or not call_facts(loss):
        return loss
    supply = _Supply(call_facts(loss), progress)
    if not isinstance(loss, nn.Module):
        return _Supplied(loss, supply)
    loss.register_forward_pre_hook(supply.to_module, with_kwargs=True)
    return loss


def given_outside(
    asked: tuple[str, ...], target: Tensor, progress: float = 1.0
) -> dict[str, Tensor]:
    """What a loss asks for at each call, outside of training: first examples that count alike."""
    made = {
        "progress": lambda: torch.tensor(progress),
        "index": lambda: torch.arange(len(target)),
        "example_weight": lambda: torch.ones(len(target)),
    }
    return {name: made[name]().to(target.device) for name in asked}


class _Supply:
    """What a call is to be given besides prediction and target."""

    def __init__(self, asked: tuple[str, ...], progress: float) -> None:
        self.asked, self.progress = asked, progress

    def __call__(self, target: Tensor) -> dict[str, Tensor]:
        return given_outside(self.asked, target, self.progress)

    def to_module(self, _: nn.Module, args: Any, keywords: Any) -> tuple[Any, dict[str, Any]]:
        return args, self(args[1]) | keywords


class _Supplied:
    """A function that is given it; a class, since closures cannot be pickled."""

    def __init__(self, loss: Callable[..., Tensor], supply: _Supply) -> None:
        functools.update_wrapper(self, loss)
        self.loss, self.supply = loss, supply

    def __call__(self, prediction: Tensor, target: Tensor, /, **keywords: Any) -> Tensor:
        return self.loss(prediction, target, **self.supply(target) | keywords)
