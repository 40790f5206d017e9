"""Whether a configuration's loss, model and data fit each other, before anything trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import registry
from lossbench.configuration import Choice, Configuration
from lossbench.configuration.settings import TaskChoices
from lossbench.contract import Declaration, Metric, UserError
from lossbench.datasets import Splits
from lossbench.metrics import is_sound, takes_weights
from lossbench.models import ADVICE, name_type
from lossbench.models.adapted import Adapted
from lossbench.registry import Plugin
from lossbench.registry.parts import with_parts
from lossbench.registry.schema import REQUIRED, Parameter, convert, reason_of, within
from lossbench.registry.signatures import CALL_FACTS
from lossbench.tasks import Task, counts_ignored, mixes_parts
from lossbench.tasks.calls import outside_training

APART = 10  # times that spreads of targets differ before it is said


def find_loss(config: Configuration, task: Task) -> Plugin:
    """The configured loss for the task; UserError names a task that the data might pose instead."""
    name, dataset = config.loss.name, config.dataset
    try:
        return with_parts(registry.find_for_task(name, task.name), config.loss.values, task.name)
    except UserError as error:
        tasks = {plugin.task for plugin in registry.find("loss", name)} - {None}
        kinds = [p.kind for p in _parameters("dataset", dataset.name) if p.name == "task"]
        posable = [t for kind in kinds for t in kind.choices or sorted(filter(None, tasks))]
        posable = [other for other in posable if other in tasks]
        if not posable or dataset.values["task"]:
            raise
        first, _, rest = str(error).partition("\n")
        way = f"If the target is meant otherwise, give dataset.task={' or '.join(posable)}."
        raise UserError(f"{first}\n{way} {rest}") from None


def with_choices(task: Task, choices: TaskChoices) -> Task:
    """The task with what the data leave open; UserError where it has no such thing."""
    if choices.unit and not task.in_target_unit:
        raise UserError(
            f"task.unit={choices.unit}: targets of the task {task.name} have no unit. Leave it out."
        )
    if choices.embedding_dim is None:
        return task
    if "embedding_dim" not in {f.name for f in fields(task)} & task.facts(task.example()[1]).keys():
        raise UserError(
            f"task.embedding_dim={choices.embedding_dim}: the task {task.name} has no embeddings. "
            "Leave it out."
        )
    chosen: dict[str, Any] = {"embedding_dim": choices.embedding_dim}
    return replace(task, **chosen)


def unit_of(choices: TaskChoices, splits: Splits) -> float:
    """The size of a mean deviation of the targets, in the unit in which parameters are given."""
    unit = splits.trained_unit if choices.unit else None
    return unit.scale.double().mean().item() if unit else 1.0


def name_units(
    name: str, values: Mapping[str, float], unit: str | None, splits: Splits
) -> list[str]:
    """A line on each hyper-parameter that has the unit of targets, where they are standardised."""
    if splits.trained_unit is None:
        return []
    lines, deviation = [], _deviation_of(splits)
    for key, value in values.items():
        words = f"loss={name}: {key}={value:g} is in"
        if unit:
            lines.append(f"{words} the unit of the target.")
        else:
            known = f", about {value * deviation:.3g} in its unit" if deviation else ""
            lines.append(
                f"{words} standard deviations of the training target{known}; task.unit=target "
                "takes it in that unit."
            )
    return lines


def name_undeclared(
    choice: Choice, loss: Callable[..., Any], of_unit: Mapping[str, float], splits: Splits
) -> list[str]:
    """A line on the numbers of a loss of which nothing says whether they have a unit.

    That is one of a library or from a file: a package declares what has one.
    """
    numbers = [k for k, v in choice.values.items() if type(v) is float and k not in of_unit]
    if splits.trained_unit is None or not numbers:
        return []
    if not hasattr(loss, "foreign") and registry.find("loss", choice.name)[0].package != "file":
        return []
    deviation = _deviation_of(splits)
    each = f", each about {deviation:.3g} in their unit" if deviation else ""
    are, have = ("is", "it has") if len(numbers) == 1 else ("are", "they have")
    return [
        f"loss={choice.name} is given targets in standard deviations{each}; so {are} "
        f"{' and '.join(numbers)}, if {have} that unit."
    ]


def _deviation_of(splits: Splits) -> float | None:
    """Of the targets, where all seeds have those of one column; else None."""
    if not splits.shared or splits.targets.ndim != 1:
        return None
    targets = splits.targets.double()
    return targets[~targets.isnan()].std(correction=0).item()


def name_spreads(splits: Splits) -> list[str]:
    """A line on columns of a target that are so far apart that one decides what is averaged."""
    scale = splits.target_scale
    if scale is None or scale.shape[1:].numel() < 2:
        return []
    spreads = scale.double().mean(0).flatten()
    ratio = (spreads.max() / spreads.min()).item()
    if ratio < APART:
        return []
    return [
        f"Target {spreads.argmax() + 1} of {len(spreads)} varies {ratio:,.0f} times as much as "
        f"target {spreads.argmin() + 1}: metrics in their own units are averaged over targets, and "
        "are of the first alone. metric=standardised_error weighs all alike."
    ]


def name_unused(config: Configuration) -> list[str]:
    """A line on a length of embeddings, for a loss that has none in a task of classes."""
    length = config.task.embedding_dim
    if length is None:
        return []
    return [f"loss={config.loss.name} has no embeddings: task.embedding_dim={length} is not used."]


def _parameters(kind: str, name: str) -> tuple[Parameter, ...]:
    return registry.parameters(registry.find(kind, name)[0])


def check_tables(plugin: Plugin, values: dict[str, Any], task: Task, where: str = "loss") -> None:
    """UserError where a table of numbers for each class has other sizes or values."""
    for parameter in registry.parameters(plugin):
        if parameter.kind.table:
            place = f"{where}.{parameter.name}"
            convert(parameter.kind, values[parameter.name], place, task.weighed_classes)
    for part in plugin.parts:
        check_tables(part.plugin, part.values, task, f"{where}.{part.path}")


def name_empty_classes(choice: Choice, facts: dict[str, Any]) -> list[str]:
    """A line where balanced weights leave out classes that no training example has."""
    values = [value for each in choice.all for value in each.values.values()]
    if "balanced" not in values or facts["class_counts"].all():
        return []
    count = int((facts["class_counts"] == 0).sum())
    return [f"loss={choice.name}: {count} classes without training examples weigh nothing."]


def wanted_facts(
    plugin: Plugin,
    known: dict[str, Any],
    task: Task,
    hyper: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Those of the problem's facts that a loss asks for; UserError where one is not known.

    hyper: what is set already.
    """
    keys = {p.name for p in registry.parameters(plugin)}
    for fact in registry.facts(plugin, needed=True):
        if not registry.given([fact], known) and fact not in (*CALL_FACTS, *hyper):
            advice = f" Set loss.{fact}." if fact in keys else ""
            raise plugin.refused(
                f"the task {task.name} does not supply {fact}. It supplies: "
                f"{', '.join(known) or 'nothing'}.{advice}"
            )
    facts = registry.given(registry.facts(plugin), known)
    return {name: value for name, value in facts.items() if name not in hyper}


