"""Losses of the counts task: what a model says of the mean of targets of at least 0.

prediction (B,) or (B, k), target (B,), which need not be whole: rates and amounts are valid.
Symbols: y target, a = log mean of the counts, mu = e^a. Terms that hold the target alone (log y!,
log y) are left out, so that values may be negative and losses are compared by metrics only.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.regression import gaussian_nll
from lossbench.losses.stable import STIRLING, largest_log, sigmoid, softplus, stirling_rest


@declare(convex=True, minimiser="mean", source="Nelder & Wedderburn 1972")
def poisson(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a log mean near the logarithm of the target, a miss counted against its square root.

    L = e^a - y a

    Args:
        prediction: (B,), the log mean a, any real.
        target: (B,), at least 0.

    Returns:
        (B,), nats, without the constant log y!; smallest at a = log y, where it is y - y log y. Its
        gradient is mu - y.

    Neighbours: negative_binomial as its dispersion goes to 0; tweedie as its power goes to 1. Not
    Lipschitz. torch's poisson_nll_loss is this with log_input=True; its full=True adds Stirling's
    approximation, and not log y!.

    Source: Nelder & Wedderburn 1972.

    >>> poisson(torch.tensor([0.0, 0.0]), torch.tensor([0.0, 3.0]))
    tensor([1., 1.])
    """
    return prediction.exp() - target * prediction


@declare(convex=True, minimiser="mean", target="(0, inf)", source="Nelder & Wedderburn 1972")
def gamma(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a log mean near the logarithm of the target, a miss counted as a share of it.

    L = y e^-a + a

    Args:
        prediction: (B,), the log mean a, any real.
        target: (B,), above 0.

    Returns:
        (B,), nats per unit of the shape, without constants; its gradient is 1 - y / mu.

    Neighbours: tweedie as its power goes to 2. The shape of the gamma distribution scales the loss
    alone, so this is the exponential distribution's as well, and scikit-learn's HalfGammaLoss.

    Source: Nelder & Wedderburn 1972.

    >>> gamma(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 3.0]))
    tensor([1., 3.])
    """
    return target * torch.exp(-prediction) + prediction


@declare(tune={"power": (1.1, 1.9)}, convex=True, minimiser="mean", source="Jorgensen 1987")
def tweedie(
    prediction: Tensor, target: Tensor, /, *, power: Annotated[float, "(1, 2)"] = 1.5
) -> Tensor:
    """Rewards a log mean near the logarithm of the target, zeros and skewed amounts together.

    L = y e^((1-p) a) / (p - 1) + e^((2-p) a) / (2 - p), with p the power

    Args:
        prediction: (B,), the log mean a, any real.
        target: (B,), at least 0.
        power: in (1, 2); the variance is proportional to that power of the mean.

    Returns:
        (B,), without constants; its gradient is e^((1-p) a) (mu - y).

    Neighbours: poisson's gradient as the power goes to 1, gamma's as it goes to 2; a Poisson number
    of gamma amounts between. scikit-learn's HalfTweedieLoss; LightGBM and XGBoost call the power
    tweedie_variance_power. A power cannot be chosen by the value: compare by a metric.

    Source: Jorgensen 1987.

    >>> tweedie(torch.tensor([0.0, 0.0]), torch.tensor([0.0, 3.0]))
    tensor([2., 8.])
    """
    # of a target of 0 the first part is 0, however small the mean
    exponent = torch.where(target == 0, 0.0, (1 - power) * prediction)
    amount = target * exponent.exp() / (power - 1)
    return amount + torch.exp((2 - power) * prediction) / (2 - power)


def _negative_binomial(log_mean: Tensor, log_dispersion: Tensor, target: Tensor) -> Tensor:
    """lgamma(r) - lgamma(y + r) + r sp(a + b) + y sp(-a - b), r = e^-b, without cancellation."""
    b = log_dispersion.clamp(min=-largest_log(log_mean))
    size, odds = torch.exp(-b), log_mean + b
    few, many = size.clamp(max=STIRLING), size.clamp(min=STIRLING)
    # lgamma(r) = lgamma(1 + r) + b, which stays finite as r goes to 0
    y = torch.where(target == 0, 1.0, target)
    rise = torch.lgamma(y + few) - torch.lgamma(1 + few) - b
    rise = torch.where(target == 0, 0.0, rise)
    small = few * softplus(odds) + target * softplus(-odds) - rise
    total = many + target
    series = stirling_rest(total) - stirling_rest(many)
    rise = (total - 0.5) * torch.log1p(target / many) - target + series
    large = total * softplus(odds) - target * log_mean - rise
    return torch.where(size < STIRLING, small, large)


def _first_mean(prediction: Tensor) -> Tensor:
    """Exponential of the first output."""
    return prediction[..., 0].exp()


@declare(
    link=_first_mean, outputs=2, convex=False, minimiser="mean", source="Cameron & Trivedi 1998"
)
def negative_binomial(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a log mean near the target and a dispersion that admits the distance.

    L = lgamma(r) - lgamma(y + r) + r softplus(a + b) + y softplus(-a - b), with r = e^-b

    Args:
        prediction: (B, 2), last axis (a, b) = (log mean, log dispersion), any real.
        target: (B,), at least 0.

    Returns:
        (B,), nats, without the constant log y!. The variance is mu + e^b mu^2 (NB2).

    Neighbours: poisson as b goes to minus infinity. Convex in a, not in both. Libraries take r as
    total_count next to logits or probabilities (torch), or e^b as alpha (statsmodels, gluonts).
    From r = 16 on the difference of log-gammas is that of their series: as it is written above it
    is 1e-3 off in float32 at b = -8.

    Source: Cameron & Trivedi 1998.

    >>> negative_binomial(torch.tensor([[0.0, 0.0], [0.0, -60.0]]), torch.tensor([1.0, 1.0]))
    tensor([1.3863, 1.0000])
    """
    log_mean, log_dispersion = prediction.unbind(-1)
    return _negative_binomial(log_mean, log_dispersion, target)


