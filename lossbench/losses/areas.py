"""Stand-ins for the areas under the ROC and the precision-recall curve: binary, 1 value a batch.

Symbols: s scores (B,), P the examples of class 1 in the batch and N those of class 0,
d_ij = s_i - s_j for i in P, j in N. A batch without one of the classes costs 0 and teaches nothing,
as most do where class 1 is rare: trainer.sampler=balanced mends it. All but smooth_ap are convex,
and none changes where a constant is added to all scores: what sigmoid makes of them is no
probability, so that log_loss, and f1 at 0.5, mean nothing; auroc and average_precision do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import leave_out, sigmoid, softplus

_MARGIN = {"margin": (0.1, 10.0)}
_SLACK = 1e-6  # of a product such as 0.3 * 10, so that it is not rounded up


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    """(): the mean of the chosen values, 0 where none is."""
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp(min=1)


def _pairs(target: Tensor) -> Tensor:
    """(B, B): whether the row is of class 1 and the column of class 0."""
    positive = target > 0.5
    return positive.unsqueeze(-1) & ~positive


def _over_pairs(cost: Callable[[Tensor], Tensor], scores: Tensor, target: Tensor) -> Tensor:
    """(): the mean cost of d_ij over all pairs."""
    return _mean(cost(scores.unsqueeze(-1) - scores), _pairs(target))


@declare(tune=_MARGIN, convex=True, source="Joachims 2005", couples=True)
def pairwise_hinge(
    scores: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, 10]"] = 1.0
) -> Tensor:
    """Punishes pairs of which class 1 is not above class 0 by the margin.

    L = mean_ij max(0, margin - d_ij)

    Args:
        scores: (B,), any real.
        target: (B,) in {0, 1}.
        margin: in (0, 10], in units of the score.

    Returns:
        (), in units of the score; equal scores cost the margin.

    Calibrated but not consistent with the AUC (Gao & Zhou 2015), unlike its squared neighbours and
    pairwise_logistic. In torch, margin_ranking_loss of all pairs, whose margin is 0 by default.

    Source: Joachims 2005 (SVM for the ROC area).

    >>> pairwise_hinge(torch.tensor([2.0, 0.0, 1.5]), torch.tensor([1, 0, 0]))  # (0 + 0.5) / 2
    tensor(0.2500)
    """
    return _over_pairs(lambda d: torch.relu(margin - d), scores, target)


@declare(tune=_MARGIN, convex=True, source="Gao et al. 2013; Ying et al. 2016", couples=True)
def pairwise_squared(
    scores: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, 10]"] = 1.0
) -> Tensor:
    """Punishes pairs by the squared distance of their difference from the margin.

    L = mean_ij (margin - d_ij)^2 = Var_P s + Var_N s + (margin - mean_P s + mean_N s)^2

    Args:
        scores: (B,), any real.
        target: (B,) in {0, 1}.
        margin: in (0, 10], in units of the score.

    Returns:
        (), in squared units of the score.

    Computed from means and variances, so that it costs no more than its batch. Also what the
    min-max objective of libauc's AUCM comes to. Pairs that are too far apart cost too, unlike in
    pairwise_squared_hinge. Consistent with the AUC.

    Source: Gao et al. 2013; Ying et al. 2016.

    >>> pairwise_squared(torch.tensor([2.0, 0.0, 1.5]), torch.tensor([1, 0, 0]))  # (1 + 0.25) / 2
    tensor(0.6250)
    """
    positive = target > 0.5
    means = _mean(scores, positive), _mean(scores, ~positive)
    apart = (scores - torch.where(positive, *means)).square()
    value = _mean(apart, positive) + _mean(apart, ~positive) + (margin - means[0] + means[1]) ** 2
    return torch.where(positive.any() & ~positive.all(), value, 0.0)


@declare(tune=_MARGIN, convex=True, source="Gao & Zhou 2015; Yuan et al. 2021", couples=True)
def pairwise_squared_hinge(
    scores: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, 10]"] = 1.0
) -> Tensor:
    """Punishes pairs of which class 1 is not above class 0 by the margin, by what lacks squared.

    L = mean_ij max(0, margin - d_ij)^2

    Args:
        scores: (B,), any real.
        target: (B,) in {0, 1}.
        margin: in (0, 10], in units of the score.

    Returns:
        (), in squared units of the score.

    Consistent with the AUC. partial_auc at max_fpr 1. Equal to libauc's squared_hinge, whose text
    calls it the default where its code takes the logistic.

    Source: Gao & Zhou 2015; Yuan et al. 2021, arXiv 2012.03173.

    >>> pairwise_squared_hinge(torch.tensor([2.0, 0.0, 1.5]), torch.tensor([1, 0, 0]))  # 0.25 / 2
    tensor(0.1250)
    """
    return _over_pairs(lambda d: torch.relu(margin - d).square(), scores, target)


@declare(convex=True, source="Gao & Zhou 2015; Burges et al. 2005", couples=True)
def pairwise_logistic(scores: Tensor, target: Tensor, /) -> Tensor:
    """Rewards pairs of which class 1 is far above class 0.

    L = mean_ij log(1 + e^-d_ij)

    Args:
        scores: (B,), any real.
        target: (B,) in {0, 1}.

    Returns:
        (), nats; log 2 for equal scores.

    Consistent with the AUC. This is dpo of every pair of a batch, and ranknet of one list: three
    names for one function of a difference, over different pairs. In torch, soft_margin_loss of the
    differences, which overflows.

    Source: Gao & Zhou 2015; Burges et al. 2005.

    >>> pairwise_logistic(torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1, 0, 0]))
    tensor(0.6931)
    """
    return _over_pairs(lambda d: softplus(-d), scores, target)


@declare(
    tune={"max_fpr": (0.05, 1.0), **_MARGIN},
    convex=True,
    source="Zhu et al. 2022, arXiv 2203.00176",
    couples=True,
)
def partial_auc(
    scores: Tensor,
    target: Tensor,
    /,
    *,
    max_fpr: Annotated[float, "(0, 1]"] = 0.3,
    margin: Annotated[float, "(0, 10]"] = 1.0,
) -> Tensor:
    """Punishes like pairwise_squared_hinge, but only against the highest of class 0.

    L = mean over i in P and the ceil(max_fpr |N|) highest j in N of max(0, margin - d_ij)^2

    Args:
        scores: (B,), any real.
        target: (B,) in {0, 1}.
        max_fpr: in (0, 1], the largest false positive rate that counts.
        margin: in (0, 10], in units of the score.

    Returns:
        (), in squared units of the score.

    max_fpr = 1 gives pairwise_squared_hinge. What it stands in for is scikit-learn's
    roc_auc_score(max_fpr=...); the metric partial_auroc_10 has 0.1. partial_auc_kl weighs all of
    class 0, softly.

    Source: Zhu et al. 2022, arXiv 2203.00176 (conditional value at risk).

    >>> partial_auc(torch.tensor([2.0, 0.0, 1.5]), torch.tensor([1, 0, 0]), max_fpr=0.5)
    tensor(0.2500)
    """
    negative = target < 0.5
    rank = leave_out(scores, ~negative).argsort(-1, descending=True).argsort(-1)
    count = torch.ceil(max_fpr * (1 - _SLACK) * negative.sum())
    cost = torch.relu(margin - (scores.unsqueeze(-1) - scores)).square()
    return _mean(cost, _pairs(target) & (rank < count))


@declare(
    tune={"temperature": (0.1, 10.0), **_MARGIN},
    convex=True,
    source="Zhu et al. 2022, arXiv 2203.00176",
    couples=True,
)
def partial_auc_kl(
    scores: Tensor,
    target: Tensor,
    /,
    *,
    temperature: Annotated[float, "(0, 10]"] = 1.0,
    margin: Annotated[float, "(0, 10]"] = 1.0,
) -> Tensor:
    """Punishes like pairwise_squared_hinge, but most against the highest of class 0.

    L = mean_i tau log mean_j e^(max(0, margin - d_ij)^2 / tau), with tau the temperature

    Args:
        scores: (B,), any real.
        target: (B,) in {0, 1}.
        temperature: tau in (0, 10], in squared units of the score.
        margin: in (0, 10], in units of the score.

    Returns:
        (), in squared units of the score.

    A large temperature is pairwise_squared_hinge, a small one counts the highest of class 0 alone.
    partial_auc cuts where this weighs.

    Source: Zhu et al. 2022, arXiv 2203.00176 (with a Kullback-Leibler regulariser).

    >>> partial_auc_kl(torch.tensor([0.0, 0.0, 0.0]), torch.tensor([1, 0, 0]))
    tensor(1.)
    """
    pairs = _pairs(target)
    cost = torch.relu(margin - (scores.unsqueeze(-1) - scores)).square() / temperature
    count = pairs.sum(-1).clamp(min=1).to(scores.dtype)
    row = temperature * (leave_out(cost, ~pairs).logsumexp(-1) - count.log())
    return _mean(row, pairs.any(-1))


@declare(
    tune={"temperature": (0.01, 1.0)},
    convex=False,
    source="Brown et al. 2020, arXiv 2007.12163",
    couples=True,
)
def smooth_ap(
    scores: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, 1]"] = 0.1
) -> Tensor:
    """Rewards class 1 at the top of the batch, by its average precision with soft ranks.

    L = 1 - mean_i (1 + sum_{j in P, j != i} g_ij) / (1 + sum_{j != i} g_ij),
    g_ij = sigmoid((s_j - s_i) / temperature), i in P

    Args:
        scores: (B,), any real.
        target: (B,) in {0, 1}.
        temperature: in (0, 1], in units of the score.

    Returns:
        (), in [0, 1].

    A small temperature is 1 less scikit-learn's average_precision_score, where no scores are equal;
    its gradient vanishes for gaps much larger than the temperature.

    Source: Brown et al. 2020, arXiv 2007.12163.

    >>> smooth_ap(torch.tensor([2.0, 0.0, 3.0]), torch.tensor([1, 0, 0]))  # second of three
    tensor(0.5000)
    """
    positive = target > 0.5
    above = sigmoid((scores - scores.unsqueeze(-1)) / temperature)
    above = above * ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    # 1 less the precision, without the subtraction
    return _mean((above * ~positive).sum(-1) / (1 + above.sum(-1)), positive)
