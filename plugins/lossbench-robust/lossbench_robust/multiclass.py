"""Losses for label noise: logits (B, C), int64 classes (B,), one value per example.

Symbols: z logits, y the given class, p = softmax(z), C classes. As among the built-in losses,
probabilities are written on log-odds a_k = log((1 - p_k) / p_k) made from the *other* classes, so
that 1 - p_k is never 1 minus a rounded p_k. Declared properties are those at the defaults.
"""

from __future__ import annotations

from math import factorial, log
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare

_INFINITY = float("inf")
_NEAR_0 = 1e-20  # stands for an exponent of 0: x^-1 times (e^(x u) - 1) is then u to all digits
_STEPS = 6  # Newton's; with a last one all digits for 2 to 10,000 classes and t2 from 1 to 30
_SERIES_BELOW, _TERMS = 0.3, 16


def _softplus(x: Tensor) -> Tensor:
    """log(1 + e^x); torch's own threshold of 20 would cost float64 half of its digits."""
    return F.softplus(x, threshold=40)


def _expm1(x: Tensor) -> Tensor:
    """e^x - 1, whose slope keeps its digits too where e^x is small."""
    far = torch.exp(x.clamp(max=-1)) - 1
    return torch.where(x < -1, far, torch.expm1(x.clamp(min=-1)))


def _is_class(logits: Tensor, label: Tensor) -> Tensor:
    """(B, C) true at the label of each row."""
    return label.unsqueeze(-1) == torch.arange(logits.shape[-1], device=logits.device)


def _lead_over(logits: Tensor, label: Tensor) -> Tensor:
    """(B, C): z_j - z_label, how far each class is ahead of one."""
    return logits - logits.gather(-1, label.unsqueeze(-1))


def _log_odds_against(logits: Tensor, target: Tensor) -> Tensor:
    """(B,): a_y = log sum_{j != y} e^(z_j - z_y)."""
    lead = _lead_over(logits, target)
    return lead.masked_fill(_is_class(logits, target), -_INFINITY).logsumexp(-1)


def _log_odds_against_each(logits: Tensor) -> Tensor:
    """(B, C): a_k for every class; only the likeliest has a 1 - p_k too small for log1p(-p_k)."""
    top = logits.argmax(-1)
    is_top = _is_class(logits, top)
    log_p = F.log_softmax(logits, -1)
    log_not_p = torch.log1p(-log_p.masked_fill(is_top, -1.0).exp())
    return torch.where(is_top, _log_odds_against(logits, top).unsqueeze(-1), log_not_p - log_p)


def _miss(logits: Tensor, target: Tensor) -> Tensor:
    """(B,): 1 - p_y, the probability that is not on the given class."""
    return torch.exp(-_softplus(-_log_odds_against(logits, target)))


def _log_surprise(log_odds_against: Tensor) -> Tensor:
    """log(-log p) of log-odds a: log softplus(a), which is a itself where e^a is lost next to 1."""
    lowest = log(torch.finfo(log_odds_against.dtype).eps)
    above = torch.log(_softplus(log_odds_against.clamp(min=lowest)))
    return torch.where(log_odds_against < lowest, log_odds_against, above)


def _share(log_values: Tensor, target: Tensor) -> Tensor:
    """(B,): what part of the sum over classes of e^log_values is the given class's."""
    return torch.exp(-_softplus(_log_odds_against(log_values, target)))


@declare(
    tune={"q": (0.1, 1.0)},
    convex=False,
    lipschitz=0.4471,
    minimiser="class",
    source="Zhang & Sabuncu 2018, arXiv 1805.07836",
)
def generalized_cross_entropy(
    logits: Tensor, target: Tensor, /, *, q: Annotated[float, "(0, 1]"] = 0.7
) -> Tensor:
    """Rewards probability on the given class, but doubts a label that it finds very unlikely.

    L = (1 - p_y^q) / q

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        q: in (0, 1].

    Returns:
        (B,), in [0, 1/q]; its gradient is p_y^q times that of cross_entropy.

    q = 1 gives half of mean_absolute_error; tends to cross_entropy as q falls to 0.
    Estimates what is proportional to eta^(1/(1 - q)), sharper than eta.

    Source: Zhang & Sabuncu 2018, arXiv 1805.07836, without their truncation.

    >>> generalized_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), q=1.0)
    tensor([0.5000])
    """
    return -_expm1(-q * _softplus(_log_odds_against(logits, target))) / q


