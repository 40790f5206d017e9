"""Margin losses of the multiclass task: scores (B, C), int64 classes (B,), one value per example.

Symbols: z scores, y the true class, C classes. Declared properties are those at the default
hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import is_class, lead_over, row_of, signs

_INFINITY = float("inf")


@declare(
    tune={"margin": (0.1, 10.0)},
    convex=True,
    lipschitz=2**0.5,
    source="Crammer & Singer 2001; Tsochantaridis et al. 2005",
)
def crammer_singer(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    margin: Annotated[float, "[0, inf)"] = 1.0,
    cost: Annotated[list[list[float]], "(C, C) in [0, inf), 0 on the diagonal"] | None = None,
) -> Tensor:
    """Punishes the one wrong class that comes closest to, or furthest ahead of, the true one.

    L = max(0, max_{j != y} (margin cost[y][j] + z_j - z_y))

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        margin: in [0, inf), score units.
        cost: (C, C) >= 0, rows the true class, what each confusion must keep apart; None is all
            ones.

    Returns:
        (B,), in units of the score.

    Neighbours: weston_watkins sums where this takes the largest; at C = 2 they are equal.
    Inconsistent where no class has a probability above ½.

    Source: Crammer & Singer 2001; cost by margin rescaling, Tsochantaridis et al. 2005.

    >>> crammer_singer(torch.tensor([[2.0, 1.5, 1.8]]), torch.tensor([0]))
    tensor([0.8000])
    """
    gap = margin if cost is None else margin * row_of(cost, logits, target)
    violation = gap + lead_over(logits, target)
    others = violation.masked_fill(is_class(logits, target), -_INFINITY)
    return torch.relu(others.max(-1).values)


@declare(convex=True, source="Weston & Watkins 1999")
def weston_watkins(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes every wrong class that is ahead of the true one or within 1 behind it.

    L = sum_{j != y} max(0, 1 + z_j - z_y)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in units of the score; its Lipschitz constant sqrt(C (C - 1)) grows with C.

    Neighbours: between crammer_singer and C - 1 times it; torch's MultiMarginLoss is this / C.

    Source: Weston & Watkins 1999.

    >>> weston_watkins(torch.tensor([[2.0, 1.5, 1.8]]), torch.tensor([0]))
    tensor([1.3000])
    """
    violation = torch.relu(1 + lead_over(logits, target))
    return violation.masked_fill(is_class(logits, target), 0.0).sum(-1)


@declare(convex=True, source="Rifkin & Klautau 2004")
def one_vs_all_hinge(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes each class by a separate binary hinge: this class against all others.

    L = sum_k max(0, 1 - t_k z_k), with t_k = 1 at the true class and -1 elsewhere

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in units of the score; its Lipschitz constant sqrt(C) grows with C.

    Neighbours: the sum of C binary hinges. Estimates sign(2 eta_k - 1): all -1 where no class
    has the majority, so that the choice is then arbitrary.

    Source: Rifkin & Klautau 2004.

    >>> one_vs_all_hinge(torch.tensor([[0.5, 0.0, -2.0]]), torch.tensor([0]))
    tensor([1.5000])
    """
    return torch.relu(1 - signs(logits, target) * logits).sum(-1)
