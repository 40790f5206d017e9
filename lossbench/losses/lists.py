"""Losses of the task list_ranking: scores and grades (B, L) -> one value for each list (B,).

Symbols: s the scores of a list's items, y >= 0 their grades, -1 where there is no item, which then
counts for nothing; g_i = 2^y_i - 1 the gain of an item, log1p(e^x) = sp(x), ideal the sum of each
gain / log2(1 + rank) in the order by grades. That sum is the DCG of an order. A list in which
nothing can be compared costs 0.
"""

from __future__ import annotations

from math import log
from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import leave_out, softplus


def known_items(target: Tensor) -> Tensor:
    """(..., L): where there is an item."""
    return target >= 0


def gains_of(target: Tensor) -> Tensor:
    """(..., L): 2^y - 1, and 0 where there is no item."""
    return torch.expm1(torch.where(known_items(target), target, 0.0) * log(2))


def discounts_of(rank: Tensor) -> Tensor:
    """1 / log2(1 + rank)."""
    return log(2) / torch.log1p(rank)


def ideal_of(gains: Tensor) -> Tensor:
    """(...): the DCG of the order by grades, 1 where no item has a gain."""
    ordered = gains.sort(-1, descending=True).values
    places = torch.arange(1, gains.shape[-1] + 1, dtype=gains.dtype, device=gains.device)
    ideal = (ordered * discounts_of(places)).sum(-1)
    return torch.where(ideal > 0, ideal, 1.0)


def _log_softmax(scores: Tensor, known: Tensor) -> Tensor:
    """(B, L): over the items that there are, 0 elsewhere."""
    return torch.where(known, leave_out(scores, ~known).log_softmax(-1), 0.0)


def _comes_first(like: Tensor) -> Tensor:
    """(L, L): where item i stands before item j in the list."""
    place = torch.arange(like.shape[-1], device=like.device)
    return place.unsqueeze(-1) < place