@declare(convex=False, lipschitz=2**0.5 / 2, minimiser="class", source="Ghosh et al. 2017")
def mean_absolute_error(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the probability that is not on the given class, and a lost example hardly at all.

    L = sum_k |p_k - [k = y]| = 2 (1 - p_y)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in [0, 2]; summed over the classes it is 2 (C - 1) whatever the prediction, hence
        robust to symmetric noise, and slow to learn.

    Neighbours: generalized_cross_entropy at q 1 is half of it, as is much code of this name.

    Source: Ghosh et al. 2017, arXiv 1712.09482.

    >>> mean_absolute_error(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor([1.])
    """
    return 2 * _miss(logits, target)


@declare(
    tune={"alpha": (0.01, 10.0), "beta": (0.1, 10.0)},
    convex=False,
    lipschitz=1.4859,
    minimiser="class",
    source="Wang et al. 2019, arXiv 1908.06112",
)
def symmetric_cross_entropy(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, inf)"] = 0.1,
    beta: Annotated[float, "[0, inf)"] = 1.0,
    log_zero: Annotated[float, "(-inf, 0)"] = -4.0,
) -> Tensor:
    """Rewards probability on the given class twice: as cross-entropy, and with the roles swapped.

    L = -alpha log p_y - beta sum_k p_k log [k = y] = -alpha log p_y - beta A (1 - p_y)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        alpha, beta: in [0, inf), of cross_entropy and of its reverse.
        log_zero: A in (-inf, 0), nats, in the place of log 0.

    Returns:
        (B,), nats.

    Neighbours: alpha 0 leaves -A beta / 2 times mean_absolute_error. The authors' code clips labels
    at 1e-4, which makes A -9.21; the paper's text has -4.

    Source: Wang et al. 2019, arXiv 1908.06112 (CIFAR-10; 6 and 0.1 on CIFAR-100).

    >>> symmetric_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # log(2)/10 + 4/2
    tensor([2.0693])
    """
    surprise = _softplus(_log_odds_against(logits, target))
    return alpha * surprise - beta * log_zero * _miss(logits, target)


@declare(convex=False, source="Ma et al. 2020, arXiv 2006.13554")
def normalized_cross_entropy(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a given class that is less surprising than all the classes together.

    L = log p_y / sum_k log p_k

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in [0, 1]; 1/C for uniform logits; summed over the classes it is 1.

    Neighbours: cross_entropy over its sum for all labels. Robust to symmetric noise, but underfits:
    with C > 2 and uncertain labels it is best only to rule out the least likely class.

    Source: Ma et al. 2020, arXiv 2006.13554.

    >>> normalized_cross_entropy(torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([0]))
    tensor([0.2500])
    """
    return _share(_log_surprise(_log_odds_against_each(logits)), target)


@declare(tune={"gamma": (0.1, 5.0)}, convex=False, source="Ma et al. 2020, arXiv 2006.13554")
def normalized_focal(
    logits: Tensor, target: Tensor, /, *, gamma: Annotated[float, "[0, inf)"] = 0.5
) -> Tensor:
    """Rewards a given class whose focal loss is little next to that of all the classes together.

    L = (1 - p_y)^gamma log p_y / sum_k (1 - p_k)^gamma log p_k

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        gamma: in [0, inf).

    Returns:
        (B,), in [0, 1]; 1/C for uniform logits; summed over the classes it is 1.

    gamma = 0 gives normalized_cross_entropy. The authors' code holds the sum and the factor
    (1 - p_k)^gamma constant in the gradient; here the gradient is that of the formula.

    Source: Ma et al. 2020, arXiv 2006.13554.

    >>> normalized_focal(torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([0]))
    tensor([0.2500])
    """
    against = _log_odds_against_each(logits)
    return _share(_log_surprise(against) - gamma * _softplus(-against), target)


@declare(
    tune={"alpha": (0.1, 10.0), "beta": (0.1, 10.0)},
    convex=False,
    source="Ma et al. 2020, arXiv 2006.13554",
)
def active_passive_rce(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, inf)"] = 1.0,
    beta: Annotated[float, "[0, inf)"] = 1.0,
    log_zero: Annotated[float, "(-inf, 0)"] = -4.0,
) -> Tensor:
    """Rewards the given class by a normalised loss and punishes the others by a reverse one.

    L = alpha log p_y / sum_k log p_k - beta A (1 - p_y)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        alpha, beta: in [0, inf), of the active and of the passive loss.
        log_zero: A in (-inf, 0), nats, in the place of log 0.

    Returns:
        (B,), in [0, alpha - beta A].

    alpha = 1, beta = 0 gives normalized_cross_entropy. Neighbours: active_passive_mae is A = -2;
    symmetric_cross_entropy without the normalising. The authors' code clips labels at 1e-4, which
    makes A -9.21.

    Source: Ma et al. 2020, arXiv 2006.13554, NCE+RCE (CIFAR-10; 10 and 0.1 on CIFAR-100).

    >>> active_passive_rce(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # 1/2 + 4/2
    tensor([2.5000])
    """
    active = normalized_cross_entropy(logits, target)
    return alpha * active - beta * log_zero * _miss(logits, target)


@declare(
    tune={"alpha": (0.1, 10.0), "beta": (0.1, 10.0)},
    convex=False,
    source="Ma et al. 2020, arXiv 2006.13554",
)
def active_passive_mae(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, inf)"] = 1.0,
    beta: Annotated[float, "[0, inf)"] = 1.0,
) -> Tensor:
    """Rewards the given class by a normalised loss and punishes the others by the absolute error.

    L = alpha log p_y / sum_k log p_k + 2 beta (1 - p_y)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        alpha, beta: in [0, inf), of the active and of the passive loss.

    Returns:
        (B,), in [0, alpha + 2 beta].

    alpha = 1, beta = 0 gives normalized_cross_entropy. alpha = 0, beta = 1 gives
    mean_absolute_error. The authors' code has 1 - p_y for the passive loss, half of the paper's.

    Source: Ma et al. 2020, arXiv 2006.13554, NCE+MAE.

    >>> active_passive_mae(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # 1/2 + 1
    tensor([1.5000])
    """
    active = normalized_cross_entropy(logits, target)
    return alpha * active + beta * mean_absolute_error(logits, target)


