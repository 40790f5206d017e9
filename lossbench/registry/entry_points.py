"""Entry points as packaging metadata has them, read as text: nothing is imported."""

from __future__ import annotations

import configparser
import contextlib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions

from lossbench.contract import UnusableError

PREFIX = "lossbench."  # of the groups that are read
NAME = re.compile(r"\w[\w.-]{0,99}")  # it is shown in tables and pages, and names files
MALFORMED = (configparser.Error, ValueError, TypeError, LookupError, OSError)


@dataclass(frozen=True)
class EntryPoint:
    """A line of a package: `name = module:attribute` in a group."""

    group: str
    name: str
    module: str
    attribute: str
    package: str
    version: str


@functools.cache
def entry_points() -> tuple[EntryPoint, ...]:
    """Those of every package, which counts once: the first on the path wins."""
    seen: dict[str, list[EntryPoint]] = {}
    for distribution in distributions():
        with contextlib.suppress(*MALFORMED):  # one bad package hurts no other; doctor names it
            text = distribution.read_text("entry_points.txt") or ""
            if PREFIX in text:
                seen.setdefault(distribution.name, list(_parsed(text, distribution)))
    return tuple(entry for entries in seen.values() for entry in entries)


def malformed() -> list[str]:
    """Every installed package whose entry points cannot be read, by us or by Python, and why."""
    faults = []
    for distribution in distributions():
        try:
            text = distribution.read_text("entry_points.txt") or ""
            if PREFIX in text:
                list(_parsed(text, distribution))
            list(distribution.entry_points)
        except MALFORMED as error:
            reason = " ".join(str(error).split())[:100]
            faults.append(f"{distribution.name}: entry_points.txt cannot be read: {reason}")
    return faults


def refuse_unreadable() -> None:
    """UnusableError names the packages next to which nobody can ask Python for entry points."""
    for distribution in distributions():
        try:
            list(distribution.entry_points)
        except MALFORMED as error:
            raise UnusableError(
                f"the installed package {distribution.name} has an entry_points.txt that Python "
                f"cannot read, so Lightning and MLflow do not start: {str(error)[:100]}\n"
                f"Install it again or remove it: pip uninstall {distribution.name}"
            ) from error


def _parsed(text: str, distribution: Distribution) -> Iterator[EntryPoint]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    package, version = distribution.name, distribution.version  # each reads METADATA anew
    for group in parser.sections():
        for name, value in parser[group].items() if group.startswith(PREFIX) else ():
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid name")
            module, _, attribute = value.partition("[")[0].strip().partition(":")
            yield EntryPoint(group, name, module, attribute, package, version)
