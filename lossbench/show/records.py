"""What there is to say of a loss or another plugin as plain values, for pages and for programs."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import asdict
from typing import Any

from lossbench import registry
from lossbench.contract import Metric
from lossbench.registry import Plugin
from lossbench.show.advice import advise
from lossbench.show.anatomy import (
    Entry,
    find_entries,
    list_parameters,
    list_properties,
    split_docstring,
)
from lossbench.show.curves import Drawn, draw_panels
from lossbench.show.elsewhere import list_counterparts
from lossbench.show.families import PACKAGE
from lossbench.show.others import find_metrics, find_others, list_chosen
from lossbench.show.studied import find_evidence, find_refuted_calibration
from lossbench.show.text import HEADINGS
from lossbench.show.traps import measure_traps
from lossbench.tasks import task_class

Record = dict[str, Any]


def describe_entry(entry: Entry, drawn: Drawn) -> Record:
    """All that is known of a loss for one task, but for its pictures."""
    docstring, is_ours = entry.docstring, entry.plugin.package == PACKAGE
    traps = measure_traps(entry, drawn)
    findings = find_evidence(entry.plugin.name, entry.place) if is_ours else []
    refuted = find_refuted_calibration(entry.plugin.name, entry.place) if is_ours else []
    use, avoid = advise(entry, traps, findings, refuted)
    return {
        "summary": docstring.summary or "It has no docstring.",
        "formula": docstring.formula,
        "symbols": entry.symbols,
        "arguments": docstring.arguments,
        "parameters": list_parameters(entry),
        "facts": registry.facts(entry.plugin),
        "properties": list_properties(entry),
        "notes": docstring.notes,
        "source": docstring.source or entry.declaration.source or "None is given.",
        "example": docstring.example,
        "traps": traps,
        "findings": findings,
        "use": use,
        "avoid": avoid,
        "elsewhere": list_counterparts(entry.plugin.name, entry.place) if is_ours else {},
    }


def as_json(name: str, *, task: str | None, is_loss: bool) -> str:
    """A list with a record for each task of a loss, or for each other plugin of this name."""
    if is_loss:
        records = [_of_loss(entry) for entry in find_entries(name, task)]
    else:
        records = [_of_plugin(plugin) for plugin in find_others(name)]
        records += [_of_metric(task, metric) for task, metric in find_metrics(name)]
    return json.dumps(records, indent=1, ensure_ascii=False)


def _of_loss(entry: Entry) -> Record:
    known = describe_entry(entry, draw_panels(entry))
    names = [heading.replace(" ", "_") for heading in HEADINGS]
    return {
        **_head(entry.plugin, entry.place),
        **known,
        "parameters": [dict(zip(names, row, strict=True)) for row in known["parameters"]],
        "properties": dict(known["properties"]),
        "findings": [{**asdict(f), "words": f.words} for f in known["findings"]],
    }


def _head(plugin: Plugin, task: str | None) -> Record:
    return {"kind": plugin.kind, "name": plugin.name, "task": task, "origin": plugin.origin}


def _of_plugin(plugin: Plugin) -> Record:
    target = task_class(plugin.name) if plugin.kind == "task" else registry.load(plugin)
    docstring = split_docstring(
        inspect.getdoc(target.function if isinstance(target, Metric) else target) or ""
    )
    record = {**_head(plugin, plugin.task), **asdict(docstring)}
    if plugin.kind == "task":
        metrics = [_of_metric(plugin.name, metric) for metric in target.metrics]
        return {**record, "primary": target.primary, "metrics": metrics}
    if isinstance(target, Metric):
        return {**record, **_properties(target)}
    heading, *rows = list_chosen(plugin)
    parameters = [dict(zip(heading, row, strict=True)) for row in rows]
    return {**record, "parameters": parameters, "facts": registry.facts(plugin)}


def _of_metric(task: str, metric: Metric) -> Record:
    words = inspect.getdoc(metric.function) or ""
    head = {"kind": "metric", "name": metric.name, "task": task, "summary": words}
    return {**head, **_properties(metric)}


def _properties(metric: Metric) -> Record:
    """direction: 1 where more is better, -1 where less is; no bound is null."""
    bounds = [bound if math.isfinite(bound) else None for bound in metric.bounds]
    return {"direction": metric.direction, "bounds": bounds, "unit": metric.unit}
