"""Optimisers over stacked parameters: element-wise, so that no replica touches another.

Fused Adam takes the last numbers of a tensor, fewer than VECTOR, by another code path, and rounds
some of them another way. So a tensor is fused where its last replica, an idle one, has them all.
Fused SGD with momentum differs elsewhere too, and is not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import torch
from torch.nn import Parameter

VECTOR = 32  # numbers that the widest vector loop takes at once


def _fused_where_safe(parameters: Iterable[Parameter]) -> list[dict[str, Any]]:
    """Two groups of parameters (R, ...): those with VECTOR - 1 numbers a replica, and the rest."""
    groups: dict[bool, list[Parameter]] = {True: [], False: []}
    for parameter in parameters:
        groups[parameter[0].numel() >= VECTOR - 1].append(parameter)
    return [{"params": members, "fused": fused} for fused, members in groups.items() if members]


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
    groups = _fused_where_safe(parameters)
    return torch.optim.Adam(groups, lr, (beta1, beta2), weight_decay=weight_decay)


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
    groups = _fused_where_safe(parameters)
    return torch.optim.AdamW(groups, lr, (beta1, beta2), weight_decay=weight_decay)