def check_loss(
    name: str, make: Callable[..., Any], facts: dict[str, Any], task: Task, outputs: int
) -> None:
    """Hold a loss against the task's example batch; UserError says what came back."""
    loss, (prediction, target) = _as_called(make, facts), task.example(outputs)
    before = prediction.clone(), target.clone()
    try:
        values = loss(prediction.requires_grad_(), target)
        depends = _depends(values, prediction)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"loss={name} fails on a batch of the task {task.name} (prediction "
            f"{tuple(prediction.shape)}, target {tuple(target.shape)}): "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    if not (torch.equal(before[0], prediction) and torch.equal(before[1], target)):
        raise UserError(f"loss={name} changes its arguments in place; compute on a copy.")
    valid = isinstance(values, Tensor) and values.shape in ((len(target),), ())
    if valid and not values.is_floating_point():
        raise UserError(f"loss={name} returned {values.dtype}; expected real numbers, as float.")
    if not valid or not depends:
        got = (
            f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        )
        detached = ", cut off from the prediction" if valid else ""
        raise UserError(
            f"loss={name} returned {got}{detached}; expected one number per example, a tensor of "
            f"shape ({len(target)},) that depends on the prediction."
        )


def _as_called(make: Callable[..., Any], facts: dict[str, Any]) -> Callable[..., Any]:
    """The loss of prediction and target, as a replica with these facts has it."""
    loss = outside_training(make(facts))
    tensors = {n: v for n, v in facts.items() if isinstance(v, Tensor)}
    return loss if isinstance(loss, nn.Module) else partial(loss, **tensors)


