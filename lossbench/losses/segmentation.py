"""Losses of the segmentation task: logits (B, H, W), targets (B, H, W) in {0, 1}, 1 value an image.

Symbols: z logits, g the target mask, p = sigmoid(z), m = (2g - 1) z and p_t = sigmoid(m), over the
known pixels of one image: those whose target is 255 do not count, and an image without any costs 0.
Declared properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.masks import mean_over_known, split_known
from lossbench.losses.stable import (
    alpha_of_classes,
    margin_of,
    sigmoid,
    softplus,
    weights_of_labels,
)


def _chances(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B, H W) each: p, 1 - p and g, all 0 in pixels that are not known."""
    mask, known = split_known(target)
    counted = known.to(logits.dtype).flatten(1)
    z, g = logits.flatten(1), mask.to(logits.dtype).flatten(1)
    return sigmoid(z) * counted, sigmoid(-z) * counted, g


@declare(convex=True, minimiser="probability", target="[0, 1]", source="Cox 1958; Good 1952")
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

    L = mean over pixels of [-w_1 g log p - w_0 (1 - g) log(1 - p)]

    Args:
        logits: (B, H, W), any real.
        target: (B, H, W) in [0, 1], soft masks allowed; 255 is unknown.
        class_weight: (w_0, w_1) >= 0 of background and foreground; None is (1, 1), "balanced" is
            N / (2 n_k).
        class_counts: (2,), known training pixels of each.

    Returns:
        (B,), nats a pixel; (p - g) / (H W) is its gradient at unit weights.

    Neighbours: the mean of H W binary losses of the same name.

    Source: Cox 1958 (likelihood); Good 1952 (logarithmic score).

    >>> cross_entropy(torch.tensor([[[0.0, -20.0]]]), torch.tensor([[[1.0, 1.0]]]))
    tensor([10.3466])
    """
    negative, positive = weights_of_labels(class_weight, class_counts, logits)
    mask, known = split_known(target)
    g = mask.to(logits.dtype)
    nats = positive * g * softplus(-logits) + negative * (1 - g) * softplus(logits)
    return mean_over_known(nats, known)


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

    L = -mean over pixels of alpha_t (1 - p_t)^gamma log p_t

    Args:
        logits: (B, H, W), any real.
        target: (B, H, W) in {0, 1}; 255 is unknown.
        gamma: in [0, inf).
        alpha: in (0, 1), the weight of the foreground, and 1 - alpha that of the background; or
            both, background first; None weighs neither, "balanced" is N / (2 n_k).
        class_counts: (2,), known training pixels of each.

    Returns:
        (B,), nats a pixel.

    gamma = 0 gives cross_entropy. Under-confident by design: at gamma 2, eta .9 is learnt as .69.
    The paper divides by the number of foreground anchors instead.

    Source: Lin et al. 2017, arXiv 1708.02002.

    >>> focal(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[1, 0]]]), gamma=2.0)  # 0.25 log 2
    tensor([0.1733])
    """
    mask, known = split_known(target)
    m = margin_of(logits, mask)
    # (1 - p_t)^gamma, written so that 1 - p_t = 0 has a gradient
    value = torch.exp(-gamma * softplus(m)) * softplus(-m)
    if alpha is not None:
        negative, positive = alpha_of_classes(alpha, class_counts, logits).unbind(-1)
        value = torch.where(mask > 0.5, positive, negative) * value
    return mean_over_known(value, known)


@declare(
    tune={"smooth": (1e-3, 10.0)},
    convex=False,
    target="[0, 1]",
    source="Milletari et al. 2016, arXiv 1606.04797",
)
def dice(
    logits: Tensor, target: Tensor, /, *, smooth: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Rewards the overlap of the predicted with the true mask, whatever the background's size.

    L = 1 - (2 sum p g + smooth) / (sum p^2 + sum g^2 + smooth)

    Args:
        logits: (B, H, W), any real.
        target: (B, H, W) in [0, 1]; 255 is unknown.
        smooth: in (0, inf), in pixels; it makes an empty mask that is predicted as such cost 0.

    Returns:
        (B,), in [0, 1], 0 exactly where p = g.

    Neighbours: dice_linear has p and g unsquared in the denominator: equal on hard masks only.
    Not proper: pixels with eta .6 and .4 are best all called foreground. V-Net has no smooth, and
    then no gradient where the mask is empty.

    Source: Milletari et al. 2016, arXiv 1606.04797 (V-Net).

    >>> dice(torch.tensor([[[0.0, 0.0]], [[-99.0, -99.0]]]), torch.tensor([[[1, 0]], [[0, 0]]]))
    tensor([0.2000, 0.0000])
    """
    p, rest, g = _chances(logits, target)
    missed = p * (1 - g) - rest * g  # p - g; p^2 + g^2 - 2 p g is its square
    return missed.square().sum(1) / (p.square().sum(1) + g.square().sum(1) + smooth)


@declare(
    tune={"smooth": (1e-3, 10.0)},
    convex=False,
    target="[0, 1]",
    source="Sudre et al. 2017, arXiv 1707.03237",
)
def dice_linear(
    logits: Tensor, target: Tensor, /, *, smooth: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Rewards the overlap of the predicted with the true mask, and every pixel's certainty.

    L = 1 - (2 sum p g + smooth) / (sum p + sum g + smooth)

    Args:
        logits: (B, H, W), any real.
        target: (B, H, W) in [0, 1]; 255 is unknown.
        smooth: in (0, inf), in pixels; it makes an empty mask that is predicted as such cost 0.

    Returns:
        (B,), in [0, 1], 0 exactly where p = g and g is hard; about ½, not 0, at p = g = ½.

    Neighbours: dice has p and g squared in the denominator: equal on hard masks only. Not proper.

    Source: Sudre et al. 2017, arXiv 1707.03237.

    >>> dice_linear(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[1, 0]]]))  # 1 - 2/3
    tensor([0.3333])
    """
    p, rest, g = _chances(logits, target)
    missed = p * (1 - g) + rest * g  # p + g - 2 p g, pixel by pixel
    return missed.sum(1) / (p.sum(1) + g.sum(1) + smooth)
