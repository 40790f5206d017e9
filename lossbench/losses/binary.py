"""Losses of the binary task: logits (B,), targets (B,) in {0, 1}, one value in nats per example.

Symbols: z logit, y target, p = sigmoid(z), m = (2y - 1) z the margin, and p_t = sigmoid(m) the
probability given to the true class. Declared properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import (
    alpha_of_classes,
    log_odds_of_rest,
    margin_of,
    softplus,
    weights_of_labels,
)


@declare(
    convex=True,
    lipschitz=1.0,
    minimiser="probability",
    target="[0, 1]",
    source="Cox 1958; Good 1952",
)
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
    """Rewards probability on what happened; a confident mistake costs its logit.

    L = -w_1 y log p - w_0 (1 - y) log(1 - p)

    Args:
        logits: (B,), any real.
        target: (B,) in [0, 1], soft labels allowed.
        class_weight: (w_0, w_1) >= 0, not normalised; None is (1, 1), "balanced" N / (2 n_k).
        class_counts: (2,), training examples of each class.

    Returns:
        (B,), nats; p - y is its gradient at unit weights.

    Neighbours: logistic is this loss of a margin; kl_divergence differs by the entropy of y. No
    version takes probabilities: 1 - p would be rounded before its logarithm is taken. Balanced
    weights are those of scikit-learn's compute_class_weight; torch's pos_weight is w_1.

    Source: Cox 1958 (likelihood); Good 1952 (logarithmic score).

    >>> cross_entropy(torch.tensor([0.0, -20.0]), torch.tensor([1.0, 1.0]))
    tensor([ 0.6931, 20.0000])
    """
    negative, positive = weights_of_labels(class_weight, class_counts, logits)
    y = target.to(logits.dtype)
    return positive * y * softplus(-logits) + negative * (1 - y) * softplus(logits)


@declare(
    convex=True, lipschitz=1.0, minimiser="probability", source="Friedman, Hastie & Tibshirani 2000"
)
def logistic(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards a large margin, less and less; a mistake costs about its margin.

    L = log(1 + e^-m)

    Args:
        logits: (B,), any real, the score and never the probability.
        target: (B,) in {0, 1}.

    Returns:
        (B,), nats; divided by log 2 it is 1 at m = 0 and bounds the 0/1 loss from above.

    Neighbours: the same numbers as cross_entropy, written for margins. torch's soft_margin_loss is
    this too, but infinite for m < -88 in float32.

    Source: Friedman, Hastie & Tibshirani 2000.

    >>> logistic(torch.tensor([0.0, -100.0]), torch.tensor([1, 1]))
    tensor([  0.6931, 100.0000])
    """
    return softplus(-margin_of(logits, target))


@declare(
    tune={"bound": (1.0, 20.0)},
    convex=False,
    lipschitz=1.0,
    target="[0, 1]",
    source="torch.nn.BCELoss",
)
def bounded_cross_entropy(
    logits: Tensor, target: Tensor, /, *, bound: Annotated[float, "(0, inf)"] = 100.0
) -> Tensor:
    """Punishes like cross_entropy up to a bound; an example beyond it teaches no more.

    L = y min(-log p, bound) + (1 - y) min(-log(1 - p), bound)

    Args:
        logits: (B,), any real.
        target: (B,) in [0, 1].
        bound: in (0, inf), nats.

    Returns:
        (B,), nats, at most bound; its gradient is zero beyond the bound.

    Neighbours: 100 is torch's BCELoss, -log 1e-7 = 16.1 is keras; neither binds in most trainings,
    which are then those of cross_entropy. Not proper, not convex.

    Source: torch.nn.BCELoss.

    >>> bounded_cross_entropy(torch.tensor([0.0, -20.0]), torch.tensor([1, 1]), bound=3.0)
    tensor([0.6931, 3.0000])
    """
    y = target.to(logits.dtype)
    return y * softplus(-logits).clamp(max=bound) + (1 - y) * softplus(logits).clamp(max=bound)


@declare(
    tune={"epsilon": (1e-7, 0.1)},
    convex=False,
    lipschitz=1.0,
    target="[0, 1]",
    source="keras.losses.BinaryCrossentropy",
)
def clipped_cross_entropy(
    logits: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "(0, 0.5)"] = 1e-7
) -> Tensor:
    """Punishes like cross_entropy of a probability that is kept epsilon away from 0 and from 1.

    L = -y log c - (1 - y) log(1 - c), with c = min(max(p, epsilon), 1 - epsilon)

    Args:
        logits: (B,), any real.
        target: (B,) in [0, 1].
        epsilon: in (0, 0.5), a probability.

    Returns:
        (B,), nats, in [-log(1 - epsilon), -log epsilon] for hard labels; its gradient is zero
        where p is clipped.

    Neighbours: 1e-7 is keras. bounded_cross_entropy is bounded on one side only: there, examples
    that are already right keep teaching. Not proper, not convex.

    Source: keras.losses.BinaryCrossentropy.

    >>> clipped_cross_entropy(torch.tensor([0.0, -20.0]), torch.tensor([1, 1]), epsilon=0.25)
    tensor([0.6931, 1.3863])
    """
    limit = log_odds_of_rest(epsilon, logits)
    return cross_entropy(logits.clamp(-limit, limit), target)


