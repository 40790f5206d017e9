"""Losses of preferences, for the ranking task: scores (B, 2), targets (B,) in {0, 1}, 1 value each.

Symbols: x_w the score of the item that is preferred, x_l that of the other, Delta = x_w - x_l,
sp(x) = log(1 + e^x). The target is 1 where the first item is preferred, and exchanging the items
and the target changes nothing. In the papers a score is beta times a ratio of log-probabilities
under two language models, with beta about 0.1; here scores are free numbers, and beta is 1.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import margin_of, sigmoid, softplus

_BETA = {"beta": (0.1, 10.0)}


def _lead(scores: Tensor, target: Tensor) -> Tensor:
    """Delta (B,): how far the preferred item is above the other."""
    first, second = scores.unbind(-1)
    return margin_of(first - second, target)


def _winner_and_loser(scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """x_w and x_l, (B,) each."""
    first, second = scores.unbind(-1)
    return torch.where(target > 0.5, first, second), torch.where(target > 0.5, second, first)


@declare(
    tune=_BETA, convex=True, lipschitz=2**0.5, source="Bradley & Terry 1952; Rafailov et al. 2023"
)
def dpo(scores: Tensor, target: Tensor, /, *, beta: Annotated[float, "(0, 10]"] = 1.0) -> Tensor:
    """Rewards a preferred item that is far above the other: direct preference optimisation.

    L = sp(-beta Delta) = -log sigmoid(beta Delta)

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.

    Returns:
        (B,), nats; log 2 for equal scores.

    sigmoid(beta Delta) estimates how often the first is preferred (Bradley & Terry). Pairs that
    always agree drive the scores to infinity. This is the binary cross_entropy of a difference, as
    are ranknet and pairwise_logistic of differences of other sets of pairs; in torch,
    soft_margin_loss of beta Delta, which overflows; trl calls it sigmoid.

    Source: Bradley & Terry 1952; Rafailov et al. 2023, arXiv 2305.18290.

    >>> dpo(torch.tensor([[1.0, 1.0], [3.0, 1.0]]), torch.tensor([1, 0]))
    tensor([0.6931, 2.1269])
    """
    return softplus(-beta * _lead(scores, target))


@declare(
    tune={**_BETA, "smoothing": (0.01, 0.4)},
    convex=True,
    lipschitz=0.9 * 2**0.5,
    source="Mitchell 2023",
)
def cdpo(
    scores: Tensor,
    target: Tensor,
    /,
    *,
    beta: Annotated[float, "(0, 10]"] = 1.0,
    smoothing: Annotated[float, "[0, 0.5)"] = 0.1,
) -> Tensor:
    """Rewards a preferred item that is above the other by so much, not by ever more.

    L = (1 - epsilon) sp(-beta Delta) + epsilon sp(beta Delta), with epsilon the smoothing

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.
        smoothing: in [0, 0.5), the share of labels that are taken to be wrong.

    Returns:
        (B,), nats; least at beta Delta = log((1 - epsilon) / epsilon), the entropy of epsilon.

    smoothing = 0 gives dpo. The binary label_smoothing of beta Delta at 2 epsilon; robust_dpo
    corrects for wrong labels instead. trl had it as sigmoid with label_smoothing; 1.16 has not.

    Source: Mitchell 2023, a note on DPO with noisy preferences (conservative DPO).

    >>> cdpo(torch.tensor([[1.0, 1.0], [21.0, 1.0]]), torch.tensor([1, 1]))
    tensor([0.6931, 2.0000])
    """
    lead = beta * _lead(scores, target)
    return (1 - smoothing) * softplus(-lead) + smoothing * softplus(lead)


@declare(
    tune={**_BETA, "flip": (0.01, 0.4)},
    convex=True,
    lipschitz=0.9 / 0.8 * 2**0.5,
    source="Chowdhury, Kini & Natarajan 2024, arXiv 2403.00409",
)
def robust_dpo(
    scores: Tensor,
    target: Tensor,
    /,
    *,
    beta: Annotated[float, "(0, 10]"] = 1.0,
    flip: Annotated[float, "[0, 0.5)"] = 0.1,
) -> Tensor:
    """Rewards like dpo on labels of which a known share is wrong: right on average over them.

    L = [(1 - epsilon) sp(-beta Delta) - epsilon sp(beta Delta)] / (1 - 2 epsilon), epsilon the flip

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.
        flip: in [0, 0.5), the share of labels that are wrong.

    Returns:
        (B,), nats; negative, without a lower bound, for a large beta Delta.

    flip = 0 gives dpo; its mean over labels flipped at that rate is dpo of the right ones. cdpo has
    plus for the minus, and no division. trl: robust.

    Source: Chowdhury, Kini & Natarajan 2024, arXiv 2403.00409.

    >>> robust_dpo(torch.tensor([[1.0, 1.0], [101.0, 1.0]]), torch.tensor([1, 1]))
    tensor([  0.6931, -12.5000])
    """
    lead = beta * _lead(scores, target)
    return ((1 - flip) * softplus(-lead) - flip * softplus(lead)) / (1 - 2 * flip)


@declare(tune=_BETA, convex=True, source="Azar et al. 2024, arXiv 2310.12036")
def ipo(scores: Tensor, target: Tensor, /, *, beta: Annotated[float, "(0, 10]"] = 1.0) -> Tensor:
    """Punishes a lead of the preferred item that is not 1/(2 beta): too small, or too large.

    L = (Delta - 1/(2 beta))^2

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.

    Returns:
        (B,), in squared units of the score.

    Unlike dpo it stops where pairs agree. sppo asks it of each score by itself; the regression's
    squared_error of Delta; torch mse_loss. trl averages log-probabilities over tokens for it.

    Source: Azar et al. 2024, arXiv 2310.12036 (identity preference optimisation).

    >>> ipo(torch.tensor([[1.0, 0.5], [1.0, 1.0]]), torch.tensor([1, 1]))
    tensor([0.0000, 0.2500])
    """
    return (_lead(scores, target) - 0.5 / beta).square()


@declare(tune=_BETA, convex=True, lipschitz=2**0.5, source="Zhao et al. 2023, arXiv 2305.10425")
def slic(scores: Tensor, target: Tensor, /, *, beta: Annotated[float, "(0, 10]"] = 1.0) -> Tensor:
    """Punishes a preferred item that is not above the other by 1/beta.

    L = max(0, 1 - beta Delta)

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.

    Returns:
        (B,), unitless; subgradient 0 at the kink.

    beta = 1 gives margin_ranking; torch's margin_ranking_loss has the margin 0 by default. The
    paper adds a second term for the likelihood of the preferred text. trl: hinge.

    Source: Zhao et al. 2023, arXiv 2305.10425 (SLiC-HF).

    >>> slic(torch.tensor([[2.0, 0.5], [2.0, 0.5], [0.0, 0.0]]), torch.tensor([1, 0, 1]))
    tensor([0.0000, 2.5000, 1.0000])
    """
    return torch.relu(1 - beta * _lead(scores, target))


@declare(convex=True, source="Freund et al. 2003")
def exponential(scores: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a pair in the wrong order exponentially: RankBoost's loss, at the mercy of outliers.

    L = e^-Delta

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.

    Returns:
        (B,), unitless; inf where e^-Delta overflows (Delta < -88 in float32).

    Neighbours: the binary exponential of the difference; about dpo where Delta >> 0.

    Source: Freund, Iyer, Schapire & Singer 2003 (RankBoost).

    >>> exponential(torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 1]))
    tensor([1.0000, 0.3679])
    """
    return torch.exp(-_lead(scores, target))


