"""Losses of the pairs task: two embeddings a pair (B, 2, E), int64 identities (B,), 1 value a pair.

Pair i is a left l_i and its right r_i; the other rights of the batch are what l_i must be
told apart from. Rights of the same identity match l_i as well. Symbols: d Euclidean distance, s_ij
the score of l_i with r_j.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import euclidean_norm, leave_out, softplus, unit


def _as_it_is(embeddings: Tensor) -> Tensor:
    """Scores are inner products, not cosines."""
    return embeddings


def _distances_to_products(embeddings: Tensor) -> Tensor:
    """(l, 1) and (r, -||r||^2/2), whose inner product orders rights as -||l - r||^2 does."""
    left, right = embeddings.unbind(-2)
    more = torch.stack([torch.ones_like(left[..., 0]), -right.square().sum(-1) / 2], -1)
    return torch.cat([embeddings, more.unsqueeze(-1)], -1)


def _products(embeddings: Tensor) -> Tensor:
    """(B, B): the inner product of each left, by row, with each right."""
    left, right = embeddings.unbind(1)
    return left @ right.T


def _match(target: Tensor) -> Tensor:
    """(B, B) true where the identities of left i and right j agree."""
    return target.unsqueeze(1) == target.unsqueeze(0)


def _lead_over_own(scores: Tensor) -> Tensor:
    """(B, B): s_ij - s_ii, how far each right is ahead of the left's own."""
    return scores - scores.diagonal().unsqueeze(1)


@declare(
    tune={"temperature": (0.02, 1.0)},
    convex=False,
    source="van den Oord et al. 2018, arXiv 1807.03748",
)
def info_nce(
    embeddings: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, inf)"] = 0.07
) -> Tensor:
    """Rewards picking a left's own right out of it and the rights of all other identities.

    L_i = -log [e^(s_ii) / (e^(s_ii) + sum_{j: t_j != t_i} e^(s_ij))], s = cos(l, r) / temperature

    Args:
        embeddings: (B, 2, E), any real, normalised inside.
        target: (B,) int64, the pair's identity.
        temperature: in (0, inf).

    Returns:
        (B,), nats, >= 0: the positive is one of those to choose from. log N less its mean is a
        bound from below on the mutual information, with N rights to choose from.

    Neighbours: multiple_negatives_ranking is the same at temperature 1/scale, but takes other
    rights of the same identity for wrong.

    Source: van den Oord et al. 2018, arXiv 1807.03748.

    >>> info_nce(torch.ones(4, 2, 3), torch.tensor([0, 1, 2, 2]))  # log 4; of the last two log 3
    tensor([1.3863, 1.3863, 1.0986, 1.0986])
    """
    lead = _lead_over_own(_products(unit(embeddings)) / temperature)
    return softplus(leave_out(lead, _match(target)).logsumexp(1))


@declare(
    tune={"scale": (1.0, 50.0)}, convex=False, source="Henderson et al. 2017, arXiv 1705.00652"
)
def multiple_negatives_ranking(
    embeddings: Tensor, target: Tensor, /, *, scale: Annotated[float, "(0, inf)"] = 20.0
) -> Tensor:
    """Rewards picking a left's own right out of all rights of the batch.

    L_i = -log [e^(s_ii) / sum_j e^(s_ij)], s = scale cos(l, r)

    Args:
        embeddings: (B, 2, E), any real, normalised inside.
        target: (B,) int64, which this never reads: as published, a second right of the same
            identity is a (false) negative.
        scale: in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: info_nce at temperature 1/scale, where all identities of the batch differ.

    Source: Henderson et al. 2017, arXiv 1705.00652; scale 20 and cosine: sentence-transformers.

    >>> multiple_negatives_ranking(torch.ones(4, 2, 3), torch.tensor([0, 1, 2, 2]))  # log 4
    tensor([1.3863, 1.3863, 1.3863, 1.3863])
    """
    lead = _lead_over_own(_products(unit(embeddings)) * scale)
    own = torch.eye(len(target), dtype=torch.bool, device=target.device)
    return softplus(leave_out(lead, own).logsumexp(1))


