"""Eight of the twelve losses, which are not in the catalogue: logits (B, C) and classes (B,).

Symbols: z outputs, y the true class, p = softmax(z).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.multiclass import cross_entropy
from lossbench.losses.stable import is_class, log_odds_against, sigmoid, signs

SOURCE = "Janocha & Czarnecki 2017, arXiv 1702.05659"


@declare(convex=True, source=SOURCE)
def l1(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes raw outputs by their absolute distance from the one-hot label.

    L = sum_k |z_k - [k = y]|

    Args:
        logits: (B, C), any real, read as they are.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), unitless.

    Neighbours: squared_error squares the distances, l1_softmax takes those of probabilities. Where
    no class has a majority the best outputs are all 0.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> l1(torch.tensor([[0.5, 0.5]]), torch.tensor([0]))
    tensor([1.])
    """
    return (logits - is_class(logits, target).to(logits.dtype)).abs().sum(-1)


@declare(convex=False, lipschitz=2**-0.5, source=SOURCE)
def l1_softmax(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes twice the probability of being wrong, if the class is drawn as predicted.

    L = sum_k |p_k - [k = y]| = 2 (1 - p_y)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in [0, 2]; its gradient vanishes on saturated mistakes.

    Neighbours: brier squares the distances; chebyshev_softmax is half of it.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> l1_softmax(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor([1.])
    """
    return 2 * sigmoid(log_odds_against(logits, target))


@declare(convex=False, lipschitz=8**-0.5, source=SOURCE)
def chebyshev_softmax(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the largest distance of a probability from the label, which is the true class's.

    L = max_k |p_k - [k = y]| = 1 - p_y

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in [0, 1].

    Neighbours: half of l1_softmax, since no other class can have more than what p_y lacks.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> chebyshev_softmax(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor([0.5000])
    """
    return sigmoid(log_odds_against(logits, target))


@declare(convex=True, source=SOURCE)
def squared_hinge(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes each class by a separate squared binary hinge: this class against all others.

    L = sum_k max(0, 1 - t_k z_k)^2, with t_k = 1 at the true class and -1 elsewhere

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in squared units of the score.

    Neighbours: one_vs_all_hinge does not square; another margin than 1 is another scale of scores.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> squared_hinge(torch.tensor([[0.5, 0.0, -2.0]]), torch.tensor([0]))
    tensor([1.2500])
    """
    return torch.relu(1 - signs(logits, target) * logits).square().sum(-1)


@declare(convex=True, source=SOURCE)
def cubed_hinge(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes each class by a separate cubed binary hinge: this class against all others.

    L = sum_k max(0, 1 - t_k z_k)^3, with t_k = 1 at the true class and -1 elsewhere

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in cubed units of the score.

    Neighbours: one_vs_all_hinge and squared_hinge have the first and the second power.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> cubed_hinge(torch.tensor([[0.5, 0.0, -2.0]]), torch.tensor([0]))
    tensor([1.1250])
    """
    return torch.relu(1 - signs(logits, target) * logits).pow(3).sum(-1)


@declare(convex=False, source=SOURCE)
def squared_log(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of cross_entropy: mistakes cost more, what is nearly right less.

    L = (log p_y)^2

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), squared nats.

    Neighbours: cross_entropy, of which it is the square; not proper.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> squared_log(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # (log 2)^2
    tensor([0.4805])
    """
    return cross_entropy(logits, target).square()


@declare(convex=False, source=SOURCE)
def tanimoto(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards the overlap of the probabilities with the label, as a share of their union.

    L = -p_y / (sum_k p_k^2 + 1 - p_y)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in [-1, 0]; its gradient vanishes on saturated mistakes.

    Neighbours: cauchy_schwarz measures the angle between the same two vectors.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> tanimoto(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # -1/2 / (1/2 + 1/2)
    tensor([-0.5000])
    """
    against = log_odds_against(logits, target)
    squares = torch.softmax(logits, -1).square().sum(-1)
    return -sigmoid(-against) / (squares + sigmoid(against))


@declare(convex=True, lipschitz=2**0.5, source=SOURCE)
def cauchy_schwarz(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a small angle between the probabilities and the label.

    L = -log(p_y / ||p||) = cross_entropy(2 z) / 2

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), nats; half of log C for uniform logits.

    Neighbours: the softmax cancels in the quotient, so that it is half of cross_entropy at twice
    the logits; it estimates probabilities proportional to the square root of the true ones.

    Source: Janocha & Czarnecki 2017, arXiv 1702.05659.

    >>> cauchy_schwarz(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # log 2 / 2
    tensor([0.3466])
    """
    return cross_entropy(2 * logits, target) / 2
