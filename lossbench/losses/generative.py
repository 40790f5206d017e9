"""Losses of the generative task: reconstruction and posterior (B, P + 2Z), data (B, P) in [0, 1].

The last axis of a prediction is P numbers that make the reconstruction, Z means and Z
log-variances of the posterior. Symbols: x the data, mu and s = log sigma^2 the parameters of the
posterior q. Over pixels and latents the value is the sum: a mean over pixels would be a hidden
beta. What is minimised is the *negative* of the evidence lower bound.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare
from lossbench.losses.stable import softplus


def _above_tangent(s: Tensor) -> Tensor:
    """e^s - 1 - s, whose value and slope vanish at 0 and keep their digits there."""
    small, series = s.clamp(-0.5, 0.5), torch.ones_like(s)
    for n in range(14, 2, -1):
        series = 1 + series * small / n
    return torch.where(s.abs() < 0.5, small.square() / 2 * series, torch.expm1(s) - s)


def _as_it_is(prediction: Tensor) -> Tensor:
    """Means need no link."""
    return prediction


def _charge(posterior: Tensor, beta: float) -> Tensor:
    """beta KL(q || N(0, I)) = beta/2 sum (mu^2 + e^s - 1 - s), in nats; 0 at beta 0 in any case."""
    mean, log_variance = (posterior * (beta != 0)).chunk(2, -1)
    return beta / 2 * (mean.square() + _above_tangent(log_variance)).sum(-1)


@declare(
    tune={"beta": (0.1, 10.0)},
    convex=True,
    source="Kingma & Welling 2014, arXiv 1312.6114; Higgins et al. 2017",
)
def elbo(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    latent_dim: int,
    beta: Annotated[float, "[0, inf)"] = 1.0,
) -> Tensor:
    """Rewards a probable reconstruction, and charges for what the latents know of the example.

    L = -sum_i [x_i log p_i + (1 - x_i) log(1 - p_i)] + beta KL(q || N(0, I)), p = sigmoid(z)

    Args:
        prediction: (B, P + 2Z), any real: P logits z, Z means, Z log-variances.
        target: (B, P) in [0, 1].
        latent_dim: Z.
        beta: in [0, inf).

    Returns:
        (B,), nats; at beta 1 a bound on -log p(x) from above, for one draw of the latents.

    Neighbours: elbo_gaussian reads them as means of unit variance. beta = 1 is the variational
    autoencoder; a KL of 0 is a posterior that ignores its example, not a success.

    Source: Kingma & Welling 2014, arXiv 1312.6114; beta Higgins et al. 2017.

    >>> elbo(torch.tensor([[0.0, 0.0, 1.0, 0.0]]), torch.tensor([[1.0, 0.0]]), latent_dim=1)
    tensor([1.8863])
    """
    pixels = prediction.shape[-1] - 2 * latent_dim
    logits, posterior = prediction[..., :pixels], prediction[..., pixels:]
    x = target.to(logits.dtype)
    surprise = x * softplus(-logits) + (1 - x) * softplus(logits)
    return surprise.sum(-1) + _charge(posterior, beta)


@declare(
    link=_as_it_is,
    tune={"beta": (0.1, 10.0)},
    convex=True,
    source="Kingma & Welling 2014, arXiv 1312.6114; Higgins et al. 2017",
)
def elbo_gaussian(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    latent_dim: int,
    beta: Annotated[float, "[0, inf)"] = 1.0,
) -> Tensor:
    """Rewards a near reconstruction, and charges for what the latents know of the example.

    L = ½ sum_i (x_i - xhat_i)^2 + beta KL(q || N(0, I)): data of unit variance

    Args:
        prediction: (B, P + 2Z), any real: P means xhat, Z means, Z log-variances.
        target: (B, P) in [0, 1], as the task has it; the formula takes any real.
        latent_dim: Z.
        beta: in [0, inf).

    Returns:
        (B,), nats, without the constant P/2 log 2 pi.

    Neighbours: elbo reads the same data as probabilities. Another variance of the data is another
    beta: sigma^2 beta, with the loss divided by sigma^2.

    Source: Kingma & Welling 2014, arXiv 1312.6114; beta Higgins et al. 2017.

    >>> prediction, data = torch.tensor([[3.0, 0.0, 1.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    >>> elbo_gaussian(prediction, data, latent_dim=1)  # 4/2 + 1/2
    tensor([2.5000])
    """
    pixels = prediction.shape[-1] - 2 * latent_dim
    mean, posterior = prediction[..., :pixels], prediction[..., pixels:]
    return (target.to(mean.dtype) - mean).square().sum(-1) / 2 + _charge(posterior, beta)
