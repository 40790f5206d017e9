"""Overlaps: logits (B, C, H, W), int64 classes or 255 (B, H, W), what the library makes of them.

Symbols: p = softmax of the logits over classes, g the one-hot mask, sums over the pixels of one
image that are not 255, k over the classes that count. Keywords and defaults are the library's;
softmax and one-hot masks, which it has switches for, are always on.
"""

from __future__ import annotations

from typing import Annotated, Literal

from monai import losses
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench_monai.masks import IGNORED, each_image, known_pixels, one_hot, probabilities


@declare(convex=False, source="Milletari et al. 2016; DiceLoss")
def dice(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    include_background: bool = True,
    squared_pred: bool = False,
    jaccard: bool = False,
    smooth_nr: Annotated[float, "[0, inf)"] = 1e-5,
    smooth_dr: Annotated[float, "(0, inf)"] = 1e-5,
) -> Tensor:
    """Rewards overlap of the probabilities with the mask, class by class.

    L = mean_k [1 - (2 sum p_k g_k + smooth_nr) / (sum p_k + sum g_k + smooth_dr)]

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1, or 255 where a pixel does not count.
        include_background: whether class 0 counts.
        squared_pred: p^2 and g^2 in the denominator.
        jaccard: twice the union in the denominator's place.
        smooth_nr, smooth_dr: in [0, inf) and (0, inf).

    Returns:
        (B,), in [0, 1].

    Neighbours: lossbench's dice_linear is the same where both smooth are alike.

    Source: Milletari et al. 2016; DiceLoss.

    >>> import torch
    >>> sure = 40 * torch.eye(2).reshape(1, 2, 1, 2)
    >>> dice(sure, torch.tensor([[[0, 1]]])), dice(sure, torch.tensor([[[1, 0]]]))
    (tensor([0.]), tensor([1.0000]))
    """
    loss = losses.DiceLoss(
        include_background=include_background,
        squared_pred=squared_pred,
        jaccard=jaccard,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        reduction="none",
    )
    return each_image(loss(probabilities(logits, target), one_hot(logits, target)))


@declare(convex=False, source="Sudre et al. 2017, arXiv 1707.03237; GeneralizedDiceLoss")
def generalized_dice(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    include_background: bool = True,
    w_type: Literal["square", "simple", "uniform"] = "square",
    smooth_nr: Annotated[float, "[0, inf)"] = 1e-5,
    smooth_dr: Annotated[float, "(0, inf)"] = 1e-5,
) -> Tensor:
    """Rewards overlap summed over classes, of which rare ones weigh more.

    L = 1 - (2 sum_k w_k sum p_k g_k + smooth_nr) / (sum_k w_k sum (p_k + g_k) + smooth_dr)

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1, or 255 where a pixel does not count.
        include_background: whether class 0 counts.
        w_type: w_k is 1 / (sum g_k)^2, 1 / sum g_k, or 1.
        smooth_nr, smooth_dr: in [0, inf) and (0, inf).

    Returns:
        (B,), in [0, 1].

    Neighbours: lossbench's generalized_dice gives a class that is absent the weight 1; here it has
    the largest of the others.

    Source: Sudre et al. 2017, arXiv 1707.03237; GeneralizedDiceLoss.

    >>> import torch
    >>> sure = 40 * torch.eye(2).reshape(1, 2, 1, 2)
    >>> generalized_dice(sure, torch.tensor([[[1, 0]]]))
    tensor([1.0000])
    """
    loss = losses.GeneralizedDiceLoss(
        include_background=include_background,
        w_type=w_type,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        reduction="none",
    )
    return each_image(loss(probabilities(logits, target), one_hot(logits, target)))


