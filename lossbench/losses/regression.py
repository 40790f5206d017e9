"""Losses of the regression task: prediction and target (B,) or (B, D), one value per example.

Symbols: r = target - prediction. Over the D features of an example the value is the mean, except
for euclidean. Declared properties are those at the default hyper-parameters.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import STIRLING, log_softplus, softplus, stirling_rest


def _features(values: Tensor) -> Tensor:
    """(B,) or (B, ...) -> (B, D): one row per example, D = 1 for a plain vector."""
    return values.unsqueeze(-1).flatten(1)


@declare(convex=True, minimiser="mean", source="Legendre 1805; Gauss 1809")
def squared_error(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the square of the residual, so that one large error outweighs many small ones.

    L = r^2, mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.

    Returns:
        (B,), in squared units of the target; no factor ½.

    Neighbours: root_mean_squared_error has the same minimiser; huber is half of it near 0.

    Source: Legendre 1805; Gauss 1809.

    >>> squared_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    tensor([0., 4.])
    """
    return _features((target - prediction).square()).mean(1)


@declare(convex=True, lipschitz=1.0, minimiser="median", source="Boscovich 1757; Laplace 1774")
def absolute_error(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the size of the residual; outlying targets pull no harder than others.

    L = |r|, mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.

    Returns:
        (B,), in units of the target; subgradient 0 at r = 0.

    Neighbours: twice quantile at q ½. Robust to outlying targets, not to outlying inputs.

    Source: Boscovich 1757; Laplace 1774.

    >>> absolute_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    tensor([0., 2.])
    """
    return _features((target - prediction).abs()).mean(1)


@declare(convex=True, lipschitz=1.0, minimiser="mean", source="Gauss 1809", couples=True)
def root_mean_squared_error(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a whole batch by the root of its mean square: the residual's typical size.

    L = sqrt(mean r^2), over the batch and the features

    Args:
        prediction, target: (B,) or (B, D), any real.

    Returns:
        (), in units of the target; subgradient 0 at a perfect batch.

    Neighbours: squared_error has the same minimiser: the root is not a cure for outliers, and only
    divides its gradient by 2 L. The mean over batches is not the root over all data.

    Source: Gauss 1809.

    >>> root_mean_squared_error(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))  # sqrt 2
    tensor(1.4142)
    """
    residual = target - prediction
    return torch.linalg.vector_norm(residual) / residual.numel() ** 0.5


@declare(convex=True, lipschitz=1.0, minimiser="median", source="Weber 1909")
def euclidean(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the straight-line distance from prediction to target.

    L = ||r||_2 over features

    Args:
        prediction, target: (B,) or (B, D), any real.

    Returns:
        (B,), in units of the target; subgradient 0 at r = 0.

    Neighbours: absolute_error for one feature; Caffe's "Euclidean" loss is a square.
    Estimates the geometric median.

    Source: Weber 1909.

    >>> euclidean(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([5.])
    """
    return torch.linalg.vector_norm(_features(target - prediction), dim=1)


@declare(convex=True, lipschitz=0.5, minimiser="quantile", source="Koenker & Bassett 1978")
def quantile(
    prediction: Tensor, target: Tensor, /, *, q: Annotated[float, "(0, 1)"] = 0.5
) -> Tensor:
    """Punishes a prediction below the target by q and one above it by 1 - q: the pinball loss.

    L = max(q r, (q - 1) r), mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        q: in (0, 1), the quantile to estimate.

    Returns:
        (B,), in units of the target; subgradient 0 at r = 0.

    Neighbours: half of absolute_error at q ½.

    Source: Koenker & Bassett 1978.

    >>> quantile(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]), q=0.9)
    tensor([0.9000, 0.1000])
    """
    residual = target - prediction
    return _features(q * torch.relu(residual) + (1 - q) * torch.relu(-residual)).mean(1)


@declare(convex=True, minimiser="expectile", source="Newey & Powell 1987")
def expectile(
    prediction: Tensor, target: Tensor, /, *, q: Annotated[float, "(0, 1)"] = 0.5
) -> Tensor:
    """Punishes the square of the residual, by q where the prediction is below the target.

    L = |q - [r < 0]| r^2, mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        q: in (0, 1), the expectile to estimate; above ½ falling short costs more.

    Returns:
        (B,), in squared units of the target.

    q = ½ gives half squared_error. What quantile is to absolute_error: smooth, but every target
    counts by its distance, so that no share of targets lies below.

    Source: Newey & Powell 1987.

    >>> expectile(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0]), q=0.9)
    tensor([0.9000, 0.4000])
    """
    residual = target - prediction
    above, below = torch.relu(residual), torch.relu(-residual)
    return _features(q * above.square() + (1 - q) * below.square()).mean(1)


@declare(
    tune={"delta": (0.1, 10.0)}, unit=("delta",), convex=True, lipschitz=1.0, source="Huber 1964"
)
def huber(
    prediction: Tensor, target: Tensor, /, *, delta: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes small residuals by half their square, and those beyond delta only linearly.

    L = r^2/2 if |r| <= delta, else delta (|r| - delta/2), mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        delta: in (0, inf), in the unit of the residual: in a run, standard deviations of the
            training targets, or the target's unit with task.unit=target.

    Returns:
        (B,), in squared units of the target; its gradient is -clip(r, -delta, delta).

    delta = 1 gives smooth_l1. Between mean (delta large) and median (delta small);
    1.345 sigma keeps 95 % of least squares' efficiency on Gaussian noise. scikit-learn's
    HuberRegressor has twice it, at 1.35 of a deviation that it estimates.

    Source: Huber 1964.

    >>> huber(torch.tensor([0.5, 3.0]), torch.tensor([0.0, 0.0]))
    tensor([0.1250, 2.5000])
    """
    residual = target - prediction
    clipped = residual.clamp(-delta, delta)
    return _features(clipped * (residual - clipped / 2)).mean(1)