@declare(
    link=_distances_to_products,
    tune={"margin": (0.1, 10.0)},
    convex=False,
    source="Hadsell, Chopra & LeCun 2006",
)
def contrastive(
    embeddings: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Pulls a left towards the rights that match it, and pushes the others out to the margin.

    L_i = mean over j of y d_ij^2 + (1 - y) max(0, margin - d_ij)^2, y = 1 where identities agree,
    else 0, d_ij = ||l_i - r_j||

    Args:
        embeddings: (B, 2, E), any real, not normalised.
        target: (B,) int64.
        margin: in (0, inf).

    Returns:
        (B,), in squared units of the embedding; subgradient 0 at d = 0 and at the margin.

    Neighbours: Hadsell's original has y the other way round and a factor ½.

    Source: Hadsell, Chopra & LeCun 2006.

    >>> contrastive(torch.tensor([[[0.0], [2.0]], [[1.0], [0.5]]]), torch.tensor([0, 1]))
    tensor([2.1250, 0.1250])
    """
    left, right = embeddings.unbind(1)
    difference = left.unsqueeze(1) - right.unsqueeze(0)
    pull = difference.square().sum(-1)
    push = torch.relu(margin - euclidean_norm(difference)).square()
    return torch.where(_match(target), pull, push).mean(1)


@declare(link=_as_it_is, convex=False, source="Zhang & Saligrama 2016, arXiv 1511.04512")
def joint_logistic(embeddings: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a high score of the rights that match a left, and a low score of those that do not.

    L_i = mean over j of log(1 + e^(-y s_ij)), y = 1 where identities agree, else -1, s = l . r

    Args:
        embeddings: (B, 2, E), any real: W of the bilinear score is a layer of the model.
        target: (B,) int64.

    Returns:
        (B,), nats.

    Neighbours: the binary cross_entropy of every left with every right; info_nce lets them compete.
    A weighted sum of a loss of each side and this one is a function of your own that adds what
    `lossbench.get_loss` gives.

    Source: Zhang & Saligrama 2016, arXiv 1511.04512, without its latent assignments.

    >>> joint_logistic(torch.tensor([[[1.0], [0.0]], [[-1.0], [0.0]]]), torch.tensor([0, 1]))
    tensor([0.6931, 0.6931])
    """
    sign = 2 * _match(target).to(embeddings.dtype) - 1
    return softplus(-sign * _products(embeddings)).mean(1)


@declare(link=_as_it_is, tune={"margin": (0.05, 5.0)}, convex=False, source="Frome et al. 2013")
def joint_hinge(
    embeddings: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, inf)"] = 0.1
) -> Tensor:
    """Punishes every wrong identity whose right scores more than the left's own minus the margin.

    L_i = sum over t != t_i of max(0, margin - s_ii + s_it), s = l . r
    A wrong identity with several rights in the batch counts once, by their mean.

    Args:
        embeddings: (B, 2, E), any real.
        target: (B,) int64.
        margin: in (0, inf), in score units.

    Returns:
        (B,), in units of the score; subgradient 0 at the kink.

    Neighbours: the weston_watkins of scores, with margin 1 there; joint_sje takes the largest.

    Source: Frome et al. 2013 (DeViSE).

    >>> joint_hinge(torch.tensor([[[1.0], [1.0]], [[1.0], [0.5]]]), torch.tensor([0, 1]))
    tensor([0.0000, 0.6000])
    """
    match = _match(target)
    violation = torch.relu(margin + _lead_over_own(_products(embeddings)))
    return (violation.masked_fill(match, 0.0) / match.sum(0)).sum(1)


@declare(
    link=_as_it_is,
    tune={"margin": (0.05, 5.0)},
    convex=False,
    source="Akata et al. 2015, arXiv 1409.8403; Reed et al. 2016, arXiv 1605.05395",
)
def joint_sje(
    embeddings: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes the wrong right that scores highest, unless the left's own leads it by the margin.

    L_i = max(0, max_{j: t_j != t_i} (margin - s_ii + s_ij)), s = l . r

    Args:
        embeddings: (B, 2, E), any real.
        target: (B,) int64.
        margin: in (0, inf), in score units.

    Returns:
        (B,), in units of the score; subgradient 0 at the kink.

    Neighbours: the crammer_singer of scores; joint_hinge sums where this takes the largest.

    Source: Akata et al. 2015, arXiv 1409.8403; Reed et al. 2016, arXiv 1605.05395.

    >>> joint_sje(torch.tensor([[[1.0], [1.0]], [[1.0], [0.5]]]), torch.tensor([0, 1]))
    tensor([0.5000, 1.5000])
    """
    violation = margin + _lead_over_own(_products(embeddings))
    return torch.relu(leave_out(violation, _match(target)).max(1).values)
