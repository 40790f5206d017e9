"""Losses whose hyper-parameters do nothing, or break within their range."""

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


def ignored_gamma(logits: Tensor, target: Tensor, /, *, gamma: float = 2.0) -> Tensor:
    """Fades out what is right by (1 - p_y)^gamma; multiclass, logits (B, C)."""
    value = F.cross_entropy(logits, target, reduction="none")
    return -torch.expm1(-value) * value


def ignored_choice(
    prediction: Tensor, target: Tensor, /, *, form: Literal["square", "line"] = "square"
) -> Tensor:
    """Punishes the residual in one form or the other; regression."""
    return (target - prediction).square()


def ignored_weight(
    logits: Tensor, target: Tensor, /, *, class_weight: list[float] | None = None
) -> Tensor:
    """Rewards probability on the true class, times class_weight; multiclass, logits (B, C)."""
    return F.cross_entropy(logits, target, reduction="none")


def second_ignored(
    prediction: Tensor, target: Tensor, /, *, delta: float = 1.0, scale: float = 1.0
) -> Tensor:
    """Punishes like huber of delta, in units of scale; regression."""
    return F.huber_loss(prediction, target, delta=delta, reduction="none")


def broken_at_the_end(
    logits: Tensor, target: Tensor, /, *, q: Annotated[float, "[0, 1]"] = 0.7
) -> Tensor:
    """Punishes by (1 - p_y^q) / q, which at q = 0 it forgets to take the limit of; multiclass."""
    log_p = -F.cross_entropy(logits, target, reduction="none")
    return -torch.expm1(q * log_p) / q


@declare(tune={"temperature": (0.01, 1.0)})
def overflows_when_tuned(
    logits: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Rewards probability on the true class at a temperature; multiclass, logits (B, C)."""
    powers = torch.exp((logits - logits.amax(-1, keepdim=True)).clamp(min=-80) / temperature)
    return -(powers.gather(-1, target.unsqueeze(-1)).squeeze(-1) / powers.sum(-1)).log()
