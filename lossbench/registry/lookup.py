"""Installed plugins: entry points -> names, schemas, definitions and, on request, the objects.

Names and schemas are read as text, so that nothing is imported that is not used.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from lossbench.contract import UserError
from lossbench.paths import expanded
from lossbench.registry.digests import reach_of
from lossbench.registry.entry_points import PREFIX, EntryPoint, entry_points
from lossbench.registry.hints import allow, choices, file_meant, meant, package_meant
from lossbench.registry.imports import forget_edited, import_of
from lossbench.registry.kinds import KINDS, PLURALS
from lossbench.registry.modules import SHARED, file_of, spec_of, tree_of
from lossbench.registry.offers import names_in, offered_as
from lossbench.registry.schema import REQUIRED, Parameter
from lossbench.registry.signatures import (
    CALL_FACTS,
    OTHER_WORDS,
    SIZES,
    Signature,
    facts_in_text,
    is_plain,
    signature_in_text,
    signature_of_object,
)
from lossbench.registry.statements import source_of
from lossbench.undisturbed import undisturbed

RUN_FACTS = {"num_examples", *CALL_FACTS}  # supplied by training, whatever the task
SETTABLE = "a number, a string, true, false, null or a list of them"
LIBRARIES = ("timm", "torchvision")  # of models by name
meddled: dict[str, list[str]] = {}  # whose import changed settings that are everyone's, and which


@dataclass(frozen=True)
class Plugin:
    """One entry point, or an object named by its file or module, which is not registered.

    task is set where it is registered for one. library: whether it is of an installed package that
    may never have heard of lossbench, and is known by its version. parts: the losses that it is
    made of, where `parts.with_parts` has looked them up.
    """

    kind: str
    name: str
    module: str
    attribute: str
    package: str = "file"
    version: str = ""
    task: str | None = None
    library: bool = False
    parts: tuple[Term, ...] = field(default=(), compare=False)

    @property
    def is_registered(self) -> bool:
        """Whether an entry point names it, and not a file or a module."""
        return ":" not in self.name

    @property
    def foreign(self) -> str:
        """Its kind, where it need not keep the contract, and else nothing."""
        return self.kind if self.kind in ("loss", "model") and not self.is_registered else ""

    @property
    def origin(self) -> str:
        return f"{self.package} {self.version}".strip() + f" ({self.module}:{self.attribute})"

    def refused(self, reason: str) -> UserError:
        """What to say where it cannot be used."""
        return UserError(f"{self.kind}={self.name} of {self.origin} cannot be used: {reason}")


@dataclass(frozen=True)
class Term:
    """A loss that another one is made of.

    path: its place among the other's values, `first` or `terms.dice`. leads: whether its link is
    the other's, by the user's choice.
    """

    path: str
    plugin: Plugin
    weight: float
    values: dict[str, Any]
    leads: bool


@functools.cache
def installed(kind: str) -> tuple[Plugin, ...]:
    """Every plugin of a kind, by name and then task; reads packaging metadata, imports nothing."""
    plugins = {plugin for entry in entry_points() if (plugin := _of_kind(kind, entry))}
    return tuple(sorted(plugins, key=lambda p: (p.name, p.task or "", p.package)))


def _of_kind(kind: str, entry: EntryPoint) -> Plugin | None:
    """The plugin of an entry point, where it is of this kind."""
    plural, _, task = entry.group.removeprefix(PREFIX).partition(".")  # no task: for any
    if plural != KINDS[kind].plural or (task and not KINDS[kind].by_task):
        return None
    place = (entry.module, entry.attribute, entry.package, entry.version)
    return Plugin(kind, entry.name, *place, task or None)


def names(kind: str) -> list[str]:
    """The distinct names of a kind."""
    return sorted({p.name for p in installed(kind)})


def find(kind: str, name: str) -> tuple[Plugin, ...]:
    """The plugins that a name means (a loss has one for each task); UserError where none does."""
    plugins = known_as(kind, name)
    if not plugins:
        raise no_such(kind, name, names(kind))
    return plugins


def known_as(kind: str, name: str) -> tuple[Plugin, ...]:
    """The plugins that a name means, or none; UserError where a file has none or packages two.

    name is `focal`, `package:focal` where two packages use one name, `file.py:my_loss`, or
    `package.module:Loss`; `timm:resnet18` or `torchvision:resnet18` is a model by its name there.
    """
    package, _, plain = name.rpartition(":")
    if package.endswith(".py"):
        return (_from_file(kind, package, plain),)
    matches = [p for p in installed(kind) if p.name == plain and package in ("", p.package)]
    if kind == "model" and package in LIBRARIES:
        return (_from_library(package, plain),)
    if is_module(package) and not expanded(f"{package}.py").is_file():
        return (_from_module(kind, package, plain),)
    homes = {(p.task, p.package) for p in matches}
    tasks = [task for task, _ in homes]
    packages = sorted({package for task, package in homes if tasks.count(task) > 1})
    if packages:
        raise UserError(
            f"{kind}={name} is ambiguous: {' and '.join(packages)} both provide it. "
            f"Choose with {kind}={packages[0]}:{name} or {kind}={packages[1]}:{name}."
        )
    return tuple(matches)


def is_module(place: str) -> bool:
    """Whether what stands before the colon of a name is a module, and no package with plugins."""
    packages = {plugin.package for kind in KINDS for plugin in installed(kind)}
    return bool(place) and place not in packages and spec_of(place) is not None


def no_such(kind: str, name: str, allowed: Iterable[str]) -> UserError:
    """What to say of a name that no plugin has: in which file or package it is, or the nearest."""
    allowed = list(allowed)
    if kind not in KINDS:
        return UserError(f"{kind}={name}: there is no such {kind}. {choices(name, allowed)}")
    place = name.rpartition(":")[0]
    if "." in place and "/" not in place and not spec_of(place):
        return UserError(f"{kind}={name}: there is no module {place}. Is its package installed?")
    packages = {p.package for each in KINDS for p in installed(each)}
    package = functools.partial(package_meant, PREFIX + PLURALS[kind], name, packages)
    hint = file_meant(kind, name) or package(exactly=True)
    if not hint and not meant(name, allowed):
        hint = package(exactly=False) or (offered_as(name) if kind == "loss" else "")
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
        f"{allow(others)} All: lossbench list {PLURALS[kind]}"
        + (f" --task {tasks[0]}" if len(tasks) == 1 else "")
    )


def _from_file(kind: str, path: str, attribute: str) -> Plugin:
    file = expanded(path).resolve()
    if not file.is_file():
        raise UserError(f"{kind}={path}:{attribute}: there is no file {file}.")
    return Plugin(kind, f"{path}:{attribute}", str(file), attribute)


def _from_library(library: str, name: str) -> Plugin:
    """A model that is adapted to the channels and the outputs of a task."""
    if spec_of(library) is None:
        raise UserError(
            f"model={library}:{name}: {library} is not installed; pip install {library}."
        )
    place = ("lossbench.models.by_name", f"{library}.{name}", library, metadata.version(library))
    return Plugin("model", f"{library}:{name}", *place, library=True)


def _from_module(kind: str, module: str, attribute: str) -> Plugin:
    top = module.partition(".")[0]
    package = next(iter(_distributions().get(top, ())), "")
    version = metadata.version(package) if package else ""
    library = bool(SHARED & {*Path(file_of(top) or "").parts})
    return Plugin(
        kind, f"{module}:{attribute}", module, attribute, package or top, version, library=library
    )


_distributions = functools.cache(metadata.packages_distributions)


def load(plugin: Plugin) -> Any:
    """Import the plugin's object; UserError names package, entry point and cause."""
    if not plugin.library:
        reach_of(plugin.module, plugin.attribute, plugin.package)  # the code as it is imported
    target = _imported_undisturbed(plugin)
    if plugin.kind not in ("task", "config"):
        signature(plugin)
    return target


