"""The classifier of pairs of Sentence-BERT, as a loss of the task pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PairClassifier(nn.Module):
    """Rewards telling, from (l, r, |l - r|), a left's own right from the right of another pair.

    L_i = [softplus(-z(l_i, r_i)) + softplus(z(l_i, r_i-1))] / 2, z linear in (l, r, |l - r|)
    At test time z is dropped and embeddings are compared by their cosine.

    Source: Reimers & Gurevych 2019, arXiv 1908.10084, with two classes.
    """

    def __init__(self, *, embedding_dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(3 * embedding_dim, 1)

    def forward(self, embeddings: Tensor, target: Tensor, /) -> Tensor:
        """One value for each pair."""
        left, right = embeddings.unbind(1)
        own, other = (
            self.score(torch.cat([left, r, (left - r).abs()], -1)).squeeze(-1)
            for r in (right, right.roll(1, 0))
        )
        return (F.softplus(-own) + F.softplus(other)) / 2
