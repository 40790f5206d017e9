"""Margin losses of the binary task: scores (B,), targets (B,) in {0, 1}, one value per example.

Symbols: z score, y target, m = (2y - 1) z the margin, eta the probability of class 1. Declared
properties are those at the default hyper-parameters.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import margin_of


def _score_to_probability(score: Tensor) -> Tensor:
    """The minimiser 2 eta - 1 read back as a probability."""
    return ((1 + score) / 2).clamp(0, 1)


def _half_log_odds_to_probability(score: Tensor) -> Tensor:
    """The minimiser ½ log(eta / (1 - eta)) read back as a probability."""
    return torch.sigmoid(2 * score)


@declare(
    link=_half_log_odds_to_probability,
    convex=True,
    minimiser="probability",
    source="Freund & Schapire 1997",
)
def exponential(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake exponentially in its margin: AdaBoost's loss, at the mercy of outliers.

    L = e^-m

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.

    Returns:
        (B,), unitless; inf where e^-m overflows (m < -88 in float32).

    Neighbours: about logistic for m >> 0; estimates half the log-odds, so p = sigmoid(2z).
    scikit-learn's gradient boosting has it by this name.

    Source: Freund & Schapire 1997; Friedman, Hastie & Tibshirani 2000.

    >>> exponential(torch.tensor([0.0, 1.0]), torch.tensor([1, 1]))
    tensor([1.0000, 0.3679])
    """
    return torch.exp(-margin_of(logits, target))


@declare(
    tune={"margin": (0.1, 10.0)},
    convex=True,
    lipschitz=1.0,
    minimiser="sign",
    source="Cortes & Vapnik 1995",
)
def hinge(
    logits: Tensor, target: Tensor, /, *, margin: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes what is on the wrong side or within the margin, and ignores all other examples.

    L = max(0, margin - m)

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.
        margin: in (0, inf).

    Returns:
        (B,), in units of the score; subgradient 0 at the kink.

    Neighbours: smooth_hinge rounds the kink. Learns the side only: eta .55 and .9 both give 1.

    Source: Cortes & Vapnik 1995.

    >>> hinge(torch.tensor([2.0, 0.5, 0.5]), torch.tensor([1, 1, 0]))
    tensor([0.0000, 0.5000, 1.5000])
    """
    return torch.relu(margin - margin_of(logits, target))


@declare(
    link=_score_to_probability, convex=True, minimiser="probability", source="Cortes & Vapnik 1995"
)
def squared_hinge(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the shortfall from margin 1 by its square: the L2 support vector machine.

    L = max(0, 1 - m)^2

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.

    Returns:
        (B,), in squared units of the score.

    Neighbours: modified_huber for m >= -1, and steeper beyond; estimates 2 eta - 1.
    scikit-learn's LinearSVC has it.

    Source: Cortes & Vapnik 1995.

    >>> squared_hinge(torch.tensor([2.0, 0.5, -1.0]), torch.tensor([1, 1, 1]))
    tensor([0.0000, 0.2500, 4.0000])
    """
    return torch.relu(1 - margin_of(logits, target)).square()


@declare(
    tune={"gamma": (0.1, 2.0)},
    convex=True,
    lipschitz=1.0,
    minimiser="sign",
    source="Rennie & Srebro 2005; Shalev-Shwartz & Zhang 2013",
)
def smooth_hinge(
    logits: Tensor, target: Tensor, /, *, gamma: Annotated[float, "(0, inf)"] = 1.0
) -> Tensor:
    """Punishes like hinge, with a parabola of width gamma in place of the kink.

    L = 0 if m >= 1;  (1 - m)^2 / (2 gamma) if 1 - gamma <= m <= 1;  1 - gamma/2 - m below

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.
        gamma: in (0, inf), width in score units.

    Returns:
        (B,), in units of the score.

    Neighbours: tends to hinge as gamma falls to 0; four times gamma 2 is modified_huber.

    Source: Rennie & Srebro 2005 (gamma 1); Shalev-Shwartz & Zhang 2013.

    >>> smooth_hinge(torch.tensor([2.0, 0.5, -1.0]), torch.tensor([1, 1, 1]))
    tensor([0.0000, 0.1250, 1.5000])
    """
    shortfall = torch.relu(1 - margin_of(logits, target))
    inside = shortfall.clamp(max=gamma)
    return inside * (shortfall - inside / 2) / gamma


@declare(
    link=_score_to_probability,
    convex=True,
    lipschitz=4.0,
    minimiser="probability",
    source="Zhang 2004",
)
def modified_huber(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes like squared_hinge near the margin, and only linearly beyond -1.

    L = max(0, 1 - m)^2 if m >= -1;  -4 m below

    Args:
        logits: (B,), any real.
        target: (B,) in {0, 1}.

    Returns:
        (B,), in squared units of the score.

    Neighbours: four times smooth_hinge of gamma 2; scikit-learn's SGDClassifier has it.

    Source: Zhang 2004.

    >>> modified_huber(torch.tensor([2.0, 0.5, -3.0]), torch.tensor([1, 1, 1]))
    tensor([ 0.0000,  0.2500, 12.0000])
    """
    return 4 * smooth_hinge(logits, target, gamma=2.0)
