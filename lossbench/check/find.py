"""Which loss a name means, and which task it is for."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

from torch import Tensor

from lossbench import registry
from lossbench.check.basics import reduction_of
from lossbench.check.narrow import narrowed
from lossbench.check.subject import Subject, close
from lossbench.contract import UserError, declaration_of
from lossbench.registry import Plugin
from lossbench.registry.parts import is_made_of_losses
from lossbench.tasks import Task, task_class
from lossbench.tasks.composed import loss_for
from lossbench.tasks.foreign import is_adapted

NUMBERS = ("mean", "median", "quantile")  # what only a regression estimates


def plugins_of(name: str, task: str | None) -> list[Plugin]:
    """The plugins to check: for one task, or all of the name; UserError where there is none."""
    if task is not None:
        task_class(task)  # a task that does not exist is refused by its own name
        return [registry.find_for_task(name, task)]
    return list(registry.find("loss", name))


def object_of(plugin: Plugin) -> Any:
    """The plugin's object, of whatever signature: that is for a check to judge."""
    try:
        return registry.imported(plugin)
    except UserError as refused:
        try:  # only losses and the like are refused for their signature
            return registry.load(dataclasses.replace(plugin, kind="task"))
        except UserError:
            raise refused from None


def task_of(plugin: Plugin, loss: Callable[..., Any], name: str | None) -> Task:
    """The task asked for or registered, else the likeliest by what the loss runs on and says."""
    return tasks_of(plugin, loss, name)[0]


def tasks_of(plugin: Plugin, loss: Callable[..., Any], name: str | None) -> list[Task]:
    """The task asked for or registered, else all that the loss runs on, the likeliest first.

    Where it runs on none, the likeliest alone.
    """
    name = name or plugin.task or ("multiclass" if is_made_of_losses(plugin) else None)
    if name:
        return [task_class(name).small()]
    tasks = [task_class(each).small() for each in registry.names("task")]
    text = plugin.module + plugin.attribute + _text(loss)
    is_kept = not plugin.parts and not is_foreign(plugin, loss)
    fits = {each: _fit(plugin, loss, each, is_kept) for each in tasks}
    if is_kept and not any(fits.values()):
        fits = {each: _fit(plugin, loss, each, False) for each in tasks}
    likeness = {each: fit + _likeness(each, text, loss) for each, fit in fits.items()}
    ordered = sorted(sorted(tasks, key=_axes), key=lambda each: -likeness[each])
    return [each for each in ordered if fits[each]] or ordered[:1]


def in_form(plugin: Plugin, loss: Callable[..., Any], task: Task) -> Callable[..., Any]:
    """A loss of losses, or of nobody's contract, as it is called; others have to keep it."""
    is_free = plugin.library or (plugin.foreign and not hasattr(loss, "declaration"))
    return loss_for(plugin, loss, task) if plugin.parts or is_free else loss


def is_foreign(plugin: Plugin, loss: Callable[..., Any]) -> bool:
    """Whether it need not keep the rules for authors: of a library, or adapted and not declared."""
    is_declared = hasattr(loss, "declaration")
    return plugin.library or (is_adapted(plugin, loss) and not is_declared)


def _axes(task: Task) -> int:
    """Of predictions and targets: where two tasks fit alike, the simpler is meant."""
    return sum(part.ndim for part in task.example())


def _likeness(task: Task, text: str, loss: Callable[..., Any]) -> int:
    """How much a loss's text speaks of a task, its name and what it declares counting most."""
    declared = declaration_of(loss)
    several = isinstance(declared.outputs, int) and declared.outputs > 1
    numbers = several or declared.minimiser in NUMBERS
    is_named = re.search(rf"\b{task.called or task.name}s?\b", text, re.IGNORECASE)
    words = {word.lower() for word in re.findall(task.vocabulary, text, re.IGNORECASE)}
    return (5 if is_named or (numbers and task.in_target_unit) else 0) + len(words)


def _text(loss: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(loss)
    except (OSError, TypeError):
        return loss.__doc__ or ""


def _fit(plugin: Plugin, loss: Callable[..., Any], task: Task, as_it_is: bool) -> int:
    """From 6, each example of the task has a value of its own, to 0, it fails on the task.

    And 5 where the task is of numbers and the loss of residuals.
    """
    try:
        called = loss if as_it_is else in_form(plugin, loss, task)
        subject = narrowed(Subject(plugin, called, task))
        prediction, target = subject.example
        values = subject(prediction, target)
    except Exception:
        return 0
    if not isinstance(values, Tensor):
        return 2
    of_numbers = 5 if task.in_target_unit and _is_of_residuals(subject) else 0
    if values.shape == target.shape[:1]:
        return of_numbers + (6 if subject.independent else 4)
    return of_numbers + (3 if values.ndim == 0 and reduction_of(subject) else 2)


def _is_of_residuals(subject: Subject) -> bool:
    """Whether prediction and target may be moved together."""
    prediction, target = subject.example
    try:
        return close(subject(prediction + 1, target + 1), subject(prediction, target), 1e-6, 1e-9)
    except Exception:
        return False
