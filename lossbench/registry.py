"""Installed plugins: entry points -> names, schemas, definitions and, on request, the objects.

Names and schemas are read as text, so that nothing is imported that is not used.
"""

from __future__ import annotations

import ast
import configparser
import contextlib
import functools
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from lossbench.contract import UnusableError, UserError
from lossbench.digests import code_digest, places_in, reach_of, with_contents
from lossbench.hints import choices, file_meant, meant, package_meant
from lossbench.imports import forget_edited, import_of
from lossbench.modules import definition, file_of, spec_of, tree_of
from lossbench.paths import expanded
from lossbench.schema import REQUIRED, Parameter, parameters_of_definition, parameters_of_object
from lossbench.statements import source_of
from lossbench.undisturbed import undisturbed

PREFIX = "lossbench."
MALFORMED = (configparser.Error, ValueError, TypeError, LookupError, OSError)
NAME = re.compile(r"\w[\w.-]{0,99}")  # it is shown in tables and pages, and names files
KINDS = {
    "dataset": "lossbench.datasets",
    "corruption": "lossbench.corruptions",
    "model": "lossbench.models",
    "loss": "lossbench.losses",
    "regularizer": "lossbench.regularizers",
    "optimizer": "lossbench.optimizers",
    "metric": "lossbench.metrics",
    "task": "lossbench.tasks",
    "config": "lossbench.configs",
}
PLURALS = {kind: group.removeprefix(PREFIX) for kind, group in KINDS.items()}
# A run names one of each.
CHOICES = tuple(kind for kind in KINDS if kind not in ("metric", "task", "config"))
BY_TASK = ("loss", "metric")  # a task's have a group of their own, such as lossbench.losses.binary
PLAIN = (type(None), bool, int, float, str, list, tuple, dict)
# A keyword without default is a fact of the problem here; elsewhere the user must give it.
FACTUAL = ("loss", "metric", "corruption")
meddled: dict[str, list[str]] = {}  # whose import changed settings that are everyone's, and which


@dataclass(frozen=True)
class Plugin:
    """One entry point. task is set where it is registered for one; module may be a file."""

    kind: str
    name: str
    module: str
    attribute: str
    package: str = "file"
    version: str = ""
    task: str | None = None

    @property
    def origin(self) -> str:
        return f"{self.package} {self.version}".strip() + f" ({self.module}:{self.attribute})"


def refuse_unreadable() -> None:
    """UnusableError names the packages beside which nobody can ask Python for entry points."""
    for distribution in distributions():
        try:
            list(distribution.entry_points)
        except MALFORMED as error:
            raise UnusableError(
                f"the installed package {distribution.name} has an entry_points.txt that Python "
                f"cannot read, so Lightning and MLflow do not start: {str(error)[:100]}\n"
                f"Install it again or remove it: pip uninstall {distribution.name}"
            ) from error


@functools.cache
def installed(kind: str) -> tuple[Plugin, ...]:
    """Every plugin of a kind, by name and then task; reads packaging metadata, imports nothing."""
    found = {p for p in _entries() if p.kind == kind}
    return tuple(sorted(found, key=lambda p: (p.name, p.task or "", p.package)))


def names(kind: str) -> list[str]:
    """The distinct names of a kind."""
    return sorted({p.name for p in installed(kind)})


@functools.cache
def _entries() -> tuple[Plugin, ...]:
    """The entry points of every distribution, once for each (the first on the path wins)."""
    seen: dict[str, list[Plugin]] = {}
    for distribution in distributions():
        with contextlib.suppress(*MALFORMED):  # one bad package hurts no other; doctor names it
            text = distribution.read_text("entry_points.txt") or ""
            if PREFIX in text:
                seen.setdefault(distribution.name, list(_parse(text, distribution)))
    return tuple(p for plugins in seen.values() for p in plugins)


def malformed() -> list[str]:
    """Every installed package whose entry points cannot be read, by us or by Python, and why."""
    faults = []
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            if PREFIX in text:
                list(_parse(text, distribution))
            list(distribution.entry_points)
        except MALFORMED as error:
            reason = " ".join(str(error).split())[:100]
            faults.append(f"{distribution.name}: entry_points.txt cannot be read: {reason}")
    return faults


def _parse(text: str, distribution: Distribution) -> Iterator[Plugin]:
    kinds = {group: kind for kind, group in KINDS.items()}
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    for section in parser.sections():
        group, task = section, ""
        for kind in BY_TASK:
            if section.startswith(KINDS[kind] + "."):
                group, task = KINDS[kind], section.removeprefix(KINDS[kind] + ".")
        for name, value in parser[section].items() if group in kinds else ():
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a {kinds[group]}")
            module, _, attribute = value.partition("[")[0].strip().partition(":")
            package, version = distribution.name, distribution.version
            yield Plugin(kinds[group], name, module, attribute, package, version, task or None)


