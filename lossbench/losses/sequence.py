"""Losses of the sequence task: logits (B, T, C), targets (B, 2, T) int64, one value per strip.

Class 0 is the blank. target[:, 0] is the class of each step, 0 between labels; target[:, 1] is the
label sequence, padded with 0 at its end. Symbols: y_t(k) = softmax(z_t)_k at step t, l the label
sequence.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses.stable import is_class, softplus, weights_of_classes

_INFINITY = float("inf")


def _surprise(logits: Tensor, label: Tensor) -> Tensor:
    """(B, T): -log y_t(label), made from the other classes so that it keeps its digits near 0."""
    lead = logits - logits.gather(-1, label.unsqueeze(-1))
    return softplus(lead.masked_fill(is_class(logits, label), -_INFINITY).logsumexp(-1))


def _log_probabilities(logits: Tensor) -> Tensor:
    """(B, T, C): log softmax, with all digits for the likeliest class too."""
    top = logits.argmax(-1)
    likeliest = -_surprise(logits, top).unsqueeze(-1)
    return torch.where(is_class(logits, top), likeliest, F.log_softmax(logits, -1))


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(e^a + e^b) of finite numbers; unlike logsumexp it keeps the digits of a sum near 1."""
    high, low = torch.where(a < b, b, a), torch.where(a < b, a, b)
    return high + softplus(low - high)


def _later(states: Tensor, by: int, fill: float) -> Tensor:
    """The states moved up by some places, with what comes in filled."""
    return F.pad(states, (by, 0), value=fill)[:, : states.shape[1]]


@declare(convex=True, minimiser="probability", source="Bridle 1990")
def cross_entropy(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_weight: Literal["balanced"]
    | Annotated[tuple[float, ...], "(C,) in [0, inf), not all 0"]
    | None = None,
    class_counts: Tensor | None = None,
) -> Tensor:
    """Rewards probability on the right class at every step, which the target must name.

    L = -mean over steps of w_k log y_t(k), with k = target[0, t]

    Args:
        logits: (B, T, C), any real.
        target: (B, 2, T) int64 in 0 .. C-1, of which this reads the first.
        class_weight: (w_0 .. w_{C-1}) >= 0, not normalised; None is all ones, "balanced" is
            N / (C n_k).
        class_counts: (C,), training steps of each class.

    Returns:
        (B,), nats a step.

    Neighbours: the mean of T multiclass losses of the same name; ctc needs no class of a step.
    torch's CrossEntropyLoss is its mean, with the classes as second axis.

    Source: Bridle 1990.

    >>> cross_entropy(torch.zeros(1, 3, 2), torch.tensor([[[0, 1, 0], [1, 0, 0]]]))
    tensor([0.6931])
    """
    label = target[:, 0]
    nats = _surprise(logits, label)
    if class_weight is None:
        return nats.mean(1)
    return (weights_of_classes(class_weight, class_counts, logits)[label] * nats).mean(1)


@declare(convex=False, source="Graves et al. 2006")
def ctc(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards the probability of a label sequence, however its labels lie in time.

    L = -log sum over paths pi with B(pi) = l of prod_t y_t(pi_t): B drops repeats, then blanks

    Args:
        logits: (B, T, C), any real, class 0 the blank.
        target: (B, 2, T) int64, of which this reads the second: labels in 1 .. C-1, then zeros.

    Returns:
        (B,), nats a sequence, not divided by its length; inf, with gradient 0, where T is less than
        the number of labels and of repeats among them.

    Neighbours: cross_entropy knows the class of each step; their values do not compare.
    torch's mean divides that of each example by its number of labels.

    Source: Graves et al. 2006.

    >>> ctc(torch.zeros(1, 2, 2), torch.tensor([[[0, 1], [1, 0]]]))  # log(4/3): 1-, -1 and 11
    tensor([0.2877])
    """
    labels, steps = target[:, 1], logits.shape[1]
    never = torch.finfo(logits.dtype).min / 4  # finite, for inf - inf has no gradient
    states = F.pad(torch.stack([torch.zeros_like(labels), labels], -1).flatten(1), (0, 1))
    repeats = (labels[:, 1:] != 0) & (labels[:, 1:] == labels[:, :-1])
    may_skip = F.pad((states[:, 2:] != 0) & (states[:, 2:] != states[:, :-2]), (2, 0))
    emission = _log_probabilities(logits).gather(2, states.unsqueeze(1).expand(-1, steps, -1))
    start = torch.arange(states.shape[1], device=logits.device) < 2
    alpha = torch.where(start, emission[:, 0], never)
    for t in range(1, steps):
        skipping = torch.where(may_skip, _later(alpha, 2, never), never)
        arriving = _log_add(_log_add(alpha, _later(alpha, 1, never)), skipping)
        alpha = arriving + emission[:, t]
    length = (labels != 0).sum(1, keepdim=True)
    in_label = alpha.gather(1, (2 * length - 1).clamp(min=0)).masked_fill(length == 0, never)
    log_likelihood = _log_add(alpha.gather(1, 2 * length), in_label).squeeze(1)
    impossible = length.squeeze(1) + repeats.sum(1) > steps
    return torch.where(impossible, _INFINITY, -log_likelihood)
