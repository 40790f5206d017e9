"""The yardstick: cross-entropy of cosines with trained directions."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import declare


@declare(tune={"scale": (4.0, 64.0)}, source="Zhai & Wu 2018, arXiv 1811.12649")
class NormalisedSoftmax(nn.Module):
    """Rewards an angle to its class's direction that is smaller than any other.

    L = -log softmax(scale cos theta)_y; ArcFace at margin 0.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        scale: Annotated[float, "(0, inf)"] = 20.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_classes, embedding_dim)))
        self.scale = scale

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each example."""
        cosine = F.normalize(embedding, dim=-1) @ F.normalize(self.weight, dim=-1).T
        return F.cross_entropy(self.scale * cosine, target, reduction="none")
