"""Losses of the multiclass task: logits (B, C), int64 classes (B,), one value in nats per example.

Symbols: z logits, y the true class, p = softmax(z), C classes. Losses of probabilities are written
on log-odds a_k = log((1 - p_k) / p_k) made from the *other* classes: 1 - p_k is sigmoid(a_k), never
1 minus a rounded p_k. Declared properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare
from lossbench.losses.stable import (
    alpha_of_classes,
    is_class,
    log_odds_against,
    log_odds_against_each,
    log_odds_of_rest,
    row_of,
    signs,
    softplus,
    weights_of_classes,
)


def _outputs_to_probabilities(outputs: Tensor) -> Tensor:
    """Negative outputs are 0, the rest sums to 1; uniform where nothing is positive."""
    positive = outputs.clamp(min=0)
    total = positive.sum(-1, keepdim=True)
    return torch.where(total > 0, positive / total, 1 / outputs.shape[-1])


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
    """Rewards probability on the true class, wherever the rest of it goes.

    L = -w_y log p_y = w_y log(1 + sum_{j != y} e^(z_j - z_y))

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        class_weight: (w_0 .. w_{C-1}) >= 0, not normalised; None is all ones, "balanced" is
            N / (C n_k).
        class_counts: (C,), training examples of each class.

    Returns:
        (B,), nats; log C for uniform logits; p - onehot(y) is its gradient at unit weights.

    Neighbours: with C = 2 and logits (0, z), the binary loss of the same name. No version takes
    probabilities: 1 - p would be rounded before its logarithm is taken. Balanced weights are those
    of scikit-learn's compute_class_weight, 0 for a class of no example; torch's weight= also
    divides the mean of a batch by the sum of its weights.

    Source: Bridle 1990.

    >>> cross_entropy(torch.tensor([[0.0, 0.0], [20.0, 0.0]]), torch.tensor([0, 1]))
    tensor([ 0.6931, 20.0000])
    """
    value = softplus(log_odds_against(logits, target))
    if class_weight is None:
        return value
    return weights_of_classes(class_weight, class_counts, logits)[target] * value


@declare(
    convex=False,
    lipschitz=8**0.5,
    minimiser="probability",
    source="Nielsen 2015, equation 63, on softmax outputs",
)
def complementary_cross_entropy(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class and punishes it on each wrong class as well.

    L = -log p_y - sum_{j != y} log(1 - p_j)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), nats; between 1 and 2 times cross_entropy for confident mistakes, 2 at C = 2.

    Neighbours: cross_entropy has the first term only. Convex for C = 2, not above; proper.

    Source: Nielsen 2015, equation 63, on softmax outputs.

    >>> complementary_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))  # 2 log 2
    tensor([1.3863])
    """
    return softplus(signs(logits, target) * log_odds_against_each(logits)).sum(-1)


@declare(tune={"bound": (1.0, 20.0)}, convex=False, lipschitz=2**0.5, source="torch.nn.BCELoss")
def bounded_cross_entropy(
    logits: Tensor, target: Tensor, /, *, bound: Annotated[float, "(0, inf)"] = 100.0
) -> Tensor:
    """Punishes like cross_entropy up to a bound; an example beyond it teaches no more.

    L = min(-log p_y, bound)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        bound: in (0, inf), nats.

    Returns:
        (B,), nats, at most bound; its gradient is zero beyond the bound.

    Neighbours: 100 is torch's BCELoss, -log 1e-7 = 16.1 is keras; neither binds in most trainings,
    which are then those of cross_entropy. Not proper, not convex.

    Source: torch.nn.BCELoss, on softmax outputs.

    >>> bounded_cross_entropy(torch.tensor([[20.0, 0.0]]), torch.tensor([1]), bound=3.0)
    tensor([3.])
    """
    return cross_entropy(logits, target).clamp(max=bound)


@declare(
    tune={"epsilon": (1e-7, 0.1)},
    convex=False,
    lipschitz=2**0.5,
    source="keras.losses.CategoricalCrossentropy",
)
def clipped_cross_entropy(
    logits: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "(0, 0.5)"] = 1e-7
) -> Tensor:
    """Punishes like cross_entropy of a probability that is kept epsilon away from 0 and from 1.

    L = -log min(max(p_y, epsilon), 1 - epsilon)

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        epsilon: in (0, 0.5), a probability.

    Returns:
        (B,), nats, in [-log(1 - epsilon), -log epsilon]; its gradient is zero where p_y is clipped.

    Neighbours: 1e-7 is keras. bounded_cross_entropy is bounded on one side only: there, examples
    that are already right keep teaching. Not proper, not convex.

    Source: keras.losses.CategoricalCrossentropy, on softmax outputs.

    >>> clipped_cross_entropy(torch.tensor([[0.0, 0.0], [20.0, 0.0]]), torch.tensor([0, 1]))
    tensor([ 0.6931, 16.1181])
    """
    limit = log_odds_of_rest(epsilon, logits)
    return softplus(log_odds_against(logits, target).clamp(-limit, limit))


@declare(
    tune={"epsilon": (0.01, 0.3)},
    convex=True,
    lipschitz=2**0.5,
    source="Szegedy et al. 2016, arXiv 1512.00567",
)
def label_smoothing(
    logits: Tensor, target: Tensor, /, *, epsilon: Annotated[float, "[0, 1)"] = 0.1
) -> Tensor:
    """Rewards 1 - epsilon + epsilon/C on the true class and epsilon/C on each other one.

    L = -(1 - epsilon) log p_y - epsilon/C sum_k log p_k

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        epsilon: in [0, 1).

    Returns:
        (B,), nats; its least value is the entropy of the smoothed label, not 0.

    epsilon = 0 gives cross_entropy. Estimates (1 - epsilon) eta + epsilon/C, by construction.
    fairseq spreads e over the wrong classes only: that is epsilon e C/(C - 1) here.

    Source: Szegedy et al. 2016, arXiv 1512.00567.

    >>> label_smoothing(torch.tensor([[20.0, 0.0]]), torch.tensor([0]), epsilon=0.1)
    tensor([1.])
    """
    uniform = -F.log_softmax(logits, -1).mean(-1)
    return (1 - epsilon) * cross_entropy(logits, target) + epsilon * uniform


