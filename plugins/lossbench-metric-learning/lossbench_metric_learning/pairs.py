"""Losses of pairs: embeddings (B, D), int64 identities (B,), what the library makes of them.

Symbols: u = x / ||x||, s_ij = u_i . u_j, d_ij = ||u_i - u_j||; p runs over the positives of an
anchor i (the others of its identity), n over its negatives. A miner, with the library's defaults,
leaves only the pairs that it picks. Keywords and defaults are the library's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pytorch_metric_learning import losses
from torch import Tensor

from lossbench.contract import declare
from lossbench_metric_learning._library import call


@declare(
    tune={"neg_margin": (0.2, 1.5)},
    convex=False,
    source="Hadsell, Chopra & LeCun 2006; ContrastiveLoss",
)
def contrastive(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    pos_margin: Annotated[float, "[0, inf)"] = 0.0,
    neg_margin: Annotated[float, "[0, inf)"] = 1.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Pulls pairs of one identity within a margin, and pushes all others beyond another.

    L = mean over positive pairs of [d_ip - pos_margin]+ + mean over negative pairs of
    [neg_margin - d_in]+, each mean over the terms that are not 0

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64; both margins in [0, inf).
        miner: picks the pairs that count.

    Returns:
        (), a distance on the unit sphere.

    Neighbours: lossbench's contrastive squares both terms, of embeddings as they are, and gives
    one value per example.

    Source: Hadsell, Chopra & LeCun 2006; ContrastiveLoss.

    >>> import torch
    >>> embedding = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    >>> contrastive(embedding, torch.tensor([0, 0, 1]))  # sqrt 2; the negatives are far enough
    tensor(1.4142)
    """
    loss = losses.ContrastiveLoss(pos_margin, neg_margin)
    return call(loss, embedding, target, miner)


@declare(tune={"neg_margin": (0.1, 2.0)}, convex=False, source="Yuan et al. 2019")
def snr_contrastive(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    pos_margin: Annotated[float, "[0, inf)"] = 0.0,
    neg_margin: Annotated[float, "[0, inf)"] = 1.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Pulls and pushes pairs by their difference's variance in units of the anchor's own.

    L = pml_contrastive, with d_ij = var(u_i - u_j) / var(u_i), variances over the D features

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        pos_margin, neg_margin: in [0, inf).
        miner: picks the pairs that count.

    Returns:
        (), a ratio of variances; infinite for an anchor whose features are all equal.

    Neighbours: pml_contrastive; this d is not symmetric.

    Source: Yuan et al. 2019, "Signal-to-noise ratio"; SignalToNoiseRatioContrastiveLoss.

    >>> import torch
    >>> embedding = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])
    >>> snr_contrastive(embedding, torch.tensor([0, 0, 1]))  # var (1, -1) / var (1, 0), and 1 - 0
    tensor(5.)
    """
    loss = losses.SignalToNoiseRatioContrastiveLoss(pos_margin=pos_margin, neg_margin=neg_margin)
    return call(loss, embedding, target, miner)


@declare(
    tune={"temperature": (0.02, 1.0)},
    convex=False,
    source="Sohn 2016; Chen et al. 2020, arXiv 2002.05709; NTXentLoss",
)
def nt_xent(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    temperature: Annotated[float, "(0, inf)"] = 0.07,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Rewards picking an anchor's positive out of itself and all negatives, by their cosines.

    L = mean over positive pairs of -log [e^(s_ip / t) / (e^(s_ip / t) + sum_n e^(s_in / t))]

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        temperature: t in (0, inf).
        miner: picks the pairs that count.

    Returns:
        (), nats; at most 87 in float32, where the library stops it.

    Neighbours: lossbench's nt_xent averages within an anchor first, and has t = 0.5.

    Source: Sohn 2016; Chen et al. 2020, arXiv 2002.05709; NTXentLoss.

    >>> import torch
    >>> nt_xent(torch.ones(4, 2), torch.tensor([0, 1, 0, 1]))  # log 3
    tensor(1.0986)
    """
    return call(losses.NTXentLoss(temperature), embedding, target, miner)