@declare(
    tune={"beta": (0.1, 10.0)},
    unit=("beta",),
    convex=True,
    lipschitz=1.0,
    source="Girshick 2015, arXiv 1504.08083",
)
def smooth_l1(
    prediction: Tensor, target: Tensor, /, *, beta: Annotated[float, "[0, inf)"] = 1.0
) -> Tensor:
    """Punishes like absolute_error, with a parabola of half-width beta in place of the kink.

    L = r^2/(2 beta) if |r| <= beta, else |r| - beta/2, mean over features

    Args:
        prediction, target: (B,) or (B, D), any real.
        beta: in [0, inf), in the unit of the residual: in a run, standard deviations of the
            training targets, or the target's unit with task.unit=target.

    Returns:
        (B,), in units of the target.

    beta = 0 gives absolute_error. beta = 1 gives huber. Elsewhere it is huber at delta beta,
    divided by beta. torch's SmoothL1Loss has this form and beta.

    Source: Girshick 2015, arXiv 1504.08083.

    >>> smooth_l1(torch.tensor([0.5, 3.0]), torch.tensor([0.0, 0.0]), beta=2.0)
    tensor([0.0625, 2.0000])
    """
    residual = target - prediction
    # the smallest number changes no beta but 0, where it stands for the limit
    slope = (residual / (beta + torch.finfo(residual.dtype).tiny)).clamp(-1, 1)
    return _features(slope * (residual - beta * slope / 2)).mean(1)


