"""A softmax over labels of which several may apply, as a loss of the task multilabel."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.contract import declare


def _softmax(logits: Tensor) -> Tensor:
    return torch.softmax(logits, -1)


@declare(link=_softmax)
def softmax(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability shared out evenly over the labels that apply; none of them costs 0.

    L = -sum_l t_l log softmax(z)_l, t = y / sum(y)
    """
    share = target / target.sum(-1, keepdim=True).clamp(min=1)
    return -(share * torch.log_softmax(logits, -1)).sum(-1)
