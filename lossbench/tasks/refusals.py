"""Refusals that tasks share: what is wrong with a batch or with data, in one line."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import UserError


def refuse_shapes(task: str, prediction: Tensor, target: Tensor, expected: str) -> None:
    """UserError that names both shapes and the one that they must have."""
    raise UserError(
        f"{task}: prediction has shape {tuple(prediction.shape)}, target {tuple(target.shape)}; "
        f"give {expected}."
    )


def refuse_single_output(task: str, outputs: int) -> None:
    """UserError where a loss asks for another number of outputs than the task's own."""
    if outputs != 1:
        raise UserError(f"{task}: a loss declares outputs={outputs}; declare 1.")


def refuse_types(task: str, prediction: Tensor, target: Tensor) -> None:
    """UserError where predictions are not floats, or targets not real numbers."""
    if not prediction.is_floating_point():
        raise UserError(f"{task}: prediction is {prediction.dtype}; give floats.")
    if target.dtype == torch.bool or target.is_complex():
        raise UserError(f"{task}: target is {target.dtype}; give floats or integers.")


def refuse_indices(task: str, prediction: Tensor, target: Tensor, noun: str) -> None:
    """UserError where predictions are not floats, or targets not indices from 0."""
    if not prediction.is_floating_point():
        raise UserError(f"{task}: prediction is {prediction.dtype}; give floats.")
    if target.dtype != torch.int64:
        raise UserError(f"{task}: target is {target.dtype}; give {noun}, torch.int64.")
    odd = target[target < 0]
    if odd.numel():
        raise UserError(
            f"{task}: target holds {odd[0].item()} ({odd.numel()} of {target.numel()} values "
            f"below 0); give {noun} from 0."
        )


def refuse_beyond(task: str, target: Tensor, num_classes: int) -> None:
    """UserError where a target is a class that there is not; `refuse_indices` comes first."""
    odd = target[target >= num_classes]
    if odd.numel():
        raise UserError(
            f"{task}: target holds class {odd[0].item()} ({odd.numel()} of {target.numel()} labels "
            f"out of range); give 0 to {num_classes - 1}."
        )


def refuse_outside_unit(task: str, target: Tensor, advice: str) -> None:
    """UserError where a target is below 0, above 1 or NaN."""
    odd = target[~((target >= 0) & (target <= 1))]
    if odd.numel():
        raise UserError(
            f"{task}: target holds {odd[0].item():g} ({odd.numel()} of {target.numel()} values "
            f"outside [0, 1]); give {advice}."
        )


def refuse_targets(
    task: str, inputs: np.ndarray, targets: np.ndarray, kinds: str, axes: tuple[str, ...]
) -> None:
    """UserError where a dataset's targets have other types or axes; kinds are numpy's letters."""
    valid = targets.ndim == 1 + len(axes) and targets.dtype.kind in kinds
    if not valid or len(targets) != len(inputs) or 0 in targets.shape:
        noun = "integers" if "f" not in kinds else "numbers"
        shape = ", ".join([str(len(inputs)), *axes])
        raise UserError(
            f"{task}: targets are {targets.dtype} of shape {targets.shape} for {len(inputs)} "
            f"inputs; give {noun} ({shape}{',' * (not axes)})."
        )


def refuse_two_sided(task: str, inputs: np.ndarray) -> None:
    """UserError where an input is not two of something."""
    if inputs.ndim < 3 or inputs.shape[1] != 2:
        raise UserError(
            f"{task}: inputs have shape {inputs.shape}; give two of equal size per example, "
            "(N, 2, F)."
        )


def refuse_not_binary(task: str, targets: np.ndarray, other: str = "") -> None:
    """UserError where a dataset's targets are not all 0 or 1; other: what is valid as well."""
    odd = targets[(targets != 0) & (targets != 1)]
    if odd.size:
        raise UserError(
            f"{task}: targets hold {odd[0]} ({odd.size} values); give 0 and 1 only{other}."
        )
