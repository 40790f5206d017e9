"""Losses that look at where pixels are: logits (B, C, H, W), int64 classes (B, H, W).

What the library makes of them; keywords and defaults are its own. Data with pixels of 255 are
refused by nacl, and hausdorff_dt takes these for background.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from monai import losses
from torch import Tensor

from lossbench.contract import declare
from lossbench_monai.masks import each_image, one_hot, probabilities


@declare(convex=False, source="Karimi & Salcudean 2019, arXiv 1904.10030; HausdorffDTLoss")
def hausdorff_dt(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "(0, inf)"] = 2.0,
    include_background: bool = False,
) -> Tensor:
    """Punishes mistakes by how far they are from the edges of both regions.

    L = mean over k and pixels of (p_k - g_k)^2 (d_p^alpha + d_g^alpha), d distances in pixels

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1.
        alpha: in (0, inf).
        include_background: whether class 0 counts.

    Returns:
        (B,), at least 0, in powers of pixels.

    Neighbours: dice, which is blind to distance. Where p is cut at one half the value jumps; the
    distances have no gradient, and are found one image after the other on the CPU.

    Source: Karimi & Salcudean 2019, arXiv 1904.10030; HausdorffDTLoss.

    >>> import torch
    >>> sure = 40 * torch.eye(2).reshape(1, 2, 1, 2)
    >>> bool(hausdorff_dt(sure, torch.tensor([[[0, 1]]])) < 1e-30)
    True
    """
    loss = losses.HausdorffDTLoss(
        alpha=alpha, include_background=include_background, reduction="none"
    )
    return each_image(loss(probabilities(logits, target), one_hot(logits, target)))


@declare(
    tune={"alpha": (0.01, 1.0)}, convex=True, source="Murugesan et al. 2023, 2303.06268; NACLLoss"
)
def nacl(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    kernel_size: Literal[3, 5, 7] = 3,
    kernel_ops: Literal["mean", "gaussian"] = "mean",
    distance_type: Literal["l1", "l2"] = "l1",
    alpha: Annotated[float, "[0, inf)"] = 0.1,
    sigma: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Punishes like cross-entropy, and logits that differ from the labels of the neighbourhood.

    L = mean over pixels of -log p_y + alpha mean over pixels and classes of |tau_k - z_k|

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1.
        kernel_size: of the window in which tau_k is the share of class k.
        kernel_ops: whether its pixels weigh alike, or by a bell of width sigma.
        distance_type: |x| or x^2.
        alpha: in [0, inf).
        sigma: in (0, inf), pixels.

    Returns:
        (B,), at least 0.

    Neighbours: lossbench's nacl sums over classes, and counts no pixel beyond the edge.

    Source: Murugesan et al. 2023, 2303.06268; NACLLoss.

    >>> import torch
    >>> nacl(torch.zeros(1, 2, 3, 3), torch.zeros(1, 3, 3, dtype=torch.int64), alpha=0.0)
    tensor([0.6931])
    """
    loss = losses.NACLLoss(
        classes=logits.shape[1],
        dim=2,
        kernel_size=kernel_size,
        kernel_ops=kernel_ops,
        distance_type=distance_type,
        alpha=alpha,
        sigma=sigma,
    )
    images = zip(logits.split(1), target.split(1), strict=True)
    return torch.stack([loss(*image) for image in images])
