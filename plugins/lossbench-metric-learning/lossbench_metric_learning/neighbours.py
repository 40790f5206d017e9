"""Losses of an anchor's whole neighbourhood: its nearest identity, its ranks, its mates.

Symbols: u = x / ||x||, s_ij = u_i . u_j, d_ij = ||u_i - u_j||; p runs over the positives of an
anchor i (the others of its identity), n over its negatives. A miner, with the library's defaults,
weighs each example by how often it is picked. Keywords and defaults are the library's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pytorch_metric_learning import losses
from torch import Tensor

from lossbench.contract import declare
from lossbench_metric_learning._library import call


@declare(convex=False, source="Sohn 2016; NPairsLoss")
def n_pairs(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Rewards picking an anchor's positive out of one positive of each identity, by their cosines.

    L = mean over identities k of -log [e^(u_k . v_k) / sum over identities j of e^(u_k . v_j)],
    u_k and v_k the first positive pair of identity k in the batch

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        miner: picks the pairs of which the first counts.

    Returns:
        (), nats; it depends on the order of the batch, whose other pairs are not looked at.

    Neighbours: pml_nt_xent at temperature 1 looks at all pairs. The paper does not normalise, and
    adds a penalty on length.

    Source: Sohn 2016, "Improved deep metric learning with multi-class N-pair loss"; NPairsLoss.

    >>> import torch
    >>> n_pairs(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))  # log 2
    tensor(0.6931)
    """
    return call(losses.NPairsLoss(), embedding, target, miner)


@declare(
    tune={"softmax_scale": (0.5, 20.0)},
    convex=False,
    source="Goldberger et al. 2004; NCALoss",
)
def nca(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    softmax_scale: Annotated[float, "(0, inf)"] = 1.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Rewards the probability that a neighbour, drawn by distance, has the anchor's identity.

    L = mean over anchors that have a positive of -log sum_p softmax over j != i of
    (-softmax_scale d_ij^2)

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        softmax_scale: in (0, inf).
        miner: picks what counts, and how often.

    Returns:
        (), nats; NaN for a batch where no anchor has a positive.

    Neighbours: pml_sup_con has the mean over positives outside the logarithm. The paper learns a
    linear map and does not normalise.

    Source: Goldberger et al. 2004, "Neighbourhood components analysis"; NCALoss.

    >>> import torch
    >>> nca(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))  # log 3
    tensor(1.0986)
    """
    return call(losses.NCALoss(softmax_scale), embedding, target, miner)


@declare(convex=False, source="Cakir et al. 2019; FastAPLoss")
def fast_ap(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    num_bins: Annotated[int, "[1, inf)"] = 10,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Rewards the average precision of an anchor's ranking of the batch, by a soft histogram.

    L = mean over anchors that have a positive of 1 - 1/|P| sum over bins of h+ H+ / H,
    h+ the positives of a bin, H+ and H the positives and all examples up to it, bins of d^2

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        num_bins: from 1.
        miner: picks what counts, and how often.

    Returns:
        (), in [0, 1].

    Neighbours: pml_pnp counts the negatives before a positive one by one.

    Source: Cakir et al. 2019, "Deep metric learning to rank"; FastAPLoss.

    >>> import torch
    >>> fast_ap(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))  # 1 - 1/3
    tensor(0.6667)
    """
    return call(losses.FastAPLoss(num_bins), embedding, target, miner)


@declare(
    tune={"anneal": (0.005, 0.5)},
    convex=False,
    source="Li et al. 2022, arXiv 2102.04640; PNPLoss",
)
def pnp(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    b: Annotated[float, "(0, inf)"] = 2.0,
    alpha: Annotated[float, "(0, inf)"] = 1.0,
    anneal: Annotated[float, "(0, inf)"] = 0.01,
    variant: Literal["O", "Dq", "Ib", "Ds", "Iu"] = "O",
) -> Tensor:
    """Punishes the number of negatives that an anchor ranks before each of its positives.

    L = mean over anchors, and over j in P and the anchor itself, of g(r_ij),
    r_ij = sum_n sigmoid((s_in - s_ij) / anneal)
    g(r) = r for the variant O, 1 - (1 + r)^-alpha for Dq, (b r - log(1 + b r)) / b^2 for Ib,
    log(1 + r) for Ds, (1 + r) log(1 + r) for Iu

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        b, alpha: of Ib and of Dq, in (0, inf).
        anneal: in (0, inf).

    Returns:
        (), a count, or what g makes of it. Memory grows with B^3.

    Neighbours: pml_fast_ap is of precision.

    Source: Li et al. 2022, arXiv 2102.04640, "Rethinking the optimization of average precision";
    PNPLoss.

    >>> import torch
    >>> pnp(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))  # two negatives, each a half before
    tensor(1.)
    """
    return call(losses.PNPLoss(b, alpha, anneal, variant), embedding, target)
