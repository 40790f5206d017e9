"""What there is to say of a plugin that is no loss: what it does, and its parameters."""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator

import yaml
from rich.console import Console, RenderableType
from rich.text import Text

from lossbench import registry
from lossbench.contract import Metric
from lossbench.paths import packaged
from lossbench.registry import Plugin
from lossbench.registry.hints import MEANT
from lossbench.registry.kinds import KINDS
from lossbench.registry.schema import REQUIRED
from lossbench.show.anatomy import describe_kind, split_docstring, write_value
from lossbench.show.text import block, indented, table
from lossbench.tasks import task_class

SHOWN = tuple(kind for kind in KINDS if kind not in ("loss", "regularizer", "config"))
WAYS = {1: "more is better", -1: "less is better", 0: "neither more nor less is better"}


def find_others(name: str) -> list[Plugin]:
    """The plugins that are no losses, by name or kind=name; empty where there is none."""
    kind, equals, plain = name.partition("=")
    if equals and kind in SHOWN:
        return list(registry.find(kind, plain))
    kinds = [each for each in SHOWN if name in registry.names(each)]
    return [registry.find(each, name)[0] for each in kinds]


def find_metrics(name: str) -> list[tuple[str, Metric]]:
    """The metrics of a name that tasks always have, with their tasks."""
    every = [
        (task, metric) for task in registry.names("task") for metric in task_class(task).metrics
    ]
    return [(task, metric) for task, metric in every if metric.name == name.removeprefix("metric=")]


def describe_others(name: str, columns: int) -> str:
    """The text on all that has a name, one below the other; empty where nothing has."""
    printed = io.StringIO()
    console = Console(file=printed, width=columns)
    parts = [_parts(plugin) for plugin in find_others(name)]
    parts += [_of_task(task, metric) for task, metric in find_metrics(name)]
    for number, each in enumerate(parts):
        for part in (*([Text("")] if number else []), *each):
            console.print(part)
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines())


def _of_task(task: str, metric: Metric) -> Iterator[RenderableType]:
    losses = [name for name in MEANT.get(metric.name, []) if name in registry.names("loss")]
    trained = f"as a loss: loss={', loss='.join(losses)}\n" if losses else ""
    yield Text(metric.name)
    yield indented(f"metric={metric.name}\nfor {task}, always\n{trained}")
    yield indented(inspect.getdoc(metric.function) or "It has no docstring.")
    yield Text("\nProperties")
    yield table([_metric(metric)])


def _parts(plugin: Plugin) -> Iterator[RenderableType]:
    target = task_class(plugin.name) if plugin.kind == "task" else registry.load(plugin)
    described = target.function if isinstance(target, Metric) else target
    docstring = split_docstring(inspect.getdoc(described) or "")
    yield Text(plugin.name)
    place = f"for {plugin.task}\n" if plugin.task else ""
    yield indented(f"{plugin.kind}={plugin.name}\n{place}from {plugin.origin}\n")
    yield indented(docstring.summary or "It has no docstring.")
    yield from block("More", "\n".join(filter(None, (docstring.formula, docstring.notes))))
    yield from block("Arguments", docstring.arguments)
    if plugin.kind == "task":
        yield Text("\nMetrics")
        primary = " (chooses epochs and orders tables)"
        rows = [
            (m.name + primary * (m.name == target.primary), *_metric(m)) for m in target.metrics
        ]
        yield table(rows)
    elif isinstance(target, Metric):
        yield Text("\nProperties")
        yield table([_metric(target)])
    else:
        yield Text("\nParameters")
        yield from _parameters(plugin)
    yield from block("Source", docstring.source)


def _metric(metric: Metric) -> tuple[str, str, str]:
    low, high = metric.bounds
    return WAYS[metric.direction], f"from {low:g} to {high:g}", metric.unit


def _parameters(plugin: Plugin) -> Iterator[RenderableType]:
    rows = list_chosen(plugin)
    yield table(rows) if len(rows) > 1 else indented("none")
    if facts := registry.facts(plugin):
        yield indented(f"supplied by the task: {', '.join(facts)}")


def list_chosen(plugin: Plugin) -> list[tuple[str, str, str, str]]:
    """Name, type, range and default of each parameter, as configured, below these headings."""
    preset = packaged("conf") / plugin.kind / f"{plugin.name}.yaml"
    chosen = yaml.safe_load(preset.read_text()) if preset.is_file() else {}
    rows = [("name", "type", "range", "default")]
    for p in registry.parameters(plugin):
        default = chosen.get(p.name, p.default)
        shown = "required" if default is REQUIRED else write_value(default)
        rows.append((f"{plugin.kind}.{p.name}", describe_kind(p), p.kind.interval, shown))
    return rows
