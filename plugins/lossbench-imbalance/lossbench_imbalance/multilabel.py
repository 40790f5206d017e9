"""Losses for rare labels: logits (B, L), targets (B, L) in {0, 1}, one value in nats per example.

Symbols: z logits, y targets, p_k = sigmoid(z_k). Over the L labels the value is the sum. Declared
properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from math import inf, log
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


def _softplus(x: Tensor) -> Tensor:
    """log(1 + e^x); torch's own threshold of 20 would cost float64 half of its digits."""
    return F.softplus(x, threshold=40)


def _log_add(log_values: Tensor, constant: float) -> Tensor:
    """log(e^x + constant), for a constant that may be 0."""
    log_constant = log(constant) if constant > 0 else -inf
    return torch.logaddexp(log_values, torch.full_like(log_values, log_constant))


@declare(
    tune={"gamma_negative": (1.0, 6.0), "clip": (0.01, 0.2)},
    convex=False,
    source="Ridnik et al. 2021, arXiv 2009.14119",
)
def asymmetric(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    gamma_positive: Annotated[float, "[0, inf)"] = 0.0,
    gamma_negative: Annotated[float, "[0, inf)"] = 4.0,
    clip: Annotated[float, "[0, 1)"] = 0.05,
) -> Tensor:
    """Punishes labels that are missed in full, and fades out absent ones: easy, or hopeless.

    L = sum_k [-y_k (1 - p_k)^gamma_positive log p_k - (1 - y_k) q_k^gamma_negative log(1 - q_k)],
    with q_k = max(0, p_k - clip)

    Args:
        logits: (B, L), any real.
        target: (B, L) in {0, 1}.
        gamma_positive, gamma_negative: in [0, inf), the paper's gamma+ and gamma-.
        clip: m in [0, 1); absent labels with p <= m cost nothing, and none more than about -log m.

    Returns:
        (B,), nats; its Lipschitz constant is sqrt(L) at the defaults.

    gamma_positive = 0, gamma_negative = 0, clip = 0 gives cross_entropy. Neighbours: the sum of L
    binary losses of the same name; focal has one gamma and no clip. p is too high by design. The
    authors' code defaults to gamma+ 1.

    Source: Ridnik et al. 2021, arXiv 2009.14119.

    >>> asymmetric(torch.tensor([[0.0, 0.0, -3.0]]), torch.tensor([[1, 0, 0]]))
    tensor([0.7177])
    """
    y = target.to(logits.dtype)
    positive = torch.exp(-gamma_positive * _softplus(logits)) * _softplus(-logits)
    p = torch.exp(-_softplus(-logits))
    above = p > clip
    q = torch.where(above, p - clip, 0.5)  # any number there, whose power has a slope
    negative = -(q**gamma_negative) * _log_add(-_softplus(logits), clip)
    return (y * positive + (1 - y) * torch.where(above, negative, 0.0)).sum(-1)
