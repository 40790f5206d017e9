"""A step of an optimiser on the stacked parameters of all replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from lossbench.training.roads import TOLERANCE


def step(
    optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor], rates: Tensor | None
) -> None:
    """One step; with rates (R,) each replica goes its own share of the step at learning rate 1."""
    if rates is None:
        optimizer.step()
        return
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer.step()
    with torch.no_grad():
        for parameter, old in zip(parameters, before, strict=True):
            share = rates.reshape(-1, *[1] * (parameter.ndim - 1))
            parameter.copy_(old.lerp(parameter, share))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its first learning rate times a factor."""
    for group in optimizer.param_groups:
        if "lr" in group:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor


def clip(parameters: Iterable[Tensor], longest: float) -> None:
    """Shorten each replica's gradient (R, ...), as one vector, to a length: longer ones alone."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    lengths = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients]
    length = torch.linalg.vector_norm(torch.stack(lengths), dim=0)
    shares = (longest / (length + 1e-6)).clamp(max=1.0)  # 1e-6 as PyTorch's clip_grad_norm_ has it
    for gradient in gradients:
        gradient *= shares.reshape(-1, *[1] * (gradient.ndim - 1))


def proportional(make: Callable[..., torch.optim.Optimizer], rate: float = 0.05) -> bool:
    """Whether a step at a rate is that share of the step at rate 1, tried on a few."""
    plain, shared = (nn.Parameter(torch.tensor([[0.5, -1.0, 2.0]])) for _ in range(2))
    try:
        one, other = make([plain], lr=rate), make([shared], lr=1.0)
        for _ in range(5):
            plain.grad, shared.grad = plain.detach().cos(), shared.detach().cos()
            step(one, [plain], None)
            step(other, [shared], torch.tensor([rate]))
    except Exception:  # an optimiser that wants more than gradients
        return False
    return torch.allclose(plain, shared, TOLERANCE, 1e-6)