@declare(
    tune={"temperature": (0.02, 1.0)},
    convex=False,
    source="Khosla et al. 2020, arXiv 2004.11362; SupConLoss",
)
def sup_con(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    temperature: Annotated[float, "(0, inf)"] = 0.1,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Rewards an anchor's likeness to all of its identity over its likeness to all others.

    L = mean over anchors of -mean_p log [e^(s_ip / t) / sum over j != i of e^(s_ij / t)], over
    the anchors where it is not 0

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        temperature: t in (0, inf).
        miner: picks the pairs that count.

    Returns:
        (), nats; 0 for a batch of one identity.

    Neighbours: lossbench's sup_con counts an anchor without a positive as 0 in its mean.

    Source: Khosla et al. 2020, arXiv 2004.11362; SupConLoss.

    >>> import torch
    >>> sup_con(torch.ones(4, 2), torch.tensor([0, 0, 0, 1]))  # log 3; the last is left out
    tensor(1.0986)
    """
    return call(losses.SupConLoss(temperature), embedding, target, miner)


@declare(
    tune={"pos_eps": (0.0, 0.1), "neg_eps": (0.0, 0.1)},
    convex=False,
    source="Yu & Tao 2019; IntraPairVarianceLoss",
)
def intra_pair_variance(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    pos_eps: Annotated[float, "[0, 1)"] = 0.01,
    neg_eps: Annotated[float, "[0, 1)"] = 0.01,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Punishes the spread of positive cosines below their mean, and of negative ones above theirs.

    L = mean over positive pairs of [(1 - pos_eps) S_pos - s_ip]+^2
    + mean over negative pairs of [s_in - (1 + neg_eps) S_neg]+^2, S_pos and S_neg the mean cosines

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        pos_eps, neg_eps: the share of the mean that is free, in [0, 1).
        miner: picks the pairs that count.

    Returns:
        (), a squared cosine; 0 where all positives, and all negatives, are alike.

    Neighbours: the paper adds it to another loss; alone it does not tell identities apart.

    Source: Yu & Tao 2019, "Deep metric learning with tuplet margin loss"; IntraPairVarianceLoss.

    >>> import torch
    >>> intra_pair_variance(torch.ones(3, 2), torch.tensor([0, 0, 1]))
    tensor(0.)
    """
    return call(losses.IntraPairVarianceLoss(pos_eps, neg_eps), embedding, target, miner)


@declare(
    tune={"margin_plus": (0.5, 1.0), "margin_minus": (0.0, 0.8)},
    convex=False,
    source="Zhang et al. 2023, arXiv 2307.04047; ThresholdConsistentMarginLoss",
)
def threshold_consistent_margin(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    lambda_plus: Annotated[float, "[0, inf)"] = 1.0,
    lambda_minus: Annotated[float, "[0, inf)"] = 1.0,
    margin_plus: Annotated[float, "[-1, 1]"] = 0.9,
    margin_minus: Annotated[float, "[-1, 1]"] = 0.5,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Punishes positive cosines below one threshold and negative cosines above another.

    L = lambda_plus mean over positive pairs with s_ip <= margin_plus of (margin_plus - s_ip)
    + lambda_minus mean over negative pairs with s_in >= margin_minus of (s_in - margin_minus)

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        lambda_plus, lambda_minus: weights, in [0, inf); margin_plus, margin_minus: in [-1, 1].
        miner: picks the pairs that count.

    Returns:
        (), a cosine.

    Neighbours: pml_contrastive of cosines; the paper adds it to another loss.

    Source: Zhang et al. 2023, arXiv 2307.04047; ThresholdConsistentMarginLoss.

    >>> import torch
    >>> threshold_consistent_margin(torch.ones(3, 2), torch.tensor([0, 0, 1]))  # 1 - 0.5
    tensor(0.5000)
    """
    loss = losses.ThresholdConsistentMarginLoss(
        lambda_plus, lambda_minus, margin_plus, margin_minus
    )
    return call(loss, embedding, target, miner)
