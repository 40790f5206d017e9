"""Which sections are shown of a loss: those of its task, of its prototypes or of a regularizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossbench.show.anatomy import Entry
from lossbench.tasks import Section, Study, line
from lossbench.tasks.sections import Batch, turned


def choose_studies(entry: Entry, loss: Callable[..., Any]) -> tuple[Study, ...]:
    """The sections that mean something for this loss; none where none does.

    Prototypes are expected on the first axes.
    """
    if entry.task is None:
        return _regularizer()
    if weights := find_prototypes(entry, loss):
        return _angle_to_prototype(weights[0])
    return entry.task.studies(entry.declaration)


def find_prototypes(entry: Entry, loss: Callable[..., Any]) -> list[nn.Parameter]:
    """The weights of a loss that have a row for each class."""
    classes = getattr(entry.task, "num_classes", None)
    weights = loss.parameters() if isinstance(loss, nn.Module) else ()
    return [p for p in weights if p.ndim == 2 and p.shape[0] == classes]


def _angle_to_prototype(weight: Tensor) -> tuple[Study, ...]:
    """An embedding is turned from its prototype, which is on the first axis, to an empty one."""
    classes, width = weight.shape

    def batch(x: Tensor) -> Batch:
        return turned(x, width, width - 1), torch.zeros(len(x), dtype=torch.int64)

    axis = f"degrees from embedding to prototype, {classes - 1} others at 90"
    return (Study("", (("", Section(axis, "gradient, per degree", line(0, 180), batch)),)),)


def _regularizer() -> tuple[Study, ...]:
    """Of one weight next to another that is 1, in its column or in its row."""

    def section(row: bool) -> Section:
        def batch(x: Tensor) -> Batch:
            pair = torch.cat([x, torch.ones_like(x)])
            return [pair.reshape(1, 2) if row else pair.reshape(2, 1)], torch.empty(0)

        return Section("w, next to another weight of 1", "gradient in w", line(-3, 3), batch, True)

    cases = (("in the same column", section(False)), ("in the same row", section(True)))
    return (Study("", cases, "place of the other weight", vary=False),)
