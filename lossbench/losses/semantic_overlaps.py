"""Losses of the semantic_segmentation task that compare regions: how far they overlap.

Symbols: p the probabilities of a class at the known pixels of one image, g the one-hot mask, and of
each class I = sum p g, P = sum p, Q = sum p^2, G = sum g, FN = G - I, FP = P - I.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses.masks import split_known
from lossbench.losses.stable import is_class, log_odds_against_each, sigmoid


def _shares(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, H W, C) each: p, g and |p - g|, all 0 in pixels that are not known."""
    mask, known = split_known(target)
    against = log_odds_against_each(logits.movedim(-3, -1)).flatten(1, 2)
    counted = known.flatten(1).unsqueeze(-1).to(logits.dtype)
    g = is_class(against, mask.flatten(1)).to(logits.dtype)
    error = sigmoid((2 * g - 1) * against)  # 1 - p_y of the others, never of a rounded p_y
    return sigmoid(-against) * counted, g * counted, error * counted


def _tversky(logits: Tensor, target: Tensor, alpha: float, beta: float, smooth: float) -> Tensor:
    """(B, C)."""
    p, g, error = _shares(logits, target)
    wrong = (alpha * g * error + beta * (1 - g) * error).sum(1)
    return wrong / ((p * g).sum(1) + wrong + smooth)


@declare(
    tune={"smooth": (1e-3, 10.0)}, convex=False, source="Milletari et al. 2016, arXiv 1606.04797"
)
def dice(
    logits: Tensor, target: Tensor, /, *, smooth: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Rewards the overlap of predicted and true regions, each class alike whatever its size.

    L = mean over classes of sum (p - g)^2 / (Q + G + smooth)

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        smooth: in (0, inf), in pixels.

    Returns:
        (B,), in [0, 1], 0 exactly where p = g; the background is a class, and one that is absent
        costs Q / (Q + smooth).

    Neighbours: dice_linear has p and g unsquared.

    Source: Milletari et al. 2016, arXiv 1606.04797 (V-Net).

    >>> dice(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))  # mean of 1/5 and 1/9
    tensor([0.1556])
    """
    p, g, error = _shares(logits, target)
    return (error.square().sum(1) / (p.square().sum(1) + g.sum(1) + smooth)).mean(-1)


@declare(tune={"smooth": (1e-3, 10.0)}, convex=False, source="Sudre et al. 2017, arXiv 1707.03237")
def dice_linear(
    logits: Tensor, target: Tensor, /, *, smooth: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Rewards the overlap of predicted and true regions, and every pixel's certainty.

    L = mean over classes of (P + G - 2 I) / (P + G + smooth)

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        smooth: in (0, inf), in pixels.

    Returns:
        (B,), in [0, 1].

    Neighbours: tversky(1/2, 1/2) at half the smooth. monai's DiceLoss(softmax=True, smooth_nr=s,
    smooth_dr=s); its own s is 1e-5.

    Source: Sudre et al. 2017, arXiv 1707.03237.

    >>> dice_linear(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))  # mean of 1/3 and 1/5
    tensor([0.2667])
    """
    p, g, error = _shares(logits, target)
    return (error.sum(1) / (p.sum(1) + g.sum(1) + smooth)).mean(-1)


@declare(convex=False, source="Sudre et al. 2017, arXiv 1707.03237")
def generalized_dice(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards the overlap of regions, small ones as much as large ones, in one quotient.

    L = 1 - 2 sum_k w_k I_k / sum_k w_k (P_k + G_k), w_k = 1 / max(G_k, 1)^2

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.

    Returns:
        (B,), in [0, 1].

    Neighbours: dice_linear has a quotient for each class. A class that is absent has the weight 1
    here, in monai the largest of the others, elsewhere 1/epsilon, and then it decides alone.

    Source: Sudre et al. 2017, arXiv 1707.03237.

    >>> generalized_dice(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))
    tensor([0.5000])
    """
    p, g, error = _shares(logits, target)
    weight = g.sum(1).clamp(min=1) ** -2
    below = (weight * (p.sum(1) + g.sum(1))).sum(-1)
    return (weight * error.sum(1)).sum(-1) / torch.where(below > 0, below, 1)


@declare(tune={"smooth": (1e-3, 10.0)}, convex=False, source="Rahman & Wang 2016")
def jaccard(
    logits: Tensor, target: Tensor, /, *, smooth: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Rewards the intersection of predicted and true regions, by their union.

    L = mean over classes of (P + G - 2 I) / (P + G - I + smooth)

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        smooth: in (0, inf), in pixels.

    Returns:
        (B,), in [0, 1].

    Neighbours: tversky(1, 1); class by class 2 d / (1 + d), with d of dice_linear at twice the
    smooth. monai's jaccard=True has 2 (P + G - I) + smooth below: 6 % apart at 1.

    Source: Rahman & Wang 2016.

    >>> jaccard(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))  # mean of 1/3 and 1/4
    tensor([0.2917])
    """
    return _tversky(logits, target, 1.0, 1.0, smooth).mean(-1)


