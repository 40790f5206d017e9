"""Elementary functions that keep their digits, with finite derivatives where losses need them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x); torch's own threshold of 20 would cost float64 half of its digits."""
    return F.softplus(x, threshold=40)


def largest_log(like: Tensor) -> float:
    """A logarithm whose exponential is finite in this float type, with room to multiply."""
    return 0.9 * math.log(torch.finfo(like.dtype).max)


def log_softplus(x: Tensor) -> Tensor:
    """log log(1 + e^x), which is x far below 0, where the logarithm inside is lost."""
    low = x < -20
    return torch.where(low, x - x.clamp(max=-20).exp() / 2, softplus(x.clamp(min=-20)).log())


STIRLING = 16.0  # from which on log Gamma is its series, which keeps the digits of differences


def stirling_rest(x: Tensor) -> Tensor:
    """log Gamma(x) less (x - ½) log x - x + ½ log 2 pi, for x from STIRLING on."""
    inverse = 1 / x
    square = inverse.square()
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x), written so that its gradient keeps its digits at both ends."""
    return torch.exp(-softplus(-x))


def unit(x: Tensor) -> Tensor:
    """x / ||x||, and 0 at 0, with finite derivatives there too."""
    size = x.detach().abs().amax(-1, keepdim=True)
    scaled = x / torch.where(size > 0, size, 1.0)  # so that no square overflows or vanishes
    return scaled / torch.where(size > 0, scaled, 1.0).norm(dim=-1, keepdim=True)


def euclidean_norm(x: Tensor) -> Tensor:
    """||x||, whose derivatives are 0 at 0, the second ones too."""
    apart = (x != 0).any(-1, keepdim=True)
    return torch.where(apart, x, 1.0).norm(dim=-1) * apart.squeeze(-1)


def leave_out(scores: Tensor, left_out: Tensor) -> Tensor:
    """Scores without those left out: finite, since a row of -inf alone has no gradient."""
    return scores.masked_fill(left_out, torch.finfo(scores.dtype).min / 4)


def is_class(logits: Tensor, label: Tensor) -> Tensor:
    """(..., C) true at the label of each row."""
    return label.unsqueeze(-1) == torch.arange(logits.shape[-1], device=logits.device)


def margin_of(logits: Tensor, target: Tensor) -> Tensor:
    """m = (2y - 1) z of a target y in {0, 1}: positive where the sign of the score is right."""
    return (2 * target.to(logits.dtype) - 1) * logits


def signs(logits: Tensor, target: Tensor) -> Tensor:
    """(B, C): 1 at the true class, -1 elsewhere."""
    return 2 * is_class(logits, target).to(logits.dtype) - 1


def lead_over(logits: Tensor, target: Tensor) -> Tensor:
    """(B, C): z_j - z_y, how far each class is ahead of the true one."""
    return logits - logits.gather(-1, target.unsqueeze(-1))


def log_odds_against(logits: Tensor, target: Tensor) -> Tensor:
    """(B,): a_y = log sum_{j != y} e^(z_j - z_y)."""
    lead = lead_over(logits, target)
    return lead.masked_fill(is_class(logits, target), float("-inf")).logsumexp(-1)


def log_odds_against_each(logits: Tensor) -> Tensor:
    """(B, C): a_k for every class; only the likeliest has a 1 - p_k too small for log1p(-p_k)."""
    top = logits.argmax(-1)
    is_top = is_class(logits, top)
    log_p = F.log_softmax(logits, -1)
    log_not_p = torch.log1p(-log_p.masked_fill(is_top, -1.0).exp())
    return torch.where(is_top, log_odds_against(logits, top).unsqueeze(-1), log_not_p - log_p)


def weights_of_classes(
    class_weight: str | Sequence[float], class_counts: Tensor | None, like: Tensor
) -> Tensor:
    """(..., C): weights as they are given; "balanced": N / (C n_k), 0 for a class of no example."""
    if not isinstance(class_weight, str):
        return torch.tensor(class_weight, dtype=like.dtype, device=like.device)
    if class_counts is None:
        raise ValueError("balanced weights need class_counts, the training examples of each class")
    counts = class_counts.to(like.dtype)
    share = counts.sum(-1, keepdim=True) / counts.shape[-1]
    return torch.where(counts > 0, share / torch.where(counts > 0, counts, 1.0), 0.0)


def weights_of_labels(
    class_weight: str | Sequence[float] | None, class_counts: Tensor | None, like: Tensor
) -> tuple[Tensor | float, Tensor | float]:
    """The weights of targets 0 and 1, for each label where class_counts is (L, 2)."""
    if class_weight is None:
        return 1.0, 1.0
    negative, positive = weights_of_classes(class_weight, class_counts, like).unbind(-1)
    return negative, positive


def alpha_of_classes(
    alpha: str | float | Sequence[float], class_counts: Tensor | None, like: Tensor
) -> Tensor:
    """The same for focal, where one number is the weight of class 1, and 1 less it of class 0."""
    if isinstance(alpha, float):
        alpha = (1 - alpha, alpha)
    return weights_of_classes(alpha, class_counts, like)


def row_of(table: list[list[float]], logits: Tensor, target: Tensor) -> Tensor:
    """(B, C): the table's row of each true class."""
    return torch.tensor(table, dtype=logits.dtype, device=logits.device)[target]


def log_odds_of_rest(epsilon: float, like: Tensor) -> Tensor:
    """(): log((1 - epsilon) / epsilon), exact also where 1 - epsilon would be rounded."""
    share = torch.as_tensor(epsilon, dtype=like.dtype, device=like.device)
    return torch.log1p(-share) - share.log()
