"""Which loss a name means, and which task it is for."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from lossbench import registry
from lossbench.contract import UserError, declaration_of
from lossbench.registry import Plugin
from lossbench.tasks import Task

INPUT_SHAPE = (6, 4)  # steps and features, where a task reads it
OWN_FIELDS: dict[str, Any] = {"int": 3, "tuple[int, int]": (4, 5), "tuple[int, ...]": (4,)}
WORDS = {
    "multilabel": r"multi-?label|\(B, L\)",
    "segmentation": r"segment|\(B, H|pixel|\bmask",
    "sequence": r"sequence|\bCTC\b|\bblank\b|\(B, T\b|\(T, B\b",
    "generative": r"\bELBO\b|generative|variational|reconstruction",
    "ranking": r"\branking|\branks?\b",
    "pairs": r"\bpairs?\b|two views|modalit",
    "embedding": r"embedding|\(B, D\) .*int64",
    "distribution": r"soft targets?\b|target: \(B, C\)|\bdistributions?\b",
    "binary": r"binary|\{0, 1\}|sigmoid|softplus|target - 1\b",
    "multiclass": r"multi-?class|\(B, C\)|int64|softmax|gather|one_hot|logsumexp|\bclasses\b",
    "regression": r"regression|residual|target - prediction|prediction - target|real targets?\b",
}


def plugins_of(name: str, task: str | None) -> list[Plugin]:
    """The plugins to check: for one task, or all of the name; UserError where there is none."""
    place, _, attribute = name.rpartition(":")
    if place and not place.endswith(".py") and not _is_installed(name) and _is_module(place):
        return [Plugin("loss", name, place, attribute, package=place.partition(".")[0])]
    if task is not None:
        return [registry.find_for_task(name, task)]
    return list(registry.find("loss", name))


def _is_installed(name: str) -> bool:
    try:
        return bool(registry.find("loss", name))
    except UserError:
        return False


def _is_module(place: str) -> bool:
    try:
        return find_spec(place) is not None
    except (ImportError, ValueError):
        return False


def task_of(plugin: Plugin, loss: Callable[..., Any], name: str | None) -> Task:
    """The task asked for, or registered, or else the likeliest by what the loss runs on and says."""
    if name or plugin.task:
        return posed(name or plugin.task or "")
    names = registry.names("task")
    text = plugin.module + plugin.attribute + _text(loss)
    running = [each for each in names if _runs(plugin, loss, posed(each))]
    if not running:
        raise UserError(
            f"loss={plugin.name} runs on the example of no task; name its task, to see why. "
            f"Tasks: {', '.join(names)}."
        )
    return posed(max(running, key=lambda each: _likeness(each, text)))


def _likeness(task: str, text: str) -> int:
    """How many words in the loss's text speak of a task."""
    return len(set(re.findall(WORDS.get(task, rf"\b{task}\b"), text, re.IGNORECASE)))


def _text(loss: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(loss)
    except (OSError, TypeError):
        return loss.__doc__ or ""


def _runs(plugin: Plugin, loss: Callable[..., Any], task: Task) -> bool:
    """Whether the loss gives one number per example, or one, on the task's example."""
    try:
        prediction, target = task.example(declaration_of(loss).outputs)
        facts = {n: v for n, v in task.facts(target).items() if n in registry.facts(plugin)}
        if inspect.isclass(loss):
            values = loss(**facts)(prediction, target)
        else:
            values = loss(prediction, target, **facts)
    except Exception:
        return False
    return isinstance(values, Tensor) and values.shape in ((len(target),), ())


def posed(name: str) -> Task:
    """A small instance of a task; UserError where there is no such task."""
    kind: type[Task] = registry.load(registry.find("task", name)[0])
    own = {
        field.name: OWN_FIELDS[str(field.type)]
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.name != "input_shape"
    }
    return kind(INPUT_SHAPE, **own)
