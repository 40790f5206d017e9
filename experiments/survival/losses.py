"""Squared errors of the logarithm of a time, which know nothing of censoring."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.contract import declare

WIDTH = 4.0  # so that the estimate keeps the order of far times


def _later(log_time: Tensor) -> Tensor:
    """One number that rises with the predicted time: an order, and no curve."""
    return torch.sigmoid(log_time / WIDTH).unsqueeze(-1)


def _mean_log(target: Tensor) -> Tensor:
    return target[..., 0].log().mean().reshape(1)


@declare(link=_later, start=_mean_log)
def log_time(prediction: Tensor, target: Tensor, /) -> Tensor:
    """The squared error of the log of the time, of an event or of a censoring alike."""
    return (prediction - target[..., 0].log()).square()


@declare(link=_later, start=_mean_log)
def log_time_of_events(prediction: Tensor, target: Tensor, /) -> Tensor:
    """The squared error of the log of the time where there was an event; 0 elsewhere."""
    time, event = target.unbind(-1)
    return event * (prediction - time.log()).square()