def _newton_step(root: Tensor, lead: Tensor, is_top: Tensor, s: float) -> Tensor:
    """lambda moved towards (sum_k p_k)^-s = 1, which is concave and nearly straight in it."""
    surprise = torch.log1p(s * (root - lead)) / s
    excess = torch.where(is_top, torch.expm1(-surprise), torch.exp(-surprise)).sum(-1, keepdim=True)
    slope = torch.exp(-(1 + s) * surprise).sum(-1, keepdim=True)
    return root + (1 + excess) * torch.expm1(s * torch.log1p(excess)) / s / slope


def _tempered_surprise(logits: Tensor, t: float) -> Tensor:
    """(B, C): -log p of p = exp_t(z - lambda), the heavy-tailed softmax: lambda makes their sum 1.

    At t = 1 the first step is logsumexp; the last one, alone, carries the gradient of the root.
    """
    s = max(t - 1, _NEAR_0)
    top = logits.argmax(-1)
    is_top = _is_class(logits, top)
    lead = _lead_over(logits, top).masked_fill(is_top, 0.0)
    root = torch.zeros_like(lead[..., :1])
    for _ in range(_STEPS):
        root = _newton_step(root, lead.detach(), is_top, s)
    root = _newton_step(root, lead, is_top, s)
    return torch.log1p(s * (root - lead)) / s


def _divergence_from_1(surprise: Tensor, m: float) -> Tensor:
    """(1 - p^m)/m - (1 - p^(m+1))/(m+1) of -log p; by its series where p is near 1."""
    small = surprise.clamp(max=_SERIES_BELOW)
    series = sum(
        (small**n * ((m + 1) ** (n - 1) - m ** (n - 1)) * ((-1) ** n / factorial(n)))
        for n in range(2, _TERMS)
    )
    direct = _expm1(-(m + 1) * surprise) / (m + 1) - _expm1(-m * surprise) / m
    return torch.where(surprise < _SERIES_BELOW, series, direct)


def _to_probabilities(logits: Tensor) -> Tensor:
    """The heavy-tailed softmax at the default t2."""
    default = (bi_tempered_logistic.__kwdefaults__ or {})["t2"]
    return torch.exp(-_tempered_surprise(logits, default))


@declare(
    link=_to_probabilities,
    tune={"t1": (0.2, 1.0), "t2": (1.0, 4.0)},
    convex=False,
    minimiser="probability",
    source="Amid et al. 2019, arXiv 1906.03361",
)
def bi_tempered_logistic(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    t1: Annotated[float, "[0, 1]"] = 0.8,
    t2: Annotated[float, "[1, inf)"] = 1.2,
) -> Tensor:
    """Punishes a lost example by no more than a bound, and believes in large logits less readily.

    L = -log_t1 p_y - (1 - sum_k p_k^(2 - t1)) / (2 - t1), with p_k = exp_t2(z_k - lambda) that
    sum to 1, log_t x = (x^(1 - t) - 1) / (1 - t) and exp_t its inverse

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        t1: in [0, 1], below 1 the loss is bounded.
        t2: in [1, inf), above 1 p has a heavy tail.

    Returns:
        (B,), in [0, 1/(1 - t1)].

    t1 = 1, t2 = 1 gives cross_entropy. Proper, for the p above and not for softmax; metrics take p
    at the default t2. lambda is found by Newton's method; the paper's iteration has the same limit.

    Source: Amid et al. 2019, arXiv 1906.03361 (temperatures as for CIFAR-100; it has no default).

    >>> bi_tempered_logistic(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), t1=0.0)  # (1 - ½)^2
    tensor([0.2500])
    """
    m = max(1 - t1, _NEAR_0)
    surprise = _tempered_surprise(logits, t2)
    own = surprise.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    others = torch.exp(-(m + 1) * surprise).masked_fill(_is_class(logits, target), 0.0).sum(-1)
    return _divergence_from_1(own, m) + others / (m + 1)