def _mean_of_inflated(prediction: Tensor) -> Tensor:
    """Exponential of the first output, times the share that is not an extra zero."""
    return sigmoid(-prediction[..., -1]) * prediction[..., 0].exp()


def _inflated(count: Tensor, extra: Tensor, target: Tensor) -> Tensor:
    """The loss of a mixture of zeros, by the logit of their share, and counts, by their loss."""
    return softplus(extra) + torch.where(target == 0, -torch.logaddexp(extra, -count), count)


@declare(link=_mean_of_inflated, outputs=2, convex=False, minimiser="mean", source="Lambert 1992")
def zero_inflated_poisson(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a log mean near the target, and a share of zeros beyond those of counts.

    L = softplus(c) + (-log(e^c + e^-mu) if y = 0 else mu - y a)

    Args:
        prediction: (B, 2), last axis (a, c): log mean of the counts, logit of an extra zero.
        target: (B,), at least 0.

    Returns:
        (B,), nats, without the constant log y!. The estimate is (1 - sigmoid(c)) mu.

    Neighbours: poisson as c goes to minus infinity. Without zeros among the targets c has no
    minimiser. log(sigmoid(c) + …) as it is usually written is infinite at c = -120, mu = 110 in
    float32, where the value is 110.

    Source: Lambert 1992.

    >>> zero_inflated_poisson(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0.0, 3.0]))
    tensor([0.3799, 1.6931])
    """
    log_mean, extra = prediction.unbind(-1)
    # where y is 0 a mean beyond the float type counts no more than one close to its end
    bounded = log_mean.clamp(max=largest_log(log_mean))
    log_mean = torch.where(target == 0, bounded, log_mean)
    return _inflated(log_mean.exp() - target * log_mean, extra, target)


@declare(link=_mean_of_inflated, outputs=3, convex=False, minimiser="mean", source="Lambert 1992")
def zero_inflated_negative_binomial(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a log mean near the target, a dispersion, and a share of zeros beyond both.

    L = softplus(c) + (-log(e^c + e^-N) if y = 0 else N), with N the negative_binomial of (a, b)

    Args:
        prediction: (B, 3), last axis (a, b, c): log mean and log dispersion of the counts, logit of
            an extra zero.
        target: (B,), at least 0.

    Returns:
        (B,), nats, without the constant log y!. The estimate is (1 - sigmoid(c)) mu.

    Neighbours: negative_binomial as c goes to minus infinity, zero_inflated_poisson as b does. A
    large dispersion makes zeros too, so that few data tell b from c.

    Source: Lambert 1992.

    >>> zero_inflated_negative_binomial(torch.zeros(2, 3), torch.tensor([0.0, 1.0]))
    tensor([0.2877, 2.0794])
    """
    log_mean, log_dispersion, extra = prediction.unbind(-1)
    return _inflated(_negative_binomial(log_mean, log_dispersion, target), extra, target)


