"""Losses of the multiclass task that hold confidence down: logits (B, C), int64 classes (B,).

Symbols: z logits, y the true class, p = softmax(z), H = -sum_k p_k log p_k the entropy of p in
nats, C classes, CE = -log p_y. Declared properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses.multiclass import cross_entropy
from lossbench.losses.stable import (
    euclidean_norm,
    leave_out,
    log_odds_against,
    log_odds_against_each,
    log_odds_of_rest,
    softplus,
)

_STRENGTH = {"strength": (0.01, 1.0)}


def _entropy(logits: Tensor) -> Tensor:
    """(B,): H, in nats."""
    surprise = softplus(log_odds_against_each(logits))  # -log p_k, exact near p_k = 1 too
    return (torch.exp(-surprise) * surprise).sum(-1)


def _behind(logits: Tensor) -> Tensor:
    """(B, C): how far each logit is below the largest."""
    return logits.amax(-1, keepdim=True) - logits


@declare(tune=_STRENGTH, source="Pereyra et al. 2017, arXiv 1701.06548")
def confidence_penalty(
    logits: Tensor, target: Tensor, /, *, strength: Annotated[float, "[0, inf)"] = 0.1
) -> Tensor:
    """Rewards probability on the true class, and uncertainty, by the entropy of the prediction.

    L = CE - strength H

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        strength: in [0, inf).

    Returns:
        (B,), nats; may be negative, and is at uniform logits where strength > 1.

    strength = 0 gives cross_entropy. Under-confident by design; label_smoothing is the same with
    the divergence from the uniform distribution turned round. max_entropy rewards no more entropy
    than a threshold.

    Source: Pereyra et al. 2017, arXiv 1701.06548.

    >>> confidence_penalty(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # 0.9 log 2
    tensor([0.6238])
    """
    return cross_entropy(logits, target) - strength * _entropy(logits)


@declare(
    tune={**_STRENGTH, "threshold": (0.1, 2.0)},
    convex=False,
    source="Pereyra et al. 2017, arXiv 1701.06548",
)
def max_entropy(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    strength: Annotated[float, "[0, inf)"] = 0.1,
    threshold: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Rewards probability on the true class, and punishes an entropy below a threshold.

    L = CE + strength max(0, Gamma - H), with Gamma the threshold

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        strength: in [0, inf).
        threshold: in (0, log C), nats; from log C on it always binds.

    Returns:
        (B,), nats, at least cross_entropy.

    strength = 0 gives cross_entropy; where the threshold always binds it is confidence_penalty and
    a constant. Another loss of this name, of 2023, solves for multipliers.

    Source: Pereyra et al. 2017, arXiv 1701.06548, section 3.2.

    >>> max_entropy(torch.tensor([[40.0, 0.0]]), torch.tensor([0]))
    tensor([0.1000])
    """
    return cross_entropy(logits, target) + strength * torch.relu(threshold - _entropy(logits))


@declare(
    tune={**_STRENGTH, "margin": (1.0, 20.0)},
    convex=True,
    source="Liu et al. 2022, arXiv 2111.15430",
)
def mbls(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    strength: Annotated[float, "[0, inf)"] = 0.1,
    margin: Annotated[float, "(0, inf)"] = 10.0,
) -> Tensor:
    """Rewards probability on the true class, and punishes logits that are far below the largest.

    L = CE + strength sum_k max(0, max_j z_j - z_k - margin)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        strength: in [0, inf).
        margin: in (0, inf), in units of the logit.

    Returns:
        (B,), nats.

    Margin-based label smoothing: strength = 0, or a large margin, gives cross_entropy; at a small
    margin it resembles label_smoothing. The authors' code has the mean over classes for the sum:
    strength is C times smaller here. max_sup has no margin.

    Source: Liu et al. 2022, arXiv 2111.15430.

    >>> mbls(torch.tensor([[12.0, 0.0]]), torch.tensor([0]))  # 0.1 * 2
    tensor([0.2000])
    """
    short = torch.relu(_behind(logits) - margin)
    return cross_entropy(logits, target) + strength * short.sum(-1)


@declare(
    tune=_STRENGTH, convex=True, lipschitz=2.21**0.5, source="Zhou et al. 2025, arXiv 2502.15798"
)
def max_sup(
    logits: Tensor, target: Tensor, /, *, strength: Annotated[float, "[0, inf)"] = 0.1
) -> Tensor:
    """Rewards probability on the true class, and punishes the largest logit, right or wrong.

    L = CE + strength (max_k z_k - mean_k z_k)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        strength: in [0, inf).

    Returns:
        (B,), nats.

    strength = 0 gives cross_entropy. label_smoothing has z_y in the place of the largest logit, so
    that it rewards confidence where a prediction is wrong.

    Source: Zhou et al. 2025, arXiv 2502.15798 (max suppression).

    >>> max_sup(torch.tensor([[40.0, 0.0]]), torch.tensor([0]))
    tensor([2.])
    """
    return cross_entropy(logits, target) + strength * _behind(logits).mean(-1)


@declare(tune={"gamma": (0.1, 5.0)}, convex=False, source="Tao, Dong & Xu 2023, arXiv 2305.13665")
def dual_focal(
    logits: Tensor, target: Tensor, /, *, gamma: Annotated[float, "[0, 8]"] = 2.0
) -> Tensor:
    """Punishes like focal, and fades out less where the next best class is close.

    L = -(1 - p_y + p_j)^gamma log p_y, with p_j the largest p_k below p_y, 0 where there is none

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        gamma: in [0, 8].

    Returns:
        (B,), nats, at least focal of the same gamma and at most cross_entropy.

    gamma = 0 gives cross_entropy. It jumps where another class passes the true one: classes are
    compared by their logits, as rounded probabilities would be equal too soon.

    Source: Tao, Dong & Xu 2023, arXiv 2305.13665.

    >>> dual_focal(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # focal: no class is below
    tensor([0.1733])
    """
    own = logits.gather(-1, target.unsqueeze(-1))
    log_p_j = leave_out(F.log_softmax(logits, -1), logits >= own).amax(-1)
    against = log_odds_against(logits, target)
    log_miss = -softplus(-against)
    # log(1 - p_y + p_j), of logarithms that keep their digits
    log_base = log_miss + softplus(log_p_j - log_miss)
    return torch.exp(gamma * log_base) * softplus(against)


@declare(
    tune={"alpha": (0.01, 0.4)},
    convex=True,
    lipschitz=0.9 * 2**0.5,
    source="Lienen & Hüllermeier 2021",
)
def label_relaxation(
    logits: Tensor, target: Tensor, /, *, alpha: Annotated[float, "(0, 0.5)"] = 0.1
) -> Tensor:
    """Punishes a probability of the true class that is below 1 - alpha; above, all are as good.

    L = 0 where p_y >= 1 - alpha, else (1 - alpha) log((1 - alpha)/p_y) + alpha log(alpha/(1 - p_y))

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        alpha: in (0, 0.5), a probability.

    Returns:
        (B,), nats; differentiable where it becomes 0.

    Neighbours: label_smoothing asks for one smoothed label, this for any within alpha of the label.

    Source: Lienen & Hüllermeier 2021, From label smoothing to label relaxation (AAAI).

    >>> label_relaxation(torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]))
    tensor([0.0000, 0.3681])
    """
    limit = -log_odds_of_rest(alpha, logits)  # the log-odds against y at p_y = 1 - alpha
    against = torch.maximum(log_odds_against(logits, target), limit)
    return softplus(against) - softplus(limit) - alpha * (against - limit)


def _normalised(logits: Tensor, temperature: float) -> Tensor:
    """z / (temperature (||z|| + 1e-7))."""
    return logits / (temperature * (euclidean_norm(logits).unsqueeze(-1) + 1e-7))


def _normalised_to_probabilities(
    logits: Tensor, *, temperature: Annotated[float, "(0, 1]"]
) -> Tensor:
    """Softmax of the logits over their norm and the temperature."""
    return torch.softmax(_normalised(logits, temperature), -1)


@declare(
    link=_normalised_to_probabilities,
    tune={"temperature": (0.01, 1.0)},
    convex=False,
    source="Wei et al. 2022, arXiv 2205.09310",
)
def logit_norm(
    logits: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, 1]"] = 0.04
) -> Tensor:
    """Rewards the direction of the logits alone, so that their length cannot feign confidence.

    L = CE of z / (temperature (||z||_2 + 1e-7))

    Args:
        logits: (B, C), any real, not invariant to a shift.
        target: (B,) int64 in 0 .. C-1.
        temperature: tau in (0, 1].

    Returns:
        (B,), nats, never below log(1 + (C - 1) e^(-sqrt(C / (C - 1)) / tau)).

    Neighbours: cross_entropy of logits on a sphere of radius 1/tau. Its gradient is at right angles
    to the logits. Probabilities are those of the normalised logits.

    Source: Wei et al. 2022, arXiv 2205.09310.

    >>> logit_norm(torch.tensor([[9.0, 0.0]]), torch.tensor([1]), temperature=1.0)  # log(1 + e)
    tensor([1.3133])
    """
    return cross_entropy(_normalised(logits, temperature), target)
