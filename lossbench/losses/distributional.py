"""Losses of the distributional task: the parameters of a distribution, against what happened.

prediction (B, k) or (B, D, k), target (B,) or (B, D); the last axis of a prediction are the
parameters. Over the D features of an example the value is the mean, except for energy_score.
Symbols: y target, r = y - location, Phi and phi the standard normal distribution and density. After
the link each is judged by the same 19 quantiles, at k/20.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses import predictive, regression
from lossbench.losses.predictive import mean_of_features
from lossbench.losses.stable import largest_log, softplus

COMPONENTS = 3
NARROWEST = -40.0  # of a log scale, below which a distribution is a point in every float type


def _scale(log_scale: Tensor) -> Tensor:
    """e^log_scale, kept finite."""
    return log_scale.clamp(max=largest_log(log_scale)).exp()


@declare(
    link=predictive.normal,
    outputs=2,
    convex=False,
    minimiser="normal distribution",
    source="Nix & Weigend 1994",
)
def gaussian_nll(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a mean near the target and a variance that admits the distance.

    L = ½ (s + r^2 e^-s), mean over features, with s the predicted log-variance

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (mean, s), any real.
        target: (B,) or (B, D).

    Returns:
        (B,), nats, without the constant ½ log 2 pi; unbounded below.

    Neighbours: the loss of the same name of a regression, which is judged by its mean alone.
    student_t_nll as its degrees of freedom grow; crps_gaussian scores the same distribution in the
    unit of the target, and forgives outlying targets more.

    Source: Nix & Weigend 1994.

    >>> gaussian_nll(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([2.0, 2.0]))
    tensor([2.0000, 1.2707])
    """
    return regression.gaussian_nll(prediction, target)


