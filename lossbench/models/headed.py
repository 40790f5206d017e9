"""A model whose outputs are made of one score and of numbers that no input moves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Headed(nn.Module):
    """The score of a model and free numbers: (B, ...) -> (B, outputs)."""

    def __init__(
        self, scorer: nn.Module, outputs: int, head: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.scorer, self.head = scorer, head
        self.free = nn.Parameter(torch.zeros(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """The outputs that the head makes of both."""
        return self.head(self.scorer(inputs), self.free)


def headed(
    backbone: Callable[[tuple[int, ...], tuple[int, ...]], nn.Module],
    input_shape: tuple[int, ...],
    outputs: int,
    head: Callable[[Tensor, Tensor], Tensor],
) -> nn.Module:
    """A backbone that scores an example by one number, with this head."""
    return Headed(backbone(input_shape, ()), outputs, head)