def fault_in(plugin: Plugin) -> str:
    """Why a plugin cannot be used, found by importing it; empty where it can."""
    try:
        load(plugin)
    except UserError as error:
        return str(error).partition(" cannot be used: ")[2] or str(error)
    return ""


def _imported_undisturbed(plugin: Plugin) -> Any:
    with undisturbed() as changed:
        target = imported(plugin)
    if changed:
        meddled[f"{plugin.kind}={plugin.name} of {plugin.origin}"] = changed
    return target


def imported(plugin: Plugin) -> Any:
    """The object, with whatever its import does to settings that are everyone's."""
    module = None
    try:
        module = import_of(plugin.module)
        target = functools.reduce(getattr, plugin.attribute.split("."), module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        reason = f"{type(error).__name__}: {reason}"
        if module and isinstance(error, AttributeError) and error.obj is module:
            defined = names_in(module, losses=plugin.library and plugin.kind == "loss")
            place = f"{plugin.name.rpartition(':')[0]}:"
            reason = f"it has no attribute {error.name!r}. {choices(error.name, defined, place)}"
        raise plugin.refused(reason) from error
    if not callable(target):
        raise plugin.refused(f"it is a {type(target).__name__}, not a function or a class.")
    if plugin.kind == "model" and not inspect.isclass(target) and hasattr(target, "forward"):
        raise plugin.refused("it is made already; name its class, or a function that makes one.")
    if plugin.kind != "task" and (fault := _fault(plugin, _signature_of(plugin, target))):
        raise plugin.refused(fault)
    return target


def _signature_of(plugin: Plugin, target: Any) -> Signature:
    return signature_of_object(target, plugin.foreign)


def takes_shapes(model: Plugin) -> bool:
    """Whether a model is made from the shapes of input and output, and not from keywords alone."""
    return not _is_own_model(model, _signature_of(model, _imported_undisturbed(model)))


def _is_own_model(plugin: Plugin, signature: Signature) -> bool:
    return plugin.foreign == "model" and signature.arguments == ()


def _fault(plugin: Plugin, signature: Signature) -> str:
    """Why no configuration can call a plugin, or nothing."""
    if signature.fault:
        return f"{signature.fault}."
    with_weights = plugin.kind == "loss" and signature.is_class
    own_model = _is_own_model(plugin, signature)
    is_free = plugin.library or plugin.foreign == "loss" or own_model
    expected = () if with_weights or own_model else KINDS[plugin.kind].arguments
    if signature.arguments is not None and len(signature.arguments) != len(expected):
        what = f"a {plugin.kind} that is a class" if with_weights else f"a {plugin.kind}"
        advice = "make the rest keyword-only, after a '*'"
        if plugin.foreign == "loss" and len(signature.arguments) < len(expected):
            advice = f"if it makes one, name that in a file: f = {plugin.attribute}(...)"
        return (
            f"it must be given ({', '.join(signature.arguments)}) by position, and {what} is "
            f"called with ({', '.join(expected)}); {advice}."
        )
    for p in signature.keywords:
        if p.name == "name":
            return "no keyword may be called name; rename it."
        if not (is_plain(p.default) or p.default is REQUIRED or is_free):
            return f"the default of {p.name} is a {type(p.default).__name__}; expected {SETTABLE}."
    return ""


def parameters(plugin: Plugin) -> tuple[Parameter, ...]:
    """What a configuration may set: keywords less facts, of a library's loss sizes (null) too."""
    supplied, spared = facts(plugin), KINDS[plugin.kind].has_facts and not plugin.foreign
    sizes = [n for n in supplied if plugin.foreign and OTHER_WORDS.get(n, n) in SIZES]
    own = tuple(
        Parameter(p.name, replace(p.kind, optional=True), None) if p.name in sizes else p
        for p in signature(plugin)
        if (p.name in sizes or p.name not in supplied)
        and not (spared and p.kind.tensor and p.default is None)
    )
    names = [p.name for p in own]
    return own + tuple(p for p in KINDS[plugin.kind].parameters if p.name not in names)


def facts(plugin: Plugin, *, needed: bool = False) -> tuple[str, ...]:
    """The keywords that the task supplies; those that are needed, or also tensors that may be None.

    A loss that can do without a fact gives it the default None.
    """
    if plugin.parts:
        own = facts(replace(plugin, parts=()), needed=needed)
        others = (name for part in plugin.parts for name in facts(part.plugin, needed=needed))
        return tuple(dict.fromkeys([*own, *others]))
    keywords = signature(plugin)
    required = tuple(p.name for p in keywords if p.default is REQUIRED and not p.kind.loss)
    if plugin.foreign == "loss":  # else it is for the user to give
        supplied = _supplied(None)[0]
        return tuple(name for name in required if OTHER_WORDS.get(name, name) in supplied)
    if not KINDS[plugin.kind].has_facts:
        return ()
    spared = (p.name for p in keywords if p.default is None and p.kind.tensor and not needed)
    return required + tuple(name for name in spared if name in _supplied(plugin.task)[0])


@functools.cache
def signature(plugin: Plugin) -> tuple[Parameter, ...]:
    """The keywords; UserError where no configuration can hold them, or nobody supplies a fact."""
    try:
        read = signature_in_text(plugin.module, plugin.attribute, plugin.foreign)
        if read is None:
            read = _signature_of(plugin, _imported_undisturbed(plugin))
    except (ValueError, SyntaxError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise plugin.refused(f"its signature cannot be read: {reason}.") from error
    if fault := _fault(plugin, read) or _unsupplied(plugin, read.keywords):
        raise plugin.refused(fault)
    return tuple(p for p in read.keywords if is_plain(p.default) or p.default is REQUIRED)


def _unsupplied(plugin: Plugin, keywords: Iterable[Parameter]) -> str:
    """What to say of a keyword without default that no task supplies, or nothing."""
    asked = [p.name for p in keywords if p.default is REQUIRED and not p.kind.loss]
    if not asked or not KINDS[plugin.kind].has_facts or plugin.foreign:
        return ""
    facts, attributes = _supplied(plugin.task)
    facts = facts | {"temperature"} if plugin.kind == "metric" else facts  # of validation data
    for name in asked:
        if name not in facts | attributes:
            who = f"the task {plugin.task} does not supply" if plugin.task else "no task supplies"
            return f"{who} {name}; give it a default. {choices(name, facts)}"
    return ""


def refuse_unsupplied(plugin: Plugin, tasks: Iterable[str]) -> None:
    """UserError where a plugin asks for a fact that none of these tasks supplies."""
    supplied = set().union(*(names for task in tasks for names in _supplied(task)))
    for name in {*facts(plugin, needed=True)} - {p.name for p in parameters(plugin)}:
        if OTHER_WORDS.get(name, name) not in supplied:
            raise plugin.refused(
                f"the task {' or '.join(tasks)} does not supply {name}. Choose another "
                f"{plugin.kind}, or other data."
            )


@functools.cache
def _supplied(task: str | None) -> tuple[set[str], set[str]]:
    """The facts and attributes of a task, or of all of them, as their text has them."""
    tasks = [p for p in installed("task") if task in (None, p.name)]
    supplied = [facts_in_text(p.module, p.attribute) for p in tasks]
    return RUN_FACTS.union(*(f for f, _ in supplied)), set().union(*(a for _, a in supplied))


def refresh() -> None:
    """Notice what was edited since this process read it; for the beginning of a request."""
    for cached in (spec_of, file_of, tree_of, source_of, signature, reach_of, _supplied):
        cached.cache_clear()
    forget_edited()