@declare(
    tune=_BETA,
    convex=False,
    lipschitz=2**0.5 / 4,
    source="Ethayarajh et al. 2024, arXiv 2402.01306",
)
def kto(
    scores: Tensor,
    target: Tensor,
    /,
    *,
    beta: Annotated[float, "(0, 10]"] = 1.0,
    reference: float = 0.0,
    desirable: Annotated[float, "[0, inf)"] = 1.0,
    undesirable: Annotated[float, "[0, inf)"] = 1.0,
) -> Tensor:
    """Rewards a preferred item above a reference point, and another below it, each by itself.

    L = d sigmoid(-beta (x_w - rho)) + u sigmoid(beta (x_l - rho))

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.
        reference: rho, any real, in units of the score.
        desirable: d in [0, inf), the weight of preferred items.
        undesirable: u in [0, inf), the weight of the others.

    Returns:
        (B,), unitless, in [0, d + u]; its gradient dies on both sides, saturated mistakes too.

    Pairs are used one item at a time, so that the scores are absolute, as in nca and sppo. The
    paper's reference point is a divergence of the batch, detached; at reference 0 it is trl's
    apo_zero.

    Source: Ethayarajh et al. 2024, arXiv 2402.01306 (Kahneman-Tversky optimisation), in pairs.

    >>> kto(torch.tensor([[0.0, 0.0], [20.0, -20.0]]), torch.tensor([1, 0]))
    tensor([1., 2.])
    """
    winner, loser = _winner_and_loser(scores, target)
    gain, regret = sigmoid(-beta * (winner - reference)), sigmoid(beta * (loser - reference))
    return desirable * gain + undesirable * regret