@declare(
    tune={"gamma": (0.1, 5.0)},
    convex=False,
    lipschitz=1.597,
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

    L = -alpha_y (1 - p_y)^gamma log p_y

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        gamma: in [0, inf).
        alpha: (w_0 .. w_{C-1}) >= 0, not normalised; None is all ones, "balanced" N / (C n_k); of
            two classes also one number in (0, 1), the weight of class 1, and 1 less it of class 0.
        class_counts: (C,), training examples of each class.

    Returns:
        (B,), nats.

    gamma = 0 gives cross_entropy, with alpha for its class_weight. Under-confident by design. With
    C = 2 and logits (0, z), the binary loss of the same name; not the sum of C binary ones that
    detectors use.

    Source: Lin et al. 2017, arXiv 1708.02002.

    >>> focal(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), gamma=2.0)  # 0.25 log 2
    tensor([0.1733])
    """
    against = log_odds_against(logits, target)
    # (1 - p_y)^gamma, written so that 1 - p_y = 0 has a gradient
    value = torch.exp(-gamma * softplus(-against)) * softplus(against)
    if alpha is None:
        return value
    return alpha_of_classes(alpha, class_counts, logits)[target] * value


@declare(convex=True, lipschitz=2**0.5, source="Leng et al. 2022, arXiv 2204.12511")
def poly(logits: Tensor, target: Tensor, /, *, epsilon: tuple[float, ...] = (1.0,)) -> Tensor:
    """Reweights the first terms of the series -log p_y = sum_j (1 - p_y)^j / j.

    L = -log p_y + sum_j epsilon_j (1 - p_y)^j

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        epsilon: (epsilon_1 .. epsilon_N), any real; a list of one number is Poly-1.

    Returns:
        (B,), nats; negative where an epsilon is below -1.

    epsilon = (0.0,) gives cross_entropy. Poly-1 is convex while |epsilon_1| <= 1; not proper.

    Source: Leng et al. 2022, arXiv 2204.12511 (2 for ImageNet, -1 for detection).

    >>> poly(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), epsilon=(1.0, 2.0))
    tensor([1.6931])
    """
    against = log_odds_against(logits, target)
    miss = torch.sigmoid(against)
    return softplus(against) + sum(e * miss**j for j, e in enumerate(epsilon, start=1))


@declare(
    link=_outputs_to_probabilities,
    convex=True,
    minimiser="probability",
    source="Hui & Belkin 2021, arXiv 2006.07322",
)
def squared_error(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes raw outputs by their squared distance from the one-hot label: least squares.

    L = sum_k (z_k - [k = y])^2

    Args:
        logits: (B, C), any real, read as they are.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), unitless; an output that is "too right" costs as well.

    Neighbours: brier is this distance after a softmax. The outputs estimate probabilities.

    Source: Hui & Belkin 2021, arXiv 2006.07322.

    >>> squared_error(torch.tensor([[0.5, 0.5], [2.0, 0.0]]), torch.tensor([0, 0]))
    tensor([0.5000, 1.0000])
    """
    return (logits - is_class(logits, target).to(logits.dtype)).square().sum(-1)


@declare(convex=False, lipschitz=16 / 27 * 2**0.5, minimiser="probability", source="Brier 1950")
def brier(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the squared distance of the probabilities from the label, never by more than 2.

    L = sum_k (p_k - [k = y])^2

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.

    Returns:
        (B,), in [0, 2]; its gradient vanishes on saturated mistakes.

    Neighbours: proper like cross_entropy, but bounded; C = 2 is twice the binary squared_error.

    Source: Brier 1950.

    >>> brier(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor([0.5000])
    """
    # |p_k - [k = y]| = sigmoid(x) = e^-softplus(-x), with x = a_y at the true class, else -a_k
    x = signs(logits, target) * log_odds_against_each(logits)
    return torch.exp(-2 * softplus(-x)).sum(-1)


@declare(
    convex=True,
    lipschitz=2**0.5,
    minimiser="probability",
    source="Caffe InfogainLoss (Jia et al. 2014)",
)
def infogain(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    matrix: Annotated[list[list[float]], "(C, C) in [0, inf), not all 0"] | None = None,
) -> Tensor:
    """Rewards probability on every class that the true one vouches for, by a table of credits.

    L = -sum_k H[y][k] log p_k

    Args:
        logits: (B, C), any real.
        target: (B,) int64 in 0 .. C-1.
        matrix: H, (C, C) >= 0, rows the true class; None is the identity.

    Returns:
        (B,), nats.

    matrix = None gives cross_entropy. A diagonal H weighs the classes; rows of label_smoothing's
    targets are label_smoothing. Estimates what is proportional to the transpose of H times eta.
    The information gain of decision trees is another idea: the entropy of a set less that of its
    parts, which judges a split rather than a prediction, so it is not a loss.

    Source: Caffe InfogainLoss (Jia et al. 2014).

    >>> infogain(torch.tensor([[0.0, 0.0]]), torch.tensor([0]), matrix=[[1.0, 0.5], [0.0, 1.0]])
    tensor([1.0397])
    """
    identity = is_class(logits, target).to(logits.dtype)
    credit = identity if matrix is None else row_of(matrix, logits, target)
    return (credit * softplus(log_odds_against_each(logits))).sum(-1)