def check_ignored(
    name: str, make: Callable[..., Any], facts: dict[str, Any], task: Task, outputs: int
) -> None:
    """UserError where a loss counts what the data leave unknown."""
    if counts_ignored(_as_called(make, facts), *task.example(outputs), task):
        plugins = registry.known_as("loss", name)
        keys = {p.name for plugin in plugins for p in registry.parameters(plugin)}
        key = (
            f"Set loss.ignore_index={task.ignore}, or choose"
            if "ignore_index" in keys
            else "Choose"
        )
        raise UserError(
            f"loss={name} counts targets of {task.ignore}, which are unknown in the task "
            f"{task.name}. {key} a loss that leaves them out."
        )


def check_parts(
    name: str, make: Callable[..., Any], facts: dict[str, Any], task: Task, outputs: int
) -> None:
    """UserError where a loss mixes parts of a target of which the data leave some unknown."""
    if mixes_parts(_as_called(make, facts), *task.example(outputs), task):
        raise UserError(
            f"loss={name} compares the parts of a target with each other, and some are unknown "
            "(NaN) in these data. Choose a loss that adds them up, or remove those rows."
        )


def check_weighs(
    name: str, make: Callable[..., Any], facts: dict[str, Any], task: Task, outputs: int
) -> None:
    """UserError where examples have weights, and a loss gives one number without taking them."""
    if not _as_called(make, facts)(*task.example(outputs)).ndim:
        raise UserError(
            f"loss={name} gives one number for a batch and takes no example_weight, and the data "
            "have weights. Choose a loss of single examples, or leave out dataset.weight."
        )


def name_unweighted(metrics: Mapping[str, Metric]) -> list[str]:
    """A line on metrics in which examples of all weights count alike."""
    alike = [name for name, metric in metrics.items() if not takes_weights(metric)]
    return [f"examples count alike, whatever they weigh, in {', '.join(alike)}."] if alike else []


def check_link(name: str, declaration: Declaration, values: dict[str, Any]) -> None:
    """UserError where a link asks for what its loss does not have."""
    if lacking := [each for each in declaration.link_keywords if each not in values]:
        raise UserError(
            f"loss={name}: its link asks for {', '.join(lacking)}; a link may ask for what its "
            f"loss and task have: {', '.join(values) or 'nothing'}."
        )


def _depends(values: Any, prediction: Tensor) -> bool:
    if not isinstance(values, Tensor) or not values.requires_grad:
        return False
    real = values.real if values.is_complex() else values
    (gradient,) = torch.autograd.grad(real.sum(), prediction, allow_unused=True)
    return gradient is not None


def check_scores(name: str, primary: str, estimate: Tensor, scores: dict[str, Tensor]) -> None:
    """UserError where the metric that chooses epochs needs what a loss does not estimate."""
    partly = bool(estimate.isnan().any()) and bool(is_sound(estimate, 1).all())
    if partly and bool(scores[primary].isnan().all()):
        known = [metric for metric, value in scores.items() if not value.isnan().any()]
        way = "No metric of the task can do with it: give the loss other values."
        if known:
            way = f"Choose another metric, of {', '.join(known)}, such as metric={known[-1]}."
        raise UserError(f"loss={name} estimates only a part of what {primary} needs. {way}")