@declare(tune=_BETA, convex=True, lipschitz=1.25**0.5, source="Chen et al. 2024, arXiv 2402.05369")
def nca(scores: Tensor, target: Tensor, /, *, beta: Annotated[float, "(0, 10]"] = 1.0) -> Tensor:
    """Rewards a preferred item that is high, and holds both scores near 0: the scores are absolute.

    L = sp(-beta x_w) + ½ sp(beta x_w) + ½ sp(beta x_l)

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.

    Returns:
        (B,), nats; 2 log 2 where both scores are 0.

    Unlike dpo it depends on the level of the scores, and a preferred item does not fall along with
    the other. trl: nca_pair.

    Source: Chen et al. 2024, arXiv 2402.05369 (noise contrastive alignment).

    >>> nca(torch.tensor([[0.0, 0.0], [20.0, -20.0]]), torch.tensor([1, 1]))
    tensor([ 1.3863, 10.0000])
    """
    winner, loser = _winner_and_loser(beta * scores, target)
    return softplus(-winner) + softplus(winner) / 2 + softplus(loser) / 2


@declare(tune=_BETA, convex=True, source="Wu et al. 2024, arXiv 2405.00675")
def sppo(scores: Tensor, target: Tensor, /, *, beta: Annotated[float, "(0, 10]"] = 1.0) -> Tensor:
    """Punishes a preferred item that does not score 1/(2 beta), and another that not its negative.

    L = (x_w - 1/(2 beta))^2 + (x_l + 1/(2 beta))^2

    Args:
        scores: (B, 2), any real, higher is better.
        target: (B,) in {0, 1}, 1 where the first is preferred.
        beta: in (0, 10], per unit of the score.

    Returns:
        (B,), in squared units of the score.

    ipo asks it of the difference alone. The paper weighs by an estimated probability of winning;
    this is the form with labels. trl: sppo_hard.

    Source: Wu et al. 2024, arXiv 2405.00675 (self-play preference optimisation).

    >>> sppo(torch.tensor([[0.5, -0.5], [0.5, -0.5]]), torch.tensor([1, 0]))
    tensor([0., 2.])
    """
    winner, loser = _winner_and_loser(scores, target)
    return (winner - 0.5 / beta).square() + (loser + 0.5 / beta).square()
