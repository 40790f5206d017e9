"""Losses for outlying targets: prediction and target (B,) or (B, D), one value per example.

Symbols: r = target - prediction. The usual constants c are in standard deviations of the noise
without its outliers: where that is sigma, give sigma c. Over the D features of an example the value
is the mean. Declared properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare

_NEAR_0 = 1e-15  # stands for a shape of 0, and its inverse for an infinite one: to all digits


def _features(values: Tensor) -> Tensor:
    """(B,) or (B, ...) -> (B, D): one row per example, D = 1 for a plain vector."""
    return values.unsqueeze(-1).flatten(1)


def _expm1(x: Tensor) -> Tensor:
    """e^x - 1, whose slope keeps its digits too where e^x is small."""
    far = torch.exp(x.clamp(max=-1)) - 1
    return torch.where(x < -1, far, torch.expm1(x.clamp(min=-1)))


@declare(
    tune={"alpha": (-2.0, 2.0), "scale": (0.1, 10.0)},
    unit=("scale",),
    convex=True,
    lipschitz=1.0,
    source="Barron 2019, arXiv 1701.03077",
)
def barron(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[-inf, inf)"] = 1.0,
    scale: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Punishes small residuals by half their square, and large ones as steeply as alpha says.

    L = |alpha - 2|/alpha ((w/|alpha - 2| + 1)^(alpha/2) - 1), with w = (r/scale)^2; the limits
    w/2 at alpha 2, log(w/2 + 1) at 0 and 1 - e^(-w/2) at -inf; mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        alpha: in [-inf, inf), the shape; from Python also -inf, which -1e12 equals in a
            configuration.
        scale: in (0, inf), in units of the target, the width of the parabola.

    Returns:
        (B,), unitless.

    alpha = 2 gives half of squared_error. Neighbours: at alpha 1 a smooth absolute error, at -2
    Geman & McClure's; at 0 and -inf cauchy and welsch of c = sqrt(2) scale, divided by scale^2.
    Convex from alpha 1. The paper learns alpha, with the normaliser that this then needs.

    Source: Barron 2019, arXiv 1701.03077.

    >>> barron(torch.tensor([3.0, 3.0**0.5]), torch.tensor([0.0, 0.0]))  # sqrt(10) - 1, 2 - 1
    tensor([2.1623, 1.0000])
    """
    shape = max(alpha, -1 / _NEAR_0) or _NEAR_0
    bend = abs(shape - 2) or 1.0  # at alpha 2 any gives w/2
    squared = ((target - prediction) / scale).square()
    return _features(bend / shape * _expm1(shape / 2 * torch.log1p(squared / bend))).mean(1)


@declare(
    tune={"c": (0.5, 20.0)},
    unit=("c",),
    convex=False,
    lipschitz=4.685 * 16 / 25 / 5**0.5,
    source="Beaton & Tukey 1974",
)
def tukey_biweight(
    prediction: Tensor, target: Tensor, /, *, c: Annotated[float, "(0, inf)"] = 4.685
) -> Tensor:
    """Punishes small residuals by half their square, and ignores all that are beyond c.

    L = c^2/6 (1 - (1 - (r/c)^2)^3) if |r| <= c, else c^2/6; mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        c: in (0, inf), in units of the target.

    Returns:
        (B,), in squared units of the target, at most c^2/6; its gradient is 0 beyond c.

    Neighbours: welsch fades out where this stops. 4.685 sigma keeps 95 % of least squares'
    efficiency on Gaussian noise. A prediction that starts beyond c from a target never learns it.

    Source: Beaton & Tukey 1974.

    >>> tukey_biweight(torch.tensor([1.0, 9.0]), torch.tensor([0.0, 0.0]), c=2.0)  # 37/96, 2/3
    tensor([0.3854, 0.6667])
    """
    share = ((target - prediction) / c).square().clamp(max=1)
    return _features(c**2 / 6 * share * (3 - 3 * share + share.square())).mean(1)


@declare(
    tune={"c": (0.2, 10.0)},
    unit=("c",),
    convex=False,
    lipschitz=2.385 / 2,
    source="Holland & Welsch 1977",
)
def cauchy(
    prediction: Tensor, target: Tensor, /, *, c: Annotated[float, "(0, inf)"] = 2.385
) -> Tensor:
    """Punishes small residuals by half their square, and large ones by their logarithm.

    L = c^2/2 log(1 + (r/c)^2), mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        c: in (0, inf), in units of the target.

    Returns:
        (B,), in squared units of the target; its gradient is -r / (1 + (r/c)^2).

    Neighbours: barron at alpha 0; the likelihood of Cauchy noise has c^2 in the place of c^2/2.
    2.385 sigma keeps 95 % of least squares' efficiency on Gaussian noise.

    Source: Holland & Welsch 1977, also called Lorentzian.

    >>> cauchy(torch.tensor([1.0]), torch.tensor([0.0]), c=1.0)  # log(2)/2
    tensor([0.3466])
    """
    return _features(c**2 / 2 * torch.log1p(((target - prediction) / c).square())).mean(1)


@declare(
    tune={"c": (0.3, 12.0)},
    unit=("c",),
    convex=False,
    lipschitz=1.2803,
    source="Dennis & Welsch 1978; Holland & Welsch 1977",
)
def welsch(
    prediction: Tensor, target: Tensor, /, *, c: Annotated[float, "(0, inf)"] = 2.985
) -> Tensor:
    """Punishes small residuals by half their square, and forgets large ones smoothly.

    L = c^2/2 (1 - e^(-(r/c)^2)), mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        c: in (0, inf), in units of the target.

    Returns:
        (B,), in squared units of the target, at most c^2/2; its gradient is -r e^(-(r/c)^2).

    Neighbours: tukey_biweight is 0 beyond its c where this only fades; also called Leclerc, and
    correntropy. 2.985 sigma keeps 95 % of least squares' efficiency on Gaussian noise.

    Source: Dennis & Welsch 1978; Holland & Welsch 1977.

    >>> welsch(torch.tensor([1.0, 9.0]), torch.tensor([0.0, 0.0]), c=1.0)  # (1 - 1/e)/2, 1/2
    tensor([0.3161, 0.5000])
    """
    return _features(-(c**2) / 2 * _expm1(-((target - prediction) / c).square())).mean(1)