def _leads(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(B, L, L) each: s_i - s_j, and where item i has the higher grade of two that there are."""
    known = known_items(target)
    s = torch.where(known, scores, 0.0)
    higher = known.unsqueeze(-2) & (target.unsqueeze(-1) > target.unsqueeze(-2))
    return s.unsqueeze(-1) - s.unsqueeze(-2), higher


def _mean_over_pairs(values: Tensor, higher: Tensor) -> Tensor:
    """(B,): 0 for a list without a pair."""
    count = higher.flatten(-2).sum(-1)
    return torch.where(higher, values, 0.0).flatten(-2).sum(-1) / count.clamp(min=1)


@declare(convex=True, source="Cao et al. 2007")
def listnet(scores: Tensor, target: Tensor, /) -> Tensor:
    """Rewards scores whose softmax is that of the grades.

    L = -sum_i softmax(y)_i log softmax(s)_i

    Args:
        scores: (B, L), any real, higher ranks higher.
        target: (B, L), grades >= 0, -1 where there is no item.

    Returns:
        (B,), nats; the entropy of softmax(y) at the least.

    Items of equal grades are pulled together too. Neighbours: softmax, where a grade of 0 weighs
    nothing.

    Source: Cao et al. 2007, Learning to rank: from pairwise approach to listwise approach; top one.

    >>> listnet(torch.zeros(1, 3), torch.tensor([[2.0, 0.0, -1.0]]))  # two items: log 2
    tensor([0.6931])
    """
    known = known_items(target)
    share = _log_softmax(target.to(scores.dtype), known).exp() * known
    return -(share * _log_softmax(scores, known)).sum(-1)


@declare(convex=True, source="Bruch et al. 2019; TensorFlow Ranking")
def softmax(scores: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the items of a list in proportion to their grades.

    L = -sum_i y_i log softmax(s)_i / sum_i y_i

    Args:
        scores: (B, L), any real, higher ranks higher.
        target: (B, L), grades >= 0, -1 where there is no item.

    Returns:
        (B,), nats; 0 for a list without a grade above 0.

    With one item above 0 it is the cross-entropy of that item. TensorFlow Ranking does not divide
    by the sum of grades.

    Source: Bruch et al. 2019, An analysis of the softmax cross entropy loss for learning-to-rank.

    >>> softmax(torch.zeros(1, 3), torch.tensor([[1.0, 0.0, 0.0]]))  # log 3
    tensor([1.0986])
    """
    known = known_items(target)
    grade = torch.where(known, target, 0.0).to(scores.dtype)
    total = grade.sum(-1)
    values = -(grade * _log_softmax(scores, known)).sum(-1)
    return values / torch.where(total > 0, total, 1.0)


@declare(convex=True, source="Xia et al. 2008")
def listmle(scores: Tensor, target: Tensor, /) -> Tensor:
    """Rewards the likelihood of the order by grades, when items are drawn by their scores.

    L = sum_k [log sum_{j >= k} e^s_{pi(j)} - s_{pi(k)}], pi the order of falling grades

    Args:
        scores: (B, L), any real, higher ranks higher.
        target: (B, L), grades >= 0, -1 where there is no item.

    Returns:
        (B,), nats, the sum over places.

    Items of equal grades count in the order in which the list has them, so that this matters;
    allRank draws that order anew at each call.

    Source: Xia et al. 2008, Listwise approach to learning to rank.

    >>> listmle(torch.zeros(1, 3), torch.tensor([[2.0, 1.0, 0.0]]))  # log 3 + log 2
    tensor([1.7918])
    """
    lead, higher = _leads(scores, target)
    known = known_items(target)
    equal = (target.unsqueeze(-1) == target.unsqueeze(-2)) & known.unsqueeze(-1)
    behind = leave_out(-lead, ~(higher | (equal & _comes_first(target))))
    return torch.where(known, softplus(behind.logsumexp(-1)), 0.0).sum(-1)


@declare(tune={"sigma": (0.1, 10.0)}, convex=True, source="Burges et al. 2005")
def ranknet(
    scores: Tensor, target: Tensor, /, *, sigma: Annotated[float, "(0, 10]"] = 1.0
) -> Tensor:
    """Punishes pairs of which the item of the higher grade has no higher score.

    L = mean_{y_i > y_j} sp(-sigma (s_i - s_j))

    Args:
        scores: (B, L), any real, higher ranks higher.
        target: (B, L), grades >= 0, -1 where there is no item.
        sigma: in (0, 10], by which scores are multiplied.

    Returns:
        (B,), nats, the mean over the pairs of a list; 0 where it has none.

    Neighbours: dpo of the task ranking and pairwise_logistic of binary are the same function of a
    difference, over other pairs. allRank's mean is over all pairs of a batch: long lists dominate.

    Source: Burges et al. 2005, Learning to rank using gradient descent.

    >>> ranknet(torch.zeros(1, 3), torch.tensor([[2.0, 1.0, 0.0]]))  # log 2
    tensor([0.6931])
    """
    lead, higher = _leads(scores, target)
    return _mean_over_pairs(softplus(-sigma * lead), higher)


@declare(tune={"margin": (0.1, 10.0)}, convex=True, source="Joachims 2002")
def pairwise_hinge(
    scores: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, 10]"] = 1.0
) -> Tensor:
    """Punishes pairs of which the item of the higher grade is not ahead by the margin.

    L = mean_{y_i > y_j} max(0, margin - (s_i - s_j))

    Args:
        scores: (B, L), any real, higher ranks higher.
        target: (B, L), grades >= 0, -1 where there is no item.
        margin: in (0, 10], in units of the score.

    Returns:
        (B,), in units of the score, the mean over the pairs of a list; 0 where it has none.

    Neighbours: ranknet, which never stops to pull.

    Source: Joachims 2002, Optimizing search engines using clickthrough data (RankSVM).

    >>> pairwise_hinge(torch.tensor([[2.0, 0.5, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]), margin=2)
    tensor([0.2500])
    """
    lead, higher = _leads(scores, target)
    return _mean_over_pairs(torch.relu(margin - lead), higher)


