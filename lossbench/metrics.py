"""Which metrics a run has, and what they are worth on a split."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from lossbench import registry
from lossbench.contract import DEVIATIONS, Metric, UserError
from lossbench.registry.hints import choices
from lossbench.tasks import Task
from lossbench.tasks.scores import sharing

OF_TRAINING = ("class_counts", "cuts")  # facts of each replica's training targets
WEIGHT = "example_weight"
AT_ONCE = 2**19  # numbers of estimates whose metrics are in memory at a time
OF_REPLICAS = (*OF_TRAINING, "temperature")  # facts that each replica has of its own


def metrics_of(task: Task, names: Sequence[str] = ()) -> dict[str, Metric]:
    """The metrics of a task and then those that are added by name, ready to be called.

    A name is that of a `lossbench.metrics.<task>` entry point or `file.py:function`, by whose last
    part the metric is known; a metric that the task has already may be named too. UserError where
    there is no such metric, or where it does not give one value for each replica.
    """
    metrics = {metric.name: _with_facts(metric, task) for metric in task.metrics}
    for name in names:
        if name not in metrics:
            added = _added(name, task)
            if added.name in metrics:
                raise UserError(
                    f"metric={name}: there is a metric {added.name} already; rename it."
                )
            metrics[added.name] = added
    return metrics


def primary_of(task: Task, metrics: Mapping[str, Metric], name: str | None) -> Metric:
    """The metric that chooses epochs and orders tables: the named one, else the task's.

    UserError where neither more nor less of it is better.
    """
    primary = metrics[task.primary if name is None else name.rpartition(":")[2]]
    if not primary.direction:
        raise UserError(
            f"metric={name}: neither more nor less of it is better. Choose another, such as "
            f"{task.primary}."
        )
    return primary


def asked_of_replicas(metrics: Iterable[Metric]) -> set[str]:
    """What metrics ask for by a keyword that each replica has its own of."""
    return {name for metric in metrics for name in _asked(metric.function) if name in OF_REPLICAS}


def score(
    metrics: Mapping[str, Metric],
    estimate: Tensor,
    target: Tensor,
    scale: Tensor | None = None,
    facts: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The value of each metric, NaN for a replica whose estimates are not all finite.

    What is NaN for all of its examples, and does not make up the whole of an estimate, is what a
    loss does not estimate: metrics that need it give NaN.

    scale: the deviation (R, ...) of each replica's training targets, where they have one. facts:
    what is `asked_of_replicas`: class_counts (R, C) and cuts (R, K) of training, temperature (R,);
    and example_weight (R, N), where examples have one.
    """
    size, given = max(1, AT_ONCE // estimate[0].numel()), dict(facts or {})
    if size >= len(estimate):
        return _score(metrics, estimate, target, scale, given)
    parts = []
    for start in range(0, len(estimate), size):
        some = slice(start, start + size + 1)  # one more: a tensor's last numbers round differently
        own = {name: values[some] for name, values in given.items()}
        part = _score(
            metrics, estimate[some], target[some], None if scale is None else scale[some], own
        )
        parts.append({name: values[:size] for name, values in part.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in metrics}


def _score(
    metrics: Mapping[str, Metric],
    estimate: Tensor,
    target: Tensor,
    scale: Tensor | None,
    facts: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The same of all replicas at once."""
    with sharing():
        values = {
            name: metric(*_in_unit_of(metric, estimate, target, scale), **_given(metric, facts))
            for name, metric in metrics.items()
        }
    sound = is_sound(estimate, next(iter(values.values())).ndim)
    return {name: value.masked_fill(~sound, torch.nan) for name, value in values.items()}


def _given(metric: Metric, facts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The facts of replicas that a metric asks for, and the weights that it can do without."""
    given = {fact: facts[fact] for fact in asked_of_replicas([metric])}
    if WEIGHT in facts and takes_weights(metric):
        given[WEIGHT] = facts[WEIGHT]
    return given


def takes_weights(metric: Metric) -> bool:
    """Whether examples may count differently in a metric."""
    return WEIGHT in inspect.signature(metric.function).parameters


def is_sound(estimate: Tensor, axis: int) -> Tensor:
    """Whether estimates (..., N, ...) are finite, but for places that are NaN for all N.

    axis: that of the examples.
    """
    absent = estimate.isnan().all(axis, keepdim=True)
    whole = absent.flatten(axis).all(-1)[(..., *[None] * (estimate.ndim - axis))]
    return (estimate.isfinite() | (absent & ~whole)).flatten(axis).all(-1)


def _in_unit_of(
    metric: Metric, estimate: Tensor, target: Tensor, scale: Tensor | None
) -> tuple[Tensor, Tensor]:
    if scale is None or metric.unit != DEVIATIONS:
        return estimate, target
    return estimate / scale.unsqueeze(1), target / scale.unsqueeze(1)


def _added(name: str, task: Task) -> Metric:
    """A plugin's metric, tried on two replicas of the task's example."""
    declared = [metric.name for metric in task.metrics]
    installed = [p.name for p in registry.installed("metric") if p.task == task.name]
    if ":" not in name and name not in registry.names("metric"):
        raise UserError(
            f"metric={name}: the task {task.name} has no such metric. "
            f"{choices(name, declared + installed)}"
        )
    plugin = registry.find_for_task(name, task.name, kind="metric")
    metric = registry.load(plugin)
    if not isinstance(metric, Metric):
        raise UserError(
            f"metric={name} does not say which values are better: decorate it with "
            "@metric(direction=1) of lossbench.contract, or -1 where less is better."
        )
    metric = _with_facts(replace(metric, name=plugin.name.rpartition(":")[2]), task)
    prediction, target = (torch.stack([part, part]) for part in task.example())
    estimate = task.estimate(prediction, None)
    facts = {name: _tried_fact(name, task, metric, target) for name in asked_of_replicas([metric])}
    try:
        value = metric(estimate, target, **facts)
    except Exception as error:
        raise UserError(
            f"metric={name} fails on estimates {tuple(estimate.shape)} and targets "
            f"{tuple(target.shape)}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(value, Tensor) or value.shape != (2,) or not value.is_floating_point():
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(
            f"metric={name} gives {got} for estimates {tuple(estimate.shape)} and targets "
            f"{tuple(target.shape)} of 2 replicas; expected one float for each, (2,)."
        )
    return metric


def _tried_fact(name: str, task: Task, metric: Metric, target: Tensor) -> Tensor:
    known = task.facts(target)
    if "class_counts" in known and task.estimate_range == (0, 1):
        known["temperature"] = torch.ones(2)
    if name not in known:
        raise UserError(
            f"metric={metric.name} asks for {name}, which the task {task.name} does not have."
        )
    fact: Tensor = known[name]
    return fact


@functools.cache  # it is read for every metric at every scoring
def _asked(function: Callable[..., Tensor]) -> list[str]:
    """The keywords without default."""
    keywords = inspect.signature(function).parameters.values()
    return [k.name for k in keywords if k.kind is k.KEYWORD_ONLY and k.default is k.empty]


def _with_facts(metric: Metric, task: Task) -> Metric:
    """The metric with what its function asks of the task by keywords without default."""
    asked = [name for name in _asked(metric.function) if name not in OF_REPLICAS]
    for name in asked:
        if not hasattr(task, name):
            raise UserError(
                f"metric={metric.name} asks for {name}, which the task {task.name} does not have."
            )
    facts = {name: getattr(task, name) for name in asked}
    return replace(metric, function=partial(metric.function, **facts)) if facts else metric
