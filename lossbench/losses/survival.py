"""Losses of the survival task: outputs (B,), (B, 2) or (B, K), targets (B, 2), time and event.

Symbols: t > 0 a time, the event seen (1) or censored there (0), E events; c_1 <= … <= c_K the upper
edges of intervals, the fact cuts; f a log-risk, z the outputs of intervals, h = sigmoid(z) and
p = softmax(z, 0) with a last 0 for "beyond the grid"; an event belongs to the first interval with
t <= c_k, one beyond c_K is censored there, and what is censored at t has survived the m intervals
with c_k <= t.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses.stable import leave_out, sigmoid, softplus


def _one_each(intervals: int) -> int:
    """An output for each interval."""
    return intervals


def _places(target: Tensor, cuts: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) each: the intervals survived, and whether the event came in the one after them."""
    time, event = target[..., 0].unsqueeze(-1), target[..., 1] > 0.5
    edges = cuts.to(target.dtype)
    survived = torch.where(event, (edges < time).sum(-1), (edges <= time).sum(-1))
    return survived, event & (survived < cuts.shape[-1])


def _with_beyond(outputs: Tensor) -> Tensor:
    """(…, K+1): the outputs, and 0 for what is beyond the grid."""
    return F.pad(outputs, (0, 1))


def _summed(outputs: Tensor) -> Tensor:
    """(…, K): each output and all later ones."""
    return outputs.flip(-1).cumsum(-1).flip(-1)


def _reached(outputs: Tensor) -> Tensor:
    """(…, K): the probability of an event up to each edge, of its log-odds, which keep digits."""
    scores = _with_beyond(outputs).unsqueeze(-2)
    step = torch.arange(scores.shape[-1], device=outputs.device)
    later = step > step[:-1].unsqueeze(-1)
    until, beyond = (leave_out(scores, part).logsumexp(-1) for part in (later, ~later))
    return sigmoid(until - beyond)


# ---- links -------------------------------------------------------------------------------------
def _surviving_hazards(outputs: Tensor) -> Tensor:
    """Products of 1 - sigmoid."""
    return torch.exp(-softplus(outputs).cumsum(-1))


def _surviving_masses(outputs: Tensor) -> Tensor:
    """What softmax leaves to later intervals and beyond."""
    return _summed(torch.softmax(_with_beyond(outputs), -1))[..., 1:]


def _surviving_sums(outputs: Tensor) -> Tensor:
    """The same of each output and all later ones."""
    return _surviving_masses(_summed(outputs))


def _surviving_risk(risk: Tensor, *, baseline: Tensor) -> Tensor:
    """e^(-H e^f), with Breslow's H of the training split."""
    return torch.exp(-torch.exp(baseline + risk.unsqueeze(-1)))


def _surviving_weibull(outputs: Tensor, *, cuts: Tensor) -> Tensor:
    """e^(-(c / scale)^shape)."""
    scale, shape = outputs.split(1, -1)
    return torch.exp(-torch.exp(shape.exp() * (cuts.log() - scale)))


def _surviving_log_normal(outputs: Tensor, *, cuts: Tensor) -> Tensor:
    """1 - Phi((log c - m) / deviation)."""
    mean, log_variance = outputs.split(1, -1)
    return torch.special.ndtr((mean - cuts.log()) * torch.exp(-log_variance / 2))


# ---- risk sets ---------------------------------------------------------------------------------
def _partial(risk: Tensor, event: Tensor, weight: Tensor) -> Tensor:
    """(): the mean over events of log sum_j w_ij e^(f_j - f_i), of weights (B, B)."""
    some = weight > 0
    own = torch.eye(len(risk), dtype=torch.bool, device=risk.device)
    log_weight = torch.where(some, weight, 1.0).log()
    scores = risk.unsqueeze(-2) - risk.unsqueeze(-1) + log_weight
    of_own = log_weight.diagonal(dim1=-2, dim2=-1)
    # so that what is next to 0 keeps its digits
    values = of_own + softplus(leave_out(scores, ~some | own).logsumexp(-1) - of_own)
    seen = event.to(risk.dtype)
    return (seen * values).sum() / seen.sum().clamp(min=1)


# ---- where training starts ---------------------------------------------------------------------
def _from_median(target: Tensor) -> Tensor:
    """(2,): the log of the median time, and 0."""
    middle = target[..., 0].median().log()
    return torch.stack([middle, torch.zeros_like(middle)])


