"""The losses of the question that lossbench has not: its elder, prototypes in a batch, softmax.

Batches hold runs of utterances of a speaker in an order drawn anew for each epoch. Which speaker
`Te2e` is refused by, and which utterance `Prototypical` asks about, is taken from that order, so
that another order gives other values; nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench.contract import declare


def _identities(target: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B) each: j is another utterance of i's speaker; j is of another speaker."""
    same = target.unsqueeze(1) == target.unsqueeze(0)
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
    return same & ~itself, ~same


@declare(
    tune={"scale": (1.0, 30.0), "offset": (-10.0, 0.0)},
    convex=False,
    couples=True,
    source="Heigold et al. 2016, arXiv 1509.08062; Wan et al. 2018, arXiv 1710.10467",
)
class Te2e(nn.Module):
    """Rewards likeness to the own speaker, and punishes likeness to one other speaker.

    L_i = 1 - sigmoid(S_i(own)) + sigmoid(S_i(next)), S_ik = w cos(u_i, c_k) + b
    c_k is the mean of speaker k's unit vectors in the batch, without u_i for its own speaker; next
    is the speaker that follows i's in the batch. Two tuples of an utterance and an enrolled
    speaker, one to accept and one to refuse; ge2e_contrast has the nearest speaker for the next.

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64, the speaker.
        scale: in (0, inf), where the trained w > 0 starts.
        offset: any real, where the trained b does.

    Returns:
        (B,), in [0, 2]; 0 where the speaker has one utterance only.
    """

    def __init__(self, *, scale: Annotated[float, "(0, inf)"] = 10.0, offset: float = -5.0) -> None:
        super().__init__()
        self.scale, self.offset = scale, offset
        self.log_gain = nn.Parameter(torch.zeros(()))
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each utterance."""
        positive, negative = _identities(target)
        u = F.normalize(embedding, dim=-1)
        place = torch.arange(len(target), device=target.device)
        ahead = (place - place.unsqueeze(1)) % len(target)
        following = ahead.masked_fill(~negative, len(target)).argmin(-1)
        speakers = F.normalize((~negative).to(u.dtype) @ u, dim=-1)
        own = F.normalize(positive.to(u.dtype) @ u, dim=-1)
        w, b = self.scale * self.log_gain.exp(), self.offset + self.shift
        accepted = w * (u * own).sum(-1) + b
        refused = w * (u * speakers[following]).sum(-1) + b
        value = torch.sigmoid(-accepted) + torch.sigmoid(refused) * negative.any(-1)
        return value.masked_fill(~positive.any(-1), 0.0)


def _ask(
    embedding: Tensor, target: Tensor, scores_of: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Which speaker said the last utterance of each, by the others of each; 0 for those others.

    scores_of: (B, B), of each utterance to the mean of the utterances that each row supports.
    """
    positive, negative = _identities(target)
    later = torch.ones_like(positive).triu(1)
    query = positive.any(-1) & ~(positive & later).any(-1)
    # row k: the utterances of k's speaker that are not asked about; a column for each speaker
    support = (~negative & ~query).to(embedding.dtype)
    scores = scores_of(embedding, support / support.sum(-1, keepdim=True).clamp(min=1))
    scores = scores.masked_fill(~query, -torch.inf)
    own = scores.masked_fill(~query, 0.0).diagonal()
    safe = torch.where(query.any(), scores.logsumexp(-1), 0.0)
    return (safe - own).masked_fill(~query, 0.0)


@declare(
    convex=False, couples=True, source="Snell et al. 2017; Chung et al. 2020, arXiv 2003.11982"
)
class Prototypical(nn.Module):
    """Rewards a query that is nearer to its own speaker's prototype than to any other.

    L_i = -log softmax_k(-||x_i - c_k||^2)(own) for the last utterance i of each speaker in the
    batch; c_k is the mean of the speaker's others there. All other values are 0.

    Args:
        embedding: (B, D), any real, not normalised.
        target: (B,) int64, the speaker.

    Returns:
        (B,), nats.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each utterance, 0 for those that are not asked about."""
        return _ask(embedding, target, self.scores)

    def scores(self, embedding: Tensor, support: Tensor) -> Tensor:
        """Squared Euclidean distances, negative."""
        prototype = support @ embedding
        return -(embedding.unsqueeze(1) - prototype.unsqueeze(0)).square().sum(-1)


@declare(
    tune={"scale": (1.0, 30.0)},
    convex=False,
    couples=True,
    source="Chung et al. 2020, arXiv 2003.11982",
)
class AngularPrototypical(nn.Module):
    """Rewards a query whose angle to its own speaker's prototype is smaller than to any other.

    L_i = -log softmax_k(w cos(x_i, c_k))(own) for the last utterance i of each speaker in the
    batch; c_k is the mean of the speaker's others there. All other values are 0. The paper's b
    cancels.

    Args:
        embedding: (B, D), any real, normalised in the cosine only.
        target: (B,) int64, the speaker.
        scale: in (0, inf), where the trained w > 0 starts.

    Returns:
        (B,), nats.
    """

    def __init__(self, *, scale: Annotated[float, "(0, inf)"] = 10.0) -> None:
        super().__init__()
        self.scale = scale
        self.log_gain = nn.Parameter(torch.zeros(()))

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each utterance, 0 for those that are not asked about."""
        return _ask(embedding, target, self.scores)

    def scores(self, embedding: Tensor, support: Tensor) -> Tensor:
        """Scaled cosines."""
        prototype = F.normalize(support @ embedding, dim=-1)
        return self.scale * self.log_gain.exp() * (F.normalize(embedding, dim=-1) @ prototype.T)


@declare(convex=False, source="Coria et al. 2020, arXiv 2003.14021")
class Softmax(nn.Module):
    """Rewards probability on the own speaker, of a linear layer on the embedding.

    L = -log softmax(W x + b)_y

    Args:
        embedding: (B, D), any real.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
    """

    def __init__(self, *, num_classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(embedding_dim, num_classes)

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each utterance."""
        return F.cross_entropy(self.layer(embedding), target, reduction="none")
