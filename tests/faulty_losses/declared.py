"""Losses that declare or state what is not so."""

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


def _focal(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    m = (2 * target - 1) * logits
    return torch.exp(-gamma * F.softplus(m, threshold=40)) * F.softplus(-m, threshold=40)


@declare(convex=True)
def not_convex(logits: Tensor, target: Tensor, /, *, gamma: float = 0.5) -> Tensor:
    """Fades out what is right by (1 - p_t)^gamma; binary, target (B,) in {0, 1}."""
    return _focal(logits, target, gamma)


@declare(convex=True)
def not_convex_for_three(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards the true class and punishes each wrong one; multiclass, logits (B, C)."""
    own = F.one_hot(target, logits.shape[-1]).bool()
    log_p = F.log_softmax(logits, -1)
    others = torch.stack(
        [
            logits[..., [j for j in range(logits.shape[-1]) if j != k]].logsumexp(-1)
            for k in range(logits.shape[-1])
        ],
        -1,
    ) - logits.logsumexp(-1, keepdim=True)
    return -torch.where(own, log_p, others).sum(-1)


@declare(lipschitz=1.0)
def too_steep(logits: Tensor, target: Tensor, /, *, gamma: float = 1.0) -> Tensor:
    """Fades out what is right by (1 - p_t)^gamma; binary, target (B,) in {0, 1}."""
    return _focal(logits, target, gamma)


@declare(lipschitz=1.0)
def steeper_by_a_class(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass: its constant is the root of 2."""
    return F.cross_entropy(logits, target, reduction="none")


@declare(lipschitz=10.0)
def unbounded_slope(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression."""
    return (target - prediction).square()


@declare(minimiser="probability")
def not_proper(logits: Tensor, target: Tensor, /, *, gamma: float = 1.0) -> Tensor:
    """Fades out what is right by (1 - p_t)^gamma; binary, target (B,) in {0, 1}."""
    return _focal(logits, target, gamma)


@declare(minimiser="probability")
def smoothed_is_biased(
    logits: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "[0, 1)"] = 0.1
) -> Tensor:
    """Rewards 1 - epsilon on the true class; multiclass, logits (B, C)."""
    return F.cross_entropy(logits, target, reduction="none", label_smoothing=epsilon)


@declare(link=torch.sigmoid, minimiser="probability")
def wrong_link(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake exponentially; binary: half the log-odds are learnt, not all."""
    return torch.exp(-(2 * target - 1) * logits)


@declare(minimiser="mean")
def median_not_mean(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the size of the residual; regression."""
    return (target - prediction).abs()


@declare(minimiser="quantile")
def swapped_quantile(
    prediction: Tensor, target: Tensor, /, *, q: Annotated[float, "(0, 1)"] = 0.5
) -> Tensor:
    """Punishes predictions on one side by q, on the other by 1 - q; regression."""
    residual = prediction - target
    return q * torch.relu(residual) + (1 - q) * torch.relu(-residual)


def not_that_neighbour(
    logits: Tensor, target: Tensor, /, *, gamma: Annotated[float, "[0, inf)"] = 2.0
) -> Tensor:
    """Fades out what is right; binary, target (B,) in {0, 1}.

    gamma = 1 gives cross_entropy.
    """
    return _focal(logits, target, gamma)


def neighbour_but_for_a_factor(
    prediction: Tensor, target: Tensor, /, *, delta: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes like a square within delta, linearly beyond; regression.

    delta = 1 gives huber. Elsewhere it is another.
    """
    return 2 * F.huber_loss(prediction, target, delta=delta, reduction="none")


@declare(tune={"gama": (0.1, 5.0)})
def tunes_a_typo(logits: Tensor, target: Tensor, /, *, gamma: float = 2.0) -> Tensor:
    """Fades out what is right by (1 - p_t)^gamma; binary, target (B,) in {0, 1}."""
    return _focal(logits, target, gamma)


def lying_example(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual; regression.

    >>> lying_example(torch.tensor([1.0]), torch.tensor([3.0]))
    tensor([2.])
    """
    return (target - prediction).square()