@declare(
    link=predictive.laplace,
    outputs=2,
    convex=False,
    minimiser="Laplace distribution",
    source="Laplace 1774",
)
def laplace_nll(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a median near the target and a scale that admits the distance.

    L = b + |r| e^-b, mean over features, with b the predicted log scale

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (median, b), any real.
        target: (B,) or (B, D).

    Returns:
        (B,), nats, without the constant log 2; unbounded below.

    Neighbours: at b = 0 it is absolute_error. Its scale is the mean distance from the median.

    Source: Laplace 1774.

    >>> laplace_nll(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.tensor([2.0, 2.0]))
    tensor([2.0000, 1.7358])
    """
    median, log_scale = prediction.unbind(-1)
    size = (target - median).abs()
    # where r is 0, |r| e^-b is 0 however small the scale
    exponent = torch.where(size == 0, log_scale.clamp(min=-80), log_scale)
    return mean_of_features(log_scale + size * torch.exp(-exponent))


@declare(
    link=predictive.student_t,
    outputs=2,
    tune={"df": (2.5, 30.0)},
    convex=False,
    source="Lange, Little & Taylor 1989",
)
def student_t_nll(
    prediction: Tensor, target: Tensor, /, *, df: Annotated[float, "(2, 30]"] = 4.0
) -> Tensor:
    """Rewards a location near the target and a scale that admits the distance, outliers apart.

    L = ½ s + ½ (df + 1) log(1 + r^2 e^-s / df), mean over features, with s log of squared scale

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (location, s), any real.
        target: (B,) or (B, D).
        df: in (2, 30], degrees of freedom: the fewer, the heavier the tails.

    Returns:
        (B,), nats, without the constants of the density.

    Neighbours: gaussian_nll as df grows. e^s is not the variance, which is e^s df / (df - 2). The
    pull of a residual falls again beyond sqrt(df) e^(s/2). Values of two df differ by constants.

    Source: Lange, Little & Taylor 1989.

    >>> student_t_nll(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.7329, 1.3173])
    """
    location, s = prediction.unbind(-1)
    residual = target - location
    degrees = torch.as_tensor(df, dtype=s.dtype, device=s.device)
    # log(r^2 e^-s / df), from whose sign on one of two forms keeps its digits and does not overflow
    size = torch.where(residual == 0, 1.0, residual.abs())
    ratio = 2 * size.log() - s - degrees.log()
    large = (residual != 0) & (ratio > 0)
    scaled = torch.where(large | (residual == 0), 0.0, residual)
    scaled = scaled * torch.exp(-torch.where(large | (residual == 0), 0.0, s) / 2)
    near = torch.log1p(scaled.square() / degrees)
    tail = torch.where(large, softplus(torch.where(large, ratio, 0.0)), near)
    return mean_of_features((s + (degrees + 1) * tail) / 2)


@declare(
    link=predictive.normal, outputs=2, tune={"beta": (0.0, 1.0)}, stops_gradient=True,
    source="Seitzer et al. 2022, arXiv 2203.09168",
)  # fmt: skip
def beta_nll(
    prediction: Tensor, target: Tensor, /, *, beta: Annotated[float, "[0, 1]"] = 0.5
) -> Tensor:
    """Rewards as gaussian_nll does, with examples weighted by a power of their own variance.

    L = stop(e^(beta s)) ½ (s + r^2 e^-s), mean over features, with s the predicted log-variance

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (mean, s), any real.
        target: (B,) or (B, D).
        beta: in [0, 1], the power of the variance, through which no gradient flows.

    Returns:
        (B,). Value and gradient belong to different functions: the value compares nothing.

    beta = 0 gives gaussian_nll. At beta 1 the mean's gradient is that of half squared_error,
    whatever the variance is; between, examples of a large variance count more than at 0.

    Source: Seitzer et al. 2022, arXiv 2203.09168.

    >>> beta_nll(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([2.0, 2.0]))
    tensor([2.0000, 3.4540])
    """
    mean, s = prediction.unbind(-1)
    residual, power = target - mean, beta * s.detach()
    exponent = (power - s) / 2
    exponent = torch.where(residual == 0, exponent.clamp(max=40), exponent)
    return mean_of_features((power.exp() * s + (residual * exponent.exp()).square()) / 2)


@declare(link=predictive.normal, outputs=2, convex=False, source="Gneiting & Raftery 2007")
def crps_gaussian(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a normal distribution whose mass is near the target, in the unit of the target.

    L = sigma (w (2 Phi(w) - 1) + 2 phi(w) - 1 / sqrt(pi)), w = r / sigma, sigma = e^(s/2)

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (mean, s), s the log-variance, any real.
        target: (B,) or (B, D).

    Returns:
        (B,), in units of the target, mean over features; at least 0.

    Neighbours: absolute_error of the mean as sigma goes to 0. Strictly proper, as gaussian_nll is;
    1-Lipschitz in the mean, so that one outlying target cannot dominate.

    Source: Gneiting & Raftery 2007.

    >>> crps_gaussian(torch.tensor([[0.0, 0.0], [0.0, -60.0]]), torch.tensor([0.0, 2.0]))
    tensor([0.2337, 2.0000])
    """
    mean, s = prediction.unbind(-1)
    residual, sigma = target - mean, _scale(s / 2)
    # a scale below any digit of the residual, and a ratio beyond any digit of erf, count alike
    w = (residual * torch.exp(-(s / 2).clamp(min=NARROWEST))).clamp(-40, 40)
    density = math.sqrt(2 / math.pi) * torch.exp(-w.square() / 2) - 1 / math.sqrt(math.pi)
    return mean_of_features(residual * torch.erf(w / math.sqrt(2)) + sigma * density)


