"""Losses with trained weights: a prototype or more for each class, or a boundary for each.

Modules of embeddings (B, D) and int64 classes (B,). Symbols: u = x / ||x||, w_k the prototype of
class k as a unit vector, y the class, theta_k the angle between x and w_k, C classes. Keywords and
defaults are the library's, which counts angles in degrees.
"""

from __future__ import annotations

from typing import Annotated

from pytorch_metric_learning import losses

from lossbench.contract import declare
from lossbench_metric_learning._library import EachExample, WithProxies


@declare(
    tune={"softmax_scale": (1.0, 20.0)},
    convex=False,
    source="Movshovitz-Attias et al. 2017, arXiv 1703.07464; ProxyNCALoss",
)
class ProxyNca(WithProxies):
    """Rewards the probability that a prototype, drawn by distance, is that of the own class.

    L = -log softmax over k of (-softmax_scale ||u - w_k||^2) at y

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        softmax_scale: in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: pml_nca with prototypes for examples. The paper leaves the own prototype out of the
    sum; the library keeps it, and this is pml_normalized_softmax of unit embeddings.

    Source: Movshovitz-Attias et al. 2017, arXiv 1703.07464; ProxyNCALoss.

    >>> import torch
    >>> loss = ProxyNca(num_classes=2, embedding_dim=2)
    >>> _ = loss.loss.proxies.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([0, 0])).detach()
    tensor([0.6931, 2.1269])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        softmax_scale: Annotated[float, "(0, inf)"] = 1.0,
    ) -> None:
        super().__init__(
            losses.ProxyNCALoss(
                num_classes, embedding_dim, softmax_scale=softmax_scale, reducer=EachExample()
            )
        )


@declare(
    tune={"margin": (0.0, 0.5), "alpha": (4.0, 64.0)},
    convex=False,
    source="Kim et al. 2020, arXiv 2003.13911; ProxyAnchorLoss",
)
class ProxyAnchor(WithProxies):
    """Takes each prototype for the anchor, and the batch for its positives and negatives.

    L = mean over the classes in the batch of log [1 + sum over x of the class of
    e^(-alpha (u . w_k - margin))] + mean over all classes of log [1 + sum over the other x of
    e^(alpha (u . w_k + margin))]

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        margin: in [0, 1].
        alpha: in (0, inf).

    Returns:
        (), nats.

    Neighbours: pml_multi_similarity with prototypes for anchors.

    Source: Kim et al. 2020, arXiv 2003.13911; ProxyAnchorLoss.

    >>> import torch
    >>> loss = ProxyAnchor(num_classes=2, embedding_dim=2, margin=0.0, alpha=1.0)
    >>> _ = loss.loss.proxies.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).detach()  # log(1 + 1/e) + log(2) / 2
    tensor(0.6598)
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: Annotated[float, "[0, 1]"] = 0.1,
        alpha: Annotated[float, "(0, inf)"] = 32.0,
    ) -> None:
        super().__init__(losses.ProxyAnchorLoss(num_classes, embedding_dim, margin, alpha))


@declare(
    tune={"la": (5.0, 50.0), "gamma": (0.02, 1.0), "margin": (0.0, 0.2)},
    convex=False,
    source="Qian et al. 2019, arXiv 1909.05235; SoftTripleLoss",
)
class SoftTriple(WithProxies):
    """Rewards the cosine to the nearest of several centres of the own class over other classes'.

    L = -log softmax over k of (la (S_k - margin [k = y])) at y,
    S_k = sum over centres c of softmax over c of (u . w_kc / gamma) u . w_kc

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        centers_per_class: from 1.
        la: scale, in (0, inf).
        gamma: how soft the nearest is, in (0, inf).
        margin: in [0, 1].

    Returns:
        (B,), nats.

    Neighbours: with one centre pml_cosface at scale la. The paper's penalty that merges centres
    is left out, as the library does where it is not asked for.

    Source: Qian et al. 2019, arXiv 1909.05235; SoftTripleLoss.

    >>> import torch
    >>> loss = SoftTriple(
    ...     num_classes=2, embedding_dim=2, centers_per_class=1, la=1.0, gamma=1.0, margin=0.0
    ... )
    >>> _ = loss.loss.fc.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([0, 0])).detach()  # log(1 + e)
    tensor([0.6931, 1.3133])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        centers_per_class: Annotated[int, "[1, inf)"] = 10,
        la: Annotated[float, "(0, inf)"] = 20.0,
        gamma: Annotated[float, "(0, inf)"] = 0.1,
        margin: Annotated[float, "[0, 1]"] = 0.01,
    ) -> None:
        loss = losses.SoftTripleLoss(
            num_classes, embedding_dim, centers_per_class, la, gamma, margin, reducer=EachExample()
        )
        super().__init__(loss)


@declare(
    tune={"margin": (0.05, 0.5), "beta": (0.6, 1.4)},
    convex=False,
    source="Wu et al. 2017, arXiv 1706.07567; MarginLoss",
)
class MarginLearned(WithProxies):
    """Pulls positives within a distance, and pushes negatives beyond it, each class's own.

    L = pml_margin, with beta trained for each class of anchor, plus nu beta for each triplet

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        margin: in [0, inf).
        nu: what a large boundary costs, in [0, inf).
        beta: where every boundary starts, in [0, inf).

    Returns:
        (), a distance on the unit sphere.

    Neighbours: pml_margin, whose boundary is fixed.

    Source: Wu et al. 2017, arXiv 1706.07567; MarginLoss with learn_beta.

    >>> import torch
    >>> loss = MarginLearned(num_classes=2)
    >>> loss(torch.ones(3, 2), torch.tensor([0, 0, 1])).detach()  # d = 0: 0 and 1.2 + 0.2
    tensor(1.4000)
    """

    def __init__(
        self,
        *,
        num_classes: int,
        margin: Annotated[float, "[0, inf)"] = 0.2,
        nu: Annotated[float, "[0, inf)"] = 0.0,
        beta: Annotated[float, "[0, inf)"] = 1.2,
    ) -> None:
        loss = losses.MarginLoss(margin, nu, beta, learn_beta=True, num_classes=num_classes)
        super().__init__(loss)
