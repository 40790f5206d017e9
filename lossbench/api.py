"""The same things that the command line does, from Python."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lossbench import registry, results
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError, declaration_of
from lossbench.registry.parts import complete, is_made_of_losses, with_parts
from lossbench.registry.schema import REQUIRED, convert, unknown_key, within
from lossbench.results import Result
from lossbench.tasks import Task, task_class
from lossbench.tasks.composed import loss_for
from lossbench.tasks.foreign import fit_form, is_decisive
from lossbench.training.loading import Model, get_models
from lossbench.training.tuning import train_and_write

__all__ = ["Model", "Result", "get_loss", "get_models", "run"]

MOST_FEWER = 10  # outputs than classes, by which a size is looked for


def get_loss(name: str, *, task: str) -> Callable[..., Any]:
    """The loss of this name for a task, which refuses what breaks the task's contract or its own.

    It is called as f(prediction, target, *, hyper-parameters) and gives one number per example. A
    loss with weights of its own is a module class, whose instances are called so. UserError where
    there is no such loss, where a hyper-parameter leaves its range or where a batch is not valid.

    >>> import torch
    >>> get_loss("focal", task="binary")(torch.zeros(1), torch.ones(1), gamma=0.0)
    tensor([0.6931])
    """
    kind = task_class(task)
    plugin = registry.find_for_task(name, task)
    if is_made_of_losses(plugin):
        return functools.partial(_call_composed, plugin, kind)
    if plugin.foreign and _asks_for_values(plugin):
        return functools.partial(_call_foreign, plugin, kind)
    try:
        loss = fit_form(plugin, registry.load(plugin), kind.small())
    except UserError:
        if not plugin.foreign:
            raise
        return functools.partial(_call_foreign, plugin, kind)  # other values may serve
    if inspect.isclass(loss):
        return _checked_class(loss, plugin, kind)

    @functools.wraps(loss)
    def checked(prediction: Tensor, target: Tensor, /, **hyper: Any) -> Tensor:
        if hasattr(loss, "words") and (_decisive(plugin, hyper) or _lacks_fact(plugin, hyper)):
            return _call_foreign(plugin, kind, prediction, target, **hyper)
        posed = check_batch(plugin, kind, loss, prediction, target)
        valid = checked_keywords(plugin, hyper, posed.weighed_classes)
        values: Tensor = loss(prediction, target, **valid)
        return values

    return checked


def _asks_for_values(plugin: registry.Plugin) -> bool:
    """Whether a loss of another library cannot be called at defaults and with facts alone."""
    given = registry.facts(plugin)
    return any(p.default is REQUIRED and p.name not in given for p in registry.signature(plugin))


def _decisive(plugin: registry.Plugin, given: dict[str, Any]) -> dict[str, Any]:
    """What decides how a loss of another library reads a batch."""
    facts = registry.facts(plugin)
    names = {p.name for p in registry.signature(plugin) if is_decisive(p.name, p.default)}
    return {n: v for n, v in given.items() if n in names and n not in facts}


def _lacks_fact(plugin: registry.Plugin, given: dict[str, Any]) -> str:
    return next((n for n in registry.facts(plugin, needed=True) if n not in given), "")


def _call_foreign(
    plugin: registry.Plugin, kind: type[Task], prediction: Tensor, target: Tensor, /, **given: Any
) -> Tensor:
    """The value of a loss of another library in the form that serves at what is given."""
    if lacking := _lacks_fact(plugin, given):
        raise UserError(f"loss={plugin.name}: give {lacking}, a fact of the problem, as a keyword.")
    valid = checked_keywords(plugin, given, None)
    loss = _fitted(plugin, kind, (prediction, target), _decisive(plugin, valid))
    check_batch(plugin, kind, loss, prediction, target)
    make: Any = loss if inspect.isclass(loss) else functools.partial(functools.partial, loss)
    values: Tensor = make(**valid)(prediction, target)
    return values


def _fitted(
    plugin: registry.Plugin, kind: type[Task], batch: tuple[Tensor, Tensor], given: dict[str, Any]
) -> Callable[..., Any]:
    """The loss in its form, found on a small task, or on one of the batch's size if on no such."""
    try:
        return fit_form(plugin, registry.load(plugin), kind.small(), **given)
    except UserError:
        with contextlib.suppress(Exception):
            return fit_form(plugin, registry.load(plugin), kind.like(*batch), **given)
        raise


