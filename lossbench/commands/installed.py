"""`list`, `show`, `check` and `new`: commands about what is installed."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from lossbench import registry
from lossbench.commands import completion
from lossbench.commands.options import OneOf, command
from lossbench.commands.terminal import say, width
from lossbench.contract import UserError
from lossbench.paths import experiment_files, packaged
from lossbench.registry import Plugin
from lossbench.registry.kinds import PLURALS
from lossbench.registry.modules import definition_in

KINDS = {plural: kind for kind, plural in PLURALS.items()}


@command("list")
@click.argument(
    "kind", type=OneOf("kind", [*KINDS, "experiments"]), default="losses", metavar="[KIND]"
)
@click.option("--verify", is_flag=True, help="Import each; exit with 3 where one is broken.")
def list_installed(kind: str, verify: bool) -> int:
    """List what is installed, of a kind.

    KIND is losses (default), datasets, corruptions, augmentations, models, regularizers,
    optimizers, schedules, tasks, metrics, configs or experiments. What is not packaged can be
    used as well: dataset=csv dataset.path=FILE for a table, and FILE.py:FUNCTION for a function of
    your own, in place of any name.
    """
    if kind == "experiments":
        return 3 if _list_experiments() and verify else 0
    plugins = registry.installed(KINDS[kind])
    faults = registry.missing_modules(plugins)
    if verify:
        from lossbench.doctor import broken  # pandas: slow to import, not always wanted

        faults = broken(plugins)
    if kind == "configs":
        _list_presets()
    else:
        for name in registry.names(KINDS[kind]):
            _list_plugins(name, [p for p in plugins if p.name == name])
    if kind != "configs" and not plugins:
        say(f"No package with {kind} is installed; a function in a file is FILE.py:FUNCTION.")
    for line in fault_lines(faults):
        say(f"broken: {line}")
    return 3 if verify and faults else 0


def fault_lines(faults: Mapping[Plugin, str]) -> list[str]:
    """Each broken plugin with its package and what is wrong with it."""
    return [f"{p.kind}={p.name} of {p.origin}: {reason}" for p, reason in faults.items()]


def _list_plugins(name: str, same: Sequence[Plugin]) -> None:
    """Print the plugins of one name: their tasks, packages, and what the first says of itself."""
    tasks = ", ".join(p.task or "every task" for p in same if p.task or p.kind == "loss")
    packages = ", ".join(sorted({f"{p.package} {p.version}" for p in same}))
    _list_entry(name, f"{tasks} · {packages}" if tasks else packages, describe_plugin(same[0]))


def describe_plugin(plugin: Plugin) -> str:
    """The first line of its docstring, read without importing; empty where there is none."""
    definition = definition_in(plugin.module, plugin.attribute)
    return ((definition and ast.get_docstring(definition.node)) or "").partition("\n")[0]


def _list_entry(name: str, detail: str, description: str) -> None:
    """Print a name with a detail, and below it what describes it."""
    for line, indent in ((f"{name:24}  {detail}", ""), (description, "    ")):
        if line:
            say(textwrap.fill(line, width(), initial_indent=indent, subsequent_indent="    "))


def _list_presets() -> None:
    """Print the files of YAML that a command may choose by name, by group."""
    for package, folder in [("lossbench", packaged("conf")), *registry.config_folders()]:
        for file in sorted(folder.glob("*/*.yaml")):
            comment = file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            words = comment.lstrip("# ") if comment.startswith("#") else ""
            _list_entry(f"{file.parent.name}={file.stem}", package, words)


def _list_experiments() -> list[str]:
    """Print the experiments, and give the names of those that cannot be read."""
    from lossbench.configuration.experiments import read_experiment

    broken = []
    for name, file in sorted(experiment_files().items()):
        try:
            question = read_experiment(name).question
        except UserError as error:
            broken.append(name)
            question = f"broken: {str(error).splitlines()[0]}"
        _list_entry(name, str(file), question)
    return broken


@command()
@click.argument("name", required=False, shell_complete=completion.plugins)
@click.option("--task", help="The task to show first, where the loss is for several.")
@click.option("--picture", metavar="FILE", help="Draw it to an SVG or PNG file instead.")
@click.option("--all", "folder", metavar="DIR", help="Write every loss as a static page into DIR.")
def show(name: str | None, task: str | None, picture: str | None, folder: str | None) -> int:
    """Show a loss (formula, parameters, properties, picture), or anything else by its name.

    NAME is a loss, dataset, corruption, model, regularizer, optimizer, task or metric;
    dataset=linear says which of several is meant.
    """
    from lossbench.show import describe, describe_others, draw, write_catalogue

    if folder:
        say(f"{write_catalogue(Path(folder))} losses in {Path(folder) / 'index.html'}")
    elif not name:
        raise UserError("show: name a loss, or give --all DIR. Names: lossbench list losses")
    elif picture:
        say(str(draw(name, Path(picture), task=task)))
    elif not _is_loss(name) and (text := describe_others(name, width())):
        say(text)
    else:
        loss = name.removeprefix("loss=").removeprefix("regularizer=")
        say(describe(loss, task=task, columns=width()).removesuffix("\n"))
    return 0


def _is_loss(name: str) -> bool:
    """Whether a name is shown as a loss, though others may have it too; in a file it is one."""
    return (
        (":" in name and "=" not in name)
        or name in registry.names("loss")
        or name in registry.names("regularizer")
    )


@command()
@click.argument("loss", shell_complete=completion.losses)
@click.option("--task", help="The task, where the loss is for several or in a file.")
@click.option("-v", "--verbose", is_flag=True, help="What passed and what was skipped, too.")
def check(loss: str, task: str | None, verbose: bool) -> int:
    """Check that a loss is what every loss must be; print what fails, and a summary.

    LOSS is a name, package:name, file.py:function, or package.module:Loss.
    """
    from lossbench.check import check_loss, render

    report = check_loss(loss, task)
    say(render(report, width(), everything=verbose))
    return 0 if report.ok else 3


@command()
@click.argument("name")
def new(name: str) -> int:
    """Write a plugin package that passes its own check."""
    from lossbench.new import write_package

    folder = write_package(name, Path.cwd())
    say(
        f"{folder.name}/ is a package with one loss. Try it:",
        f"  pip install -e '{folder.name}[test]'",
        "  lossbench list losses",
        f"  pytest {folder.name}",
    )
    return 0
