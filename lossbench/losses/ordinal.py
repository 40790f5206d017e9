"""Losses of the ordinal task: logits (B, C) or threshold logits (B, C-1), int64 classes (B,).

Symbols: y the true class of C in order, z the outputs, p = softmax(z), l_k = z_k the threshold
logit of "y > k" for k = 0 .. C-2, and F_k = p_0 + … + p_k. Declared properties are those at the
default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses import multiclass
from lossbench.losses.stable import softplus


def _less_one(classes: int) -> int:
    """A threshold between each class and the next."""
    return classes - 1


def _all_by_score(score: Tensor, free: Tensor) -> Tensor:
    """(B, C-1): the score moves every threshold logit alike."""
    return score.unsqueeze(-1) + free


def _first_by_score(score: Tensor, free: Tensor) -> Tensor:
    """(B, C-1): the score moves the first cut, and with it all; the gaps between cuts are free."""
    first = score + free[0]
    return torch.cat([first.unsqueeze(-1), free[1:].expand(*score.shape, -1)], -1)


def _between(exceeded: Tensor) -> Tensor:
    """Chances (..., C-1) of y > k, falling in k -> those (..., C) of each class."""
    whole = torch.ones_like(exceeded[..., :1])
    return torch.cat([whole, exceeded], -1) - torch.cat([exceeded, 0 * whole], -1)


def _by_thresholds(outputs: Tensor) -> Tensor:
    """Sigmoids, each at most that before, and what lies between them."""
    return _between(torch.sigmoid(outputs).cummin(-1).values)


def _by_continuing(outputs: Tensor) -> Tensor:
    """Products of sigmoids: y > k is to get past 0, 1, … k; and what lies between them."""
    return _between(torch.sigmoid(outputs).cumprod(-1))


def _cuts(outputs: Tensor) -> Tensor:
    """t_0 = z_0 and t_k = t_{k-1} - log(1 + e^z_k): falling in k."""
    gaps = softplus(outputs[..., 1:])
    return outputs[..., :1] - F.pad(gaps, (1, 0)).cumsum(-1)


def _by_cuts(outputs: Tensor) -> Tensor:
    """Sigmoids of the cuts t_0 > t_1 > …, and what lies between them."""
    return _between(torch.sigmoid(_cuts(outputs)))


def _counted(target: Tensor) -> tuple[Tensor, Tensor]:
    """(C-1,): training examples of each class but the last, and of all above it; none is half."""
    counts = target.bincount().clamp_min(0.5)
    return counts[:-1], counts.flip(0).cumsum(0).flip(0)[1:]


def _thresholds_at_shares(target: Tensor) -> Tensor:
    """Where models start: at the logits of the shares of y > k among training examples."""
    counts, above = _counted(target)
    return above.log() - counts.cumsum(0).log()


def _continuing_at_shares(target: Tensor) -> Tensor:
    """The same of the shares of y > k among those of y >= k."""
    counts, above = _counted(target)
    return above.log() - counts.log()


def _cuts_at_shares(target: Tensor) -> Tensor:
    """The outputs whose cuts are the logits of the shares."""
    cuts = _thresholds_at_shares(target)
    return torch.cat([cuts[:1], (cuts[:-1] - cuts[1:]).expm1().log()])


def _steps(outputs: Tensor) -> Tensor:
    """(C-1,): 0 .. C-2."""
    return torch.arange(outputs.shape[-1], device=outputs.device)


def _signs(outputs: Tensor, target: Tensor) -> Tensor:
    """(B, C-1): 1 where y > k, else -1."""
    return 2 * (target.unsqueeze(-1) > _steps(outputs)).to(outputs.dtype) - 1


def _distances(logits: Tensor, target: Tensor) -> Tensor:
    """(B, C): |k - y|."""
    return (target.unsqueeze(-1) - _steps(logits)).abs().to(logits.dtype)


@declare(convex=True, lipschitz=2**0.5, minimiser="probability", source="Bridle 1990")
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
    """Rewards probability on the true class; how far off the rest is does not count.

    L = -w_y log p_y

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        class_weight: (w_0 .. w_{C-1}) >= 0, not normalised; None is all ones, "balanced" is
            N / (C n_k).
        class_counts: (C,), training examples of each class.

    Returns:
        (B,), nats.

    Neighbours: the multiclass loss of the same name: the baseline that knows of no order. sord
    gives some of the reward to near classes. torch's F.cross_entropy, but a mean over weights.

    Source: Bridle 1990.

    >>> cross_entropy(torch.tensor([[0.0, 0.0, 0.0], [0.0, 20.0, 0.0]]), torch.tensor([0, 0]))
    tensor([ 1.0986, 20.0000])
    """
    return multiclass.cross_entropy(
        logits, target, class_weight=class_weight, class_counts=class_counts
    )


@declare(
    link=_by_thresholds,
    outputs=_less_one,
    head=_all_by_score,
    start=_thresholds_at_shares,
    convex=True,
    minimiser="probability",
    source="Cao, Mirjalili & Raschka 2020, arXiv 1901.07884",
)
def coral(thresholds: Tensor, target: Tensor, /) -> Tensor:
    """Rewards being on the right side of each of the C-1 thresholds between classes.

    L = sum_k [log(1 + e^l_k) - [y > k] l_k]

    Args:
        thresholds: (B, C-1), any real, the logits of y > 0, y > 1, ….
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), nats, the sum over thresholds; some take the mean.

    Neighbours: with C = 2 the binary cross_entropy. corn asks of y > k only where y >= k. Ranks
    are consistent, l_0 >= l_1 >= …, with the head that models have for it: one score and C-1 free
    biases; of other outputs the link takes the least so far. coral-pytorch's coral_loss is its
    mean over the batch.

    Source: Cao, Mirjalili & Raschka 2020, arXiv 1901.07884.

    >>> coral(torch.tensor([[0.0, 0.0], [20.0, -20.0]]), torch.tensor([1, 2]))
    tensor([ 1.3863, 20.0000])
    """
    return softplus(-_signs(thresholds, target) * thresholds).sum(-1)


@declare(
    link=_by_continuing,
    outputs=_less_one,
    start=_continuing_at_shares,
    convex=True,
    minimiser="probability",
    source="Shi, Cao & Raschka 2021, arXiv 2111.08851",
)
def corn(thresholds: Tensor, target: Tensor, /) -> Tensor:
    """Rewards passing every threshold below the true class and stopping at its own.

    L = sum_{k <= min(y, C-2)} [log(1 + e^l_k) - [y > k] l_k]

    Args:
        thresholds: (B, C-1), any real, the logits of y > k given that y >= k.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), nats: -log p_y of the continuation-ratio model.

    Neighbours: with C = 2 the binary cross_entropy. coral asks of all thresholds. Reversing the
    order of the classes gives another model. coral-pytorch's corn_loss divides the sum over the
    batch by its number of pairs of example and threshold.

    Source: Shi, Cao & Raschka 2021, arXiv 2111.08851.

    >>> corn(torch.tensor([[0.0, 0.0], [20.0, -20.0]]), torch.tensor([0, 2]))
    tensor([ 0.6931, 20.0000])
    """
    asked = (_steps(thresholds) <= target.unsqueeze(-1)).to(thresholds.dtype)
    return (asked * softplus(-_signs(thresholds, target) * thresholds)).sum(-1)


@declare(
    link=_by_cuts,
    outputs=_less_one,
    head=_first_by_score,
    start=_cuts_at_shares,
    convex=False,
    minimiser="probability",
    source="McCullagh 1980",
)
def cumulative_link(outputs: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class, between two cuts through a logistic score.

    L = -log(s(t_{y-1}) - s(t_y)), t_0 = z_0, t_k = t_{k-1} - log(1 + e^z_k), s the sigmoid

    Args:
        outputs: (B, C-1), any real: z_0 is the first cut, z_k makes the gap to the next.
        target: (B,) int64 in 0 .. C-1; s(t_{-1}) is 1 and s(t_{C-1}) is 0.

    Returns:
        (B,), nats: -log p_y.

    Neighbours: with C = 2 the binary cross_entropy. With the head that models have for it, one
    score that moves the first cut and free gaps, it is the proportional-odds model; statsmodels'
    OrderedModel. Convex in the cuts, not in the outputs. The logarithm of the difference would be
    -inf from t = 30 on, 17 in float32; it is written as a sum of three that keeps its digits.

    Source: McCullagh 1980.

    >>> cumulative_link(torch.tensor([[0.0, 0.0]] * 3), torch.tensor([0, 1, 2]))
    tensor([0.6931, 1.7918, 1.0986])
    """
    cut, step, label = _cuts(outputs), _steps(outputs), target.unsqueeze(-1)
    below, above = (step == label - 1).to(outputs.dtype), (step == label).to(outputs.dtype)
    apart = above * (step > 0)  # 1 - e^-(t_{y-1} - t_y) is the sigmoid of z_y
    return (below * softplus(-cut) + above * softplus(cut) + apart * softplus(-outputs)).sum(-1)


