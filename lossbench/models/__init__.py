"""Backbones: (input_shape, output_shape) -> module. They know neither loss nor task."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lossbench.contract import UserError

ADVICE = "return the predictions alone, a tensor"


def one_tensor(output: Any) -> Tensor:
    """What a model gave, UserError where that is not one tensor."""
    if isinstance(output, Tensor):
        return output
    raise UserError(f"model: it gives {name_type(output)}; {ADVICE}.")


def name_type(output: Any) -> str:
    """Such as "a tuple of 2"."""
    size = f" of {len(output)}" if isinstance(output, tuple | list | dict) else ""
    return f"a {type(output).__name__}{size}"
