"""Valid losses of the papers for classification, none of them built in."""

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


def _true(values: Tensor, target: Tensor) -> Tensor:
    return values.gather(-1, target.unsqueeze(-1)).squeeze(-1)


@declare(tune={"q": (0.1, 1.0)}, source="Zhang & Sabuncu 2018")
def generalized_cross_entropy(
    logits: Tensor, target: Tensor, /, *, q: Annotated[float, "(0, 1]"] = 0.7
) -> Tensor:
    """Between cross entropy (q to 0) and the absolute error of the probability (q = 1).

    L = (1 - p_y^q) / q; logits (B, C), target (B,) int64.
    """
    return -torch.expm1(q * _true(F.log_softmax(logits, -1), target)) / q


@declare(source="Wang et al. 2019")
def symmetric_cross_entropy(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, inf)"] = 0.1,
    beta: Annotated[float, "[0, inf)"] = 1.0,
    floor: Annotated[float, "(-inf, 0)"] = -4.0,
) -> Tensor:
    """alpha times cross entropy plus beta times its reverse, where log 0 counts as floor.

    logits (B, C), target (B,) int64.
    """
    log_p = _true(F.log_softmax(logits, -1), target)
    return -alpha * log_p + beta * floor * torch.expm1(log_p)


def _log_t(x: Tensor, t: float) -> Tensor:
    return torch.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def _exp_t(x: Tensor, t: float) -> Tensor:
    return torch.exp(x) if t == 1 else torch.relu(1 + (1 - t) * x) ** (1 / (1 - t))


def bi_tempered(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    t1: Annotated[float, "[0, 1]"] = 0.8,
    t2: Annotated[float, "[1, 4]"] = 1.4,
    iterations: Annotated[int, "[1, 100]"] = 10,
) -> Tensor:
    """Bounded by t1, heavy-tailed by t2; the normaliser comes from iterations of a fixed point.

    logits (B, C), target (B,) int64. t1 = 1 and t2 = 1 gives cross_entropy.
    """
    top = logits.amax(-1, keepdim=True)
    if t2 == 1:
        p = torch.softmax(logits, -1)
    else:
        shifted = logits - top
        scaled = shifted
        for _ in range(iterations):
            total = _exp_t(scaled, t2).sum(-1, keepdim=True)
            scaled = shifted * total ** (1 - t2)
        total = _exp_t(scaled, t2).sum(-1, keepdim=True)
        p = _exp_t(shifted - (-_log_t(1 / total, t2)), t2)
        p = _exp_t(scaled, t2) / total
    p_y = _true(p, target).clamp(min=1e-30)
    if t1 == 1 and t2 == 1:
        return F.cross_entropy(logits, target, reduction="none")
    bregman = (1 - (p ** (2 - t1)).sum(-1)) / (2 - t1)
    return -_log_t(p_y, t1) - bregman


@declare(source="Cao et al. 2019")
def ldam(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    margin: Annotated[float, "[0, inf)"] = 0.5,
    scale: Annotated[float, "(0, inf)"] = 30.0,
) -> Tensor:
    """Asks rarer classes (class_counts) for a larger margin, of at most margin; logits times scale.

    logits (B, C), target (B,) int64.
    """
    rarity = class_counts.to(logits.dtype).clamp(min=1) ** -0.25
    gap = margin * rarity / rarity.max()
    own = F.one_hot(target, logits.shape[-1]).to(logits.dtype)
    return F.cross_entropy(scale * (logits - own * gap), target, reduction="none")


@declare(convex=True, lipschitz=2**0.5, source="Menon et al. 2021")
def logit_adjusted(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    num_classes: int,
    tau: Annotated[float, "[0, inf)"] = 1.0,
) -> Tensor:
    """Adds tau times the log-prior of num_classes classes, read off class_counts, to the logits.

    logits (B, C), target (B,) int64. tau = 0 gives cross_entropy.
    """
    prior = (class_counts.to(logits.dtype) + 1) / (class_counts.sum() + num_classes)
    return F.cross_entropy(logits + tau * prior.log(), target, reduction="none")


@declare(source="Ridnik et al. 2021")
def asymmetric(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    gamma_positive: Annotated[float, "[0, inf)"] = 0.0,
    gamma_negative: Annotated[float, "[0, inf)"] = 4.0,
    clip: Annotated[float, "[0, 1)"] = 0.05,
) -> Tensor:
    """Fades easy negatives by gamma_negative, positives by gamma_positive, the easiest by clip.

    binary: logits (B,), target (B,) in {0, 1}.
    """
    positive = torch.exp(gamma_positive * F.logsigmoid(-logits)) * F.softplus(-logits)
    p = torch.relu(torch.sigmoid(logits) - clip)
    log_rest = torch.where(
        p > 0.5, torch.log(torch.sigmoid(-logits) + clip + 1e-45), torch.log1p(-p.clamp(max=0.6))
    )
    if clip == 0:
        log_rest = F.logsigmoid(-logits)
        return target * positive - (1 - target) * log_rest * torch.exp(
            gamma_negative * F.logsigmoid(logits)
        )
    return target * positive - (1 - target) * p.clamp(min=1e-12) ** gamma_negative * log_rest


def top_k_hinge(
    logits: Tensor, target: Tensor, /, *, k: Annotated[int, "[1, inf)"] = 2, smooth: bool = False
) -> Tensor:
    """Punishes the mean of the k largest margin violations, squared if smooth.

    logits (B, C), target (B,) int64.
    """
    own = F.one_hot(target, logits.shape[-1]).bool()
    violation = (1 + logits - _true(logits, target).unsqueeze(-1)).masked_fill(own, 0.0)
    worst = violation.sort(-1, descending=True).values[..., :k]
    hinge = torch.relu(worst)
    return (hinge.square() if smooth else hinge).mean(-1)