def _call_composed(
    plugin: registry.Plugin, kind: type[Task], prediction: Tensor, target: Tensor, /, **given: Any
) -> Tensor:
    """The value of a loss made of others, which are among what is given."""
    names = {p.name for p in registry.parameters(plugin)}
    values = complete(plugin, {n: v for n, v in given.items() if n in names}, "loss")
    facts = {n: v for n, v in given.items() if n not in names}
    plugin = with_parts(plugin, values, kind.name)
    loss = loss_for(plugin, registry.load(plugin), kind.small(), **values, **facts)
    if inspect.isclass(loss):
        raise UserError(f"loss={plugin.name}: a term has weights of its own; it can be trained.")
    posed = check_batch(plugin, kind, loss, prediction, target)
    for part in plugin.parts:
        checked_keywords(part.plugin, part.values, posed.weighed_classes)
    checked_keywords(plugin, facts, posed.weighed_classes)
    value: Tensor = loss(prediction, target, **values, **facts)
    return value


def _checked_class(loss: type[Any], plugin: registry.Plugin, task: type[Task]) -> type[Any]:
    """What makes modules of a class with checked keywords, which check their batches."""

    @functools.wraps(loss.__init__)
    def make(_: type[Any], **keywords: Any) -> nn.Module:
        valid = checked_keywords(plugin, keywords, keywords.get("num_classes"))
        module: nn.Module = loss(**valid)
        embeds = task.scores_classes and "embedding_dim" in registry.facts(plugin)
        if not embeds:  # an embedding does not say how many classes there are
            module.register_forward_pre_hook(functools.partial(_check_call, plugin, task))
        return module

    return type(loss.__name__, (loss,), {"__new__": make, "__doc__": loss.__doc__})


def _check_call(
    plugin: registry.Plugin, task: type[Task], module: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    check_batch(plugin, task, type(module), *batch)


def check_batch(
    plugin: registry.Plugin,
    task: type[Task],
    loss: Callable[..., Any],
    prediction: Tensor,
    target: Tensor,
) -> Task:
    """The task of a batch; UserError where the task, or this loss of it, cannot take the batch."""
    declared = declaration_of(loss)
    posed = task.like(_in_size(prediction, declared.outputs), target)
    posed.check(prediction, target)
    known = task.known(target)
    if declared.target:
        for value in (known.min().item(), known.max().item()) if known.numel() else ():
            if not within(declared.target, value):
                raise UserError(
                    f"loss={plugin.name}: target {value:g} is not in {declared.target}."
                )
    elif task.soft_targets and not ((known == 0) | (known == 1)).all():
        raise UserError(f"loss={plugin.name} takes hard labels only: every target must be 0 or 1.")
    return posed


def _in_size(prediction: Tensor, outputs: int | Callable[[int], int]) -> Tensor:
    """A prediction of a problem's size, where the loss has outputs that are a function of it."""
    if not callable(outputs) or prediction.ndim < 2:
        return prediction
    width = prediction.shape[-1]
    size = next((n for n in range(1, width + MOST_FEWER) if outputs(n) == width), width)
    return prediction[..., :1].expand(*prediction.shape[:-1], size)


def checked_keywords(
    plugin: registry.Plugin, given: dict[str, Any], classes: int | None
) -> dict[str, Any]:
    """Keywords of a loss: facts as they are, hyper-parameters as their kind or refused."""
    kinds = {p.name: p.kind for p in registry.parameters(plugin)}
    facts = registry.facts(plugin)
    checked = {}
    for name, value in given.items():
        where = f"loss.{name}"
        if name not in kinds and name not in facts:
            raise unknown_key(where, name, [*kinds, *facts])
        plain = name in facts or isinstance(value, Tensor)
        checked[name] = value if plain else convert(kinds[name], value, where, classes)
    return checked


def run(*overrides: str, config_dir: str | None = None) -> Result:
    """Train one configuration in this process, or read its result where there is one.

    overrides are those of the command line: run("loss=focal", "dataset=moons", "seeds=5").
    MLflow is not written; `lossbench sync` shows it the result.
    """
    for word in overrides:
        if not isinstance(word, str):
            given = type(word).__name__
            raise UserError(f"run() was given a {given}: give words, such as run('loss=focal').")
    (config, *others), _ = configurations(overrides, config_dir=config_dir)
    if others:
        raise UserError("run() takes one configuration; call it once for each.")
    if not config.seeds:
        raise UserError("seeds=auto is for `lossbench run` with several losses: give a count.")
    folder: Path = results.open_folder(config.results.dir)
    missing = results.missing_seeds(config, folder)
    if missing:
        train_and_write(config, missing, folder)
    stored = results.stored(config, folder)
    assert stored
    return results.with_asked(results.of_seeds(stored, config.seeds))