@declare(
    tune={"scale": (0.1, 10.0)},
    convex=True,
    lipschitz=2**0.5,
    source="Diaz & Marathe 2019",
)
def sord(logits: Tensor, target: Tensor, /, *, scale: Annotated[float, "(0, inf)"] = 1.0) -> Tensor:
    """Rewards probability on the true class, and less on others the further they are from it.

    L = -sum_k w_k log p_k, w = softmax over k of -scale |k - y|

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        scale: in (0, inf), nats that one class further off is less likely.

    Returns:
        (B,), nats; its least value is the entropy of w, not 0.

    scale = inf gives cross_entropy. Estimates the smoothed probabilities, sum_y eta_y w(y), by
    construction. Some have (k - y)^2 in the place of |k - y|. Neighbours: label_smoothing of
    multiclass gives all other classes the same.

    Source: Diaz & Marathe 2019, CVPR, "Soft labels for ordinal regression".

    >>> sord(torch.tensor([[0.0, 0.0], [20.0, 0.0]]), torch.tensor([0, 1]))
    tensor([ 0.6931, 14.6212])
    """
    weights = torch.softmax(-scale * _distances(logits, target), -1)
    return -(weights * F.log_softmax(logits, -1)).sum(-1)


@declare(convex=False, minimiser="probability", source="Hou, Yu & Samaras 2016, arXiv 1611.05916")
def emd(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes probability by how far it is from the true class: squared earth mover's distance.

    L = sum_k (F_k - [y <= k])^2

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in [0, C-1]: the ranked probability score.

    Neighbours: with C = 2 it is (1 - p_y)^2, the binary squared_error. Strictly proper, but its
    gradient vanishes on saturated mistakes. Others divide by C or take a root; scoringrules'
    rps_score, with classes from 1.

    Source: Hou, Yu & Samaras 2016, arXiv 1611.05916; Epstein 1969 (the score).

    >>> emd(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 200.0]]), torch.tensor([1, 0]))
    tensor([0.2222, 2.0000])
    """
    p = torch.softmax(logits, -1)
    up_to, beyond = p.cumsum(-1), F.pad(p[..., 1:].flip(-1).cumsum(-1).flip(-1), (0, 1))
    below = _steps(logits) < target.unsqueeze(-1)
    return torch.where(below, up_to, beyond).square().sum(-1)


@declare(
    tune={"power": (1.0, 3.0)},
    convex=False,
    couples=True,
    source="de la Torre, Puig & Valls 2018",
)
def weighted_kappa(
    logits: Tensor, target: Tensor, /, *, power: Annotated[float, "[1, inf)"] = 2.0
) -> Tensor:
    """Punishes the expected distance from the true classes, by that of chance agreement.

    L = sum_i sum_k |y_i - k|^a p_ik / (1/B sum_i sum_j sum_k |y_i - k|^a p_jk), a the power

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        power: in [1, inf); 1 is the linear, 2 the quadratic kappa.

    Returns:
        (), in [0, about 2]: 1 - kappa with shares in the place of counts. Constant predictions
        cost 1, and so does a batch of one class, with no gradient.

    Neighbours: 1 - quadratic_weighted_kappa, where predictions are certain. It exists for a batch
    only, whose size is a hyper-parameter. dlordinal's WKLoss is equal; an older form is its log.

    Source: de la Torre, Puig & Valls 2018; Vargas, Gutierrez & Hervas-Martinez 2020.

    >>> weighted_kappa(torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor(1.)
    """
    p, cost = torch.softmax(logits, -1), _distances(logits, target) ** power
    observed = (cost * p).sum()
    by_chance = (cost.mean(0) * p.sum(0)).sum()
    some = by_chance > 0
    return torch.where(some, observed / torch.where(some, by_chance, 1.0), 1.0)


@declare(
    link=_by_thresholds,
    outputs=_less_one,
    start=_thresholds_at_shares,
    convex=True,
    source="Rennie & Srebro 2005",
)
def ordinal_hinge(thresholds: Tensor, target: Tensor, /) -> Tensor:
    """Punishes each threshold whose wrong side is taken, or the right one by less than 1.

    L = sum_k max(0, 1 - (2 [y > k] - 1) l_k)

    Args:
        thresholds: (B, C-1), any real, the scores of y > 0, y > 1, ….
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in units of the score; subgradient 0 at the kinks.

    Neighbours: the all-threshold form; with C = 2 the binary hinge. sqrt(C-1)-Lipschitz. Not
    proper: what its link makes of the scores are no calibrated probabilities.

    Source: Rennie & Srebro 2005.

    >>> ordinal_hinge(torch.tensor([[0.5, -2.0], [2.0, 0.0]]), torch.tensor([1, 0]))
    tensor([0.5000, 4.0000])
    """
    return torch.relu(1 - _signs(thresholds, target) * thresholds).sum(-1)
