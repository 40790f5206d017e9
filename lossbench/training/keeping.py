"""Which predictions are kept with a result, and in what precision; models, where they are."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from lossbench.datasets.pool import Splits
from lossbench.results.predictions import set_aside
from lossbench.training.replicas import State


def bytes_of_kept(splits: Splits, estimate: Tensor, targets: Tensor) -> int:
    """What a replica's estimates, as they are kept, and targets of both splits take.

    estimate, targets: (R, N, ...) of one split.
    """
    width = 4 if splits.target_scale is None else 8
    numbers = 2 * width * estimate[0, 0].numel()
    size = width if targets.is_floating_point() else targets.element_size()
    examples = splits.validation.size + splits.test.size
    weight = 0 if splits.weights is None else splits.weights.element_size()
    return examples * (numbers + size * targets[0, 0].numel() + weight)


def keep(kept: dict[str, np.ndarray], more: dict[str, Tensor | None]) -> None:
    """Add what is not there yet, in single precision but where predictions have a unit."""
    single = more.get("target_scale") is None
    for name, values in more.items():
        if values is not None and name not in kept:
            narrow = single and values.is_floating_point()
            kept[name] = set_aside((values.float() if narrow else values).cpu().numpy())


def keep_models(kept: dict[str, np.ndarray], last: State, best: State, splits: Splits) -> None:
    """Add what replicas are after the last and after the best epoch, and what they measure in.

    Names are `last/NAME`, `best/NAME`, `unit/PART` and `target_unit/PART`.
    """
    parts = {f"last/{name}": value for name, value in last.items()}
    parts |= {f"best/{name}": value for name, value in best.items()}
    for name in ("unit", "target_unit"):
        if unit := getattr(splits, name):
            parts |= {f"{name}/{n}": v for n, v in unit._asdict().items() if v is not None}
    for name, value in parts.items():
        narrow = value.is_floating_point() and value.element_size() < 4  # numpy lacks bfloat16
        kept[name] = set_aside((value.float() if narrow else value).detach().cpu().numpy())
