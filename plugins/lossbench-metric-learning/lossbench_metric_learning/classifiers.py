"""Softmax classifiers of angles: a trained direction for each class, and a margin.

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
    tune={"temperature": (0.02, 1.0)},
    convex=False,
    source="Zhai & Wu 2018, arXiv 1811.12649; NormalizedSoftmaxLoss",
)
class NormalizedSoftmax(WithProxies):
    """Rewards the cosine to the own class's direction over those to all others.

    L = -log softmax over k of (cos theta_k / temperature) at y

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        temperature: in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: pml_cosface and pml_arcface without their margins, at scale 1 / temperature.

    Source: Zhai & Wu 2018, arXiv 1811.12649; NormalizedSoftmaxLoss.

    >>> import torch
    >>> loss = NormalizedSoftmax(num_classes=2, embedding_dim=2, temperature=1.0)
    >>> _ = loss.loss.W.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([0, 0])).detach()  # log(1 + e)
    tensor([0.6931, 1.3133])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        temperature: Annotated[float, "(0, inf)"] = 0.05,
    ) -> None:
        super().__init__(
            losses.NormalizedSoftmaxLoss(
                num_classes, embedding_dim, temperature, reducer=EachExample()
            )
        )


@declare(
    tune={"margin": (3.0, 45.0), "scale": (4.0, 64.0)},
    convex=False,
    source="Deng et al. 2019, arXiv 1801.07698; ArcFaceLoss",
)
class Arcface(WithProxies):
    """Rewards an angle to the own class's direction that is smaller than any other by the margin.

    L = -log softmax of (scale cos theta_k), with theta_y + margin for theta_y
    beyond theta_y + margin = 180 degrees cos theta_y - margin sin margin, which falls throughout

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        margin: degrees in [0, 180].
        scale: in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: lossbench's arcface is the same with its margin in radians.

    Source: Deng et al. 2019, arXiv 1801.07698; ArcFaceLoss.

    >>> import torch
    >>> loss = Arcface(num_classes=2, embedding_dim=2, margin=45.0, scale=1.0)
    >>> _ = loss.loss.W.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 1.0]]), torch.tensor([0])).detach()  # log(1 + e^(1 / sqrt 2))
    tensor([1.1079])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: Annotated[float, "[0, 180]"] = 28.6,
        scale: Annotated[float, "(0, inf)"] = 64.0,
    ) -> None:
        super().__init__(
            losses.ArcFaceLoss(num_classes, embedding_dim, margin, scale, reducer=EachExample())
        )


@declare(
    tune={"margin": (3.0, 45.0), "scale": (4.0, 64.0)},
    convex=False,
    source="Deng et al. 2020; SubCenterArcFaceLoss",
)
class SubCenterArcface(WithProxies):
    """Rewards a small angle to the nearest of several directions of the own class.

    L = pml_arcface, with cos theta_k the largest cosine to the sub_centers directions of class k

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        margin: degrees in [0, 180].
        scale: in (0, inf).
        sub_centers: from 1.

    Returns:
        (B,), nats.

    Neighbours: at sub_centers 1 pml_arcface; pml_soft_triple has a soft maximum.

    Source: Deng et al. 2020, "Sub-center ArcFace"; SubCenterArcFaceLoss.

    >>> import torch
    >>> loss = SubCenterArcface(
    ...     num_classes=2, embedding_dim=2, margin=0.0, scale=1.0, sub_centers=2
    ... )
    >>> _ = loss.loss.W.data.copy_(torch.tensor([[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0]]))
    >>> loss(torch.tensor([[1.0, 1.0]]), torch.tensor([0])).detach()  # log(1 + e^-sqrt 2)
    tensor([0.2176])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: Annotated[float, "[0, 180]"] = 28.6,
        scale: Annotated[float, "(0, inf)"] = 64.0,
        sub_centers: Annotated[int, "[1, inf)"] = 3,
    ) -> None:
        super().__init__(
            losses.SubCenterArcFaceLoss(
                num_classes=num_classes,
                embedding_size=embedding_dim,
                margin=margin,
                scale=scale,
                sub_centers=sub_centers,
                reducer=EachExample(),
            )
        )


