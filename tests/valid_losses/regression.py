"""Valid losses of the papers for regression, none of them built in."""

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


@declare(tune={"c": (1.0, 10.0)}, convex=False, source="Beaton & Tukey 1974")
def tukey(
    prediction: Tensor, target: Tensor, /, *, c: Annotated[float, "(0, inf)"] = 4.685
) -> Tensor:
    """Punishes like a square near 0 and not at all beyond c: Tukey's biweight; regression."""
    share = ((target - prediction) / c).square().clamp(max=1)
    return c**2 / 6 * (1 - (1 - share) ** 3)


@declare(convex=False, lipschitz=1.0)
def cauchy(
    prediction: Tensor, target: Tensor, /, *, c: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes by the logarithm of 1 + (r / c)^2, half of it; regression."""
    return c**2 / 2 * torch.log1p(((target - prediction) / c).square())


@declare(convex=False, lipschitz=0.6066)
def welsch(
    prediction: Tensor, target: Tensor, /, *, c: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes by 1 less a bell curve of width c: bounded; regression."""
    return -(c**2) * torch.expm1(-((target - prediction) / c).square() / 2) * 1.0


def barron(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[-10, 2]"] = 1.0,
    c: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """One family from square (alpha = 2) over Cauchy (0) to ever more robust, of scale c.

    regression. alpha = 2 gives half of squared_error.
    """
    squared = ((target - prediction) / c).square()
    if alpha == 2:
        return squared / 2
    if alpha == 0:
        return torch.log1p(squared / 2)
    size = abs(alpha - 2)
    return size / alpha * ((squared / size + 1) ** (alpha / 2) - 1)


def _exp(prediction: Tensor) -> Tensor:
    return prediction.exp()


@declare(link=_exp, convex=True, minimiser="mean", target="[0, inf)", source="Cameron & Trivedi")
def poisson(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a rate near the target, which counts; the prediction is the rate's logarithm."""
    return prediction.exp() - target * prediction


@declare(convex=False, minimiser="mean", target="(0, inf)")
def itakura_saito(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the ratio of target to prediction; both positive; regression."""
    ratio = target / prediction
    return ratio - torch.log(ratio) - 1


@declare(convex=True)
def linex(
    prediction: Tensor, target: Tensor, /, *, a: Annotated[float, "(-inf, inf)"] = 0.5
) -> Tensor:
    """Punishes one side exponentially and the other linearly, by the sign of a; regression."""
    residual = a * (prediction - target)
    return torch.expm1(residual) - residual


@declare(convex=True)
def expectile(
    prediction: Tensor, target: Tensor, /, *, tau: Annotated[float, "(0, 1)"] = 0.8
) -> Tensor:
    """Punishes squares, by tau below the target and by 1 - tau above; regression."""
    residual = target - prediction
    return torch.where(residual > 0, tau, 1 - tau) * residual.square()


@declare(convex=True, lipschitz=1.0)
def epsilon_insensitive(
    prediction: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "[0, inf)"] = 0.1
) -> Tensor:
    """Punishes the residual beyond a tube of half-width epsilon; regression.

    epsilon = 0 gives absolute_error.
    """
    return torch.relu((target - prediction).abs() - epsilon)


def _first(prediction: Tensor) -> Tensor:
    return prediction[..., 0]


@declare(link=_first, outputs=2, minimiser="median")
def laplace_nll(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a median near the target and a scale that owns up; (B, 2), the second log-scale."""
    location, log_scale = prediction.unbind(-1)
    size = (target - location).abs()
    return log_scale + size * torch.exp(-torch.where(size == 0, 0.0, log_scale))


@declare(couples=True)
def correlation(prediction: Tensor, target: Tensor, /, *, epsilon: float = 1e-8) -> Tensor:
    """One less the correlation of a whole batch, kept off 0/0 by epsilon; regression, result ()."""
    p, t = prediction - prediction.mean(), target - target.mean()
    scale = (p.square().mean() + epsilon).sqrt() * (t.square().mean() + epsilon).sqrt()
    return 1 - (p * t).mean() / scale


@declare(couples=True)
def trimmed(
    prediction: Tensor, target: Tensor, /, *, share: Annotated[float, "(0, 1]"] = 0.75
) -> Tensor:
    """The mean square of the share of a batch with the least residuals; regression, result ()."""
    squares = (target - prediction).square().sort().values
    return squares[: max(1, int(share * len(squares)))].mean()


class LearnedScale(torch.nn.Module):
    """Punishes like a Gaussian whose one variance is learnt next to the model; regression."""

    def __init__(self, *, start: float = 0.0) -> None:
        """start: the logarithm of the first variance."""
        super().__init__()
        self.log_variance = torch.nn.Parameter(torch.tensor(start))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """One number per example."""
        squares = (target - prediction).square()
        return (self.log_variance + squares * torch.exp(-self.log_variance)) / 2


def _gaussian_mean(prediction: Tensor) -> Tensor:
    return prediction[..., 0]


@declare(link=_gaussian_mean, outputs=2)
def gaussian_crps(prediction: Tensor, target: Tensor, /) -> Tensor:
    """The ranked probability score of a Gaussian; regression, (B, 2), the second a log scale."""
    mean, log_scale = prediction.unbind(-1)
    scale = torch.exp(log_scale.clamp(-8, 8))
    z = (target - mean) / scale
    density = torch.exp(-z.square() / 2) / (2 * torch.pi) ** 0.5
    spread = torch.erf(z / 2**0.5)
    return scale * (z * spread + 2 * density - 1 / torch.pi**0.5)


@declare(link=_exp, target="(0, inf)", minimiser="mean", convex=True)
def gamma_deviance(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Punishes ratios; the prediction is the mean's logarithm; regression of positive targets."""
    return prediction + target * torch.exp(-prediction)


def relative_error(prediction: Tensor, target: Tensor, /, *, floor: float = 0.01) -> Tensor:
    """The size of the residual in units of the target, of at least floor; regression."""
    return (target - prediction).abs() / target.abs().clamp(min=floor)


def wing(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    width: Annotated[float, "(0, inf)"] = 2.0,
    curvature: Annotated[float, "(0, inf)"] = 0.5,
) -> Tensor:
    """Steep within width, by curvature, a line beyond (Feng 2018); regression."""
    size = (target - prediction).abs()
    inside = width * torch.log1p(size / curvature)
    offset = width - width * torch.log1p(torch.as_tensor(width / curvature).to(size))
    return torch.where(size < width, inside, size - offset)


@declare(convex=True, lipschitz=1.0)
def charbonnier(
    prediction: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "(0, inf)"] = 1e-3
) -> Tensor:
    """The root of the square and epsilon squared: a rounded absolute error; regression."""
    return ((target - prediction).square() + epsilon**2).sqrt()


@declare(convex=True, minimiser="quantile")
def smoothed_quantile(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    q: Annotated[float, "(0, 1)"] = 0.9,
    width: Annotated[float, "(0, inf)"] = 1e-4,
) -> Tensor:
    """The pinball loss of level q, rounded over width; regression."""
    residual = target - prediction
    return q * residual + width * F.softplus(-residual / width)


def unnamed_parameter(prediction: Tensor, target: Tensor, /, *, delta: float = 1.0) -> Tensor:
    """Punishes like a square near the target, linearly further out; regression."""
    return F.huber_loss(prediction, target, delta=delta, reduction="none")
