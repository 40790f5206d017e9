"""Squared errors of counts: of the count, of a log mean's exponential, of log(1 + count)."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare


def _scaled(prediction: Tensor, /, *, scale: float) -> Tensor:
    return scale * prediction


def _at_zero(target: Tensor) -> Tensor:
    return target.new_zeros(1)


def _mean_of_logs(target: Tensor) -> Tensor:
    return target.log1p().mean().reshape(1)


@declare(link=_scaled, start=_at_zero)
def identity(
    prediction: Tensor, target: Tensor, /, *, scale: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """The squared error of scale times the output; scale is the unit in which a model counts."""
    return (prediction - target / scale).square()


@declare()
def log_link(
    prediction: Tensor, target: Tensor, /, *, scale: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """The squared error of the exponential of the output, in units of scale."""
    return ((prediction.exp() - target) / scale).square()


@declare(link=torch.expm1, start=_mean_of_logs)
def log1p(prediction: Tensor, target: Tensor, /) -> Tensor:
    """The squared error of log(1 + count), which is transformed back to predict."""
    return (prediction - target.log1p()).square()
