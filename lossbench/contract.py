"""What a plugin may import: the records that losses, datasets and models are made of.

A loss needs none of this. It imports `declare` only to say what a signature cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

T = TypeVar("T", bound=Callable[..., Any])


class UserError(Exception):
    """A request that cannot be met: one or two lines that say what, where, given, allowed, do."""

    exit_code = 2


class UnusableError(UserError):
    """The store, the disk or the machine refuses, whatever was asked for."""

    exit_code = 4


@dataclass(frozen=True)
class Declaration:
    """What a loss says of itself beyond its signature; `lossbench check` verifies it.

    link: raw prediction -> probability or point estimate, on any leading axes; None: the task's.
    outputs: numbers that the model gives per target (2 for a mean and a log-variance).
    tune: the range in which to search each hyper-parameter.
    convex: in the prediction; lipschitz: its constant in the 2-norm of the prediction, or None.
    minimiser: what the population minimiser estimates, after the link: "probability", "mean",
        "median", "quantile", "sign", … or None where nothing simple is known.
    target: the interval of lawful targets where it is not the task's own: "(-1, inf)" in a
        regression, "[0, 1]" for a binary loss that takes soft labels.
    """

    link: Callable[[Tensor], Tensor] | None = None
    outputs: int = 1
    tune: tuple[tuple[str, float, float], ...] = ()
    convex: bool | None = None
    lipschitz: float | None = None
    minimiser: str | None = None
    target: str | None = None
    source: str = ""


def declare(
    *,
    link: Callable[[Tensor], Tensor] | None = None,
    outputs: int = 1,
    tune: dict[str, tuple[float, float]] | None = None,
    convex: bool | None = None,
    lipschitz: float | None = None,
    minimiser: str | None = None,
    target: str | None = None,
    source: str = "",
) -> Callable[[T], T]:
    """Attach a `Declaration` to a loss; the loss itself is returned unchanged."""
    ranges = tuple((name, low, high) for name, (low, high) in (tune or {}).items())
    declaration = Declaration(link, outputs, ranges, convex, lipschitz, minimiser, target, source)

    def attach(loss: T) -> T:
        setattr(loss, "declaration", declaration)  # noqa: B010 (a function has no such attribute)
        return loss

    return attach


def declaration_of(loss: Callable[..., Any]) -> Declaration:
    """What the loss declares, or the empty declaration."""
    return getattr(loss, "declaration", Declaration())


@dataclass(frozen=True)
class Sample:
    """What a dataset gives for one seed, before it is split and standardised.

    inputs: (N, ...) float; targets: (N,) or (N, ...); task: the name of the task they pose.
    held_out: (N,) true for examples that only the test split may hold (classes never trained on),
        which is then the whole test split; None draws the test split at random.
    standardise: false keeps the inputs as they are, as for pixels that have one scale already.
    """

    inputs: np.ndarray
    targets: np.ndarray
    task: str
    held_out: np.ndarray | None = None
    standardise: bool = True
