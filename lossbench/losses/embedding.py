"""Losses of the embedding task: embeddings (B, D), int64 identities (B,), one value per example.

Each example is in turn the anchor. What an anchor lacks costs nothing: without a positive its value
is 0. Symbols: x embedding, u = x / ||x||, d Euclidean distance, P the positives of an anchor in the
batch, the others of its identity, and N its negatives, those of all other identities. Losses with a
trained prototype for each identity are in prototypes.py.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from lossbench.contract import declare
from lossbench.losses.stable import euclidean_norm, leave_out, sigmoid, softplus, unit


def _identities(target: Tensor) -> tuple[Tensor, Tensor]:
    """(B, B) each: j is a positive of the anchor i; j is a negative of the anchor i."""
    same = target.unsqueeze(1) == target.unsqueeze(0)
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
    return same & ~itself, ~same


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """(B,): the mean of the chosen values of each row, 0 where none is chosen."""
    return values.masked_fill(~chosen, 0.0).sum(-1) / chosen.sum(-1).clamp(min=1)


def _mean_over_triplets(distance: Tensor, target: Tensor, margin: float) -> Tensor:
    """(B,): mean over the triplets of an anchor of how far each falls short of the margin."""
    positive, negative = _identities(target)
    violation = torch.relu(distance.unsqueeze(2) - distance.unsqueeze(1) + margin)
    chosen = positive.unsqueeze(2) & negative.unsqueeze(1)
    return _mean_over(violation.flatten(1), chosen.flatten(1))


@declare(tune={"margin": (0.1, 10.0)}, convex=False, source="Hadsell, Chopra & LeCun 2006")
def contrastive(
    embedding: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Pulls each pair of one identity together, and pushes every other pair out to the margin.

    L_i = mean over j != i of y d_ij^2 + (1 - y) max(0, margin - d_ij)^2, y = 1 where identities
    agree, else 0

    Args:
        embedding: (B, D), any real, not normalised.
        target: (B,) int64.
        margin: in (0, inf).

    Returns:
        (B,), in squared units of the embedding; subgradient 0 at d = 0 and at the margin.

    Neighbours: triplet asks for an order of distances only. Hadsell's original has y the other way
    round and a factor ½.

    Source: Hadsell, Chopra & LeCun 2006.

    >>> contrastive(torch.tensor([[0.0], [2.0], [0.5]]), torch.tensor([0, 0, 1]))  # 4, 1/4, 0
    tensor([2.1250, 2.0000, 0.1250])
    """
    positive, negative = _identities(target)
    difference = embedding.unsqueeze(1) - embedding.unsqueeze(0)
    pull = difference.square().sum(-1)
    push = torch.relu(margin - euclidean_norm(difference)).square()
    return _mean_over(torch.where(positive, pull, push), positive | negative)


@declare(
    tune={"margin": (0.05, 1.0)},
    convex=False,
    source="Schroff, Kalenichenko & Philbin 2015, arXiv 1503.03832",
)
def triplet(
    embedding: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, inf)"] = 0.2
) -> Tensor:
    """Punishes a negative that is not further from the anchor than a positive, by the margin.

    L_i = mean over p in P, n in N of max(0, d_ip^2 - d_in^2 + margin), d between unit vectors u

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        margin: in (0, inf).

    Returns:
        (B,), in squared units of the unit sphere; subgradient 0 at the kink; 0 where P or N is
        empty. Memory grows with B^3.

    Neighbours: contrastive fixes the distances themselves. If all embeddings are equal it costs
    the margin. FaceNet has this form and margin; triplet_euclidean is torch's.

    Source: Schroff, Kalenichenko & Philbin 2015, arXiv 1503.03832.

    >>> triplet(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]), torch.tensor([0, 0, 1]))
    tensor([0.0000, 0.2000, 0.0000])
    """
    u = unit(embedding)
    squared = (u.unsqueeze(1) - u.unsqueeze(0)).square().sum(-1)
    return _mean_over_triplets(squared, target, margin)


