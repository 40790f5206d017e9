"""Which code a result was made with: digests that say whether it would be made again today."""

from __future__ import annotations

import ast
import functools
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from lossbench import registry
from lossbench.configuration import Configuration
from lossbench.registry.identity import code_of, not_looked_at
from lossbench.registry.modules import definition_in

PACKAGES = ("lossbench", "torch", "lightning", "numpy", "scikit-learn", "hydra-core", "mlflow")


@functools.cache
def package_versions() -> dict[str, str]:
    """The versions of Python and of the packages that numbers depend on."""
    return {**{name: version(name) for name in PACKAGES}, "python": platform.python_version()}


def code_of_run(config: Configuration, task: str) -> dict[str, str]:
    """Of each plugin in use its package and the digest of its code, as one string.

    A task of ours has the version of its numbers instead, raised where a change moves them.
    """
    plugin = registry.find("task", task)[0]
    ours = plugin.package == "lossbench"
    version = _numeric_version(plugin) if ours else code_of(plugin)
    used = {"task": f"{plugin.package} {version}"}
    if config.metric:
        used["metric"] = "".join(code_of_metrics([config.metric], task).values())
    for kind in config.decisive_kinds:
        used[kind] = " ".join(
            f"{plugin.package} {code_of(plugin)}" for plugin, _ in _chosen(config, kind, task)
        )
    return used


def blind_spots(config: Configuration, task: str) -> list[str]:
    """What decides the numbers of a run, or might, and would change without being noticed."""
    lines = []
    for kind in config.decisive_kinds:
        for plugin, values in _chosen(config, kind, task):
            lines += [
                f"{kind}={plugin.name}: {line}. Give --rerun where it has changed."
                for line in not_looked_at(plugin, values)
            ]
    return lines


def _chosen(
    config: Configuration, kind: str, task: str
) -> Iterator[tuple[registry.Plugin, dict[str, Any]]]:
    """The plugin of a kind and those that it is made of, with their values."""
    for choice in config.choice(kind).all:
        name, values = choice.name, choice.values
        named = registry.find(kind, name) if kind != "loss" else ()
        yield (named[0] if named else registry.find_for_task(name, task)), values


def code_of_metrics(names: Sequence[str], task: str) -> dict[str, str]:
    """The same of those metrics that are plugins, by the names that they have in tables."""
    added = [name for name in names if ":" in name or name in registry.names("metric")]
    plugins = [registry.find_for_task(name, task, kind="metric") for name in added]
    return {
        name.rpartition(":")[2]: f"{plugin.package} {code_of(plugin)}"
        for name, plugin in zip(added, plugins, strict=True)
    }


def metrics_to_compute(summary: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Those of these metrics that a result lacks, or has of other code than theirs is now."""
    task, kept = summary["task"], summary.get("metric_sources", {})
    plugins = {p.name for p in registry.installed("metric") if p.task == task}
    current = code_of_metrics([n for n in names if ":" in n or n in plugins], task)
    plain = {name: name.rpartition(":")[2] for name in names}
    return [
        name
        for name, short in plain.items()
        if short not in summary["directions"]
        or kept.get(short) != current.get(short, kept.get(short))
    ]


@functools.cache
def _numeric_version(plugin: registry.Plugin) -> int:
    """The version of a task's numbers, read as text so that a look at results imports no torch."""
    definition = definition_in(plugin.module, plugin.attribute)
    for node in definition.node.body if definition else ():
        match node:
            case ast.Assign([ast.Name("version")], ast.Constant(int(version))):
                return version
            case ast.AnnAssign(ast.Name("version"), _, ast.Constant(int(version))):
                return version
    return 1
