"""A loss with a memory of each training example, for the multiclass task.

Symbols: y the true class, p = softmax(z) of the logits, t the memory of p.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from lossbench.contract import declare
from lossbench.losses.multiclass import cross_entropy

_LEAST = 1e-4  # of a probability, and of what it leaves to the others


@declare(
    tune={"strength": (0.1, 10.0)},
    convex=False,
    source="Liu et al. 2020, arXiv 2007.00151",
    stops_gradient=True,
)
class Elr(nn.Module):
    """Rewards probability on the true class, and on what the model believed of an example before.

    L = -log p_y + strength log(1 - sum_k t_k p_k),
    t <- momentum t + (1 - momentum) p / sum_k p_k, held fixed

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        index: (B,) int64, the place of each example in the training split.
        num_classes: C.
        num_examples: of the training split.
        momentum: in [0, 1).
        strength: in (0, 10].

    Returns:
        (B,), nats; negative where the model agrees with its memory.

    p is the softmax, kept 1e-4 away from 0 and 1. t is 0 at first, of each example and each seed by
    itself, updated before it is read, and only while training. What is learnt early, before labels
    that are wrong are learnt by heart, holds the gradient of these back. strength = 0 would be
    cross_entropy.

    Source: Liu et al. 2020, arXiv 2007.00151 (early-learning regularisation).

    >>> loss = Elr(num_classes=2, num_examples=3, momentum=0.0, strength=1.0)
    >>> loss(torch.zeros(1, 2), torch.tensor([0]), index=torch.tensor([2]))  # log 2 + log 1/2
    tensor([0.])
    """

    memory: Tensor

    def __init__(
        self,
        *,
        num_classes: int,
        num_examples: int,
        momentum: Annotated[float, "[0, 1)"] = 0.7,
        strength: Annotated[float, "(0, 10]"] = 3.0,
    ) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(num_examples, num_classes))
        self.momentum, self.strength = momentum, strength

    def forward(self, logits: Tensor, target: Tensor, /, *, index: Tensor) -> Tensor:
        """One value for each example."""
        p = torch.softmax(logits, -1).clamp(_LEAST, 1 - _LEAST)
        believed = self.memory[index]
        if self.training:
            now = (p / p.sum(-1, keepdim=True)).detach().to(believed.dtype)
            believed = self.momentum * believed + (1 - self.momentum) * now
            self.memory.index_copy_(0, index, believed)
        agreement = (believed.to(p.dtype) * p).sum(-1)
        return cross_entropy(logits, target) + self.strength * torch.log1p(-agreement)
