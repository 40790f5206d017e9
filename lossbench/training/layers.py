"""A model of R replicas: affine layers as one batched product, the rest mapped by `torch.func`.

A mapped affine layer is a product and a sum, each a pass over memory, and costs twice the calls.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.func import functional_call, vmap

from lossbench.training.draws import Draws

ELEMENT_WISE = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Softplus)


def stacked(
    module: nn.Module,
    parameters: dict[str, Tensor],
    inputs: Tensor,
    prefix: str = "",
    draws: Draws | None = None,
) -> Tensor:
    """Every replica's module on its own inputs: parameters {prefix + name: (R, ...)}, (R, B, ...).

    draws: the random numbers of all replicas, its key (R,), if the module may draw.
    A kind is compared and not asked for with isinstance: a subclass may do something else.
    """
    if type(module) is nn.Sequential:
        for name, child in module.named_children():
            inputs = stacked(child, parameters, inputs, f"{prefix}{name}.", draws)
        return inputs
    if type(module) is nn.Linear and inputs.ndim == 3 and module.bias is not None:
        # Features before examples: then no gradient has to be transposed for its parameter.
        weight, bias = parameters[f"{prefix}weight"], parameters[f"{prefix}bias"]
        return bias.unsqueeze(-1).baddbmm(weight, inputs.mT).mT
    if type(module) in ELEMENT_WISE:
        return module(inputs)
    if type(module) is nn.Flatten and module.start_dim > 0 > module.end_dim:
        return inputs.flatten(module.start_dim + 1, module.end_dim)
    if type(module) is nn.Unflatten and isinstance(module.dim, int) and module.dim > 0:
        return inputs.unflatten(module.dim + 1, module.unflattened_size)
    if draws:
        return vmap(partial(_drawing, module, draws))(draws.key, under(parameters, prefix), inputs)
    return vmap(partial(_one, module))(under(parameters, prefix), inputs)


def under(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What has names that begin with the prefix, by the rest of its name."""
    return {n.removeprefix(prefix): p for n, p in state.items() if n.startswith(prefix)}


def _one(module: nn.Module, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
    return functional_call(module, parameters, (inputs,))


def _drawing(
    module: nn.Module, draws: Draws, key: Tensor, parameters: dict[str, Tensor], inputs: Tensor
) -> Tensor:
    with draws.of(key):
        return _one(module, parameters, inputs)
