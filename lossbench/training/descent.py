"""The gradients of all replicas' objectives: at once, or one replica after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lossbench.training.stack import Stack, State


def descend(stack: Stack, state: State, inputs: Tensor, target: Tensor) -> Tensor:
    """Every replica's objective (R,); its gradient is left with the parameters, which had none."""
    if stack.unmapped is not None:
        return _one_by_one(stack, state, inputs, target)
    losses = stack.objectives(state, inputs, target)
    losses.sum().backward()
    return losses.detach()


def _one_by_one(stack: Stack, state: State, inputs: Tensor, target: Tensor) -> Tensor:
    """The same; what a replica's forward pass left is let go before the next one begins.

    Idle replicas have a gradient of zeros. What no replica uses has none.
    """
    gradients = {n: torch.zeros_like(p) for n, p in zip(stack.names, stack.stacked, strict=True)}
    used = set[str]()

    def one(gradient: State, state: State, inputs: Tensor, target: Tensor) -> Tensor:
        leaves = {name: state[name].detach().requires_grad_() for name in gradient}
        loss = stack.objective({**state, **leaves}, inputs, target)
        parts = torch.autograd.grad(loss, [*leaves.values()], allow_unused=True)
        for name, part in zip(gradient, parts, strict=True):
            if part is not None:
                gradient[name].copy_(part)
                used.add(name)
        return loss.detach()

    losses = stack.looped(one, gradients, state, inputs, target)
    for name, parameter in zip(stack.names, stack.stacked, strict=True):
        parameter.grad = gradients[name] if name in used else None
    return losses
