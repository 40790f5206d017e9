"""Modules by name or by file: where they are and what is in them; nothing is imported."""

from __future__ import annotations

import ast
import functools
import importlib.util
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """A module by its dotted name, empty for a file that no name imports."""

    name: str
    file: Path

    @property
    def parents(self) -> list[str]:
        """The packages that it is in, the outermost first."""
        parts = self.name.split(".")
        return [".".join(parts[:count]) for count in range(1, len(parts))]

    def absolute(self, module: str, level: int) -> str:
        """The name that an import in this module means, `level` dots before it."""
        package = self.name if self.file.stem == "__init__" else _parent(self.name)
        for _ in range(level - 1):
            package = _parent(package)
        return ".".join(filter(None, [package, module])) if level else module


class Territory:
    """The modules that go with one: its package, or its folder where that is not shared by all.

    Of lossbench itself it is the part, such as lossbench.losses; the rest has a numeric version.
    """

    def __init__(self, module: str, package: str) -> None:
        self._found: dict[str, Module | None] = {}
        self._tops: set[str] | None = None  # None: whatever is in the folder
        top = module.partition(".")[0]
        if module.endswith(".py"):
            self.start: Module | None = Module("", Path(module))
            self._folder, self._root = Path(module).parent, ""
            return
        self._root = ".".join(module.split(".")[: 2 if top == "lossbench" else 1])
        self._folder = _home_of(top)
        if self._folder.name in ("site-packages", "dist-packages"):
            self._tops = _tops_of(package)
        self.start = self.find(module)

    def find(self, name: str) -> Module | None:
        """The module of this name, where it is in the territory and has a file."""
        if name not in self._found:
            file = self._file(name)
            self._found[name] = Module(name, file) if file else None
        return self._found[name]

    def _file(self, name: str) -> Path | None:
        top = name.partition(".")[0]
        if self._root and f"{name}.".startswith(f"{self._root}."):
            spec = spec_of(name)
            return Path(spec.origin) if spec and spec.has_location and spec.origin else None
        if not top or "lossbench" in (top, self._root.partition(".")[0]):
            return None
        return file_below(self._folder, name) if self._tops is None or top in self._tops else None


def file_below(folder: Path, name: str) -> Path | None:
    """The file of a module by its name below a folder."""
    place = folder.joinpath(*name.split("."))
    files = [place / "__init__.py"]
    files += [place.with_name(place.name + suffix) for suffix in (".py", *EXTENSION_SUFFIXES)]
    return next((file for file in files if file.is_file()), None)


def _home_of(top: str) -> Path:
    """The folder that holds a top-level module or package."""
    spec = spec_of(top)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0] if places else (spec and spec.origin) or "site-packages/x").parent


def _tops_of(package: str) -> set[str]:
    """The top-level modules that an installed package brings."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return set()
    return {file.parts[0].removesuffix(".py") for file in files}


def definition(
    module: str, attribute: str
) -> tuple[ast.FunctionDef | ast.ClassDef, ast.Module] | None:
    """Where the attribute is defined, following `from x import y`, without importing."""
    file = file_of(module)
    tree = tree_of(file) if file else None
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attribute:
            return node, tree  # type: ignore[return-value]
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == attribute:
                    package = module if file and file.name == "__init__.py" else _parent(module)
                    base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                    target = f"{base}.{node.module}" if node.level else node.module
                    return definition(target, alias.name)
    return None


def _parent(module: str) -> str:
    return module.rpartition(".")[0]


@functools.cache
def tree_of(file: Path) -> ast.Module | None:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


@functools.cache
def file_of(module: str) -> Path | None:
    """The source file of a module, where it has one."""
    if module.endswith(".py"):
        return Path(module)
    spec = spec_of(module)
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@functools.cache
def spec_of(module: str) -> ModuleSpec | None:
    """Where a module is, found without importing its parent packages."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for i in range(len(rest)):
            places = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(".".join([top, *rest[: i + 1]]), places)
    except (ImportError, ValueError, AttributeError):
        return None
    return spec
