"""Weights that a model starts from, of a file of the user's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pickle import PickleError
from typing import Any, cast

import torch
from torch import Tensor, nn

from lossbench.contract import UserError
from lossbench.models.adapted import Adapted
from lossbench.paths import regular_file
from lossbench.registry.schema import reason_of

Backbone = Callable[[tuple[int, ...], tuple[int, ...]], nn.Module]
INNER = ("state_dict", "model_state_dict", "model")  # where training scripts put them
SHOWN = 3
TYPES = {  # of safetensors
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,  # batches that batch norm has seen
}


def start_from(backbone: Backbone, weights: str | None, frozen: bool | None) -> Backbone:
    """The backbone, made with the file's tensors wherever name and shape agree.

    frozen: whether these are not trained; batch norm's statistics follow the data all the same.
    """
    if weights is None:
        if frozen:
            raise UserError(
                "model.frozen=true: give model.weights too, the file of what is frozen."
            )
        return backbone
    tensors = read_weights(weights)

    def started(input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> nn.Module:
        model = backbone(input_shape, output_shape)
        inner = model.model if isinstance(model, Adapted) else model
        fitting = _load(inner, tensors, weights)
        for name, parameter in inner.named_parameters():
            parameter.requires_grad_(not (frozen and name in fitting))
        if not any(parameter.requires_grad for parameter in inner.parameters()):
            raise UserError(f"model.frozen=true: {weights} has all weights; none is left to train.")
        return model

    return started


def describe_start(model: nn.Module) -> list[str]:
    """A line on how much of a model a file gave, for a reader of the results; else none."""
    lines = []
    for part in (part for part in model.modules() if hasattr(part, "of_file")):
        names = [*part.state_dict()]
        new = [name for name in names if name not in cast(list[str], part.of_file)]
        rest = f"; {_listed(new)} start anew" if new else ""
        lines.append(f"model.weights: {len(names) - len(new)} of {len(names)} tensors{rest}.")
    return lines


def read_weights(path: str) -> dict[str, Tensor]:
    """The tensors of a file by name; UserError where it holds anything but tensors."""
    file = regular_file(path, "model.weights")
    try:
        if file.suffix == ".safetensors":
            return _read_safetensors(file.read_bytes())
        content: Any = torch.load(file, "cpu", weights_only=True)
    except (OSError, RuntimeError, LookupError, ValueError, EOFError, PickleError) as error:
        reason = getattr(error, "strerror", None) or reason_of(error)[:100]
        if "eights" in reason:
            reason = "it holds more than tensors; save model.state_dict()"
        raise UserError(f"model.weights={path}: it cannot be read: {reason}.") from error
    for name in INNER:
        content = content.get(name, content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise UserError(
            f"model.weights={path}: it holds no tensors by name; save model.state_dict()."
        )
    return content


def _read_safetensors(content: bytes) -> dict[str, Tensor]:
    """The header's size in 8 bytes, the header in JSON, and the numbers of each tensor."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        numbers = torch.frombuffer(
            bytearray(content[start + first : start + last]), dtype=TYPES[entry["dtype"]]
        )
        tensors[name] = numbers.reshape(entry["shape"])
    return tensors


def _listed(names: list[str]) -> str:
    """The first few of them."""
    return ", ".join(names[:SHOWN]) + ", …" * (len(names) > SHOWN)


def _load(model: nn.Module, tensors: dict[str, Tensor], path: str) -> list[str]:
    """Copy what has a name and shape of the model's, and give its names; UserError if nothing."""
    known = model.state_dict()
    fitting = {n: t for n, t in tensors.items() if n in known and known[n].shape == t.shape}
    if not fitting:
        raise UserError(
            f"model.weights={path}: no tensor has a name and shape of the model's. It has "
            f"{_listed([*tensors])}; the model {_listed([*known])}."
        )
    model.load_state_dict(fitting, strict=False)
    names: Any = [*fitting]  # nn.Module declares its attributes as tensors and modules
    model.of_file = names
    return [*fitting]
