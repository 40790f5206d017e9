"""A loss of a library or of a file as a run calls it, for tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
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


@contextmanager
def installed(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that lies in a folder as pip puts it there."""
    (folder / "site-packages").mkdir()
    (folder / "site-packages" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder / "site-packages")
    registry.refresh()
    yield name
    sys.modules.pop(name, None)
    registry.refresh()