@declare(
    tune={"alpha": (0.1, 0.9), "beta": (0.1, 0.9), "smooth": (1e-3, 10.0)},
    convex=False,
    source="Salehi et al. 2017, arXiv 1706.05721",
)
def tversky(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, 1]"] = 0.7,
    beta: Annotated[float, "[0, 1]"] = 0.3,
    smooth: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Punishes missed and false pixels of each region, weighed apart.

    L = mean over classes of (alpha FN + beta FP) / (I + alpha FN + beta FP + smooth)

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        alpha: in [0, 1], the weight of what is missed, FN = G - I.
        beta: in [0, 1], that of false alarms, FP = P - I.
        smooth: in (0, inf), in pixels.

    Returns:
        (B,), in [0, 1].

    Neighbours: at 1/2 and 1/2 dice_linear, at 1 and 1 jaccard. monai and segmentation_models have
    the two letters the other way round.

    Source: Salehi et al. 2017, arXiv 1706.05721.

    >>> tversky(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]))
    tensor([0.1598])
    """
    return _tversky(logits, target, alpha, beta, smooth).mean(-1)


@declare(
    tune={"gamma": (1.0, 3.0), "alpha": (0.1, 0.9), "beta": (0.1, 0.9), "smooth": (1e-3, 10.0)},
    convex=False,
    source="Abraham & Khan 2019, arXiv 1810.07842",
)
def focal_tversky(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    gamma: Annotated[float, "[1, 3]"] = 4 / 3,
    alpha: Annotated[float, "[0, 1]"] = 0.7,
    beta: Annotated[float, "[0, 1]"] = 0.3,
    smooth: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Punishes like tversky, small remaining errors of a class more.

    L = mean over classes of tversky_k^(1/gamma)

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.
        gamma: in [1, 3].
        alpha: in [0, 1], the weight of what is missed.
        beta: in [0, 1], that of false alarms.
        smooth: in (0, inf), in pixels.

    Returns:
        (B,), in [0, 1]; its slope grows without end towards a perfect class.

    gamma = 1 gives tversky.

    Source: Abraham & Khan 2019, arXiv 1810.07842.

    >>> focal_tversky(torch.zeros(1, 2, 1, 1), torch.tensor([[[1]]]), gamma=1.0)
    tensor([0.1598])
    """
    value = _tversky(logits, target, alpha, beta, smooth)
    some = value > torch.finfo(value.dtype).tiny
    return torch.where(some, torch.where(some, value, 1.0) ** (1 / gamma), 0.0).mean(-1)


@declare(convex=False, source="Berman, Triki & Blaschko 2018, arXiv 1705.08790")
def lovasz_softmax(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards intersection over union, extended to errors of any size, of the classes present.

    L = mean over classes present of sum_i e_(i) [J(i) - J(i-1)], e = |g - p| sorted downwards

    Args:
        logits: (B, C, H, W), any real.
        target: (B, H, W) int64 in 0 .. C-1; 255 is unknown.

    Returns:
        (B,), in [0, 1]; J(i) is 1 - IoU where the first i pixels are wrong.

    Neighbours: 1 - IoU of hard predictions. Piecewise linear in p. kornia and segmentation_models
    agree; the latter pools the batch by default. Some punish absent classes too.

    Source: Berman, Triki & Blaschko 2018, arXiv 1705.08790.

    >>> lovasz_softmax(torch.zeros(1, 2, 1, 2), torch.tensor([[[1, 0]]]))
    tensor([0.5000])
    """
    _, g, error = _shares(logits, target)
    known = (split_known(target)[1]).flatten(1).unsqueeze(-1)
    order = torch.where(known, error.detach(), -1.0).argsort(1, descending=True)
    error, sorted_g = error.gather(1, order), g.gather(1, order)
    size = g.sum(1, keepdim=True)
    union = size + (1 - sorted_g).cumsum(1)
    lost = 1 - (size - sorted_g.cumsum(1)) / union.clamp(min=1)
    steps = lost - F.pad(lost, (0, 0, 1, 0))[:, :-1]
    present = (size.squeeze(1) > 0).to(logits.dtype)
    return ((error * steps).sum(1) * present).sum(-1) / present.sum(-1).clamp(min=1)