@declare(
    tune={"alpha": (0.1, 0.9), "beta": (0.1, 0.9)},
    convex=False,
    source="Salehi et al. 2017, arXiv 1706.05721; TverskyLoss",
)
def tversky(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    include_background: bool = True,
    alpha: Annotated[float, "[0, inf)"] = 0.5,
    beta: Annotated[float, "[0, inf)"] = 0.5,
    smooth_nr: Annotated[float, "[0, inf)"] = 1e-5,
    smooth_dr: Annotated[float, "(0, inf)"] = 1e-5,
) -> Tensor:
    """Rewards overlap, and weighs what is too much against what is missed.

    L = mean_k [1 - (TP + smooth_nr) / (TP + alpha FP + beta FN + smooth_dr)]

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1, or 255 where a pixel does not count.
        include_background: whether class 0 counts.
        alpha: in [0, inf), the weight of what is too much; beta: of what is missed.
        smooth_nr, smooth_dr: in [0, inf) and (0, inf).

    Returns:
        (B,), in [0, 1].

    Neighbours: lossbench's tversky exchanges the letters. At one half each it is near dice.

    Source: Salehi et al. 2017, arXiv 1706.05721; TverskyLoss.

    >>> import torch
    >>> sure = 40 * torch.eye(2).reshape(1, 2, 1, 2)
    >>> tversky(sure, torch.tensor([[[1, 0]]]))
    tensor([1.0000])
    """
    loss = losses.TverskyLoss(
        include_background=include_background,
        alpha=alpha,
        beta=beta,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
        reduction="none",
    )
    return each_image(loss(probabilities(logits, target), one_hot(logits, target)))


@declare(tune={"lambda_ce": (0.1, 10.0)}, convex=False, source="Isensee et al. 2021; DiceCELoss")
def dice_ce(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    include_background: bool = True,
    lambda_dice: Annotated[float, "[0, inf)"] = 1.0,
    lambda_ce: Annotated[float, "[0, inf)"] = 1.0,
    label_smoothing: Annotated[float, "[0, 1)"] = 0.0,
    smooth_nr: Annotated[float, "[0, inf)"] = 1e-5,
    smooth_dr: Annotated[float, "(0, inf)"] = 1e-5,
) -> Tensor:
    """Rewards overlap class by class and probability pixel by pixel.

    L = lambda_dice dice + lambda_ce mean over pixels of -log p_y

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1, or 255 where a pixel does not count.
        include_background: whether class 0 counts in the overlap.
        lambda_dice, lambda_ce: in [0, inf).
        label_smoothing: in [0, 1), of the cross-entropy.
        smooth_nr, smooth_dr: in [0, inf) and (0, inf).

    Returns:
        (B,), at least 0.

    Neighbours: lossbench's dice_cross_entropy.

    Source: Isensee et al. 2021; DiceCELoss.

    >>> import torch
    >>> dice_ce(torch.zeros(1, 2, 1, 2), torch.tensor([[[1, 0]]]))  # a half and log 2
    tensor([1.1931])
    """
    overlap = dice(
        logits,
        target,
        include_background=include_background,
        smooth_nr=smooth_nr,
        smooth_dr=smooth_dr,
    )
    nats = F.cross_entropy(
        logits,
        target,
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction="none",
    )
    known = known_pixels(target).flatten(1).sum(1).clamp_min(1)
    return lambda_dice * overlap + lambda_ce * nats.flatten(1).sum(1) / known


@declare(convex=False, source="Shit et al. 2021, arXiv 2003.07311; SoftclDiceLoss")
def soft_cldice(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    iter_: Annotated[int, "[1, inf)"] = 3,
    smooth_nr: Annotated[float, "[0, inf)"] = 1.0,
    smooth_dr: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Rewards overlap of each region with the centre lines of the other, so that none is broken.

    L = 1 - 2 t_p t_g / (t_p + t_g), t_p the share of the centre lines of p in g, t_g of g in p, of
    all classes together

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1, or 255 where a pixel is of no class.
        iter_: erosions that leave the centre lines, half the width in pixels of what is thin.
        smooth_nr, smooth_dr: in [0, inf) and (0, inf).

    Returns:
        (B,), in [0, 1].

    Neighbours: dice, which has no centre lines; the authors add both.

    Source: Shit et al. 2021, arXiv 2003.07311; SoftclDiceLoss.

    >>> import torch
    >>> sure = 40 * torch.eye(2).reshape(1, 2, 1, 2)
    >>> bool(soft_cldice(sure, torch.tensor([[[0, 1]]])) < 0.01)
    True
    """
    loss = losses.SoftclDiceLoss(
        iter_=iter_, smooth_nr=smooth_nr, smooth_dr=smooth_dr, reduction="none"
    )
    return each_image(loss(probabilities(logits, target), one_hot(logits, target)))
