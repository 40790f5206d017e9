"""MAP@R of Musgrave, Belongie & Lim 2020."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.contract import metric


@metric(direction=1, bounds=(0, 1))
def map_at_r(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over examples of the mean precision at its mates among as many nearest as it has mates.

    An example without a mate counts 0.
    """
    same = target.unsqueeze(-1) == target.unsqueeze(-2)
    mates = same.sum(-1) - 1
    most = int(mates.max())
    itself = torch.eye(target.shape[-1], dtype=torch.bool, device=target.device)
    cosine = (estimate @ estimate.mT).masked_fill(itself, -torch.inf)
    found = same.gather(-1, cosine.topk(most, -1).indices).double()
    rank = torch.arange(1, most + 1, device=target.device)
    counted = found * (rank <= mates.unsqueeze(-1))
    precision = counted.cumsum(-1) / rank
    return ((precision * counted).sum(-1) / mates.clamp(min=1)).mean(-1)
