"""One replica of a stack, made and called by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Tensor]


class Logits(nn.Module):
    """A loss with weights of its own, called for the scores that it gives to classes."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embedding: Tensor) -> Tensor:
        logits: Tensor = self.loss.logits(embedding)
        return logits


def copied(state: State) -> State:
    """The state in tensors of its own."""
    return {name: value.clone() for name, value in state.items()}


def replica_of(argument: Any, r: int) -> Any:
    """A replica's part of a tensor, or of each tensor of a state."""
    return {n: v[r] for n, v in argument.items()} if isinstance(argument, dict) else argument[r]


def seeded(seed: int, make: Callable[[], Any]) -> Any:
    """Call with the global generator at a seed, and put the generator back."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


@torch.no_grad()
def start_at(model: nn.Module, prediction: Tensor | None) -> None:
    """Have the last bias be this prediction, where the model ends in a bias of its size."""
    biases = [p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"]
    if prediction is not None and biases and biases[-1].numel() == prediction.numel():
        biases[-1].copy_(prediction.reshape(biases[-1].shape))
