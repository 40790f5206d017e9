"""Losses of triplets and tuplets: an anchor, a positive, and negatives, as the library takes them.

Symbols: u = x / ||x||, s_ij = u_i . u_j, d_ij = ||u_i - u_j||; p runs over the positives of an
anchor i (the others of its identity), n over its negatives. A miner, with the library's defaults,
leaves only the triplets that it picks. Keywords and defaults are the library's. Without a miner
all triplets are looked at: memory grows with B^3.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pytorch_metric_learning import losses
from torch import Tensor

from lossbench.contract import declare
from lossbench_metric_learning._library import call


@declare(
    tune={"margin": (0.01, 1.0)},
    convex=False,
    source="Schroff, Kalenichenko & Philbin 2015, arXiv 1503.03832; TripletMarginLoss",
)
def triplet_margin(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    margin: Annotated[float, "[0, inf)"] = 0.05,
    swap: bool = False,
    smooth_loss: bool = False,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Punishes a negative that is not further from the anchor than a positive, by the margin.

    L = mean over triplets of [d_ip - d_in + margin]+, over those where it is not 0

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        margin: in [0, inf).
        swap: d_pn in the place of d_in where it is less.
        smooth_loss: softplus in the place of []+.
        miner: picks the triplets that count.

    Returns:
        (), a distance on the unit sphere.

    Neighbours: lossbench's triplet has squared distances and averages over all triplets.

    Source: Schroff, Kalenichenko & Philbin 2015, arXiv 1503.03832; TripletMarginLoss.

    >>> import torch
    >>> triplet_margin(torch.ones(3, 2), torch.tensor([0, 0, 1]))  # the margin
    tensor(0.0500)
    """
    return call(losses.TripletMarginLoss(margin, swap, smooth_loss), embedding, target, miner)


@declare(
    tune={"margin": (0.05, 0.5), "beta": (0.6, 1.4)},
    convex=False,
    source="Wu et al. 2017, arXiv 1706.07567; MarginLoss",
)
def margin(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    margin: Annotated[float, "[0, inf)"] = 0.2,
    beta: Annotated[float, "[0, inf)"] = 1.2,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Pulls positives within a distance, and pushes negatives beyond it, each by the margin.

    L = sum over triplets of ([d_ip - beta + margin]+ + [beta - d_in + margin]+), divided by the
    number of these terms that are not 0

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        margin: in [0, inf).
        beta: the boundary, in [0, inf).
        miner: picks the triplets that count.

    Returns:
        (), a distance on the unit sphere.

    Neighbours: pml_margin_learned trains the boundary. The paper draws triplets by their distance,
    which is not offered here.

    Source: Wu et al. 2017, arXiv 1706.07567; MarginLoss.

    >>> import torch
    >>> margin(torch.ones(3, 2), torch.tensor([0, 0, 1]))  # d = 0: 0 and 1.2 + 0.2
    tensor(1.4000)
    """
    return call(losses.MarginLoss(margin, beta=beta), embedding, target, miner)


@declare(
    tune={"alpha": (20.0, 50.0)},
    convex=False,
    source="Wang et al. 2017, arXiv 1708.01682; AngularLoss",
)
def angular(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "(0, 90)"] = 40.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Punishes a wide angle at the negative of the triangle that it makes with a positive pair.

    L = mean over positive pairs of log [1 + sum_n e^f],
    f = 4 tan^2(alpha) (u_i + u_p) . x_n - 2 (1 + tan^2(alpha)) u_i . u_p

    Args:
        embedding: (B, D), any real.
        target: (B,) int64.
        alpha: degrees in (0, 90).
        miner: picks the triplets that count.

    Returns:
        (), nats. The library does not normalise the negatives x_n: their length counts.

    Neighbours: pml_n_pairs; the paper adds the two.

    Source: Wang et al. 2017, arXiv 1708.01682; AngularLoss.

    >>> import torch
    >>> embedding = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])
    >>> angular(embedding, torch.tensor([0, 0, 1]), alpha=45.0)  # log(1 + e^(8 - 4))
    tensor(4.0181)
    """
    return call(losses.AngularLoss(alpha), embedding, target, miner)


@declare(
    tune={"margin": (0.0, 15.0), "scale": (8.0, 64.0)},
    convex=False,
    source="Yu & Tao 2019; TupletMarginLoss",
)
def tuplet_margin(
    embedding: Tensor,
    target: Tensor,
    /,
    *,
    margin: Annotated[float, "[0, 180)"] = 5.73,
    scale: Annotated[float, "(0, inf)"] = 64.0,
    miner: Literal[
        "none", "batch_hard", "multi_similarity", "pair_margin", "triplet_hard", "triplet_semihard"
    ] = "none",
) -> Tensor:
    """Sets the cosine of a positive, at an angle less a margin, against those of all negatives.

    L = mean over positive pairs of log [1 + sum_n e^f],
    f = scale (cos theta_in - cos(theta_ip - margin))

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64.
        margin: degrees in [0, 180), which helps the positive.
        scale: in (0, inf).
        miner: picks the triplets that count.

    Returns:
        (), nats; NaN where a positive has the very direction of its anchor.

    Neighbours: at margin 0 pml_nt_xent at temperature 1 / scale.

    Source: Yu & Tao 2019, "Deep metric learning with tuplet margin loss"; TupletMarginLoss.

    >>> import torch
    >>> embedding = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> target = torch.tensor([0, 0, 1])
    >>> tuplet_margin(embedding, target, margin=0.0, scale=1.0)  # of log(1 + 1/e) and log 2
    tensor(0.5032)
    """
    return call(losses.TupletMarginLoss(margin, scale), embedding, target, miner)