@declare(
    link=_surviving_risk, convex=True, couples=True, source="Cox 1972; Breslow 1974 (equal times)"
)
def cox(risk: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a higher log-risk of who has the event than of all who are still at risk then.

    L = -1/E sum over events of [f_i - log sum_{t_j >= t_i} e^f_j]

    Args:
        risk: (B,), any real, f, higher for earlier events.
        target: (B, 2), time > 0 and event in {0, 1}; E is the number of events.

    Returns:
        (), nats: the negative partial log-likelihood of an event; 0 where there is none.

    Neighbours: cox_efron differs for equal times only. Adding a constant to all risks, or changing
    time by any increasing function, changes nothing. The risk set is that of the batch: the batch
    size is a hyper-parameter, and a batch of one costs 0. With events only and no equal times it is
    listmle of the order of events, divided by B. pycox takes the order of rows for equal times;
    scikit-survival and statsmodels' PHReg(ties="breslow") have this form, lifelines that of Efron.

    Source: Cox 1972; Breslow 1974 (equal times).

    >>> cox(torch.tensor([0.0, 0.0, 0.0]), torch.tensor([[1.0, 1], [2.0, 0], [3.0, 1]]))
    tensor(0.5493)
    """
    time = target[..., 0]
    at_risk = time.unsqueeze(-2) >= time.unsqueeze(-1)  # [i, j]: j is there at the time of i
    return _partial(risk, target[..., 1], at_risk.to(risk.dtype))


@declare(link=_surviving_risk, convex=True, couples=True, source="Efron 1977")
def cox_efron(risk: Tensor, target: Tensor, /) -> Tensor:
    """Rewards as cox does, with those who have the event at one time leaving one after another.

    L = -1/E sum over events of [f_i - log(sum_risk e^f - l/d sum_tied e^f)], l = 0 .. d-1

    Args:
        risk: (B,), any real, f, higher for earlier events.
        target: (B, 2), time > 0 and event in {0, 1}; d events at the time of i are tied.

    Returns:
        (), nats; 0 where there is no event, never more than cox.

    Neighbours: cox without equal times. lifelines and PHReg(ties="efron") of
    statsmodels are equal; torchsurv's mean is over the times of events, each counted once.

    Source: Efron 1977.

    >>> cox_efron(torch.tensor([0.0, 0.0]), torch.tensor([[1.0, 1], [1.0, 1]]))  # log(2) / 2
    tensor(0.3466)
    """
    time, event = target[..., 0], target[..., 1].to(risk.dtype)
    earlier, own = time.unsqueeze(-2), time.unsqueeze(-1)
    tied = (earlier == own).to(risk.dtype) * event.unsqueeze(-2)
    share = tied.tril(-1).sum(-1) / tied.sum(-1).clamp(min=1)
    return _partial(risk, event, (earlier >= own).to(risk.dtype) - share.unsqueeze(-1) * tied)


@declare(
    link=_surviving_hazards,
    outputs=_one_each,
    convex=True,
    minimiser="probability",
    source="Brown 1975; Gensheimer & Narasimhan 2019, arXiv 1805.00917",
)
def logistic_hazard(outputs: Tensor, target: Tensor, /, *, cuts: Tensor) -> Tensor:
    """Rewards getting past every interval that was survived, and the event in its own.

    L = sum over the m survived intervals of -log(1 - h_k), and -log h of the next at an event

    Args:
        outputs: (B, K), any real, the logits of the event in an interval, if it was reached.
        target: (B, 2), time > 0 and event in {0, 1}.
        cuts: (K,), the upper edges of the intervals, increasing, in the unit of time.

    Returns:
        (B,), nats: the negative log-likelihood of the interval.

    Neighbours: pmf is the same model with other outputs, and with h_k = p_k / sum_{j >= k} p_j it
    has the same value. With one interval both are the binary cross_entropy. corn is this loss
    without censoring. pycox's nll_logistic_hazard, on the same intervals.

    Source: Brown 1975; Gensheimer & Narasimhan 2019, arXiv 1805.00917.

    >>> edges = torch.tensor([1.0, 2.0])
    >>> logistic_hazard(torch.zeros(2, 2), torch.tensor([[1.5, 1], [1.5, 0]]), cuts=edges)
    tensor([1.3863, 0.6931])
    """
    survived, event = _places(target, cuts)
    step = torch.arange(outputs.shape[-1], device=outputs.device)
    past = (step < survived.unsqueeze(-1)).to(outputs.dtype)
    own = ((step == survived.unsqueeze(-1)) & event.unsqueeze(-1)).to(outputs.dtype)
    return (past * softplus(outputs) + own * softplus(-outputs)).sum(-1)


@declare(
    link=_surviving_masses,
    outputs=_one_each,
    convex=False,
    minimiser="probability",
    source="Kvamme & Borgan 2019, arXiv 1910.06724",
)
def pmf(outputs: Tensor, target: Tensor, /, *, cuts: Tensor) -> Tensor:
    """Rewards probability on the interval of an event, or on all after the censoring.

    L = -log p_m at an event, -log sum_{k >= m} p_k where censored, p = softmax(z, 0)

    Args:
        outputs: (B, K), any real, the logits of the intervals; that of "beyond" is 0.
        target: (B, 2), time > 0 and event in {0, 1}.
        cuts: (K,), the upper edges of the intervals, increasing, in the unit of time.

    Returns:
        (B,), nats; 0 where censored before the first edge.

    Neighbours: logistic_hazard is the same model with other outputs; mtlr takes sums of outputs.
    Convex where nothing is censored. pycox adds 1e-7 inside the logarithms, which bounds them.

    Source: Kvamme & Borgan 2019, arXiv 1910.06724.

    >>> edges = torch.tensor([1.0, 2.0])
    >>> pmf(torch.zeros(2, 2), torch.tensor([[1.5, 1], [1.5, 0]]), cuts=edges)
    tensor([1.0986, 0.4055])
    """
    survived, event = _places(target, cuts)
    scores = _with_beyond(outputs)
    step, place = torch.arange(scores.shape[-1], device=scores.device), survived.unsqueeze(-1)
    possible = torch.where(event.unsqueeze(-1), step == place, step >= place)
    inside, outside = (leave_out(scores, part).logsumexp(-1) for part in (~possible, possible))
    return softplus(outside - inside)


@declare(
    link=_surviving_sums,
    outputs=_one_each,
    convex=False,
    minimiser="probability",
    source="Yu et al. 2011",
)
def mtlr(outputs: Tensor, target: Tensor, /, *, cuts: Tensor) -> Tensor:
    """Rewards as pmf does, where a sequence of logistic regressions says how far time goes.

    L = pmf of s, s_k = z_k + z_{k+1} + … + z_K

    Args:
        outputs: (B, K), any real, the logit that the event is before each edge.
        target: (B, 2), time > 0 and event in {0, 1}.
        cuts: (K,), the upper edges of the intervals, increasing, in the unit of time.

    Returns:
        (B,), nats.

    Neighbours: pmf of other outputs: neighbouring intervals share theirs. Without the penalty of
    the paper on the differences of weights, which a regularizer may be.

    Source: Yu et al. 2011, "Learning patient-specific cancer survival distributions".

    >>> edges = torch.tensor([1.0, 2.0])
    >>> mtlr(torch.zeros(2, 2), torch.tensor([[1.5, 1], [1.5, 0]]), cuts=edges)
    tensor([1.0986, 0.4055])
    """
    return pmf(_summed(outputs), target, cuts=cuts)


@declare(
    link=_surviving_masses,
    outputs=_one_each,
    tune={"alpha": (0.05, 0.95), "sigma": (0.05, 10.0)},
    convex=False,
    couples=True,
    source="Lee et al. 2018",
)
def deephit(
    outputs: Tensor,
    target: Tensor,
    /,
    *,
    cuts: Tensor,
    alpha: Annotated[float, "[0, 1]"] = 0.2,
    sigma: Annotated[float, "(0, inf)"] = 0.1,
) -> Tensor:
    """Rewards as pmf does, and that who has the event earlier was the likelier to have it by then.

    L = alpha pmf + (1 - alpha) 1/B sum over j that outlive i of e^((F_j(k_i) - F_i(k_i)) / sigma)

    Args:
        outputs: (B, K), any real, the logits of the intervals; that of "beyond" is 0.
        target: (B, 2), time > 0 and event in {0, 1}.
        cuts: (K,), the upper edges of the intervals, increasing, in the unit of time.
        alpha: in [0, 1], the weight of the likelihood, as in pycox; the paper has it the other way.
        sigma: in (0, inf), a probability; e^(1/sigma) overflows float32 below 0.0113.

    Returns:
        (B,), nats and a share of the batch; the rows couple.

    F_i(k) is the probability of an event up to interval k. j outlives the event of i in interval
    k_i where its event is in a later one, or where it is censored and has survived k_i.
    alpha = 1 gives pmf.

    Source: Lee et al. 2018, AAAI, "DeepHit".

    >>> target, edges = torch.tensor([[0.5, 1], [1.5, 1]]), torch.tensor([1.0, 2.0])
    >>> deephit(torch.zeros(2, 2), target, cuts=edges)  # 0.2 log(3) + 0.8 (1/2, 0)
    tensor([0.6197, 0.2197])
    """
    survived, event = _places(target, cuts)
    last = torch.where(event, survived, survived - 1)  # its interval, or the last one survived
    own, other, seen = last.unsqueeze(-1), last.unsqueeze(-2), event.unsqueeze(-2)
    outlives = (own < other) | ((own == other) & ~seen)
    place = survived.clamp(max=outputs.shape[-1] - 1)
    reached = _reached(outputs)
    at_own = reached.transpose(-1, -2)[place]  # [i, j]: of j, up to the interval of i
    ahead = at_own - at_own.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)
    pairs = (outlives & event.unsqueeze(-1)).to(outputs.dtype)
    ranking = (pairs * torch.exp(ahead / sigma)).mean(-1)
    return alpha * pmf(outputs, target, cuts=cuts) + (1 - alpha) * ranking


@declare(
    link=_surviving_weibull,
    outputs=2,
    start=_from_median,
    convex=False,
    source="Kalbfleisch & Prentice 1980",
)
def weibull_aft(outputs: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a Weibull distribution of times that makes what was seen likely.

    L = e^(k u) - event (log k + k u), u = log t - a, k = e^b

    Args:
        outputs: (B, 2), any real, a the log of the scale, and b the log of the shape k.
        target: (B, 2), time > 0 and event in {0, 1}.

    Returns:
        (B,), nats, without the density's -log t; it may be negative.

    b = 0 is the exponential distribution. Neighbours: log_normal_aft has another distribution.
    scipy's weibull_min(c=k, scale=e^a). Overflows where time is far beyond the scale.

    Source: Kalbfleisch & Prentice 1980.

    >>> weibull_aft(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[2.0, 1], [2.0, 0]]))
    tensor([1.3069, 2.0000])
    """
    time, event = target.to(outputs.dtype).unbind(-1)
    scale, log_shape = outputs.unbind(-1)
    power = log_shape.exp() * (time.log() - scale)
    return torch.exp(power) - event * (log_shape + power)


@declare(
    link=_surviving_log_normal,
    outputs=2,
    start=_from_median,
    convex=False,
    source="Kalbfleisch & Prentice 1980",
)
def log_normal_aft(outputs: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a log-normal distribution of times that makes what was seen likely.

    L = (s + w^2) / 2 at an event, -log Phi(-w) where censored, w = (log t - m) e^(-s/2)

    Args:
        outputs: (B, 2), any real, m the mean of log t and s the log of its variance.
        target: (B, 2), time > 0 and event in {0, 1}.

    Returns:
        (B,), nats, without the density's -log t and its log sqrt(2 pi); it may be negative.

    Neighbours: gaussian_nll of log t, where nothing is censored. scipy's lognorm(e^(s/2),
    scale=e^m). log(1 - Phi(6)) is -inf in float32; the tail is written by erfcx.

    Source: Kalbfleisch & Prentice 1980.

    >>> log_normal_aft(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0, 1], [1.0, 0]]))
    tensor([0.0000, 0.6931])
    """
    time, event = target.to(outputs.dtype).unbind(-1)
    mean, log_variance = outputs.unbind(-1)
    w = (time.log() - mean) * torch.exp(-log_variance / 2)
    seen = event > 0.5
    tail = _minus_log_tail(torch.where(seen, 0.0, w))
    return torch.where(seen, (log_variance + w.square()) / 2, tail)


def _minus_log_tail(w: Tensor) -> Tensor:
    """-log Phi(-w), with its digits at both ends."""
    far, near = w.clamp(min=0), w.clamp(max=0)
    large = far.square() / 2 - torch.log(torch.special.erfcx(far / math.sqrt(2)) / 2)
    return torch.where(w > 0, large, -torch.log1p(-torch.erfc(-near / math.sqrt(2)) / 2))
