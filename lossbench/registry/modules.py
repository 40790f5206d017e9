"""Modules by name or by file: where they are and what is in them; nothing is imported."""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

SHARED = {"site-packages", "dist-packages"}  # folders that hold packages of many
DEEPEST = 10  # imports that are followed from one module to the next


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

    @property
    def root(self) -> Path:
        """The folder that holds its top-level module or package."""
        return self.file.parents[self.name.count(".") + (self.file.stem == "__init__")]

    def absolute(self, module: str, level: int) -> str:
        """The name that an import in this module means, `level` dots before it."""
        package = self.name if self.file.stem == "__init__" else _parent(self.name)
        for _ in range(level - 1):
            package = _parent(package)
        return ".".join(filter(None, [package, module])) if level else module


class Territory:
    """The modules that go with one: its package, or its folder where that is not shared by all.

    And those of other folders on the path that nothing is installed in. Of lossbench itself it is
    the part, such as lossbench.losses; the rest has a numeric version.
    """

    def __init__(self, module: str, package: str) -> None:
        self._found: dict[str, Module | None] = {}
        self._tops: set[str] | None = None  # None: whatever is in the folder
        top = module.partition(".")[0]
        self.is_ours = top == "lossbench"
        if module.endswith(".py"):
            self.start: Module | None = Module("", Path(module))
            self._folder, self._root = Path(module).parent, ""
            return
        self._root = ".".join(module.split(".")[: 2 if self.is_ours else 1])
        self._folder = _home_of(top)
        if self._folder.name in SHARED:
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
        if self._tops is None or top in self._tops:
            return file_below(self._folder, name) or _uninstalled(name)
        return _uninstalled(name)


def _uninstalled(name: str) -> Path | None:
    """The file of a module that is imported from where it is edited, and has no version."""
    if name.partition(".")[0] in (*sys.stdlib_module_names, "torch"):
        return None
    file = file_of(name)
    return file if file and not SHARED & {*file.parts} else None


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


@dataclass(frozen=True)
class Binding:
    """The statement at the top of a module that gives a name its value."""

    node: ast.stmt
    module: Module


@dataclass(frozen=True)
class Definition:
    """A function or class at the top of a module."""

    node: ast.FunctionDef | ast.ClassDef
    module: Module


def definition_in(module: str, attribute: str) -> Definition | None:
    """The function or class of this name, following imports by name."""
    file = file_of(module)
    start = Module("" if module.endswith(".py") else module, file) if file else None
    binding = binding_in(start, attribute, anywhere=True) if start else None
    if binding and isinstance(binding.node, ast.FunctionDef | ast.ClassDef):
        return Definition(binding.node, binding.module)
    return None


def binding_in(
    module: Module, name: str, anywhere: bool = False, followed: int = 0
) -> Binding | None:
    """Where a name of a module is bound last.

    Imports by name are followed within its package or folder and to lossbench, or anywhere.
    """
    tree = tree_of(module.file)
    for node in reversed(tree.body) if tree and followed < DEEPEST else ():
        match node:
            case ast.FunctionDef(name=bound) | ast.ClassDef(name=bound) if bound == name:
                return Binding(node, module)
            case ast.Assign(targets=[ast.Name(id=bound)]) if bound == name:
                return Binding(node, module)
            case ast.AnnAssign(target=ast.Name(id=bound), value=ast.expr()) if bound == name:
                return Binding(node, module)
            case ast.ImportFrom(names=aliases):
                for alias in aliases:
                    if (alias.asname or alias.name) == name:
                        source = _imported_from(module, node, anywhere)
                        if source is None:
                            return None
                        return binding_in(source, alias.name, anywhere, followed + 1)
    return None


def _imported_from(module: Module, node: ast.ImportFrom, anywhere: bool) -> Module | None:
    """The module that `from x import y` in a module names, where it has a file."""
    target = module.absolute(node.module or "", node.level)
    if module.root.name not in SHARED and (neighbour := file_below(module.root, target)):
        return Module(target, neighbour)
    near = target.partition(".")[0] in ("lossbench", module.name.partition(".")[0])
    file = file_of(target) if anywhere or near else None
    return Module(target, file) if file else None


def _parent(module: str) -> str:
    return module.rpartition(".")[0]


@functools.cache
def tree_of(file: Path) -> ast.Module | None:
    try:
        return _parsed(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None


@functools.cache
def _parsed(text: str) -> ast.Module:
    """A tree is kept for as long as its text is the same, however often files are looked at."""
    return ast.parse(text)


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
        for part in rest:
            if spec is None or spec.submodule_search_locations is None:
                return None  # without places, sys.path would be searched for the last part
            # by its last part: of a folder without __init__.py it would ask for imported parents
            spec = PathFinder.find_spec(part, [*map(str, spec.submodule_search_locations)])
    except (ImportError, ValueError, AttributeError):
        return None
    return spec