def find(kind: str, name: str) -> tuple[Plugin, ...]:
    """The plugins that a name means (a loss has one for each task); UserError where none does.

    name is `focal`, `package:focal` where two packages use one name, or `file.py:my_loss`.
    """
    package, _, plain = name.rpartition(":")
    if package.endswith(".py"):
        return (_from_file(kind, package, plain),)
    matches = [p for p in installed(kind) if p.name == plain and package in ("", p.package)]
    if not matches:
        raise no_such(kind, name, names(kind))
    packages = sorted({p.package for p in matches})
    if len(packages) > 1:
        raise UserError(
            f"{kind}={name} is ambiguous: {' and '.join(packages)} both provide it. "
            f"Choose with {kind}={packages[0]}:{name} or {kind}={packages[1]}:{name}."
        )
    return tuple(matches)


def no_such(kind: str, name: str, allowed: Iterable[str]) -> UserError:
    """What to say of a name that no plugin has: in which file or package it is, or the nearest."""
    allowed = list(allowed)
    if kind not in KINDS:
        return UserError(f"{kind}={name}: there is no such {kind}. {choices(name, allowed)}")
    packages = {p.package for each in KINDS for p in installed(each)}
    package = functools.partial(package_meant, KINDS[kind], name, packages)
    hint = file_meant(kind, name) or package(exactly=True)
    if not hint and not meant(name, allowed):
        hint = package(exactly=False)
    return UserError(
        f"{kind}={name}: there is no such {kind}. {hint or choices(name, allowed)} "
        f"All: lossbench list {PLURALS[kind]}"
    )


def find_for_task(name: str, *tasks: str, kind: str = "loss") -> Plugin:
    """The loss or metric of this name for one of the tasks; UserError names those that are."""
    plugins = find(kind, name)
    for plugin in plugins:
        if plugin.task in (None, *tasks):
            return plugin
    others = sorted({p.name for p in installed(kind) if p.task in tasks})
    known = " or ".join(p.task or "" for p in plugins)
    raise UserError(
        f"{kind}={name} is for the task {known}; the data pose the task {' or '.join(tasks)}.\n"
        f"{choices(name, others)}"
    )


def _from_file(kind: str, path: str, attribute: str) -> Plugin:
    file = expanded(path).resolve()
    if not file.is_file():
        raise UserError(f"{kind}={path}:{attribute}: there is no file {file}.")
    return Plugin(kind, f"{path}:{attribute}", str(file), attribute)


def load(plugin: Plugin) -> Any:
    """Import the plugin's object; UserError names package, entry point and cause."""
    code_of(plugin)  # as it is imported, whatever becomes of the file while it trains
    with undisturbed() as changed:
        found = imported(plugin)
    if changed:
        meddled[f"{plugin.kind}={plugin.name} of {plugin.origin}"] = changed
    return found


