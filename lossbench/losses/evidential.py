"""Evidential losses of the multiclass task: a prediction is a distribution over probabilities.

Symbols: z logits (B, C), y the one-hot class, alpha_k = 1 + log(1 + e^z_k) the parameters of a
Dirichlet distribution, S their sum, psi the digamma function, and for evidence of wrong classes
charge = strength min(1, progress/ramp) KL(Dir(beta) || Dir(1)), beta = alpha, but 1 at the class.
alpha - 1 is the evidence for a class, and C / S the uncertainty: 1 where there is no evidence. Each
loss is a fit, less in doubt with more evidence, and the charge, which grows over the first part of
training; progress is the share of steps that are done.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import is_class, softplus

_SOURCE = "Sensoy, Kaplan & Kandemir 2018, arXiv 1806.01768"


def _evidence_to_probabilities(logits: Tensor) -> Tensor:
    """The mean of the Dirichlet distribution, alpha / S."""
    alpha = 1 + softplus(logits)
    return alpha / alpha.sum(-1, keepdim=True)


def _charge(
    alpha: Tensor, target: Tensor, progress: Tensor, strength: float, ramp: float
) -> Tensor:
    """(B,): the divergence of what is believed of wrong classes, as far as it counts by now."""
    # in float64: the terms are thousands of times their sum
    wrong = alpha.double().masked_fill(is_class(alpha, target), 1.0)
    total, classes = wrong.sum(-1), torch.full_like(wrong[..., 0], alpha.shape[-1])
    spread = ((wrong - 1) * (wrong.digamma() - total.digamma().unsqueeze(-1))).sum(-1)
    divergence = total.lgamma() - classes.lgamma() - wrong.lgamma().sum(-1) + spread
    return strength * (progress / ramp).clamp(max=1) * divergence.to(alpha.dtype)


@declare(
    link=_evidence_to_probabilities, tune={"strength": (0.1, 10.0)}, convex=False, source=_SOURCE
)
def edl_mse(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    progress: Tensor,
    strength: Annotated[float, "[0, inf)"] = 1.0,
    ramp: Annotated[float, "(0, 1]"] = 0.1,
) -> Tensor:
    """Punishes the expected squared distance of the probabilities from the label.

    L = sum_k [(y_k - alpha_k/S)^2 + alpha_k (S - alpha_k) / (S^2 (S + 1))] + charge

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        progress: () in [0, 1], the share of training that is done.
        strength: in [0, inf), of the charge for evidence of wrong classes.
        ramp: in (0, 1], the share of training over which the charge grows.

    Returns:
        (B,), unitless.

    Neighbours: brier of alpha / S, and the variance. The paper's own evidence is a relu, which dies
    where no class has any, its ramp 10 epochs; edl_log and edl_digamma have other fits.

    Source: Sensoy, Kaplan & Kandemir 2018, arXiv 1806.01768, equation 5.

    >>> edl_mse(torch.full((1, 2), -99.0), torch.tensor([0]), progress=torch.tensor(0.0))
    tensor([0.6667])
    """
    alpha = 1 + softplus(logits)
    total = alpha.sum(-1, keepdim=True)
    own = is_class(alpha, target)
    rest = alpha.masked_fill(own, 0.0).sum(-1, keepdim=True)
    off = torch.where(own, rest, alpha) / total  # |y_k - alpha_k/S|
    fit = (off.square() + off * (1 - off) / (total + 1)).sum(-1)
    return fit + _charge(alpha, target, progress, strength, ramp)


@declare(
    link=_evidence_to_probabilities, tune={"strength": (0.1, 10.0)}, convex=False, source=_SOURCE
)
def edl_log(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    progress: Tensor,
    strength: Annotated[float, "[0, inf)"] = 1.0,
    ramp: Annotated[float, "(0, 1]"] = 0.1,
) -> Tensor:
    """Rewards evidence for the true class, by the likelihood with the probabilities summed out.

    L = log S - log alpha_y + charge

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        progress: () in [0, 1], the share of training that is done.
        strength: in [0, inf), of the charge for evidence of wrong classes.
        ramp: in (0, 1], the share of training over which the charge grows.

    Returns:
        (B,), nats; log C without evidence.

    Neighbours: cross_entropy of alpha / S; edl_digamma is the expected cross-entropy, and larger.

    Source: Sensoy, Kaplan & Kandemir 2018, arXiv 1806.01768, equation 3.

    >>> edl_log(torch.full((1, 2), -99.0), torch.tensor([0]), progress=torch.tensor(0.0))
    tensor([0.6931])
    """
    alpha = 1 + softplus(logits)
    own = alpha.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    fit = torch.log1p((alpha.sum(-1) - own) / own)
    return fit + _charge(alpha, target, progress, strength, ramp)


@declare(
    link=_evidence_to_probabilities, tune={"strength": (0.1, 10.0)}, convex=False, source=_SOURCE
)
def edl_digamma(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    progress: Tensor,
    strength: Annotated[float, "[0, inf)"] = 1.0,
    ramp: Annotated[float, "(0, 1]"] = 0.1,
) -> Tensor:
    """Rewards evidence for the true class, by the expected cross-entropy of the probabilities.

    L = psi(S) - psi(alpha_y) + charge

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        progress: () in [0, 1], the share of training that is done.
        strength: in [0, inf), of the charge for evidence of wrong classes.
        ramp: in (0, 1], the share of training over which the charge grows.

    Returns:
        (B,), nats; 1 without evidence and with two classes.

    Neighbours: edl_log, the cross-entropy of the expected probabilities, which is smaller.

    Source: Sensoy, Kaplan & Kandemir 2018, arXiv 1806.01768, equation 4.

    >>> edl_digamma(torch.full((1, 2), -99.0), torch.tensor([0]), progress=torch.tensor(0.0))
    tensor([1.])
    """
    alpha = 1 + softplus(logits)
    own = alpha.gather(-1, target.unsqueeze(-1)).squeeze(-1).double()
    fit = (alpha.double().sum(-1).digamma() - own.digamma()).to(alpha.dtype)
    return fit + _charge(alpha, target, progress, strength, ramp)
