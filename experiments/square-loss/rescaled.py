"""The squared error with the two weights of Hui & Belkin, for many classes."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from lossbench.contract import declare


def _to_probabilities(outputs: Tensor) -> Tensor:
    """Negative outputs are 0, the rest sums to 1; uniform where nothing is positive."""
    positive = outputs.clamp(min=0)
    total = positive.sum(-1, keepdim=True)
    return torch.where(total > 0, positive / total, 1 / outputs.shape[-1])


@declare(link=_to_probabilities)
def rescaled(
    outputs: Tensor,
    target: Tensor,
    /,
    *,
    k: Annotated[float, "[1, inf)"] = 1.0,
    m: Annotated[float, "[1, inf)"] = 15.0,
) -> Tensor:
    """L = (k (z_y - m)^2 + sum over other classes of z^2) / C, with C classes."""
    own = functional.one_hot(target, outputs.shape[-1]).to(outputs.dtype)
    weight = torch.where(own > 0, k, 1.0)
    return (weight * (outputs - m * own).square()).mean(-1)