def _log_normal_mean(prediction: Tensor) -> Tensor:
    """The mean e^(m + e^s/2) of a log-normal distribution, which is not its median e^m."""
    return torch.exp(prediction[..., -2] + prediction[..., -1].exp() / 2)


@declare(
    link=_log_normal_mean,
    outputs=2,
    convex=False,
    minimiser="log-normal mean",
    target="(0, inf)",
    source="Aitchison & Brown 1957",
)
def log_normal(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a mean near the logarithm of the target and a variance that admits the distance.

    L = ½ (s + (log y - m)^2 e^-s)

    Args:
        prediction: (B, 2), last axis (m, s): mean and log-variance of the target's logarithm.
        target: (B,), above 0.

    Returns:
        (B,), nats, without log y and ½ log 2 pi; unbounded below.

    Neighbours: gaussian_nll of log y. The estimate is e^(m + e^s/2): e^m is the median, and looks
    biased in root_mean_squared_error; it overflows float32 where e^s is above 176. It is the mean
    of targets only where these are log-normal.

    Source: Aitchison & Brown 1957.

    >>> log_normal(torch.tensor([[0.0, 0.0], [0.0, 2.0]]), torch.tensor([1.0, 1.0]))
    tensor([0., 1.])
    """
    return gaussian_nll(prediction, target.log())


def _zero_inflated_log_normal_mean(prediction: Tensor) -> Tensor:
    """The share of targets above 0, times the mean of a log-normal distribution."""
    return sigmoid(prediction[..., 0]) * _log_normal_mean(prediction)


def _share_and_logs(target: Tensor) -> Tensor:
    """The logit of the share of targets above 0, the mean and log-variance of their logarithms."""
    above = target > 0
    logs = torch.where(above, target, 1.0).log()
    share = above.to(target.dtype).mean()
    mean = logs.sum() / above.sum().clamp(min=1)
    return torch.stack([torch.logit(share, 1 / (2 * len(target))), mean, torch.zeros_like(mean)])


@declare(
    link=_zero_inflated_log_normal_mean,
    outputs=3,
    convex=False,
    minimiser="log-normal mean",
    source="Wang, Liu & Miao 2019, arXiv 1912.07753",
    start=_share_and_logs,
)
def zero_inflated_log_normal(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a probability of more than 0, and log_normal's mean and variance where it is more.

    L = softplus(c) if y = 0 else softplus(-c) + ½ (s + (log y - m)^2 e^-s)

    Args:
        prediction: (B, 3), last axis (c, m, s): logit of a target above 0, mean and log-variance of
            its logarithm.
        target: (B,), at least 0.

    Returns:
        (B,), nats, without log y and ½ log 2 pi; unbounded below.

    Neighbours: log_normal plus a cross_entropy of whether there is anything. The estimate is
    sigmoid(c) e^(m + e^s/2). The paper makes the scale a softplus, where it is e^(s/2) here.

    Source: Wang, Liu & Miao 2019, arXiv 1912.07753.

    >>> zero_inflated_log_normal(torch.zeros(2, 3), torch.tensor([0.0, 1.0]))
    tensor([0.6931, 0.6931])
    """
    logit, amount = prediction[..., 0], prediction[..., 1:]
    zero = target == 0
    # what a target of 0 says nothing of is held at a place where it has a finite value
    amount = torch.where(zero.unsqueeze(-1), 0.0, amount)
    above = softplus(-logit) + log_normal(amount, torch.where(zero, 1.0, target))
    return torch.where(zero, softplus(logit), above)
