"""Random numbers of a replica: a pure function of its key, the stream, the step and the position.

A counter is mixed by splitmix64 (Steele, Lea & Flood 2014), in whole numbers alone: so they can be
mapped, depend on no neighbour, and are the same on every machine.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


def _signed(number: int) -> int:
    """The 64 bits as int64 has them."""
    return number - 2**64 if number >= 2**63 else number


STEP, FIRST, SECOND = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
BITS = 23  # of a uniform number: then all of them, and the middles between, are float32


def mixed(counter: Tensor) -> Tensor:
    """64 bits that look random of each counter, as int64."""
    counter = (counter ^ _shifted(counter, 30)) * FIRST
    counter = (counter ^ _shifted(counter, 27)) * SECOND
    return counter ^ _shifted(counter, 31)


def _shifted(bits: Tensor, places: int) -> Tensor:
    """To the right, with zeros from the left: torch copies the sign."""
    return (bits >> places) & (2 ** (64 - places) - 1)


def key_at(key: Tensor, counter: int) -> Tensor:
    """The key of a step, or of a draw in it."""
    return mixed(key + _signed(counter * STEP % 2**64))


def uniform(key: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Numbers in (0, 1) of a key of one number, in float32."""
    positions = torch.arange(math.prod(shape), device=key.device) * STEP
    bits = _shifted(mixed(key + positions), 64 - BITS)
    return ((bits.float() + 0.5) * 2.0**-BITS).reshape(shape)


def normal(key: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Numbers of the standard normal distribution, in float32."""
    return math.sqrt(2) * torch.erfinv(2 * uniform(key, shape) - 1)


class Draws(TorchFunctionMode):
    """While it is entered, the random numbers that one replica asks PyTorch for are those of a key.

    What is asked for in a way that is not listed in `ANSWERS` comes from PyTorch's generator.
    Batch norm of a table is there as well, so that its bits do not depend on the neighbours.
    key: of one replica. count: how many draws there were. used: whether any call was answered.
    """

    def __init__(self, key: Tensor) -> None:
        super().__init__()
        self.key, self.count, self.used = key, 0, False

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        answer = ANSWERS.get(function)
        if answer is None or any(kwargs.get(name) for name in UNANSWERED):
            return function(*args, **kwargs)
        self.used = True
        return answer(self, *args, **kwargs)

    @contextlib.contextmanager
    def of(self, key: Tensor) -> Iterator[None]:
        """Enter it with one replica's key; the count goes on."""
        whole, self.key = self.key, key
        try:
            with self:
                yield
        finally:
            self.key = whole

    def draw(self, make: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        """The next numbers."""
        self.count += 1
        return make(key_at(self.key, self.count), shape)


def drawing(function: Callable[..., Any], key: Tensor, *arguments: Any) -> Any:
    """Call a function that may draw with one replica's key."""
    with Draws(key):
        return function(*arguments)


def _dropout(
    draws: Draws,
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    whole: int | None = None,
) -> Tensor:
    """whole: the axes of an example of which dropout drops all or nothing."""
    if not training or p == 0:
        return input
    axes = input.ndim if whole is None else input.ndim - whole
    shape = (*input.shape[:axes], *[1] * (input.ndim - axes))
    kept = (draws.draw(uniform, shape) >= p).to(input.dtype) / max(1 - p, 1e-12)
    return input.mul_(kept) if inplace else input * kept


def _like(draws: Draws, input: Tensor, *, make: Callable[..., Tensor], **kwargs: Any) -> Tensor:
    dtype = kwargs.get("dtype") or input.dtype
    return draws.draw(make, tuple(input.shape)).to(dtype)


def _of_size(draws: Draws, *size: Any, make: Callable[..., Tensor], **kwargs: Any) -> Tensor:
    size = kwargs.get("size", size)
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
    return draws.draw(make, shape).to(kwargs.get("dtype") or torch.get_default_dtype())


def _bernoulli(draws: Draws, input: Tensor, p: float | None = None) -> Tensor:
    threshold = input if p is None else p
    return (draws.draw(uniform, tuple(input.shape)) < threshold).to(input.dtype)


def _fill_bernoulli(draws: Draws, input: Tensor, p: float | Tensor = 0.5) -> Tensor:
    drawn: Tensor = draws.draw(uniform, tuple(input.shape)) < p
    return input.copy_(drawn)


def _batch_norm(draws: Draws, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Of (B, C) with the examples last: PyTorch then sums each channel by itself."""
    if input.ndim != 2:
        return F.batch_norm(input, *args, **kwargs)
    return F.batch_norm(input.T.contiguous()[None], *args, **kwargs)[0].T


UNANSWERED = ("generator", "out", "requires_grad")  # keywords of calls that are left to PyTorch
ANSWERS: dict[Any, Callable[..., Tensor]] = {
    F.dropout: _dropout,
    torch.dropout: _dropout,
    F.dropout1d: partial(_dropout, whole=1),
    F.dropout2d: partial(_dropout, whole=2),
    F.dropout3d: partial(_dropout, whole=3),
    F.batch_norm: _batch_norm,
    torch.rand: partial(_of_size, make=uniform),
    torch.randn: partial(_of_size, make=normal),
    torch.rand_like: partial(_like, make=uniform),
    torch.randn_like: partial(_like, make=normal),
    torch.bernoulli: _bernoulli,
    torch.Tensor.bernoulli_: _fill_bernoulli,
}
