"""Regularizers: a penalty on the weight matrices of one model, added to the mean of any loss.

Symbols: w a number in a weight W of the list, torch's (out, in, ...), whose columns are inputs.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare


@declare(convex=True, lipschitz=0.0)
def none(weights: list[Tensor], /) -> Tensor:
    """Punishes nothing.

    R = 0

    Args:
        weights: tensors of any shape, at least one.

    Returns:
        ().

    Neighbours: every regularizer at strength 0.

    Source: none.

    >>> none([torch.tensor([[3.0, -4.0]])])
    tensor(0.)
    """
    return weights[0].new_zeros(())


@declare(tune={"strength": (1e-6, 1e-1)}, convex=True, source="Tibshirani 1996")
def l1(weights: list[Tensor], /, *, strength: Annotated[float, "[0, inf)"] = 1e-4) -> Tensor:
    """Punishes the size of each weight, which drives the useless ones to exactly 0.

    R = strength sum |w|

    Args:
        weights: tensors of any shape, at least one.
        strength: in [0, inf).

    Returns:
        (), in units of the loss; subgradient 0 at 0.

    strength = 0 gives none.

    Source: Tibshirani 1996 (lasso).

    >>> l1([torch.tensor([[3.0, -4.0]])], strength=1.0)
    tensor(7.)
    """
    return strength * torch.stack([weight.abs().sum() for weight in weights]).sum()


@declare(tune={"strength": (1e-6, 1e-1)}, convex=True, source="Hoerl & Kennard 1970")
def l2(weights: list[Tensor], /, *, strength: Annotated[float, "[0, inf)"] = 1e-4) -> Tensor:
    """Punishes the square of each weight: all shrink, in proportion, and none reaches 0.

    R = strength sum w^2

    Args:
        weights: tensors of any shape, at least one.
        strength: in [0, inf).

    Returns:
        (), in units of the loss; SGD's weight decay lambda is strength lambda/2.

    strength = 0 gives none. frobenius is its root, matrix by matrix.

    Source: Hoerl & Kennard 1970 (ridge).

    >>> l2([torch.tensor([[3.0, -4.0]])], strength=1.0)
    tensor(25.)
    """
    return strength * torch.stack([weight.square().sum() for weight in weights]).sum()


@declare(tune={"strength": (1e-6, 1e-1)}, convex=True, source="Yuan & Lin 2006")
def frobenius(weights: list[Tensor], /, *, strength: Annotated[float, "[0, inf)"] = 1e-4) -> Tensor:
    """Punishes the length of each matrix: a constant pull, which can empty a whole layer.

    R = strength sum_W ||W||_F, not squared

    Args:
        weights: tensors of any shape, at least one.
        strength: in [0, inf).

    Returns:
        (), in units of the loss; subgradient 0 at W = 0.

    strength = 0 gives none. l2 is its square.

    Source: Yuan & Lin 2006 (group lasso, one group a matrix).

    >>> frobenius([torch.tensor([[3.0, -4.0]])], strength=1.0)
    tensor(5.)
    """
    return strength * torch.stack([torch.linalg.vector_norm(weight) for weight in weights]).sum()


@declare(tune={"strength": (1e-6, 1e-1)}, convex=True, source="Nie et al. 2010")
def l21(weights: list[Tensor], /, *, strength: Annotated[float, "[0, inf)"] = 1e-4) -> Tensor:
    """Punishes each input feature by the length of its column, which drops whole features.

    R = strength sum_W sum_i ||W[:, i]||_2

    Args:
        weights: tensors (out, in, ...), at least one.
        strength: in [0, inf).

    Returns:
        (), in units of the loss; subgradient 0 at an empty column.

    strength = 0 gives none. For a single output unit it is l1.

    Source: Nie et al. 2010.

    >>> l21([torch.tensor([[3.0, 0.0], [-4.0, 0.0]])], strength=1.0)
    tensor(5.)
    """
    columns = [weight.transpose(0, 1).flatten(1) for weight in weights]
    return strength * _summed_norms(columns)


@declare(tune={"strength": (1e-6, 1e-1)}, convex=True, source="Nie et al. 2010")
def l21_rows(weights: list[Tensor], /, *, strength: Annotated[float, "[0, inf)"] = 1e-4) -> Tensor:
    """Punishes each unit by the length of its row of weights, which drops whole units.

    R = strength sum_W sum_i ||W[i]||_2

    Args:
        weights: tensors (out, in, ...), at least one.
        strength: in [0, inf).

    Returns:
        (), in units of the loss; subgradient 0 at an empty row.

    strength = 0 gives none. l21 of the transpose: that drops input features. For a single input
    feature it is l1.

    Source: Nie et al. 2010.

    >>> l21_rows([torch.tensor([[3.0, -4.0], [0.0, 0.0]])], strength=1.0)
    tensor(5.)
    """
    return strength * _summed_norms([weight.flatten(1) for weight in weights])


def _summed_norms(groups: list[Tensor]) -> Tensor:
    """The lengths of all rows of all matrices, summed."""
    norms = [torch.linalg.vector_norm(group, dim=1).sum() for group in groups]
    return torch.stack(norms).sum()