@declare(
    tune={"margin": (0.1, 10.0)},
    convex=False,
    source="Weinberger & Saul 2009; torch.nn.TripletMarginLoss",
)
def triplet_euclidean(
    embedding: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes a negative that is not further from the anchor than a positive, by the margin.

    L_i = mean over p in P, n in N of max(0, d_ip - d_in + margin), d between embeddings x

    Args:
        embedding: (B, D), any real, not normalised.
        target: (B,) int64.
        margin: in (0, inf), in units of the embedding.

    Returns:
        (B,), in units of the embedding; subgradient 0 at the kink and at d = 0; 0 where P or N is
        empty. Memory grows with B^3.

    Neighbours: triplet has squared distances of unit vectors, whose margin means the same at every
    scale; here longer embeddings meet any margin. torch has this form and margin, with 1e-6 added
    to each coordinate. Distances of unit vectors that are not squared are pml_triplet_margin, of
    the package lossbench-metric-learning.

    Source: Weinberger & Saul 2009; torch.nn.TripletMarginLoss.

    >>> triplet_euclidean(torch.tensor([[0.0], [2.0], [1.5]]), torch.tensor([0, 0, 1]))
    tensor([1.5000, 2.5000, 0.0000])
    """
    distance = euclidean_norm(embedding.unsqueeze(1) - embedding.unsqueeze(0))
    return _mean_over_triplets(distance, target, margin)


@declare(
    tune={"temperature": (0.05, 1.0)},
    convex=False,
    source="Sohn 2016; Chen et al. 2020, arXiv 2002.05709",
)
def nt_xent(
    embedding: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, inf)"] = 0.5
) -> Tensor:
    """Rewards picking an anchor's positive out of itself and all negatives, by their cosines.

    L_i = mean over p in P of -log [e^(s_ip) / (e^(s_ip) + sum_{n in N} e^(s_in))],
    s_ij = u_i . u_j / temperature

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        temperature: in (0, inf).

    Returns:
        (B,), nats; log(B - 1) for two of each identity and equal embeddings.

    Neighbours: with two of each identity it is SimCLR's, and sup_con is the same at the same
    temperature; with more of them sup_con keeps the other positives in each denominator.

    Source: Sohn 2016; Chen et al. 2020, arXiv 2002.05709 (SimCLR, whose two views are neighbours
    by index and not by identity).

    >>> nt_xent(torch.ones(4, 2), torch.tensor([0, 1, 0, 1]))  # log 3
    tensor([1.0986, 1.0986, 1.0986, 1.0986])
    """
    positive, negative = _identities(target)
    u = unit(embedding)
    scores = u @ u.T / temperature
    against = leave_out(scores, ~negative).logsumexp(-1, keepdim=True)
    return _mean_over(softplus(against - scores), positive)


@declare(
    tune={"temperature": (0.05, 1.0)}, convex=False, source="Khosla et al. 2020, arXiv 2004.11362"
)
def sup_con(
    embedding: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, inf)"] = 0.1
) -> Tensor:
    """Rewards an anchor's likeness to all of its identity over its likeness to all others.

    L_i = -mean over p in P of log [e^(s_ip) / sum_{j != i} e^(s_ij)],
    s_ij = u_i . u_j / temperature

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        temperature: in (0, inf).

    Returns:
        (B,), nats; at least log |P|, since positives compete with each other as well.

    Neighbours: the paper's L_out, with the mean outside the logarithm. nt_xent has one positive in
    each denominator, and is the same with two of each identity.

    Source: Khosla et al. 2020, arXiv 2004.11362.

    >>> sup_con(torch.ones(4, 2), torch.tensor([0, 0, 0, 1]))  # log 3; the last has no positive
    tensor([1.0986, 1.0986, 1.0986, 0.0000])
    """
    positive, negative = _identities(target)
    u = unit(embedding)
    scores = leave_out(u @ u.T / temperature, ~(positive | negative))
    # the likeliest is set against the others alone, so that a loss near 0 keeps its digits
    top = scores.argmax(-1, keepdim=True)
    is_top = top == torch.arange(len(target), device=target.device)
    small = softplus(leave_out(scores, is_top).logsumexp(-1, keepdim=True) - scores.gather(-1, top))
    nats = torch.where(is_top, small, scores.logsumexp(-1, keepdim=True) - scores)
    return _mean_over(nats, positive)


class _Centroids(nn.Module):
    """Cosines of utterances with the centroids of speakers in the batch, scaled by a trained w."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.log_gain = nn.Parameter(torch.zeros(()))  # w = scale e^log_gain stays positive

    def similarities(self, embedding: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) w cos with the own centroid, the utterance left out; (B, B) with j's speaker's."""
        positive, negative = _identities(target)
        u = unit(embedding)
        own = unit(positive.to(u.dtype) @ u)
        speakers = unit((~negative).to(u.dtype) @ u)
        w = self.scale * self.log_gain.exp().to(u.dtype)
        return w * (u * own).sum(-1), w * (u @ speakers.T)


@declare(tune={"scale": (1.0, 30.0)}, convex=False, source="Wan et al. 2018, arXiv 1710.10467")
class Ge2e(_Centroids):
    """Rewards an utterance's likeness to its own speaker over its likeness to all the others.

    L_i = -S_i(own) + log sum over speakers k of e^(S_ik), S_ik = w cos(u_i, c_k)
    c_k is the mean of speaker k's unit vectors in the batch, without u_i for its own speaker.

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64, the speaker.
        scale: in (0, inf), where the trained w > 0 starts.

    Returns:
        (B,), nats; 0 where the speaker has one utterance only.

    Neighbours: the paper's softmax form; its b is left out, since it cancels. ge2e_contrast looks
    at the nearest wrong speaker only.

    Source: Wan et al. 2018, arXiv 1710.10467.

    >>> loss = Ge2e()
    >>> loss(torch.ones(4, 2), torch.tensor([0, 0, 1, 1])).detach()  # log 2
    tensor([0.6931, 0.6931, 0.6931, 0.6931])
    """

    def __init__(self, *, scale: Annotated[float, "(0, inf)"] = 10.0) -> None:
        super().__init__(scale)

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each utterance."""
        positive, negative = _identities(target)
        own, speakers = self.similarities(embedding, target)
        # each speaker comes up once for each of its utterances, and counts once
        once = speakers - (~negative).sum(-1).to(speakers.dtype).log()
        value = softplus(leave_out(once, ~negative).logsumexp(-1) - own)
        return value.masked_fill(~positive.any(-1), 0.0)


@declare(
    tune={"scale": (1.0, 30.0), "offset": (-10.0, 0.0)},
    convex=False,
    source="Wan et al. 2018, arXiv 1710.10467",
)
class Ge2eContrast(_Centroids):
    """Rewards an utterance's likeness to its own speaker, and punishes that to the nearest other.

    L_i = 1 - sigmoid(S_i(own)) + max over k != own of sigmoid(S_ik), S_ik = w cos(u_i, c_k) + b
    c_k is the mean of speaker k's unit vectors in the batch, without u_i for its own speaker.

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64, the speaker.
        scale: in (0, inf), where the trained w > 0 starts.
        offset: any real, where the trained b does.

    Returns:
        (B,), in [0, 2]; 0 where the speaker has one utterance only.

    Neighbours: the paper's contrast form; ge2e weighs all speakers.

    Source: Wan et al. 2018, arXiv 1710.10467.

    >>> loss = Ge2eContrast(scale=10.0, offset=-10.0)
    >>> loss(torch.ones(4, 2), torch.tensor([0, 0, 1, 1])).detach()  # 1 - 1/2 + 1/2
    tensor([1., 1., 1., 1.])
    """

    def __init__(self, *, scale: Annotated[float, "(0, inf)"] = 10.0, offset: float = -5.0) -> None:
        super().__init__(scale)
        self.offset = offset
        self.shift = nn.Parameter(torch.zeros(()))  # b = offset + shift

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One value for each utterance."""
        positive, negative = _identities(target)
        own, speakers = self.similarities(embedding, target)
        b = self.offset + self.shift.to(own.dtype)
        nearest = leave_out(speakers + b, ~negative).max(-1).values
        value = sigmoid(-own - b) + sigmoid(nearest)
        return value.masked_fill(~positive.any(-1), 0.0)
