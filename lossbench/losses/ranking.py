"""Losses of the ranking task: two numbers per pair (B, 2), targets (B,) in {0, 1}, 1 value a pair.

Symbols: x_1 and x_2 the numbers of the first and the second item; the target is 1 where the first
ranks higher, 0 where the second does, and y = 2 target - 1.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare


def _signed_difference(prediction: Tensor, target: Tensor) -> Tensor:
    """y (x_1 - x_2): how far the item that ranks higher is above the other."""
    first, second = prediction.unbind(-1)
    return (2 * target.to(prediction.dtype) - 1) * (first - second)


def _distances_to_scores(distances: Tensor) -> Tensor:
    """Nearer ranks higher."""
    return -distances


@declare(
    tune={"margin": (0.1, 10.0)},
    convex=True,
    lipschitz=2**0.5,
    source="Herbrich, Graepel & Obermayer 2000; torch.nn.MarginRankingLoss",
)
def margin_ranking(
    scores: Tensor, target: Tensor, /, *, margin: Annotated[float, "[0, inf)"] = 1.0
) -> Tensor:
    """Punishes a pair in the wrong order, or in the right one by less than the margin.

    L = max(0, margin - y (x_1 - x_2))

    Args:
        scores: (B, 2), any real, higher ranks higher.
        target: (B,) in {0, 1}, 1 where the first does.
        margin: in [0, inf), in units of the score.

    Returns:
        (B,), in units of the score; subgradient 0 at the kink.

    Neighbours: the binary hinge of the difference. At torch's default margin 0 constant scores
    cost nothing; the 1 here makes that solution cost 1.

    Source: Herbrich, Graepel & Obermayer 2000; torch.nn.MarginRankingLoss.

    >>> margin_ranking(torch.tensor([[2.0, 0.5], [2.0, 0.5], [0.0, 0.0]]), torch.tensor([1, 0, 1]))
    tensor([0.0000, 2.5000, 1.0000])
    """
    return torch.relu(margin - _signed_difference(scores, target))


@declare(
    link=_distances_to_scores,
    tune={"margin": (0.1, 10.0)},
    convex=True,
    lipschitz=2**0.5,
    source="Bordes et al. 2013",
)
def knowledge_graph_margin_ranking(
    distances: Tensor, target: Tensor, /, *, margin: Annotated[float, "[0, inf)"] = 1.0
) -> Tensor:
    """Punishes a true triple that is not nearer than a false one by the margin.

    L = max(0, f(true) + gamma - f(false)), with gamma the margin

    Args:
        distances: (B, 2), any real, f of both triples, lower is better.
        target: (B,) in {0, 1}, 1 where the first is the true one.
        margin: in [0, inf), in units of the distance.

    Returns:
        (B,), in units of the distance; subgradient 0 at the kink.

    Neighbours: margin_ranking of the negative distances: the opposite orientation.

    Source: Bordes et al. 2013 (TransE).

    >>> knowledge_graph_margin_ranking(torch.tensor([[0.5, 2.0]] * 2), torch.tensor([1, 0]))
    tensor([0.0000, 2.5000])
    """
    return torch.relu(margin + _signed_difference(distances, target))
