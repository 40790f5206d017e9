"""`list`, `show`, `check` and `new`: commands about what is installed."""

from __future__ import annotations

import ast
import functools
import itertools
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from lossbench import registry
from lossbench.commands import completion
from lossbench.commands.options import OneOf, command, format_option
from lossbench.commands.terminal import complain, divert_notes, say, width
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
@click.option("--task", help="Only losses, or metrics, of this task.")
@click.option("--all", "everything", is_flag=True, help="Losses of any installed library, too.")
@click.option("--verify", is_flag=True, help="Import each; exit with 3 where one is broken.")
@format_option
def list_installed(kind: str, task: str | None, everything: bool, verify: bool, form: str) -> int:
    """List what is installed.

    KIND is losses (default), datasets, corruptions, augmentations, models, regularizers,
    optimizers, schedules, tasks, metrics, configs or experiments. What is not packaged can be
    used as well: dataset=csv dataset.path=FILE for a table, and FILE.py:FUNCTION for a function of
    your own, in place of any name. --all finds losses in the text of libraries, which are not
    imported; each is used by the name that is printed, as in loss=torch.nn:SmoothL1Loss.
    """
    if everything and kind != "losses":
        raise UserError(f"list {kind}: --all is of losses. Give lossbench list losses --all.")
    if task and (kind not in ("losses", "metrics") or everything):
        raise UserError(f"list {kind}: --task is of losses or metrics, and goes without --all.")
    entries, broken = (
        _experiments() if kind == "experiments" else _plugins(KINDS[kind], verify, task)
    )
    libraries = _offered() if everything else []
    if form == "json":
        say(json.dumps([asdict(entry) for entry in (*entries, *libraries)], indent=1))
        for line in broken:
            complain(f"broken: {line}")
        return 3 if verify and broken else 0
    for entry in entries:
        _print_entry(f"{entry.name:24}  {entry.place}", entry.description)
    if not entries and kind not in ("experiments", "configs"):
        say(f"No package with {kind} is installed; a function in a file is FILE.py:FUNCTION.")
    if kind == "metrics":
        way = f"lossbench show task={task or 'NAME'}"
        say("Each is measured where metrics=[…] names it.")
        say(f"What a task always measures: {way}.")
    _print_libraries(libraries)
    for line in broken:
        say(f"broken: {line}")
    return 3 if verify and broken else 0


@dataclass(frozen=True)
class Listed:
    """What is listed: a name, the tasks that it is for, where it is from, and one sentence.

    Of what does something else in each task, description is a line for each.
    """

    name: str
    tasks: list[str]
    package: str
    description: str

    @property
    def place(self) -> str:
        return " · ".join(filter(None, [", ".join(self.tasks), self.package]))


def _plugins(kind: str, verify: bool, task: str | None = None) -> tuple[list[Listed], list[str]]:
    """The plugins of a kind by name, of one task if named, and those that are broken."""
    plugins = registry.installed(kind)
    if task:
        name = registry.find("task", task)[0].name
        plugins = tuple(p for p in plugins if p.task in (None, name))
    faults = registry.missing_modules(plugins)
    if verify:
        from lossbench.doctor import broken  # pandas: slow to import, not always wanted

        faults = broken(plugins)
    if kind == "config":
        return _presets(), fault_lines(faults)
    names = sorted({p.name for p in plugins})
    entries = [_entry(name, [p for p in plugins if p.name == name]) for name in names]
    return entries, fault_lines(faults)


def _entry(name: str, same: Sequence[Plugin]) -> Listed:
    """The plugins of one name: their tasks, packages, and what they say of themselves."""
    tasks = [p.task or "every task" for p in same if p.task or p.kind == "loss"]
    packages = ", ".join(sorted({f"{p.package} {p.version}" for p in same}))
    said: dict[str, list[str]] = {}
    for plugin in same:
        said.setdefault(describe_plugin(plugin), []).append(plugin.task or "every task")
    lines = [f"{', '.join(of)}: {words}" for words, of in said.items()]
    return Listed(name, tasks, packages, "\n".join(lines if len(lines) > 1 else said))


def _offered() -> list[Listed]:
    from lossbench.registry.offers import offered

    return [Listed(o.name, [], f"{o.package} {o.version}", o.description) for o in offered()]


def _print_libraries(entries: Sequence[Listed]) -> None:
    """Print library by library its losses, with one line on each."""
    for package, same in itertools.groupby(entries, key=lambda entry: entry.package):
        losses = list(same)
        say("", f"{package} · {len(losses)} losses")
        for entry in losses:
            say(textwrap.fill(entry.name, width(), initial_indent="  ", subsequent_indent="  "))
            if entry.description:
                say(f"      {textwrap.shorten(entry.description, width() - 6, placeholder=' …')}")


def fault_lines(faults: Mapping[Plugin, str]) -> list[str]:
    """Each broken plugin with its package and what is wrong with it."""
    return [f"{p.kind}={p.name} of {p.origin}: {reason}" for p, reason in faults.items()]


