"""Modules by name or by file: where they are, what is in them, and the imported thing."""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any


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


def import_of(module: str) -> Any:
    if not module.endswith(".py"):
        return importlib.import_module(module)
    name = "lossbench_file_" + Path(module).stem
    spec = importlib.util.spec_from_file_location(name, module)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded
