"""What goes into a stack, made from a configuration, and what training leaves of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lossbench import registry
from lossbench.configuration import Choice, Configuration
from lossbench.contract import Declaration, Metric, UserError, declaration_of
from lossbench.datasets import Splits
from lossbench.metrics import WEIGHT, metrics_of, primary_of
from lossbench.models.adapted import adapted, sized
from lossbench.models.headed import headed
from lossbench.models.weights import Backbone, describe_start, start_from
from lossbench.registry.signatures import call_facts
from lossbench.tasks import Task
from lossbench.tasks.composed import forms_said, loss_for
from lossbench.training.boundary import (
    check_ignored,
    check_link,
    check_loss,
    check_parts,
    check_tables,
    check_targets,
    check_weighs,
    checked_schedule,
    find_loss,
    name_empty_classes,
    name_spreads,
    name_undeclared,
    name_units,
    name_unused,
    name_unweighted,
    wanted_facts,
)
from lossbench.training.sampling import refuse_sampler


@dataclass(frozen=True)
class Recipe:
    """How to make a replica and how to train it; the same for all.

    output_shape: of a prediction of one example.
    loss: the facts of a replica's data, those that the loss asks for, -> a loss or a module.
    link: with what it asks for and all replicas share; link_asks: what it asks for.
    start: training targets -> where the model's last bias starts, if that is somewhere.
    call_facts: what the loss asks for at each call.
    through_loss: whether the module's `logits` stand between a prediction and its link.
    regularizer, augmentation: of a replica's weights and training batches, if there is one.
    schedule: the share of training that is done -> a factor of the learning rate.
    balanced: whether an epoch visits each class alike.
    clip_norm: the longest gradient of a replica, if there is one.
    metrics: what every split is scored by; primary: the one that chooses epochs.
    fill: a batch of predictions and targets -> what the loss is given, where parts are unknown.
    in_target_unit: hyper-parameters of the loss that are yet to be divided by deviations.
    notes: what a reader of the results must know of how the loss is called.
    """

    model: Callable[[], nn.Module]
    output_shape: tuple[int, ...]
    loss: Callable[[dict[str, Any]], Callable[..., Tensor]]
    facts: tuple[str, ...]
    call_facts: tuple[str, ...]
    link: Callable[..., Tensor] | None
    link_asks: tuple[str, ...]
    start: Callable[[Tensor], Tensor | None] | None
    through_loss: bool
    regularizer: Callable[..., Tensor] | None
    optimizer: Callable[..., torch.optim.Optimizer]
    augmentation: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None
    schedule: Callable[[float], float]
    epochs: int
    batch_size: int
    balanced: bool
    clip_norm: float | None
    metrics: Mapping[str, Metric]
    primary: Metric
    fill: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    in_target_unit: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def batches(self, count: int) -> int:
        """How many batches, of equal size but for one example, an epoch is cut into."""
        return -(-count // self.batch_size)

    def smallest_batch(self, count: int) -> int:
        return count // self.batches(count)


@dataclass
class History:
    """What training leaves, a value for each replica in the order of the seeds.

    curves: (epoch, metric, values); an epoch is 0 before training. final: metric -> values.
    test_curves: the same of the test and training splits, empty unless asked for; apart, to choose
    nothing.
    notes: how the replicas were run, where not all was mapped.
    details: name -> numbers (R, K), for figures. predictions, models: of `results.predictions`.
    diverged_epoch, best_epoch: -1 where there is none. earlier: seconds that processes before this
    one spent.
    """

    diverged_epoch: Tensor
    best_epoch: Tensor
    best_score: Tensor
    curves: list[tuple[int, str, Tensor]] = field(default_factory=list)
    final: dict[str, Tensor] = field(default_factory=dict)
    earlier: float = 0.0
    details: dict[str, Tensor] = field(default_factory=dict)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)
    models: dict[str, np.ndarray] = field(default_factory=dict)
    test_curves: list[tuple[int, str, Tensor]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def first(self, count: int) -> History:
        """The history of the first replicas alone."""
        return History(
            self.diverged_epoch[:count],
            self.best_epoch[:count],
            self.best_score[:count],
            [(epoch, name, values[:count]) for epoch, name, values in self.curves],
            {name: values[:count] for name, values in self.final.items()},
            self.earlier,
            {name: values[:count] for name, values in self.details.items()},
            {name: values[:count] for name, values in self.predictions.items()},
            {name: values[:count] for name, values in self.models.items()},
            [(epoch, name, values[:count]) for epoch, name, values in self.test_curves],
            self.notes,
        )


def bound(kind: str, choice: Choice) -> Callable[..., Any]:
    """The plugin's function with the configured hyper-parameters."""
    return partial(registry.load(registry.find(kind, choice.name)[0]), **choice.values)


def make_recipe(config: Configuration, splits: Splits) -> Recipe:
    """Look the loss up for the task, try it on the task's example, and put the parts together."""
    task, targets = splits.task, splits.train_targets(0)
    known = {**task.facts(targets), "num_examples": splits.train.size}
    fitted = _fit_loss(config, task, targets, known)
    _refuse_unfit(config, splits, fitted)
    metrics = metrics_of(task, [*filter(None, [config.metric]), *config.metrics])
    declaration = _with_link(
        config.loss.name,
        fitted.declaration,
        {**config.loss.values, **known},
        task.fitted_facts(*task.example(fitted.outputs)),
    )
    start = partial(task.start, declaration=declaration)
    model = _model(config, task, declaration, fitted.outputs)
    return Recipe(
        model=model,
        output_shape=task.output_shape(fitted.outputs),
        loss=fitted.loss,
        facts=tuple(fitted.wanted),
        call_facts=call_facts(fitted.function),
        link=declaration.link,
        link_asks=declaration.link_keywords,
        start=None if start(targets) is None else start,
        through_loss=fitted.through_loss,
        regularizer=_regularizer(config),
        optimizer=bound("optimizer", config.optimizer),
        augmentation=_augmentation(config),
        schedule=checked_schedule(config.schedule.name, bound("schedule", config.schedule)),
        epochs=config.trainer.max_epochs,
        batch_size=config.trainer.batch_size,
        balanced=config.trainer.sampler == "balanced",
        clip_norm=config.trainer.clip_norm,
        metrics=metrics,
        primary=primary_of(task, metrics, config.metric),
        fill=task.filled if splits.partly_known else _as_given,
        in_target_unit=fitted.of_unit if config.task.unit else {},
        notes=tuple(_notes(config, splits, fitted, metrics, model)),
    )


@dataclass(frozen=True)
class _FittedLoss:
    """A loss that the task's example has been tried on; as in `Recipe` where the names are alike.

    wanted: the facts that it asks for. outputs: of the model for each example. of_unit: the
    hyper-parameters that have the unit of the target.
    """

    function: Callable[..., Any]
    declaration: Declaration
    loss: Callable[[dict[str, Any]], Callable[..., Tensor]]
    wanted: dict[str, Any]
    outputs: int
    through_loss: bool
    of_unit: dict[str, float]
    notes: tuple[str, ...]


def _fit_loss(
    config: Configuration, task: Task, targets: Tensor, known: dict[str, Any]
) -> _FittedLoss:
    """Look the loss up for the task and try it on its example; UserError where it does not fit."""
    name, plugin = config.loss.name, find_loss(config, task)
    asked = registry.facts(plugin)
    hyper = {n: v for n, v in config.loss.values.items() if n not in asked or v is not None}
    check_tables(plugin, hyper, task)
    wanted = wanted_facts(plugin, known, task, hyper)
    function = loss_for(plugin, registry.load(plugin), task, **hyper, **wanted)
    declaration = declaration_of(function)
    loss = partial(_made, function, hyper)
    outputs = wanted.get("embedding_dim", task.outputs_of(declaration))
    through_loss = task.scores_classes and "embedding_dim" in wanted
    if through_loss and not hasattr(function, "logits"):
        raise UserError(
            f"loss={name} takes embeddings, and the task {task.name} scores classes; "
            "give the loss a method logits(embedding) -> (B, C), or register it for embedding only."
        )
    check_loss(name, loss, wanted, task, outputs)
    if task.ignore is not None and (targets == task.ignore).any():
        check_ignored(name, loss, wanted, task, outputs)
    notes = (*forms_said(name, function), *name_empty_classes(config.loss, wanted))
    of_unit = values_of_unit(plugin, hyper, declaration)
    return _FittedLoss(function, declaration, loss, wanted, outputs, through_loss, of_unit, notes)


def _refuse_unfit(config: Configuration, splits: Splits, fitted: _FittedLoss) -> None:
    """UserError where the loss or the sampler cannot take what is particular to the data."""
    name, task = config.loss.name, splits.task
    tried = (name, fitted.loss, fitted.wanted, task, fitted.outputs)
    if splits.partly_known:
        check_parts(*tried)
    if splits.weights is not None and WEIGHT not in call_facts(fitted.function):
        check_weighs(*tried)
    if config.trainer.sampler:
        refuse_sampler(task, splits.train_targets(0))
    if fitted.declaration.target:
        check_targets(name, fitted.declaration.target, splits)


def _notes(
    config: Configuration,
    splits: Splits,
    fitted: _FittedLoss,
    metrics: Mapping[str, Metric],
    model: Callable[[], nn.Module],
) -> Iterator[str]:
    """What a reader of the results must know of how the loss is called and the model begins."""
    yield from fitted.notes
    yield from name_units(config.loss.name, fitted.of_unit, config.task.unit, splits)
    yield from name_undeclared(config.loss, fitted.function, fitted.of_unit, splits)
    yield from name_spreads(splits)
    if splits.task.scores_classes and not fitted.through_loss:
        yield from name_unused(config)
    if splits.weights is not None:
        yield from name_unweighted(metrics)
    if config.model.values.get("weights"):
        yield from describe_start(model())


def _as_given(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return prediction, target


def values_of_unit(
    plugin: registry.Plugin, values: Mapping[str, Any], declaration: Declaration
) -> dict[str, float]:
    """The hyper-parameters that have the unit of the target, of parts by their paths."""
    of_parts = {f"{p.path}.{n}": v for p in plugin.parts for n, v in p.values.items()}
    known = {**values, **of_parts}
    return {name: known[name] for name in declaration.unit if name in known}


def _with_link(
    name: str, declaration: Declaration, known: dict[str, Any], fitted: dict[str, Tensor]
) -> Declaration:
    """The declaration, its link bound to what all replicas share; UserError where it lacks more."""
    check_link(name, declaration, {**known, **fitted})
    shared = {n: v for n, v in known.items() if not isinstance(v, Tensor)}
    return replace(declaration, link=declaration.link_at(shared))


def _made(
    loss: Callable[..., Any], hyper: dict[str, Any], facts: dict[str, Any]
) -> Callable[..., Tensor]:
    """A replica's loss or module; facts that are tensors a function is given with each call."""
    if inspect.isclass(loss):
        return cast(nn.Module, loss(**hyper, **facts))
    fixed = {n: v for n, v in facts.items() if not isinstance(v, Tensor)}
    return partial(loss, **hyper, **fixed)


def _model(
    config: Configuration, task: Task, declaration: Declaration, outputs: int
) -> Callable[[], nn.Module]:
    """Makes the configured model of the task, with the head that the loss asks for."""
    backbone = _backbone(config.model)
    if declaration.head is None:
        return partial(task.assemble, backbone, outputs)
    return partial(headed, backbone, task.input_shape, outputs, declaration.head)


def _backbone(choice: Choice) -> Backbone:
    """Makes the configured model, from the weights of a file where one is given."""
    plugin = registry.find("model", choice.name)[0]
    own = {p.name for p in registry.signature(plugin)}
    rest = {name: value for name, value in choice.values.items() if name not in own}
    values = {name: value for name, value in choice.values.items() if name in own}
    make = partial(registry.load(plugin), **values)
    backbone = make if registry.takes_shapes(plugin) else partial(adapted, make)
    return start_from(partial(sized, backbone), rest.get("weights"), rest.get("frozen"))


def _regularizer(config: Configuration) -> Callable[..., Tensor] | None:
    chosen = config.regularizer
    return None if chosen.name == "none" else bound("regularizer", chosen)


def _augmentation(config: Configuration) -> Callable[..., Any] | None:
    decides = "augmentation" in config.decisive_kinds
    return bound("augmentation", config.augmentation) if decides else None