def describe_plugin(plugin: Plugin) -> str:
    """The first line of its docstring, read without importing; empty where there is none."""
    definition = definition_in(plugin.module, plugin.attribute)
    return ((definition and ast.get_docstring(definition.node)) or "").partition("\n")[0]


def _print_entry(heading: str, description: str) -> None:
    """Print a name with a detail, and below it what describes it."""
    wrap = functools.partial(textwrap.fill, width=width(), break_on_hyphens=False)
    say(wrap(heading, subsequent_indent="    "))
    for line in description.splitlines():
        say(wrap(line, initial_indent="    ", subsequent_indent="    "))


def _presets() -> list[Listed]:
    """The files of YAML that a command may choose by name, by group."""
    entries = []
    for package, folder in [("lossbench", packaged("conf")), *registry.config_folders()]:
        for file in sorted(folder.glob("*/*.yaml")):
            comment = file.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
            words = comment.lstrip("# ") if comment.startswith("#") else ""
            entries.append(Listed(f"{file.parent.name}={file.stem}", [], package, words))
    return entries


def _experiments() -> tuple[list[Listed], list[str]]:
    """The experiments with their questions, and those that cannot be read."""
    from lossbench.configuration.experiments import read_experiment

    entries, broken = [], []
    for name, file in sorted(experiment_files().items()):
        try:
            entries.append(Listed(name, [], str(file), read_experiment(name).question))
        except UserError as error:
            broken.append(str(error).splitlines()[0])
    return entries, broken


@command()
@click.argument("name", required=False, shell_complete=completion.plugins)
@click.option("--task", help="The task to show first, where the loss is for several.")
@click.option("--picture", metavar="FILE", help="Draw it to an SVG or PNG file instead.")
@click.option("--all", "folder", metavar="DIR", help="Write every loss as a static page into DIR.")
@format_option
def show(
    name: str | None, task: str | None, picture: str | None, folder: str | None, form: str
) -> int:
    """Show a loss (formula, parameters, properties, picture), or anything else by its name.

    NAME is a loss, dataset, corruption, model, regularizer, optimizer, task or metric;
    dataset=linear says which of several is meant.
    """
    from lossbench.show import as_json, describe, describe_others, draw, write_catalogue

    loss = (name or "").removeprefix("loss=").removeprefix("regularizer=")
    if form == "json" and (folder or picture or not name):
        raise UserError("show: --format json is of a name, and goes without --all and --picture.")
    if folder:
        say(f"{write_catalogue(Path(folder))} losses in {Path(folder) / 'index.html'}")
    elif not name:
        raise UserError("show: name a loss, or give --all DIR. Names: lossbench list losses")
    elif picture:
        say(str(draw(name, Path(picture), task=task)))
    elif not _is_loss(name) and (text := describe_others(name, width())):
        say(as_json(name, task=task, is_loss=False) if form == "json" else text)
    elif form == "json":
        say(as_json(loss, task=task, is_loss=True))
    else:
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
@click.argument("loss", required=False, shell_complete=completion.losses)
@click.option("--task", help="The task, where the loss is for several or in a file.")
@click.option("-v", "--verbose", is_flag=True, help="Show what passed and what was skipped, too.")
@click.option(
    "--twins", is_flag=True, help="Which losses are the same, instead; of LOSS or of all."
)
@click.option(
    "--all", "everything", is_flag=True, help="Look for twins in any installed library, too."
)
@format_option
def check(
    loss: str | None, task: str | None, verbose: bool, twins: bool, everything: bool, form: str
) -> int:
    """Check a loss against the rules for all losses; print what fails, and a summary.

    LOSS is a name, package:name, file.py:function, or package.module:Loss.

    --twins finds losses that are the same function, up to a factor or a constant, and those that
    become another at a setting or towards the end of a range. It takes seconds; with --all, which
    imports the libraries, minutes.
    """
    if twins:
        return _check_twins(loss, task, everything, form)
    if loss is None or everything:
        raise UserError("check: name a loss; --all is of --twins.")
    from lossbench.check import check_loss, render

    with divert_notes():
        report = check_loss(loss, task)
    if form == "json":
        say(json.dumps({**asdict(report), "ok": report.ok}, indent=1))
    else:
        say(render(report, width(), everything=verbose))
    return 0 if report.ok else 3


def _check_twins(loss: str | None, task: str | None, everything: bool, form: str) -> int:
    """Print the twins of a loss, or all."""
    from lossbench.check.twins import find_twins, render_twins

    (plugin, *_) = registry.find("loss", loss) if loss else (None,)
    tasks = [registry.find("task", task)[0].name] if task else registry.names("task")
    named = [plugin.name] if plugin and not plugin.is_registered else []
    twins, compared = find_twins(tasks, everything, named)
    if named and not any(each.endswith(f" {loss}") for each in compared):
        raise UserError(f"check: loss={loss} serves no task with its defaults; nothing to compare.")
    shown = [twin for twin in twins if loss in (None, twin.loss, twin.other)]
    if form == "json":
        twins_found = [asdict(twin) for twin in shown]
        say(json.dumps({"compared": compared, "twins": twins_found}, indent=1))
    else:
        say(render_twins(shown, compared, width()))
    return 0


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