def checked_schedule(name: str, schedule: Callable[[float], Any]) -> Callable[[float], float]:
    """The schedule; UserError where it gives what no learning rate can be multiplied by."""
    for percent in range(100):
        factor = schedule(percent / 100)
        if not isinstance(factor, int | float) or not 0 <= factor < math.inf:
            raise UserError(
                f"schedule={name} gives {factor!r} at {percent} % of training; expected a number "
                "of at least 0, which the learning rate is multiplied by."
            )
    return schedule


def refuse_schedule(config: Configuration) -> None:
    """UserError where a schedule is asked for, and the optimiser has no learning rate."""
    if "schedule" in config.decisive_kinds:
        raise UserError(
            f"schedule={config.schedule.name}: optimizer={config.optimizer.name} has no lr in its "
            "param_groups. Choose another optimizer, or schedule=constant."
        )


def try_augmentation(
    name: str, augment: Callable[[Tensor, Tensor], Any], inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """An augmented batch; UserError where it fails or gives examples of another form."""
    try:
        given, given_targets = augment(inputs, targets)
        shapes = [tuple(part.shape[1:]) for part in (given, given_targets)]
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = reason_of(error)[:200]
        raise UserError(
            f"augmentation={name} fails on a batch: {reason}\nIt is given inputs and targets, and "
            "gives both. Use tensor arithmetic, and torch.rand or randn for random numbers."
        ) from error
    if shapes != (expected := [tuple(part.shape[1:]) for part in (inputs, targets)]):
        raise UserError(f"augmentation={name} gives shapes {shapes} for {expected}; keep them.")
    return given, given_targets


def check_targets(name: str, interval: str, splits: Splits) -> None:
    known = splits.task.known
    for split in ("train", "validation", "test"):
        each = [known(splits.of([r]).targets_of(split)) for r in range(splits.replicas)]
        for value in (min(t.min().item() for t in each), max(t.max().item() for t in each)):
            if not within(interval, value):
                raise UserError(
                    f"loss={name} needs targets in {interval}; the {split} split has {value:.3g}. "
                    "Choose another loss."
                )


def check_output(
    model: nn.Module, inputs: Tensor, shape: tuple[int, ...], name: str, task: str
) -> None:
    """UserError where a model gives other than one tensor (N, *shape) of real numbers."""
    with torch.no_grad():
        output = model(inputs)
    count = len(inputs)
    expected = _shown((count, *shape), count)
    if not isinstance(output, Tensor):
        given, advice = name_type(output), ADVICE
    elif output.shape != (count, *shape):
        given = _shown(tuple(output.shape), count)
        advice = _advice(tuple(output.shape), (count, *shape))
        if any(isinstance(part, Adapted) for part in model.modules()):
            own = registry.parameters(registry.find("model", name)[0])
            sizes = ", ".join(
                f"model.{p.name}" for p in own if p.default is REQUIRED or type(p.default) is int
            )
            keys = f" ({sizes})" if sizes else ""
            advice = f"have a keyword of its own{keys} give {math.prod(shape)} outputs"
    elif not output.is_floating_point():
        given, advice = f"{output.dtype}", "return real numbers, as float"
    else:
        return
    raise UserError(f"model={name} gives {given} for {task}; expected {expected}: {advice}.")


def _shown(shape: tuple[int, ...], count: int) -> str:
    """A shape with N for the number of examples."""
    words = ["N" if axis == 0 and size == count else str(size) for axis, size in enumerate(shape)]
    return f"({', '.join(words)}{',' * (len(words) == 1)})"


def _advice(given: tuple[int, ...], expected: tuple[int, ...]) -> str:
    if given == (*expected, 1):
        return "squeeze the last axis"
    if [size for size in given if size != 1] == [size for size in expected if size != 1]:
        return "add or remove the axes of size 1"
    return "make its last layer for output_shape, which the model is called with"
