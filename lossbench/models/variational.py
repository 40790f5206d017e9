"""The variational autoencoder."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from lossbench.contract import UserError
from lossbench.models import one_tensor
from lossbench.models.mlp import mlp


class Autoencoder(nn.Module):
    """An encoder to means and log-variances of Z latents, and a decoder of a draw of them."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, ...) -> (B, P + 2Z); in evaluation the latents are their means."""
        posterior = self.encoder(inputs)
        latents, log_variance = posterior.chunk(2, -1)
        if self.training:
            latents = latents + (log_variance / 2).exp() * torch.randn_like(latents)
        return torch.cat([self.decoder(latents), posterior], -1)


@torch.no_grad()
def draws_latents(model: nn.Module, input_shape: tuple[int, ...]) -> bool:
    """Whether two passes in training differ, as they do with latents drawn at random."""
    inputs = torch.sin(1.0 + torch.arange(math.prod(input_shape))).reshape(1, *input_shape)
    first, second = (one_tensor(model.train()(inputs)) for _ in range(2))
    return not torch.equal(first, second)


def vae(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    hidden: tuple[Annotated[int, "[1, inf)"], ...] = (64,),
) -> nn.Module:
    """A variational autoencoder of two perceptrons: (B, *input_shape) -> (B, P + 2Z).

    P is the size of an input; what is left of the outputs is Z means and Z log-variances, of which
    latents are drawn in training.
    """
    pixels = math.prod(input_shape)
    latents, odd = divmod(math.prod(output_shape) - pixels, 2)
    if len(output_shape) != 1 or latents < 1 or odd:
        raise UserError(
            f"model=vae gives {pixels} + 2Z numbers, Z at least 1; this task needs "
            f"{output_shape}. Use model=mlp, or a generative task."
        )
    encoder = mlp(input_shape, (2 * latents,), hidden=hidden)
    return Autoencoder(encoder, mlp((latents,), (pixels,), hidden=tuple(reversed(hidden))))
