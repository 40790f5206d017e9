"""How the library is called: its miners by name, and its mean over examples left to lossbench."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pytorch_metric_learning import miners
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor, nn

MINERS: dict[str, Callable[[], miners.BaseMiner]] = {
    "batch_hard": miners.BatchHardMiner,
    "multi_similarity": miners.MultiSimilarityMiner,
    "pair_margin": miners.PairMarginMiner,
    "triplet_hard": partial(miners.TripletMarginMiner, type_of_triplets="hard"),
    "triplet_semihard": partial(miners.TripletMarginMiner, type_of_triplets="semihard"),
}


class EachExample(MeanReducer):
    """In the place of a plain mean over examples: their values, (B,), 0 where one is left out."""

    def element_reduction(
        self, losses: Tensor, loss_indices: Tensor, embeddings: Tensor, labels: Tensor
    ) -> Tensor:
        """Each value at its example's place."""
        nothing = losses.new_zeros(len(embeddings))
        return nothing.index_put((loss_indices,), losses.flatten())

    def zero_loss(self, embeddings: Tensor) -> Tensor:
        """What the library gives where it finds nothing to compare."""
        return 0 * embeddings.sum(1)


def call(
    loss: BaseMetricLossFunction, embedding: Tensor, target: Tensor, miner: str = "none"
) -> Tensor:
    """The library's loss of a batch (B, D) and its identities (B,), of what the miner picks.

    (B,) where the loss has `EachExample` for its reducer, else (), reduced as the library does.
    """
    picked = None if miner == "none" else MINERS[miner]()(embedding, target)
    value: Tensor = loss(embedding, target, picked)
    return value


class WithProxies(nn.Module):
    """A loss of the library that has trained weights, of one prototype or more for each class."""

    def __init__(self, loss: BaseMetricLossFunction) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """The loss of a batch (B, D) and its classes (B,)."""
        return call(self.loss, embedding, target)