@declare(
    tune={"epsilon": (0.01, 0.3)},
    convex=True,
    lipschitz=1.0,
    target="[0, 1]",
    source="Szegedy et al. 2016, arXiv 1512.00567",
)
def label_smoothing(
    logits: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "[0, 1)"] = 0.1
) -> Tensor:
    """Rewards probability 1 - epsilon/2 on the true class and punishes more as well as less.

    L = cross_entropy(z, (1 - epsilon) y + epsilon/2)

    Args:
        logits: (B,), any real.
        target: (B,) in [0, 1].
        epsilon: in [0, 1).

    Returns:
        (B,), nats; its least value is the entropy of the smoothed label, not 0.

    epsilon = 0 gives cross_entropy. Estimates (1 - epsilon) eta + epsilon/2, by construction.

    Source: Szegedy et al. 2016, arXiv 1512.00567.

    >>> label_smoothing(torch.tensor([0.0, 20.0]), torch.tensor([1, 1]), epsilon=0.1)
    tensor([0.6931, 1.0000])
    """
    return cross_entropy(logits, (1 - epsilon) * target.to(logits.dtype) + epsilon / 2)


@declare(
    tune={"gamma": (0.1, 5.0)},
    convex=False,
    lipschitz=1.129,
    source="Lin et al. 2017, arXiv 1708.02002",
)
def focal(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    gamma: Annotated[float, "[0, inf)"] = 2.0,
    alpha: Literal["balanced"]
    | Annotated[float, "(0, 1)"]
    | Annotated[tuple[float, ...], "(C,) in [0, inf), not all 0"]
    | None = None,
    class_counts: Tensor | None = None,
) -> Tensor:
    """Punishes like cross_entropy, but fades out the examples that are already right.

    L = -alpha_t (1 - p_t)^gamma log p_t

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.
        gamma: in [0, inf).
        alpha: in (0, 1), the weight of class 1, and 1 - alpha that of class 0; or both weights,
            class 0 first; None weighs neither, "balanced" is N / (2 n_k).
        class_counts: (2,), training examples of each class.

    Returns:
        (B,), nats.

    gamma = 0 gives cross_entropy, with alpha="balanced" that of class_weight="balanced".
    Under-confident by design: at gamma 2, eta .9 is learnt as .69. torchvision's
    sigmoid_focal_loss has alpha 0.25 by default: its gamma 0 is 1/4 or 3/4 of cross_entropy.

    Source: Lin et al. 2017, arXiv 1708.02002.

    >>> focal(torch.tensor([0.0]), torch.tensor([1]), gamma=2.0)  # 0.25 log 2
    tensor([0.1733])
    """
    m = margin_of(logits, target)
    # (1 - p_t)^gamma, written so that 1 - p_t = 0 has a gradient
    value = torch.exp(-gamma * softplus(m)) * softplus(-m)
    if alpha is None:
        return value
    negative, positive = alpha_of_classes(alpha, class_counts, logits).unbind(-1)
    return torch.where(target > 0.5, positive, negative) * value


@declare(convex=True, lipschitz=1.0, source="Leng et al. 2022, arXiv 2204.12511")
def poly(logits: Tensor, target: Tensor, /, *, epsilon: tuple[float, ...] = (1.0,)) -> Tensor:
    """Reweights the first terms of the series -log p_t = sum_j (1 - p_t)^j / j.

    L = -log p_t + sum_j epsilon_j (1 - p_t)^j

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.
        epsilon: (epsilon_1 .. epsilon_N), any real; a list of one number is Poly-1.

    Returns:
        (B,), nats; negative where an epsilon is below -1.

    epsilon = (0.0,) gives cross_entropy. Poly-1 is convex while |epsilon_1| <= 1; not proper.

    Source: Leng et al. 2022, arXiv 2204.12511 (2 for ImageNet, -1 for detection).

    >>> poly(torch.tensor([0.0]), torch.tensor([1]), epsilon=(1.0, 2.0))  # log 2 + 1/2 + 2/4
    tensor([1.6931])
    """
    m = margin_of(logits, target)
    miss = torch.sigmoid(-m)
    return softplus(-m) + sum(e * miss**j for j, e in enumerate(epsilon, start=1))


@declare(convex=False, lipschitz=8 / 27, minimiser="probability", source="Brier 1950")
def squared_error(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the squared distance of the probability from the label, never by more than 1.

    L = (p - y)^2

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.

    Returns:
        (B,), in [0, 1]; its gradient 2 (p - y) p (1 - p) vanishes on saturated mistakes.

    Neighbours: proper like cross_entropy, but bounded and not convex in the logit.

    Source: Brier 1950.

    >>> squared_error(torch.tensor([0.0, -20.0]), torch.tensor([1, 1]))
    tensor([0.2500, 1.0000])
    """
    # |p - y| = sigmoid(-m) = e^-softplus(m), whose gradient keeps its digits at both ends
    return torch.exp(-2 * softplus(margin_of(logits, target)))


@declare(
    convex=True,
    lipschitz=1.0,
    minimiser="probability",
    target="[0, 1]",
    source="Kullback & Leibler 1951",
)
def kl_divergence(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a probability by the extra nats it costs to code what a soft label says.

    L = y log(y / p) + (1 - y) log((1 - y) / (1 - p)), with 0 log 0 = 0

    Args:
        logits: (B,), any real.
        target: (B,) in [0, 1], soft labels meant.

    Returns:
        (B,), nats, 0 exactly where p = y (up to rounding).

    Neighbours: cross_entropy less the entropy of y: the same gradient, the same on hard labels.

    Source: Kullback & Leibler 1951.

    >>> kl_divergence(torch.tensor([0.0, 0.0]), torch.tensor([0.5, 1.0]))
    tensor([0.0000, 0.6931])
    """
    y = target.to(logits.dtype)
    return cross_entropy(logits, y) + torch.xlogy(y, y) + torch.xlogy(1 - y, 1 - y)