def imported(plugin: Plugin) -> Any:
    """The same, with whatever the import does to settings that are everyone's."""
    where = f"{plugin.kind}={plugin.name} of {plugin.origin} could not be loaded"
    try:
        module = import_of(plugin.module)
        target = functools.reduce(getattr, plugin.attribute.split("."), module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        reason = f"{type(error).__name__}: {reason}"
        if isinstance(error, AttributeError) and error.obj is sys.modules.get(module.__name__):
            own = [n for n, v in vars(module).items() if _is_from(module, v)]
            reason = f"it has no attribute {error.name!r}. {choices(error.name, own)}"
        raise UserError(f"{where}: {reason}") from error
    if fault := _fault(plugin, target):
        raise UserError(f"{where}: {fault}.")
    return target


def _is_from(module: ModuleType, value: Any) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__


def identity(kind: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a choice decides numbers: not how its name or a file's place is written.

    A plugin from a file is known by its code, files among the values by their content. What is not
    installed cannot be trained, and stays as it is.
    """
    try:
        plugin = find(kind, name)[0]
    except UserError:
        return {"name": name, **values}
    known_as = plugin.name if plugin.package == "lossbench" else f"{plugin.package}:{plugin.name}"
    if plugin.package == "file":
        known_as = f"{plugin.attribute} of code {code_of(plugin)}"
    return {"name": known_as, **with_contents(parameters(plugin), values, kind)}


def refuse_untrusted(choices: Mapping[str, Mapping[str, Any]], origin: str) -> None:
    """UserError where what came from elsewhere names code or files; imports and reads none of it.

    choices: kind -> the name and the values; origin: what named them, such as a results folder.
    """
    places = []
    for kind, values in choices.items():
        name = str(values["name"])
        if name.rpartition(":")[0].endswith(".py"):
            places.append(f"{kind}={name}")
        elif kind in KINDS:
            named = places_in(parameters(find(kind, name)[0]), values)
            places += [f"{kind}.{key}={path}" for key, paths in named.items() for path in paths]
    if places:
        raise UserError(
            f"{origin} names code or files: {', '.join(places)}.\n"
            "Read them first; give --trust to use them."
        )


def config_folders() -> list[tuple[str, Path]]:
    """The folders of YAML that plugins bring as `package:folder`, by package; none is imported."""
    folders = [(p.package, _folder(p)) for p in installed("config")]
    return [(package, folder) for package, folder in folders if folder]


def _folder(plugin: Plugin) -> Path | None:
    """The folder that a plugin of the kind config names, whether it is there or not."""
    file = file_of(plugin.module)
    return file.parent / plugin.attribute if file and plugin.attribute else None


def _fault(plugin: Plugin, target: Any) -> str:
    """Why an imported object cannot be configured, or nothing."""
    if not callable(target):
        return f"it is a {type(target).__name__}, not a function or a class"
    for p in inspect.signature(target).parameters.values() if plugin.kind != "task" else ():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            return f"its signature has {p}; name each hyper-parameter"
        if p.kind is not p.KEYWORD_ONLY and p.default is not p.empty:
            return f"{p.name} is positional; make it keyword-only, after a '*'"
    return ""


def missing_modules(plugins: Iterable[Plugin]) -> dict[Plugin, str]:
    """The plugins whose module or folder is not there, or that name no object; imports nothing."""
    faults = {}
    for plugin in plugins:
        if spec_of(plugin.module) is None:
            faults[plugin] = f"there is no module {plugin.module}"
        elif not plugin.attribute:
            faults[plugin] = "the entry point names no object; expected module:object"
        elif plugin.kind == "config":
            folder = _folder(plugin)
            if folder is None or not folder.is_dir():
                faults[plugin] = f"there is no folder {plugin.attribute} beside {plugin.module}"
    return faults


def parameters(plugin: Plugin) -> tuple[Parameter, ...]:
    """What a configuration may set: the keywords, less the facts that the task supplies."""
    return tuple(
        p for p in signature(plugin) if p.default is not REQUIRED or plugin.kind not in FACTUAL
    )


def facts(plugin: Plugin) -> tuple[str, ...]:
    """The keywords that the task supplies."""
    return tuple(
        p.name for p in signature(plugin) if p.default is REQUIRED and plugin.kind in FACTUAL
    )


@functools.cache
def signature(plugin: Plugin) -> tuple[Parameter, ...]:
    """The keywords; UserError where no configuration can hold them."""
    where = f"{plugin.kind}={plugin.name} of {plugin.origin}"
    try:
        found = _keywords(plugin)
    except (ValueError, SyntaxError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise UserError(f"{where}: its signature cannot be read: {reason}.") from error
    for p in found:
        if p.name == "name":
            raise UserError(f"{where}: no keyword may be called name; rename it.")
        if not isinstance(p.default, PLAIN) and p.default is not REQUIRED:
            raise UserError(
                f"{where}: the default of {p.name} is a {type(p.default).__name__}; expected a "
                "number, a string, true, false, null or a list of them."
            )
    return found


def _keywords(plugin: Plugin) -> tuple[Parameter, ...]:
    """The keywords, from the source text where that says them, else from the imported object."""
    found = definition(plugin.module, plugin.attribute)
    if found and all(_is_declare(d) for d in found[0].decorator_list):
        try:
            return parameters_of_definition(found[0])
        except (ValueError, SyntaxError):
            pass
    return parameters_of_object(load(plugin))


def _is_declare(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2] in ("declare", "metric", "dataclass")


@functools.cache
def code_of(plugin: Plugin) -> str:
    """The digest of the code that decides the plugin's numbers, as this process first saw it."""
    return code_digest(reach_of(plugin.module, plugin.attribute, plugin.package))


def not_looked_at(plugin: Plugin) -> list[str]:
    """What decides the plugin's numbers, or might, and is not in the digest of its code."""
    return reach_of(plugin.module, plugin.attribute, plugin.package).unseen


def refresh() -> None:
    """Notice what was edited since this process read it; for the beginning of a request."""
    for cached in (spec_of, file_of, tree_of, source_of, signature, reach_of, code_of):
        cached.cache_clear()
    forget_edited()
