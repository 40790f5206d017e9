"""Quantiles at k/20 of what distributional losses predict: their links."""

from __future__ import annotations

import torch
from scipy.special import stdtrit
from torch import Tensor

from lossbench.losses.stable import softplus

QUANTILES = 19
LEVELS = torch.arange(1, QUANTILES + 1, dtype=torch.float64) / (QUANTILES + 1)
HALVINGS = 50  # of the bracket of a mixture's quantile


def mean_of_features(values: Tensor) -> Tensor:
    """(B,) or (B, D) -> (B,)."""
    return values.unsqueeze(-1).flatten(1).mean(1)


def of_members(members: Tensor) -> Tensor:
    """Quantiles of an ensemble (..., M), linear between its order statistics."""
    ordered, last = members.sort(-1).values, members.shape[-1] - 1
    place = LEVELS.to(members) * last
    below = place.floor()
    low, high = below.long(), place.ceil().long()
    return ordered[..., low] + (place - below) * (ordered[..., high] - ordered[..., low])


def as_they_are(prediction: Tensor) -> Tensor:
    """The outputs are the quantiles."""
    return prediction


def _spread(prediction: Tensor, shape: Tensor) -> Tensor:
    """Quantiles (..., 19) around a location, of a scale and the shape's own quantiles (19,)."""
    location, scale = prediction.unbind(-1)
    return location.unsqueeze(-1) + scale.unsqueeze(-1) * shape.to(prediction)


def _with_scale(prediction: Tensor, half: float) -> Tensor:
    """(location, scale) of (location, log scale / half)."""
    location, log_scale = prediction.unbind(-1)
    return torch.stack([location, torch.exp(half * log_scale)], -1)


def normal(prediction: Tensor) -> Tensor:
    """Quantiles of the normal distribution (mean, log-variance)."""
    return _spread(_with_scale(prediction, 0.5), torch.special.ndtri(LEVELS))


def laplace(prediction: Tensor) -> Tensor:
    """Quantiles of the Laplace distribution (median, log scale)."""
    side = LEVELS - 0.5
    return _spread(_with_scale(prediction, 1.0), -side.sign() * torch.log1p(-2 * side.abs()))


def student_t(prediction: Tensor, /, *, df: float) -> Tensor:
    """Quantiles of Student's t distribution (location, log of squared scale) of df degrees."""
    shape = torch.from_numpy(stdtrit(float(df), LEVELS.numpy()))
    return _spread(_with_scale(prediction, 0.5), shape)


def chain(prediction: Tensor) -> Tensor:
    """The first output, and then each so much above the one before as a softplus says."""
    first, steps = prediction.tensor_split([1], -1)
    return torch.cat([first, softplus(steps)], -1).cumsum(-1)


def two_of_them(prediction: Tensor, /, *, alpha: float) -> Tensor:
    """The two quantiles that an interval has, and NaN for the others."""
    place = (QUANTILES + 1) * float(alpha) / 2
    outer = round(place)
    if not 1 <= outer < QUANTILES - outer + 1 or abs(place - outer) > 1e-6:
        raise ValueError(
            f"alpha={float(alpha):g}: metrics know the quantiles at .05, .10, …, .95; give .1, .2, "
            "… or .9"
        )
    columns = [torch.full_like(prediction[..., :1], torch.nan)] * QUANTILES
    columns[outer - 1], columns[-outer] = prediction.split(1, -1)
    return torch.cat(columns, -1)


def components(prediction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, means and log-variances (..., K) of a mixture."""
    logits, means, log_variances = prediction.chunk(3, -1)
    return logits, means, log_variances


def mixture(prediction: Tensor) -> Tensor:
    """Quantiles of the mixture, by bisection between those of its components."""
    logits, means, log_variances = components(prediction.unsqueeze(-2))
    scales, weights = torch.exp(log_variances / 2), logits.softmax(-1)
    levels = LEVELS.to(prediction)
    ends = means + scales * torch.special.ndtri(LEVELS).to(prediction).unsqueeze(-1)
    low, high = ends.amin(-1), ends.amax(-1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        share = torch.special.ndtr((middle.unsqueeze(-1) - means) / scales)
        above = (weights * share).sum(-1) < levels
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2
