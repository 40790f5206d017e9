"""Losses for small masks: logits (B, H, W), targets (B, H, W) in {0, 1}, one value an image.

Symbols: z logits, g the target mask, p = sigmoid(z); over the pixels of an image, sum p g are hits,
FN = sum (1 - p) g misses and FP = sum p (1 - g) false alarms. Declared properties are those at the
default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


def _sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x), written so that its gradient keeps its digits at both ends."""
    return torch.exp(-F.softplus(-x, threshold=40))


@declare(
    tune={"alpha": (0.1, 0.9), "beta": (0.1, 0.9), "smooth": (1e-3, 10.0)},
    convex=False,
    target="[0, 1]",
    source="Salehi et al. 2017, arXiv 1706.05721",
)
def tversky(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, inf)"] = 0.7,
    beta: Annotated[float, "[0, inf)"] = 0.3,
    smooth: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Rewards the overlap of the masks, and minds misses more than false alarms.

    L = 1 - (sum p g + smooth) / (sum p g + alpha FN + beta FP + smooth)

    Args:
        logits: (B, H, W), any real.
        target: (B, H, W) in [0, 1].
        alpha: in [0, inf), of misses.
        beta: in [0, inf), of false alarms. These are the letters of Abraham & Khan; Salehi et al.
            exchange them, and have .3 for false alarms and .7 for misses too.
        smooth: in (0, inf), in pixels; it makes an empty mask that is predicted as such cost 0.

    Returns:
        (B,), in [0, 1), 0 exactly where p = g and g is hard.

    alpha = 0.5, beta = 0.5, smooth = 0.5 gives dice_linear. At alpha 1 and beta 1 the Jaccard
    index. Not proper.

    Source: Salehi et al. 2017, arXiv 1706.05721; Tversky 1977.

    >>> tversky(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[1, 0]]]))  # ½ / (½ + ½ + 1)
    tensor([0.2500])
    """
    g = target.to(logits.dtype).flatten(1)
    p, rest = _sigmoid(logits.flatten(1)), _sigmoid(-logits.flatten(1))
    wrong = (alpha * rest * g + beta * p * (1 - g)).sum(1)
    return wrong / ((p * g).sum(1) + wrong + smooth)


@declare(
    tune={"alpha": (0.1, 0.9), "beta": (0.1, 0.9), "gamma": (1.0, 3.0), "smooth": (1e-3, 10.0)},
    convex=False,
    target="[0, 1]",
    source="Abraham & Khan 2019, arXiv 1810.07842",
)
def focal_tversky(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, inf)"] = 0.7,
    beta: Annotated[float, "[0, inf)"] = 0.3,
    gamma: Annotated[float, "(0, inf)"] = 1.3333333333333333,
    smooth: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Rewards the overlap of the masks, and does not let go of images that are nearly right.

    L = (1 - (sum p g + smooth) / (sum p g + alpha FN + beta FP + smooth))^(1/gamma)

    Args:
        logits: (B, H, W), any real.
        target: (B, H, W) in [0, 1].
        alpha: in [0, inf), of misses.
        beta: in [0, inf), of false alarms.
        gamma: in (0, inf); the exponent is 1/gamma, as the paper has it, 3/4 by default: much code
            calls the exponent gamma. Above 1 it raises small losses, unlike the gamma of focal.
        smooth: in (0, inf), in pixels; it makes an empty mask that is predicted as such cost 0.

    Returns:
        (B,), in [0, 1), 0 exactly where p = g and g is hard.

    gamma = 1 gives tversky. Not proper.

    Source: Abraham & Khan 2019, arXiv 1810.07842.

    >>> focal_tversky(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[1, 0]]]))  # ¼^¾
    tensor([0.3536])
    """
    share = tversky(logits, target, alpha=alpha, beta=beta, smooth=smooth)
    perfect = share == 0  # there the slope of the power is infinite, of the loss 0
    return torch.where(perfect, share, torch.where(perfect, 1.0, share) ** (1 / gamma))
