"""Models of two inputs: a module for each, or one for both, and how to recognise them."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from lossbench.contract import UserError
from lossbench.models import one_tensor
from lossbench.models.linear import linear
from lossbench.models.mlp import mlp


class Towers(nn.Module):
    """One module for each of two inputs: (B, 2, ...) -> (B, 2, ...)."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left, self.right = left, right

    def forward(self, inputs: Tensor) -> Tensor:
        """The left module sees the first, the right one the second."""
        left, right = inputs.unbind(1)
        return torch.stack([self.left(left), self.right(right)], 1)


class Shared(nn.Module):
    """The same module for each of two inputs: (B, 2, ...) -> (B, 2, ...)."""

    def __init__(self, each: nn.Module) -> None:
        super().__init__()
        self.each = each

    def forward(self, inputs: Tensor) -> Tensor:
        """Both inputs of an example follow each other in one batch."""
        output: Tensor = self.each(inputs.flatten(0, 1)).unflatten(0, (-1, 2))
        return output


class Items(nn.Module):
    """The same module for each item of a list: (B, L, ...) -> (B, L, ...)."""

    def __init__(self, each: nn.Module) -> None:
        super().__init__()
        self.each = each

    def forward(self, inputs: Tensor) -> Tensor:
        """All items of all lists follow each other in one batch."""
        output: Tensor = one_tensor(self.each(inputs.flatten(0, 1)))
        return output.unflatten(0, inputs.shape[:2])


def keeps_sides_apart(model: nn.Module, input_shape: tuple[int, ...]) -> bool:
    """Whether neither output changes with the input of the other side."""
    inputs = _two_examples(input_shape)
    crossed = torch.stack([inputs[:, 0], inputs[:, 1].flip(0)], 1)
    before, after = _evaluated(model, inputs), _evaluated(model, crossed)
    return _close(before[:, 0], after[:, 0]) and _close(before[:, 1].flip(0), after[:, 1])


def treats_sides_alike(model: nn.Module, input_shape: tuple[int, ...]) -> bool:
    """Whether inputs in the other order give the same outputs in the other order."""
    inputs = _two_examples(input_shape)
    return _close(_evaluated(model, inputs).flip(1), _evaluated(model, inputs.flip(1)))


def _two_examples(shape: tuple[int, ...]) -> Tensor:
    return torch.sin(1.0 + torch.arange(2 * math.prod(shape))).reshape(2, *shape)


@torch.no_grad()
def _evaluated(model: nn.Module, inputs: Tensor) -> Tensor:
    output = one_tensor(model.eval()(inputs))
    model.train()
    return output


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def two_tower(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    hidden: tuple[Annotated[int, "[1, inf)"], ...] = (64,),
) -> nn.Module:
    """A multi-layer perceptron for each side: (B, 2, F) -> (B, 2, E)."""
    _refuse_one_sided("two_tower", input_shape, output_shape)
    sides = [mlp(input_shape[1:], output_shape[1:], hidden=hidden) for _ in range(2)]
    return Towers(*sides)


def bilinear(input_shape: tuple[int, ...], output_shape: tuple[int, ...], /) -> nn.Module:
    """An affine map U, V of each side: their inner product is x1' U'V x2, bilinear of rank E."""
    _refuse_one_sided("bilinear", input_shape, output_shape)
    return Towers(*(linear(input_shape[1:], output_shape[1:]) for _ in range(2)))


def pair_scorer(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    hidden: tuple[Annotated[int, "[1, inf)"], ...] = (64, 64),
) -> nn.Module:
    """The same multi-layer perceptron on each of two inputs: (B, 2, F) -> (B, 2, *rest)."""
    _refuse_one_sided("pair_scorer", input_shape, output_shape)
    each = mlp(input_shape[1:], output_shape[1:], hidden=hidden)
    return Shared(each)


def _refuse_one_sided(
    model: str, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> None:
    if len(input_shape) < 2 or input_shape[0] != 2 or output_shape[:1] != (2,):
        raise UserError(
            f"model={model} maps two inputs (2, F) to two outputs; this task has inputs "
            f"{input_shape} and outputs {output_shape}. Use model=mlp."
        )
