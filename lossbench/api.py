"""The same things that the command line does, from Python."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from lossbench import registry, results
from lossbench.contract import Declaration, UserError, declaration_of
from lossbench.experiments import configurations
from lossbench.results import Result
from lossbench.schema import within
from lossbench.tasks import Task
from lossbench.tuning import train_and_write

SOFT = ("binary", "multilabel", "segmentation")  # tasks whose targets may lie between 0 and 1


def get_loss(name: str, *, task: str) -> Callable[..., Any]:
    """The loss of this name for a task, which refuses batches that break the task's contract.

    It is called as f(prediction, target, *, hyper-parameters) and gives one number per example. A
    loss with weights of its own is a module class: its instances are called so. UserError where
    there is no such loss, or where a batch is not lawful.

    >>> import torch
    >>> get_loss("focal", task="binary")(torch.zeros(1), torch.ones(1), gamma=0.0)
    tensor([0.6931])
    """
    kind: type[Task] = registry.load(registry.find("task", task)[0])
    loss = registry.load(registry.find_for_task(name, task))
    if inspect.isclass(loss):
        return loss
    declaration = declaration_of(loss)

    @functools.wraps(loss)
    def checked(prediction: Tensor, target: Tensor, /, **hyper: Any) -> Tensor:
        kind.like(prediction, target).check(prediction, target)
        check_values(name, task, declaration, target)
        values: Tensor = loss(prediction, target, **hyper)
        return values

    return checked


def check_values(name: str, task: str, declaration: Declaration, target: Tensor) -> None:
    """Refuse targets that this loss cannot take, though others of its task can."""
    if declaration.target:
        for value in (target.min().item(), target.max().item()) if target.numel() else ():
            if not within(declaration.target, value):
                raise UserError(f"loss={name}: target {value:g} is not in {declaration.target}.")
    elif task in SOFT and not ((target == 0) | (target == 1)).all():
        raise UserError(f"loss={name} takes hard labels only: every target must be 0 or 1.")


def run(*overrides: str, config_dir: str | None = None) -> Result:
    """Train one configuration in this process, or read its result where there is one.

    overrides are those of the command line: run("loss=focal", "dataset=moons", "seeds=5").
    MLflow is not written; `lossbench sync` shows it the result.
    """
    (config, *others), _ = configurations(overrides, config_dir=config_dir)
    if others:
        raise UserError("run() takes one configuration; call it once for each.")
    folder: Path = results.open_folder(config.results.dir)
    missing = results.missing_seeds(config, folder)
    if missing:
        train_and_write(config, missing, folder)
    stored = results.stored(config, folder)
    assert stored
    return results.of_seeds(stored, config.seeds)
