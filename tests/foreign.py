"""A loss of a library or of a file as a run calls it, for tests."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from lossbench import registry
from lossbench.tasks import task_class
from lossbench.tasks.foreign import fit_form


def one_hot(target: Tensor) -> Tensor:
    return F.one_hot(target, 4).float()


def fitted(name: str, task: str, **given: Any) -> Any:
    (plugin,) = registry.find("loss", name)
    return fit_form(plugin, registry.load(plugin), task_class(task).small(), **given)


def form_of(loss: Any) -> str:
    """How it is given a batch, without what is said of its reduction."""
    return loss.words.removesuffix(", reduction=none")
