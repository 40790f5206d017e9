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
from lossbench.check.basics import reduction_of
from lossbench.check.subject import Subject
from lossbench.contract import UserError, declaration_of
from lossbench.registry import Plugin
from lossbench.tasks import Task

INPUT_SHAPE = (6, 4)  # steps and features, where a task reads it
OWN_FIELDS: dict[str, Any] = {"int": 4, "tuple[int, int]": (4, 5), "tuple[int, ...]": (4,)}
# How a loss speaks of its task; where two fit alike, the first is meant.
WORDS = {
    "binary": r"logits|\{0, 1\}|\b0 and 1\b|sigmoid|softplus|target - 1\b|binary_",
    "multiclass": r"logits|multi-?class|\(B, C\)|int64|softmax|gather|one_hot|logsumexp"
    r"|\bclass(?:es)?\b|\bcross_entropy|nll_loss",
    "regression": r"\bprediction|residual|error\b|target - prediction|real targets?\b|quantile"
    r"|huber",
    "multilabel": r"logits|multi-?label|\(B, L\)",
    "distribution": r"logits|soft targets?\b|target: \(B, C\)|\bdistributions?\b",
    "segmentation": r"logits|segment|\(B, H|pixel|\bmask",
    "embedding": r"\bembedding: Tensor|\(B, D\)|\bidentit",
    "pairs": r"\bembeddings: Tensor|\bpair\b|two views|modalit",
    "ranking": r"\branks?\b|\bordered\b",
    "sequence": r"logits|\bCTC\b|\bblank\b|\(B, T\b|\(T, B\b",
    "generative": r"\bELBO\b|variational|reconstruction|\blatent",
}
NUMBERS = ("mean", "median", "quantile")  # what only a regression estimates


def plugins_of(name: str, task: str | None) -> list[Plugin]:
    """The plugins to check: for one task, or all of the name; UserError where there is none."""
    place, _, attribute = name.rpartition(":")
    if place and not place.endswith(".py") and not _is_installed(name) and _is_module(place):
        return [Plugin("loss", name, place, attribute, package=place.partition(".")[0])]
    if task is not None:
        registry.find("task", task)  # a task that does not exist is refused by its own name
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
    if name or plugin.task:
        return posed(name or plugin.task or "")
    names = sorted(registry.names("task"), key=[*WORDS, *registry.names("task")].index)
    text = plugin.module + plugin.attribute + _text(loss)
    fits = {each: _fit(plugin, loss, posed(each)) for each in names}
    return posed(max(names, key=lambda each: fits[each] + _likeness(each, text, loss)))


def _likeness(task: str, text: str, loss: Callable[..., Any]) -> int:
    """How much a loss's text speaks of a task, its name and what it declares counting most."""
    declared = declaration_of(loss)
    numbers = declared.outputs > 1 or declared.minimiser in NUMBERS
    said = re.search(rf"\b{task}s?\b", text, re.IGNORECASE) or (numbers and task == "regression")
    words = re.findall(WORDS.get(task, r"(?!)"), text, re.IGNORECASE)
    return (5 if said else 0) + len({word.lower() for word in words})


def _text(loss: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(loss)
    except (OSError, TypeError):
        return loss.__doc__ or ""


def _fit(plugin: Plugin, loss: Callable[..., Any], task: Task) -> int:
    """From 6, each example of the task has a value of its own, to 0, it fails on the task."""
    subject = Subject(plugin, loss, task)
    try:
        values = subject(*subject.example)
    except Exception:
        return 0
    if not isinstance(values, Tensor):
        return 2
    if values.shape != (len(subject.example[1]),):
        return 3 if values.ndim == 0 and reduction_of(subject) else 2
    return 6 if subject.independent else 4


def posed(name: str) -> Task:
    """A small instance of a task; UserError where there is no such task."""
    kind: type[Task] = registry.load(registry.find("task", name)[0])
    own = {
        field.name: OWN_FIELDS[str(field.type)]
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.name != "input_shape"
    }
    return kind(INPUT_SHAPE, **own)