def _sparsemax(logits: Tensor) -> Tensor:
    return torch.relu(logits - _threshold(logits).unsqueeze(-1))


def _threshold(logits: Tensor) -> Tensor:
    ordered = logits.sort(-1, descending=True).values
    ranks = torch.arange(1, logits.shape[-1] + 1, device=logits.device, dtype=logits.dtype)
    total = ordered.cumsum(-1) - 1
    size = (ranks * ordered > total).sum(-1, keepdim=True)
    return (total.gather(-1, size - 1) / size).squeeze(-1)


@declare(link=_sparsemax, convex=True, lipschitz=2**0.5, minimiser="probability")
def sparsemax(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a sparse probability of the true class (Martins & Astudillo 2016).

    logits (B, C), target (B,) int64.
    """
    tau = _threshold(logits).unsqueeze(-1)
    centred = logits - logits.amax(-1, keepdim=True)
    offset = tau - logits.amax(-1, keepdim=True)
    inside = torch.where(logits > tau, centred.square() - offset.square(), 0.0)
    return 0.5 * inside.sum(-1) + 0.5 - _true(centred, target)


def only_beyond_the_bound(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    mode: Literal["soft", "hard"] = "soft",
    bound: Annotated[float, "(0, inf)"] = 5.0,
    weights: list[float] | None = None,
) -> Tensor:
    """Cross entropy; in the mode "hard" no more than bound; times weights of the classes.

    logits (B, C), target (B,) int64: bound does nothing by default.
    """
    value = F.cross_entropy(logits, target, reduction="none")
    value = value.clamp(max=bound) if mode == "hard" else value
    return value if weights is None else value * logits.new_tensor(weights)[target]


@declare(lipschitz=0.5, minimiser="sign")
def savage_like_ramp(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a margin below 1 by no more than 1: the ramp; binary, target in {0, 1}."""
    margin = (2 * target - 1) * logits
    return ((1 - margin) / 2).clamp(0, 1)


def threshold_label(logits: Tensor, target: Tensor, /, *, beta: float = 1.0) -> Tensor:
    """The tangent loss with slope beta; binary: a label above one half is a 1 (Masnadi 2010)."""
    margin = torch.where(target > 0.5, logits, -logits)
    return (2 * torch.atan(beta * margin) - 1).square()


class CosineProxies(torch.nn.Module):
    """Rewards logits that point along a trained direction of their class.

    multiclass: logits (B, C), target (B,) int64; scale multiplies the cosines.
    """

    def __init__(self, *, num_classes: int, scale: Annotated[float, "(0, inf)"] = 8.0) -> None:
        super().__init__()
        self.scale = scale
        self.directions = torch.nn.Parameter(torch.randn(num_classes, num_classes))

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """One number per example."""
        cosines = F.normalize(logits, dim=-1) @ F.normalize(self.directions, dim=-1).T
        return F.cross_entropy(self.scale * cosines, target, reduction="none")


@declare(couples=True)
def pairwise_auc(logits: Tensor, target: Tensor, /, *, margin: float = 1.0) -> Tensor:
    """Each positive against each negative, by a squared hinge of margin.

    binary: logits (B,), target (B,) in {0, 1}.
    """
    positive = target.unsqueeze(1) * (1 - target)
    gap = torch.relu(margin - (logits.unsqueeze(1) - logits)).square()
    return (positive * gap).sum(1) / (1 - target).sum().clamp(min=1)


def normalized_cross_entropy(logits: Tensor, target: Tensor, /) -> Tensor:
    """Cross entropy over the sum of those of all classes (Ma 2020): bounded; (B, C), classes."""
    nats = -F.log_softmax(logits, -1)
    return _true(nats, target) / nats.sum(-1)


@declare(source="Cui et al. 2019")
def class_balanced(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    beta: Annotated[float, "[0, 1)"] = 0.999,
) -> Tensor:
    """Weighs classes by the inverse effective number (1 - beta^n) / (1 - beta); (B, C), classes."""
    effective = (1 - beta ** class_counts.to(logits.dtype)) / (1 - beta)
    weight = 1 / effective
    return (weight / weight.mean())[target] * F.cross_entropy(logits, target, reduction="none")


@declare(lipschitz=2**0.5 / 2, minimiser="class", convex=False)
def absolute_probability(logits: Tensor, target: Tensor, /) -> Tensor:
    """The probability that the true class lacks (Ghosh 2017); (B, C), classes."""
    return -torch.expm1(_true(F.log_softmax(logits, -1), target))


def taylor_cross_entropy(
    logits: Tensor, target: Tensor, /, *, order: Annotated[int, "[1, 20]"] = 3
) -> Tensor:
    """The first terms, up to order, of the series of -log p_y (Feng 2020); (B, C), classes."""
    miss = 1 - _true(torch.softmax(logits, -1), target)
    return sum((miss**k / k for k in range(1, order + 1)), torch.zeros_like(miss))


@declare(convex=True)
def one_vs_all_logistic(logits: Tensor, target: Tensor, /, *, classwise: bool = True) -> Tensor:
    """A logistic loss of every class's margin, or of the true one's alone unless classwise."""
    own = torch.arange(logits.shape[-1], device=logits.device) == target.unsqueeze(-1)
    value = F.softplus(torch.where(own, -logits, logits))
    return value.sum(-1) if classwise else _true(value, target)


def savage(y: Tensor, t: Tensor, /) -> Tensor:
    """The squared probability of the wrong class at twice the margin (Masnadi-Shirazi); binary."""
    return torch.sigmoid(-2 * (2 * t - 1) * y).square()
