"""Poly-1 with its one number, so that it can be tuned."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.multiclass import poly


@declare(tune={"epsilon": (-1.0, 5.0)})
def poly1(
    logits: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "[-1, inf)"] = 2.0
) -> Tensor:
    """Adds to cross-entropy epsilon times the probability of all other classes.

    L = -log p_y + epsilon (1 - p_y)
    """
    return poly(logits, target, epsilon=(epsilon,))
