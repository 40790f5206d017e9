"""Losses of the semantic_segmentation task: logits (B, C, H, W), int64 masks (B, H, W), per image.

Symbols: z logits, g the one-hot mask, p = softmax(z) over the classes, and over the known pixels of
one image I_k = sum p g, P_k = sum p, Q_k = sum p^2, G_k = sum g. Pixels whose target is 255 do not
count, and an image without any other costs 0. Declared properties are those at the defaults.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses import multiclass
from lossbench.losses.masks import mean_over_known, split_known
from lossbench.losses.semantic_overlaps import dice_linear
from lossbench.losses.stable import is_class


@declare(convex=True, minimiser="probability", source="Bridle 1990")
def cross_entropy(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_weight: Literal["balanced"]
    | Annotated[tuple[float, ...], "(C,) in [0, inf), not all 0"]
    | None = None,
    class_counts: Tensor | None = None,
) -> Tensor:
    """Rewards probability on what each pixel is; every pixel counts alike, background included.

    L = mean over pixels of -w_y log p_y

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        class_weight: (w_0 .. w_{C-1}) >= 0, not normalised; None is all ones, "balanced" is
            N / (C n_k).
        class_counts: (C,), known training pixels of each class.

    Returns:
        (B,), nats a pixel.

    Neighbours: with C = 2 and logits (0, z) that of segmentation. torch divides the weighted mean
    by the weights of the whole batch, and has -100 for unknown.

    Source: Bridle 1990.

    >>> cross_entropy(torch.zeros(1, 3, 1, 2), torch.tensor([[[0, 255]]]))
    tensor([1.0986])
    """
    mask, known = split_known(target)
    values = multiclass.cross_entropy(
        logits.movedim(-3, -1), mask, class_weight=class_weight, class_counts=class_counts
    )
    return mean_over_known(values, known)


@declare(tune={"gamma": (0.1, 5.0)}, convex=False, source="Lin et al. 2017, arXiv 1708.02002")
def focal(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    gamma: Annotated[float, "[0, inf)"] = 2.0,
    alpha: Literal["balanced"]
    | Annotated[float, "(0, 1)"]
    | Annotated[tuple[float, ...], "(C,) in [0, inf), not all 0"]
    | None = None,
    class_counts: Tensor | None = None,
) -> Tensor:
    """Punishes like cross_entropy, but fades out the pixels that are already right.

    L = -mean over pixels of alpha_y (1 - p_y)^gamma log p_y

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        gamma: in [0, inf).
        alpha: (w_0 .. w_{C-1}) >= 0, not normalised; None is all ones, "balanced" N / (C n_k); of
            two classes also one number in (0, 1), the weight of class 1.
        class_counts: (C,), known training pixels of each class.

    Returns:
        (B,), nats a pixel.

    gamma = 0 gives cross_entropy. monai's default is one sigmoid for each class; kornia returns
    zeros for all classes but the target's, so that its mean is C times too small.

    Source: Lin et al. 2017, arXiv 1708.02002.

    >>> focal(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))  # 0.25 log 2
    tensor([0.1733])
    """
    mask, known = split_known(target)
    scores = logits.movedim(-3, -1)
    values = multiclass.focal(scores, mask, gamma=gamma, alpha=alpha, class_counts=class_counts)
    return mean_over_known(values, known)


@declare(
    tune={"dice_weight": (0.1, 10.0), "smooth": (1e-3, 10.0)},
    convex=False,
    source="Isensee et al. 2021",
)
def dice_cross_entropy(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    dice_weight: Annotated[float, "[0, inf)"] = 1.0,
    smooth: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Rewards the probability of each pixel and the overlap of regions.

    L = cross_entropy + dice_weight dice_linear

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        dice_weight: in [0, inf).
        smooth: in (0, inf), in pixels, of the dice.

    Returns:
        (B,), nats a pixel and a share.

    dice_weight = 0 gives cross_entropy. nnU-Net's; monai's DiceCELoss is equal.

    Source: Isensee et al. 2021 (nnU-Net).

    >>> dice_cross_entropy(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))
    tensor([0.9598])
    """
    return cross_entropy(logits, target) + dice_weight * dice_linear(logits, target, smooth=smooth)


@declare(
    tune={"gamma": (0.1, 5.0), "dice_weight": (0.1, 10.0), "smooth": (1e-3, 10.0)},
    convex=False,
    source="Zhu et al. 2019, arXiv 1808.05238",
)
def dice_focal(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    gamma: Annotated[float, "[0, inf)"] = 2.0,
    dice_weight: Annotated[float, "[0, inf)"] = 1.0,
    smooth: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Rewards the probability of pixels that are not yet right, and the overlap of regions.

    L = focal + dice_weight dice_linear

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        gamma: in [0, inf), of the focal.
        dice_weight: in [0, inf).
        smooth: in (0, inf), in pixels, of the dice.

    Returns:
        (B,), nats a pixel and a share.

    dice_weight = 0 gives focal. monai's focal part is another one.

    Source: Zhu et al. 2019, arXiv 1808.05238 (AnatomyNet).

    >>> dice_focal(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))
    tensor([0.4400])
    """
    overlap = dice_linear(logits, target, smooth=smooth)
    return focal(logits, target, gamma=gamma) + dice_weight * overlap


@declare(
    tune={"strength": (0.01, 1.0)}, convex=True, source="Murugesan et al. 2023, arXiv 2303.06268"
)
def nacl(
    logits: Tensor, target: Tensor, /, *, strength: Annotated[float, "[0, inf)"] = 0.1
) -> Tensor:
    """Rewards the true class of each pixel, and logits near the shares of labels around it.

    L = cross_entropy + strength mean over pixels of sum_k |t_k - z_k|

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        strength: in [0, inf).

    Returns:
        (B,), nats a pixel; t_k is the share of class k among the known labels of the 3 x 3 pixels
        around one, as far as they are in the image.

    strength = 0 gives cross_entropy. monai, after the authors' code, takes the mean over k, and
    counts zeros outside the image.

    Source: Murugesan et al. 2023, arXiv 2303.06268.

    >>> nacl(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))  # log 2 + 0.1
    tensor([0.7931])
    """
    mask, known = split_known(target)
    counted = known.to(logits.dtype).unsqueeze(-3)
    g = is_class(logits.movedim(-3, -1), mask).movedim(-1, -3).to(logits.dtype) * counted
    around = F.avg_pool2d(counted, 3, 1, 1)
    shares = F.avg_pool2d(g, 3, 1, 1) / torch.where(around > 0, around, 1)
    apart = (shares - logits).abs().sum(-3)
    return cross_entropy(logits, target) + strength * mean_over_known(apart, known)
