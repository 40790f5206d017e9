"""What installed libraries offer as losses, found in their text: nothing of theirs is imported."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from lossbench.registry.entry_points import entry_points
from lossbench.registry.modules import Module, file_of, tree_of

RECORDED = re.compile(  # files that may hold losses
    r"^([\w/.]*(?:loss|criteri)[\w/.]*\.py|torch/nn/functional\.py),", re.MULTILINE | re.IGNORECASE
)
ASIDE = {"test", "tests", "testing", "example", "examples", "benchmark", "benchmarks"}
CALLED = ("forward", "__call__")  # the methods that take a batch
NAMED = re.compile(r"loss|likelihood|entropy|divergence", re.IGNORECASE)
UNFIT = re.compile(
    r"^(_|test_|get_|make_|build_|create_|(Base|Abstract|Generic)[A-Z])|(Config|Mixin|Function)$"
)
PREDICTION = re.compile(r"input|pred|logit|output|score|embedding|^x$|^y_", re.IGNORECASE)
TARGET = re.compile(r"target|label|levels|event|truth|^y$|^gt$|^y_true", re.IGNORECASE)


@dataclass(frozen=True)
class Offered:
    """A loss of an installed library by the name that is typed for it, and its first sentence."""

    name: str
    package: str
    version: str
    description: str


def offered() -> list[Offered]:
    """What every installed package offers, by package and name; seconds at most."""
    losses: dict[str, Offered] = {}
    ours = {entry.package for entry in entry_points()}
    for distribution in distributions():
        files = RECORDED.findall(distribution.read_text("RECORD") or "")
        if files and distribution.name not in ours:
            for each in _of_package(distribution, files):
                losses.setdefault(each.name, each)
    losses.pop("", None)  # those that are in private modules alone
    return sorted(losses.values(), key=lambda each: (each.package.lower(), each.name))


def _of_package(distribution: Distribution, files: list[str]) -> Iterator[Offered]:
    package, version = distribution.name, distribution.version
    for file in files:
        parts = file.removesuffix(".py").removesuffix("/__init__").split("/")
        if ASIDE.intersection(parts) or parts[-1] in ("conftest", "setup"):
            continue
        path, module = Path(str(distribution.locate_file(file))), ".".join(parts)
        tree = tree_of(path) if _is_of_torch(path) else None
        for node in tree.body if tree else ():
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and _is_loss(node):
                name, words = _public_name(module, node.name), _first_sentence(node)
                yield Offered(name, package, version, words)


def _first_sentence(node: ast.FunctionDef | ast.ClassDef) -> str:
    """What a docstring begins with, its roles of Sphinx as plain words."""
    first = (ast.get_docstring(node) or "").partition("\n\n")[0].partition(":param")[0]
    return without_marks(first).partition(". ")[0].rstrip(".")


def without_marks(text: str) -> str:
    """Text in the language of Sphinx as one line of plain words, links with their address.

    >>> without_marks(":class:`~torch.L1` has ``x`` of `a page <https://x.org>`_.")
    'torch.L1 has x of a page (https://x.org).'
    """
    text = re.sub(r"(?::\w+)+:`~?([^`<]*?)(?: <[^`>]*>)?`", r"\1", " ".join(text.split()))
    return re.sub(r"`([^`<]+?) <([^`>]+)>`__?", r"\1 (\2)", text).replace("`", "")


def _is_of_torch(file: Path) -> bool:
    try:
        return "torch" in file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def _is_loss(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a definition looks like a loss, by its name and what it is called with."""
    if UNFIT.search(node.name):
        return False
    if isinstance(node, ast.FunctionDef):
        return _takes_batch(node, bool(NAMED.search(node.name)))
    bases = " ".join(map(ast.unparse, node.bases))
    if re.search(r"\b(ABC|Enum|Function|Protocol|NamedTuple)\b", bases):
        return False
    called = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name in CALLED]
    named = bool(NAMED.search(node.name)) or "loss" in bases.lower()
    return _takes_batch(called[0], named, 1) if called else named and "Module" not in bases


def _takes_batch(node: ast.FunctionDef, named: bool, skipped: int = 0) -> bool:
    """Whether it takes prediction and target, by name where it is not named as a loss."""
    arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args)][skipped:]
    if len(arguments) < 2 or named:
        return len(arguments) > 1
    return bool(PREDICTION.search(arguments[0]) and TARGET.search(arguments[1]))


def _public_name(module: str, name: str) -> str:
    """The shortest `package.module:name` that imports the definition, if there is a public one."""
    parts = module.split(".")
    places = [".".join(parts[: count + 1]) for count in range(len(parts))]
    public = [place for place in places if "._" not in place]
    return next((f"{p}:{name}" for p in public if _exports(p, module, name)), "")


def _exports(place: str, module: str, name: str) -> bool:
    """Whether a package has a name from a module below it, through the packages between them."""
    if place == module:
        return True
    return any(
        f"{module}.".startswith(f"{source}.") and _exports(source, module, name)
        for source, names in _imports(place)
        if source != place and names & {name, "*"}
    )


@functools.cache
def _imports(package: str) -> list[tuple[str, set[str]]]:
    """What a package imports from where, under its own name."""
    file = file_of(package)
    tree = tree_of(file) if file else None
    nodes = [node for node in (tree.body if tree else ()) if isinstance(node, ast.ImportFrom)]
    home = Module(package, file) if file else None
    return [
        (home.absolute(n.module or "", n.level), {a.name for a in n.names if a.asname is None})
        for n in nodes
        if home
    ]


def offered_as(word: str) -> str:
    """What to write for the losses of libraries that have this name, or nothing."""
    names = [each.name for each in offered() if each.name.rpartition(":")[2] == word]
    return f"Did you mean {' or '.join(f'loss={name}' for name in names[:3])}?" if names else ""


def names_in(module: ModuleType, *, losses: bool) -> list[str]:
    """What can be called and is of the module's package; losses: of those the ones named so."""
    package = module.__name__.partition(".")[0]

    def is_from(value: Any) -> bool:
        return callable(value) and f"{getattr(value, '__module__', '')}.".startswith(f"{package}.")

    names = [name for name, value in vars(module).items() if name[0] != "_" and is_from(value)]
    return [name for name in names if losses and NAMED.search(name)] or names