@declare(
    tune={"sigma": (0.1, 10.0)},
    convex=False,
    source="Burges, Ragno & Le 2006; Burges 2010",
    stops_gradient=True,
)
def lambdarank(
    scores: Tensor, target: Tensor, /, *, sigma: Annotated[float, "(0, 10]"] = 1.0
) -> Tensor:
    """Punishes pairs in the wrong order by what their exchange would change in the NDCG.

    L = sum_{y_i > y_j} |D_ij| sp(-sigma (s_i - s_j)),
    D_ij = (g_i - g_j) (1 / log2(1 + r_i) - 1 / log2(1 + r_j)) / ideal

    Args:
        scores: (B, L), any real, higher ranks higher.
        target: (B, L), grades >= 0, -1 where there is no item.
        sigma: in (0, 10], by which scores are multiplied.

    Returns:
        (B,), nats by NDCG.

    r are the ranks by the scores, of equal scores in the order of the list, and D is held fixed: so
    the value jumps where ranks change, and says little; watch the NDCG. allRank takes logarithms to
    the base 2.

    Source: Burges, Ragno & Le 2006; Burges 2010, From RankNet to LambdaRank to LambdaMART.

    >>> lambdarank(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))  # (1 - 1/log2 3) log 2
    tensor([0.2558])
    """
    lead, higher = _leads(scores, target)
    known = known_items(target)
    ahead = (lead > 0) | ((lead == 0) & _comes_first(target))
    rank = 1 + (ahead & known.unsqueeze(-1)).sum(-2).to(scores.dtype)
    gain, discount = gains_of(target).to(scores.dtype), discounts_of(rank)
    change = (gain.unsqueeze(-1) - gain.unsqueeze(-2)) * (
        discount.unsqueeze(-1) - discount.unsqueeze(-2)
    )
    weight = (change.abs() / ideal_of(gain)[..., None, None]).detach()
    return torch.where(higher, weight * softplus(-sigma * lead), 0.0).flatten(-2).sum(-1)


@declare(tune={"temperature": (0.01, 1.0)}, convex=False, source="Qin, Liu & Li 2010")
def approx_ndcg(
    scores: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, 1]"] = 0.1
) -> Tensor:
    """Punishes what the NDCG lacks, with ranks that are counted smoothly.

    L = 1 - sum_i g_i / log2(1 + r_i) / ideal, r_i = 1 + sum_{j != i} sigmoid((s_j - s_i) / t)

    Args:
        scores: (B, L), any real, higher ranks higher.
        target: (B, L), grades >= 0, -1 where there is no item.
        temperature: t in (0, 1], in units of the score.

    Returns:
        (B,), in [0, 1); 0 for a list without a grade above 0.

    Near temperature 0 it is 1 - NDCG. The gradient vanishes where scores are many temperatures
    apart. allRank returns -NDCG, and its alpha is 1/t.

    Source: Qin, Liu & Li 2010, A general approximation framework for direct optimization.

    >>> approx_ndcg(torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 1.0]]))  # 1 - 1/log2 3
    tensor([0.3691])
    """
    lead, _ = _leads(scores, target)
    known = known_items(target)
    others = known.unsqueeze(-2) & (_comes_first(target) | _comes_first(target).mT)
    rank = 1 + torch.where(others, torch.sigmoid(-lead / temperature), 0.0).sum(-1)
    gain = gains_of(target).to(scores.dtype)
    lacking = 1 - (gain * discounts_of(rank)).sum(-1) / ideal_of(gain)
    return torch.where(gain.sum(-1) > 0, lacking, 0.0)
