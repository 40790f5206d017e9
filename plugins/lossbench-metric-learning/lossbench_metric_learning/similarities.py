"""Losses of pairs that weigh each pair by how hard it is: embeddings (B, D), identities (B,).

Symbols: u = x / ||x||, s_ij = u_i . u_j, d_ij = ||u_i - u_j||; p runs over the positives of an
anchor i (the others of its identity), n over its negatives. A miner, with the library's defaults,
leaves only the pairs that it picks. Keywords and defaults are the library's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pytorch_metric_learning import losses
from torch import Tensor

from lossbench.contract import declare
from lossbench_metric_learning._library import EachExample, call


@declare(
    tune={"alpha": (0.5, 10.0), "beta": (5.0, 100.0), "base": (0.0, 1.0)},
    convex=False,
    source="Wang et al. 2019, arXiv 1904.06627; MultiSimilarityLoss",
)
def multi_similarity(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "(0, inf)"] = 2.0,
    beta: Annotated[float, "(0, inf)"] = 50.0,
    base: float = 0.5,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Punishes positives below a cosine and negatives above it, the worst of each the most.

    L_i = 1/alpha log [1 + sum_p e^(-alpha (s_ip - base))]
    + 1/beta log [1 + sum_n e^(beta (s_in - base))]

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        alpha, beta: sharpness for positives and negatives, in (0, inf).
        base: the cosine, any real.
        miner: picks the pairs that count.

    Returns:
        (B,), a cosine.

    Neighbours: pml_circle weighs each pair by how far it is from its optimum. The paper's own has
    the miner multi_similarity.

    Source: Wang et al. 2019, arXiv 1904.06627; MultiSimilarityLoss.

    >>> import torch
    >>> multi_similarity(torch.ones(3, 2), torch.tensor([0, 0, 1]))  # log(1 + 1/e) / 2 + 1/2
    tensor([0.6566, 0.6566, 0.5139])
    """
    loss = losses.MultiSimilarityLoss(alpha, beta, base, reducer=EachExample())
    return call(loss, embedding, target, miner)


@declare(
    tune={"m": (0.1, 0.5), "gamma": (10.0, 256.0)},
    convex=False,
    source="Sun et al. 2020, arXiv 2002.10857; CircleLoss",
)
def circle(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    m: Annotated[float, "[0, 1]"] = 0.4,
    gamma: Annotated[float, "(0, inf)"] = 80.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Punishes each cosine by its distance from its optimum, weighed by that distance itself.

    L = mean over anchors of log [1 + sum_n e^(gamma [s_in + m]+ (s_in - m))
    sum_p e^(-gamma [1 + m - s_ip]+ (s_ip - 1 + m))], over the anchors where it is not 0

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        m: margin, in [0, 1].
        gamma: scale, in (0, inf).
        miner: picks the pairs that count.

    Returns:
        (), nats; the weights in []+ have no gradient, as in the paper.

    Neighbours: with the weights 1 a smooth triplet loss of cosines.

    Source: Sun et al. 2020, arXiv 2002.10857; CircleLoss.

    >>> import torch
    >>> circle(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))  # 80 (1.4 0.6 - 0.4 0.4) + log 2
    tensor(55.0931)
    """
    return call(losses.CircleLoss(m, gamma), embedding, target, miner)


@declare(
    tune={"neg_margin": (0.2, 2.0)},
    convex=False,
    source="Song et al. 2016, arXiv 1511.06452; LiftedStructureLoss",
)
def lifted_structure(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    neg_margin: Annotated[float, "[0, inf)"] = 1.0,
    pos_margin: Annotated[float, "[0, inf)"] = 0.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Sets a positive pair's distance against those of all negatives of both of its ends.

    L = mean over positive pairs of 1/2 [log sum over n of i and of p of e^(neg_margin - d_n)
    + d_ip - pos_margin]+^2

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64; both margins in [0, inf).
        miner: picks the pairs that count.

    Returns:
        (), in squared units of the unit sphere.

    Neighbours: pml_generalized_lifted_structure has all positives of an anchor in a sum as well.

    Source: Song et al. 2016, arXiv 1511.06452; LiftedStructureLoss.

    >>> import torch
    >>> lifted_structure(torch.ones(3, 2), torch.tensor([0, 0, 1]))  # (log 2 + 1)^2 / 2
    tensor(1.4334)
    """
    return call(losses.LiftedStructureLoss(neg_margin, pos_margin), embedding, target, miner)


@declare(
    tune={"neg_margin": (0.2, 2.0)},
    convex=False,
    source="Hermans, Beyer & Leibe 2017, arXiv 1703.07737; GeneralizedLiftedStructureLoss",
)
def generalized_lifted_structure(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    neg_margin: Annotated[float, "[0, inf)"] = 1.0,
    pos_margin: Annotated[float, "[0, inf)"] = 0.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Sets all of an anchor's positive distances against all of its negative ones.

    L_i = [log sum_p e^(d_ip - pos_margin) + log sum_n e^(neg_margin - d_in)]+

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64; both margins in [0, inf).
        miner: picks the pairs that count.

    Returns:
        (B,), a distance on the unit sphere; a sum without terms is left out.

    Neighbours: pml_lifted_structure has one positive in each term, squared.

    Source: Hermans, Beyer & Leibe 2017, arXiv 1703.07737; GeneralizedLiftedStructureLoss.

    >>> import torch
    >>> generalized_lifted_structure(torch.ones(3, 2), torch.tensor([0, 0, 1]))  # 1, 1, 1 + log 2
    tensor([1.0000, 1.0000, 1.6931])
    """
    loss = losses.GeneralizedLiftedStructureLoss(neg_margin, pos_margin, reducer=EachExample())
    return call(loss, embedding, target, miner)
