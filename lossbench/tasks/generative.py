"""Data as their own target: a reconstruction, and the posterior of the latents behind it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.models.variational import Autoencoder, draws_latents
from lossbench.tasks import Backbone, Task
from lossbench.tasks.lawful import (
    refuse_outside_unit,
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import log_likelihood, where_finite

ACTIVE = 0.01  # variance over the data from which the mean of a latent counts as used


@dataclass(frozen=True)
class Generative(Task):
    """Targets (..., N, P) in [0, 1]; predictions (..., N, P + 2Z).

    A prediction is P logits of the reconstruction, Z means and Z log-variances; in the estimate
    the logits are probabilities.
    """

    pixels: int
    latent_dim: int = 4

    name = "generative"
    primary = "negative_elbo"
    directions = {  # noqa: RUF012 (declared ClassVar in Task)
        "negative_elbo": -1,
        "reconstruction": -1,
        "kl": 0,
        "squared_error": -1,
        "active_units": 0,
    }
    target_dtype = torch.float32

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

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        if link:
            return link(prediction)
        logits, posterior = prediction.tensor_split([self.pixels], dim=-1)
        return torch.cat([torch.sigmoid(logits), posterior], -1)

    def metrics(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """In nats per example: reconstruction, Bernoulli; kl to N(0, I); negative_elbo, their sum.

        squared_error is per pixel; active_units counts the latents whose mean varies over the
        data by more than 0.01 (Burda 2016). A model in evaluation decodes the posterior's mean.
        """
        probability, posterior = estimate.tensor_split([self.pixels], dim=-1)
        mean, log_variance = posterior.chunk(2, -1)
        target, probability = target.to(estimate.dtype), probability.clamp(0, 1)
        likelihood = log_likelihood(probability, target)
        reconstruction = -likelihood.sum(-1).mean(-1)
        divergence = mean.square() + torch.expm1(log_variance) - log_variance
        kl = divergence.sum(-1).mean(-1) / 2
        used = mean.var(-2, correction=0) > ACTIVE
        scores = {
            "negative_elbo": reconstruction + kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "squared_error": (target - probability).square().mean(-1).mean(-1),
            "active_units": used.sum(-1).to(estimate.dtype),
        }
        return where_finite(estimate.isfinite().flatten(-2).all(-1), scores)

    def facts(self, target: Tensor) -> dict[str, Any]:
        """latent_dim, the Z of a prediction."""
        return {"latent_dim": self.latent_dim}

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: data belong to no class."""
        return np.zeros(len(targets), dtype=np.int64)

    def scaled(self, targets: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Data as they are."""
        return targets.astype(np.float64)
