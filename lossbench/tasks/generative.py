"""Data as their own target: a reconstruction, and the posterior of the latents behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.contract import Declaration, metric
from lossbench.models.variational import Autoencoder, draws_latents
from lossbench.tasks import Answers, Backbone, Section, Study, Task, line
from lossbench.tasks.refusals import (
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import log_likelihood, shared

ACTIVE = 0.01  # variance over the data from which the mean of a latent counts as used


@shared
def _reconstructed(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The targets and their probabilities, (..., N, P)."""
    probability = estimate[..., : target.shape[-1]].clamp(0, 1)
    return target.to(estimate.dtype), probability


@shared
def _posterior(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log-variances of the latents, (..., N, Z)."""
    mean, log_variance = estimate[..., target.shape[-1] :].chunk(2, -1)
    return mean, log_variance


@shared
def _reconstruction(estimate: Tensor, target: Tensor) -> Tensor:
    target, probability = _reconstructed(estimate, target)
    return -log_likelihood(probability, target).sum(-1).mean(-1)


@shared
def _kl(estimate: Tensor, target: Tensor) -> Tensor:
    mean, log_variance = _posterior(estimate, target)
    divergence = mean.square() + torch.expm1(log_variance) - log_variance
    return divergence.sum(-1).mean(-1) / 2


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def negative_elbo(estimate: Tensor, target: Tensor, /) -> Tensor:
    """reconstruction + kl; a model in evaluation decodes the posterior's mean."""
    return _reconstruction(estimate, target) + _kl(estimate, target)


@metric(direction=-1, bounds=(0, math.inf), unit="nats")
def reconstruction(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over examples of the negative Bernoulli log-likelihood, summed over pixels."""
    return _reconstruction(estimate, target)


@metric(direction=0, bounds=(0, math.inf), unit="nats")
def kl(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over examples of the divergence of the posterior from N(0, I)."""
    return _kl(estimate, target)


@metric(direction=-1, bounds=(0, 1))
def squared_error(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over pixels of the square of the target less its probability."""
    target, probability = _reconstructed(estimate, target)
    return (target - probability).square().mean(-1).mean(-1)


@metric(direction=0, bounds=(0, math.inf))
def active_units(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Latents whose mean varies over the data by more than 0.01 (Burda 2016)."""
    mean, _ = _posterior(estimate, target)
    return (mean.var(-2, correction=0) > ACTIVE).sum(-1).to(estimate.dtype)


@dataclass(frozen=True)
class Generative(Task):
    """Targets (..., N, P) in [0, 1]; predictions (..., N, P + 2Z).

    A prediction is P logits of the reconstruction, Z means and Z log-variances; in the estimate
    the logits are probabilities.
    """

    pixels: int
    latent_dim: int = 4

    name = "generative"
    version = 2  # latents are drawn from counters
    metrics = (negative_elbo, reconstruction, kl, squared_error, active_units)
    primary = "negative_elbo"
    target_dtype = torch.float32
    vocabulary = r"\bELBO\b|variational|reconstruction|\blatent"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Generative:
        """The generative task of inputs (N, ...) and the same data flattened, (N, P) in [0, 1]."""
        refuse_targets(cls.name, inputs, targets, "fiu", ("P",))
        advice = "data in [0, 1]: divide by their maximum"
        refuse_outside_unit(cls.name, torch.from_numpy(targets.astype(np.float64)), advice)
        return cls(tuple(inputs.shape[1:]), targets.shape[1])

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Generative:
        pixels = target.shape[-1]
        return cls((), pixels, max(1, (prediction.shape[-1] - pixels) // 2))

    @classmethod
    def small(cls) -> Generative:
        return cls((6, 4), 4)

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return (self.pixels + 2 * self.latent_dim,)

    def assemble(self, backbone: Backbone, outputs: int) -> nn.Module:
        """A backbone that draws no latents is used twice, for what encodes and what decodes them.

        Otherwise its reconstruction could pass the latents by, and would owe them nothing.
        """
        model = super().assemble(backbone, outputs)
        if draws_latents(model, self.input_shape):
            return model
        encoder = backbone(self.input_shape, (2 * self.latent_dim,))
        return Autoencoder(encoder, backbone((self.latent_dim,), (self.pixels,)))

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        shape = (8, *self.output_shape(outputs))
        prediction = torch.sin(1.0 + torch.arange(math.prod(shape))).reshape(shape)
        target = 0.5 + 0.5 * torch.cos(1.0 + torch.arange(8 * self.pixels))
        return prediction, target.reshape(8, self.pixels)

    def check(self, prediction: Tensor, target: Tensor) -> None:
        (width,) = self.output_shape(1)
        fits = target.ndim > 1 and target.shape[-1] == self.pixels
        if not fits or prediction.shape != (*target.shape[:-1], width):
            expected = f"(..., N, {self.pixels} + 2Z) and (..., N, {self.pixels})"
            refuse_shapes(self.name, prediction, target, expected)
        refuse_types(self.name, prediction, target)
        refuse_outside_unit(self.name, target, "data in [0, 1]")

    def answers(self, size: float) -> Answers:
        """Of black and white data, the posterior that of no data."""
        target = self.example()[1].round()
        right = size * (2 * target - 1)
        posterior = torch.zeros(len(target), 2 * self.latent_dim)
        return Answers(
            torch.cat([right, posterior], -1), torch.cat([-right, posterior], -1), target
        )

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the logit of one pixel, and along a latent's mean and log-variance."""

        def section(axis: str, moved: int, data: float, rest: float) -> Section:
            def batch(x: Tensor) -> tuple[Tensor, Tensor]:
                columns = [torch.full_like(x, rest), *[torch.zeros_like(x)] * (2 * self.latent_dim)]
                columns[moved] = x
                return torch.stack(columns, -1), torch.full_like(x, data).unsqueeze(-1)

            return Section(axis, f"gradient in {axis.split(',')[0]}", line(-4, 4), batch)

        pixel = "z, the reconstruction of one pixel, posterior N(0, 1)"
        pixels = tuple((f"pixel {x:g}", section(pixel, 0, x, 0.0)) for x in (1.0, 0.5))
        mean = section("mu, the mean of a latent; s = 0, pixel and z 1", 1, 1.0, 1.0)
        spread = "s, the log-variance of a latent; mu = 0, pixel and z 1"
        variance = section(spread, 1 + self.latent_dim, 1.0, 1.0)
        return (
            Study("reconstruction", pixels, "pixel", vary=False),
            Study("a latent's mean", (("", mean),)),
            Study("a latent's variance", (("", variance),)),
        )

    def link(self, prediction: Tensor) -> Tensor:
        """Sigmoid of the reconstruction's logits."""
        logits, posterior = prediction.tensor_split([self.pixels], dim=-1)
        return torch.cat([torch.sigmoid(logits), posterior], -1)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """latent_dim, the Z of a prediction."""
        return {"latent_dim": self.latent_dim}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: data belong to no class."""
        return np.zeros(len(targets), dtype=np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Data as they are."""
        return targets.astype(np.float64)