@declare(convex=True, lipschitz=1.0, source="Saleh & Saleh 2022, arXiv 2208.04564")
def log_cosh(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes small residuals by half their square and large ones linearly, without a seam.

    L = log cosh r, mean over features

    Args:
        prediction, target: (B,) or (B, D), any real; their unit matters, for the scale is fixed at
            1.

    Returns:
        (B,), unitless; |r| - log 2 for large r; its gradient is -tanh r.

    Neighbours: huber at delta 1, smoothed.

    Source: Saleh & Saleh 2022, arXiv 2208.04564.

    >>> log_cosh(torch.tensor([1e-4, 100.0]), torch.tensor([0.0, 0.0]))
    tensor([5.0000e-09, 9.9307e+01])
    """
    residual = target - prediction
    size = residual.abs()
    # cosh r = 1 + 2 sinh^2(r/2) keeps small residuals, which |r| - log 2 + ... would cancel
    small = torch.log1p(2 * torch.sinh(residual.clamp(-1, 1) / 2).square())
    large = size + torch.log1p(torch.exp(-2 * size)) - 0.6931471805599453
    return _features(torch.where(size < 1, small, large)).mean(1)


@declare(convex=False, target="(-1, inf)", source="scikit-learn mean_squared_log_error")
def squared_log_error(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the ratio of prediction to target, and falling short more than overshooting.

    L = (log(1 + prediction) - log(1 + target))^2, mean over features

    Args:
        prediction, target: (B,) or (B, D), above -1, as they are; at -1 the value is inf, below it
            NaN.

    Returns:
        (B,), in squared nats.

    Neighbours: squared_error of log(1 + target). Estimates exp(E log(1 + target)) - 1; not convex
    for predictions above e (1 + target) - 1.

    Source: scikit-learn mean_squared_log_error.

    >>> squared_log_error(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0]))  # log^2 2
    tensor([0.4805, 0.4805])
    """
    return _features((torch.log1p(prediction) - torch.log1p(target)).square()).mean(1)


def _mean_of(prediction: Tensor) -> Tensor:
    """The mean of a predicted (mean, log-variance)."""
    return prediction[..., 0]


@declare(link=_mean_of, outputs=2, convex=False, minimiser="mean", source="Nix & Weigend 1994")
def gaussian_nll(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a mean near the target and a variance that admits the distance.

    L = ½ (s + r^2 e^-s), mean over features, with s the predicted log-variance

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (mean, s), any real.
        target: (B,) or (B, D).

    Returns:
        (B,), nats, without the constant ½ log 2 pi, as in torch; unbounded below.

    Neighbours: at s = 0 half of squared_error. torch takes the variance, which must be kept
    positive.

    Source: Nix & Weigend 1994.

    >>> gaussian_nll(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([2.0, 2.0]))
    tensor([2.0000, 1.2707])
    """
    mean, log_variance = prediction.unbind(-1)
    residual = target - mean
    # where r is 0, r^2 e^-s is 0 however small the variance, and not 0 times inf
    exponent = torch.where(residual == 0, log_variance.clamp(min=-80), log_variance)
    scaled = residual * torch.exp(-exponent / 2)
    return _features((log_variance + scaled.square()) / 2).mean(1)


def _half_step(x: Tensor) -> Tensor:
    """log Gamma(x + ½) - log Gamma(x), for x from 1 on."""
    few, many = x.clamp(max=STIRLING), x.clamp(min=STIRLING)
    series = stirling_rest(many + 0.5) - stirling_rest(many)
    large = many.log() / 2 + many * torch.log1p(0.5 / many) - 0.5 + series
    return torch.where(x < STIRLING, torch.lgamma(few + 0.5) - torch.lgamma(few), large)


@declare(
    link=_mean_of,
    outputs=4,
    tune={"strength": (1e-3, 1.0)},
    convex=False,
    source="Amini et al. 2020, arXiv 1910.02600",
)
def evidential(
    prediction: Tensor, target: Tensor, /, *, strength: Annotated[float, "[0, inf)"] = 0.01
) -> Tensor:
    """Rewards a mean near the target and evidence for it, and punishes evidence that is wrong.

    L = -½ log nu - alpha log omega + (alpha + ½) log(r^2 nu + omega) + lgamma(alpha)
        - lgamma(alpha + ½) + strength |r| (2 nu + alpha), mean over features,
    with nu = softplus(v), alpha = 1 + softplus(a), omega = 2 softplus(b) (1 + nu)

    Args:
        prediction: (B, 4) or (B, D, 4), last axis (mean, v, a, b), any real.
        target: (B,) or (B, D).
        strength: in [0, inf), of the penalty on evidence.

    Returns:
        (B,), nats, without the constant ½ log pi, but for the penalty; unbounded below.

    Neighbours: gaussian_nll, whose variance is one number. What is rewarded is a Student-t
    distribution with 2 alpha degrees of freedom, in which nu and b are not told apart, so that the
    uncertainty of the mean is not identified (Meinert et al. 2023).

    Source: Amini et al. 2020, arXiv 1910.02600.

    >>> evidential(torch.zeros(2, 4), torch.tensor([0.0, 2.0]))
    tensor([0.4194, 2.1914])
    """
    mean, v, a, b = prediction.unbind(-1)
    size = (target - mean).abs()
    nu, alpha, log_nu = softplus(v), 1 + softplus(a), log_softplus(v)
    log_omega = math.log(2) + log_softplus(b) + torch.log1p(nu)
    # log(r^2 nu / omega), of which softplus is 0 where r is
    distant = torch.where(size == 0, 1.0, size)
    ratio = 2 * distant.log() + log_nu - log_omega
    tail = torch.where(size == 0, 0.0, softplus(ratio))
    likelihood = (log_omega - log_nu) / 2 + (alpha + 0.5) * tail - _half_step(alpha)
    return _features(likelihood + strength * size * (2 * nu + alpha)).mean(1)