@declare(link=predictive.laplace, outputs=2, convex=False, source="Gneiting & Raftery 2007")
def crps_laplace(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a Laplace distribution whose mass is near the target, in the unit of the target.

    L = |r| + sigma e^(-|r| / sigma) - ¾ sigma, sigma = e^b, mean over features

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (median, b), b the log scale, any real.
        target: (B,) or (B, D).

    Returns:
        (B,), in units of the target; at least 0.

    Neighbours: absolute_error of the median as sigma goes to 0. 1-Lipschitz in the median, and
    differentiable where it hits the target.

    Source: Gneiting & Raftery 2007.

    >>> crps_laplace(torch.tensor([[0.0, 0.0], [0.0, -60.0]]), torch.tensor([0.0, 2.0]))
    tensor([0.2500, 2.0000])
    """
    median, b = prediction.unbind(-1)
    size, sigma = (target - median).abs(), _scale(b)
    ratio = size * torch.exp(-b.clamp(min=NARROWEST))
    return mean_of_features(size + sigma * (torch.exp(-ratio) - 0.75))


@declare(
    link=predictive.as_they_are,
    outputs=predictive.QUANTILES,
    convex=True,
    source="Koenker & Bassett 1978",
)
def quantiles(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes each quantile by its level below the target, and by the rest above it.

    L = mean_k max(u_k r_k, (u_k - 1) r_k), u_k = k / (K + 1), r_k = y - q_k, mean over features

    Args:
        prediction: (B, K) or (B, D, K), the quantiles in order, any real; a model gives K = 19.
        target: (B,) or (B, D).

    Returns:
        (B,), in units of the target.

    Neighbours: 1.9 times it is the metric crps. Nothing stops one quantile from crossing another:
    see crossing_rate, or monotone_quantiles.

    Source: Koenker & Bassett 1978.

    >>> quantiles(torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([1.0]))
    tensor([0.1667])
    """
    count = prediction.shape[-1]
    levels = torch.arange(1, count + 1, device=prediction.device, dtype=prediction.dtype)
    levels = levels / (count + 1)
    residual = target.unsqueeze(-1) - prediction
    pinball = levels * torch.relu(residual) + (1 - levels) * torch.relu(-residual)
    return mean_of_features(pinball.mean(-1))


@declare(
    link=predictive.chain, outputs=predictive.QUANTILES, convex=False, source="Gasthaus et al. 2019"
)
def monotone_quantiles(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes quantiles that cannot cross, each a positive step above the one before.

    L = quantiles(q, y), with q_1 = z_1, q_{k+1} = q_k + softplus(z_{k+1})

    Args:
        prediction: (B, K) or (B, D, K), any real; a model gives K = 19.
        target: (B,) or (B, D).

    Returns:
        (B,), in units of the target.

    Neighbours: quantiles, which may cross. A chain with one end: what moves the first output moves
    all, so that its gradient is the sum of theirs.

    Source: Gasthaus et al. 2019.

    >>> monotone_quantiles(torch.tensor([[0.0, 0.5413, 0.5413]]), torch.tensor([1.0]))  # 0, 1, 2
    tensor([0.1667])
    """
    return quantiles(predictive.chain(prediction), target)


@declare(link=predictive.two_of_them, outputs=2, convex=True, source="Winkler 1972")
def interval_score(
    prediction: Tensor, target: Tensor, /, *, alpha: Annotated[float, "(0, 1)"] = 0.1
) -> Tensor:
    """Punishes the width of an interval, and targets outside of it by their distance.

    L = (u - l) + 2/alpha (max(0, l - y) + max(0, y - u)), mean over features

    Args:
        prediction: (B, 2) or (B, D, 2), last axis (lower, upper), any real.
        target: (B,) or (B, D).
        alpha: in (0, 1), the share of targets that is to lie outside.

    Returns:
        (B,), in units of the target.

    Neighbours: 2/alpha times the pinball losses at alpha/2 and 1 - alpha/2. Proper also where l is
    above u. Two of 19 quantiles are estimated: compare by coverage_90, width_90 or
    interval_score_90 at alpha .1.

    Source: Winkler 1972.

    >>> interval_score(torch.tensor([[0.0, 2.0], [0.0, 2.0]]), torch.tensor([1.0, 2.5]))
    tensor([ 2., 12.])
    """
    lower, upper = prediction.unbind(-1)
    outside = torch.relu(lower - target) + torch.relu(target - upper)
    return mean_of_features(upper - lower + 2 / alpha * outside)


@declare(link=predictive.mixture, outputs=3 * COMPONENTS, convex=False, source="Bishop 1994")
def gaussian_mixture_nll(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a mixture of normal distributions that has its mass at the target.

    L = -log sum_k w_k e^(-½ s_k - ½ r_k^2 e^-s_k), w = softmax(logits), mean over features

    Args:
        prediction: (B, 3K) or (B, D, 3K), last axis K logits, K means, K log-variances s, any real;
            a model gives K = 3.
        target: (B,) or (B, D).

    Returns:
        (B,), nats, without the constant ½ log 2 pi; unbounded below, as one component may shrink
        onto one target.

    Neighbours: gaussian_nll of one component.

    Source: Bishop 1994.

    >>> gaussian_mixture_nll(torch.tensor([[0.0, 0.0, 1.0, -1.0, 0.0, 0.0]]), torch.tensor([0.0]))
    tensor([0.5000])
    """
    logits, means, log_variances = predictive.components(prediction)
    residual = target.unsqueeze(-1) - means
    narrowest = -largest_log(prediction) / 2
    scaled = residual * torch.exp(-log_variances.clamp(min=narrowest) / 2)
    density = F.log_softmax(logits, -1) - (log_variances + scaled.square()) / 2
    return mean_of_features(-density.logsumexp(-1))
