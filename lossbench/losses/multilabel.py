"""Losses of the multilabel task: logits (B, L), targets (B, L) in {0, 1}, one value per example.

Symbols: z logits, y targets, p_k = sigmoid(z_k), m_k = (2 y_k - 1) z_k, and p_t = sigmoid(m) the
probability given to what is true of a label. Over the L labels the value is the sum, since it is
minus the logarithm of the probability of all of them. Declared properties are those at the default
hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import alpha_of_classes, margin_of, softplus, weights_of_labels


@declare(convex=True, minimiser="probability", target="[0, 1]", source="Cox 1958; Good 1952")
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
    """Rewards probability on each label that applies and on the absence of each that does not.

    L = sum_k [-w_1 y_k log p_k - w_0 (1 - y_k) log(1 - p_k)]

    Args:
        logits: (B, L), any real.
        target: (B, L) in [0, 1], soft labels allowed.
        class_weight: (w_0, w_1) >= 0 of absent and present, for every label; None is (1, 1),
            "balanced" is N / (2 n_k) of each label by itself.
        class_counts: (L, 2), training examples without and with each label.

    Returns:
        (B,), nats; p - y is its gradient at unit weights; its Lipschitz constant is sqrt(L).

    Neighbours: the sum of L binary losses of the same name; torch's multilabel_soft_margin_loss is
    this / L. A softmax over labels cannot give probability to two of them. Balanced weights are
    those of scikit-learn's compute_class_weight.

    Source: Cox 1958 (likelihood); Good 1952 (logarithmic score).

    >>> cross_entropy(torch.tensor([[0.0, -20.0, 20.0]]), torch.tensor([[1.0, 1.0, 1.0]]))
    tensor([20.6931])
    """
    negative, positive = weights_of_labels(class_weight, class_counts, logits)
    y = target.to(logits.dtype)
    nats = positive * y * softplus(-logits) + negative * (1 - y) * softplus(logits)
    return nats.sum(-1)


@declare(tune={"gamma": (0.1, 5.0)}, convex=False, source="Lin et al. 2017, arXiv 1708.02002")
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
    """Punishes like cross_entropy, but fades out the labels that are already right.

    L = -sum_k alpha_t (1 - p_t)^gamma log p_t

    Args:
        logits: (B, L), any real.
        target: (B, L) in {0, 1}.
        gamma: in [0, inf).
        alpha: in (0, 1), the weight of a label that applies, and 1 - alpha of one that does not;
            or both, absent first; None weighs neither, "balanced" is N / (2 n_k) of each label by
            itself.
        class_counts: (L, 2), training examples without and with each label.

    Returns:
        (B,), nats.

    gamma = 0 gives cross_entropy. Under-confident by design: at gamma 2, eta .9 is learnt as .69.

    Source: Lin et al. 2017, arXiv 1708.02002.

    >>> focal(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]), gamma=2.0)  # 2 times 0.25 log 2
    tensor([0.3466])
    """
    m = margin_of(logits, target)
    # (1 - p_t)^gamma, written so that 1 - p_t = 0 has a gradient
    value = torch.exp(-gamma * softplus(m)) * softplus(-m)
    if alpha is None:
        return value.sum(-1)
    negative, positive = alpha_of_classes(alpha, class_counts, logits).unbind(-1)
    return (torch.where(target > 0.5, positive, negative) * value).sum(-1)


@declare(convex=True, minimiser="sign", source="Rifkin & Klautau 2004")
def one_vs_all_hinge(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes each label by a separate binary hinge: with it against without it.

    L = sum_k max(0, 1 - m_k)

    Args:
        logits: (B, L), any real.
        target: (B, L) in {0, 1}.

    Returns:
        (B,), in units of the score; subgradient 0 at the kink; Lipschitz constant sqrt(L).

    Neighbours: the sum of L binary hinges. Learns the side only: eta .55 and .9 both give 1.

    Source: Rifkin & Klautau 2004.

    >>> one_vs_all_hinge(torch.tensor([[0.5, 0.0, -2.0]]), torch.tensor([[1, 1, 0]]))
    tensor([1.5000])
    """
    return torch.relu(1 - margin_of(logits, target)).sum(-1)