@declare(
    tune={"margin": (0.0, 0.6), "scale": (4.0, 64.0)},
    convex=False,
    source="Wang et al. 2018, arXiv 1801.09414; CosFaceLoss",
)
class Cosface(WithProxies):
    """Rewards a cosine to the own class's direction that is larger than any other by the margin.

    L = -log softmax of (scale cos theta_k), with cos theta_y - margin for cos theta_y

    Args:
        embedding: (B, D), any real, normalised inside.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        margin: in [0, 2].
        scale: in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: at margin 0 pml_normalized_softmax; pml_arcface has its margin in the angle.

    Source: Wang et al. 2018, arXiv 1801.09414; CosFaceLoss.

    >>> import torch
    >>> loss = Cosface(num_classes=2, embedding_dim=2, margin=1.0, scale=1.0)
    >>> _ = loss.loss.W.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[1.0, 1.0]]), torch.tensor([0])).detach()  # log(1 + e)
    tensor([1.3133])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: Annotated[float, "[0, 2]"] = 0.35,
        scale: Annotated[float, "(0, inf)"] = 64.0,
    ) -> None:
        super().__init__(
            losses.CosFaceLoss(
                num_classes, embedding_dim, margin=margin, scale=scale, reducer=EachExample()
            )
        )


@declare(
    tune={"scale": (0.5, 8.0)},
    convex=False,
    source="Liu et al. 2017, arXiv 1704.08063; SphereFaceLoss",
)
class Sphereface(WithProxies):
    """Rewards an angle to the own class's direction that is smaller than any other m-fold.

    L = -log softmax of (scale ||x|| cos theta_k), with (-1)^j cos(margin theta_y) - 2j for
    cos theta_y, theta_y in [j pi / margin, (j + 1) pi / margin]

    Args:
        embedding: (B, D), any real, whose length counts.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        margin: a whole number from 1.
        scale: in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: lossbench's sphereface is the same at scale 1.

    Source: Liu et al. 2017, arXiv 1704.08063; SphereFaceLoss.

    >>> import torch
    >>> loss = Sphereface(num_classes=2, embedding_dim=2, margin=1)
    >>> _ = loss.loss.W.data.copy_(torch.eye(2))
    >>> loss(torch.tensor([[0.0, 1.0]]), torch.tensor([0])).detach()  # log(1 + e)
    tensor([1.3133])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: Annotated[int, "[1, inf)"] = 4,
        scale: Annotated[float, "(0, inf)"] = 1.0,
    ) -> None:
        super().__init__(
            losses.SphereFaceLoss(num_classes, embedding_dim, margin, scale, reducer=EachExample())
        )


@declare(
    tune={"scale": (0.5, 8.0)},
    convex=False,
    source="Liu et al. 2016, arXiv 1612.02295; LargeMarginSoftmaxLoss",
)
class LargeMarginSoftmax(WithProxies):
    """Rewards a product with the own class's weights that beats all others at a multiple angle.

    L = pml_sphereface, with products times the length of each class's weights, not normalised

    Args:
        embedding: (B, D), any real, whose length counts.
        target: (B,) int64 in 0 .. C-1.
        num_classes: C.
        embedding_dim: D.
        margin: a whole number from 1.
        scale: in (0, inf).

    Returns:
        (B,), nats.

    Neighbours: at margin 1 a last linear layer without bias, and cross_entropy.

    Source: Liu et al. 2016, arXiv 1612.02295; LargeMarginSoftmaxLoss.

    >>> import torch
    >>> loss = LargeMarginSoftmax(num_classes=2, embedding_dim=2, margin=1)
    >>> _ = loss.loss.W.data.copy_(2 * torch.eye(2))
    >>> loss(torch.tensor([[0.0, 1.0]]), torch.tensor([0])).detach()  # log(1 + e^2)
    tensor([2.1269])
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_dim: int,
        margin: Annotated[int, "[1, inf)"] = 4,
        scale: Annotated[float, "(0, inf)"] = 1.0,
    ) -> None:
        loss = losses.LargeMarginSoftmaxLoss(
            num_classes, embedding_dim, margin, scale, reducer=EachExample()
        )
        super().__init__(loss)
