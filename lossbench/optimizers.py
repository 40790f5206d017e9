"""Optimisers over stacked parameters: element-wise, so that no replica touches another.

Adam is fused: the same bits wherever a number stands in its tensor. Fused SGD is not (momentum).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from torch.nn import Parameter


def sgd(
    parameters: Iterable[Parameter],
    /,
    *,
    lr: Annotated[float, "(0, inf)"],
    momentum: Annotated[float, "[0, 1)"],
    weight_decay: Annotated[float, "[0, inf)"],
) -> torch.optim.Optimizer:
    """Stochastic gradient descent with heavy-ball momentum (Polyak 1964)."""
    return torch.optim.SGD(parameters, lr, momentum=momentum, weight_decay=weight_decay)


def adam(
    parameters: Iterable[Parameter],
    /,
    *,
    lr: Annotated[float, "(0, inf)"],
    beta1: Annotated[float, "[0, 1)"],
    beta2: Annotated[float, "[0, 1)"],
    weight_decay: Annotated[float, "[0, inf)"],
) -> torch.optim.Optimizer:
    """Adam; weight decay is part of the gradient (Kingma & Ba 2015, arXiv 1412.6980)."""
    return torch.optim.Adam(parameters, lr, (beta1, beta2), weight_decay=weight_decay, fused=True)


def adamw(
    parameters: Iterable[Parameter],
    /,
    *,
    lr: Annotated[float, "(0, inf)"],
    beta1: Annotated[float, "[0, 1)"],
    beta2: Annotated[float, "[0, 1)"],
    weight_decay: Annotated[float, "[0, inf)"],
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101)."""
    return torch.optim.AdamW(parameters, lr, (beta1, beta2), weight_decay=weight_decay, fused=True)
