"""Modules imported by name or by file, each once for as long as it is not edited."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from lossbench.registry.modules import file_below

_folders: dict[Path, Folder] = {}  # of the files that were imported
_added: set[str] = set()  # to the path, by us
# What torchvision's Python code asks for, and a build for another PyTorch does not bring.
OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Any] = []  # as long as a library of torch lives, its operators do
_packages: dict[str, dict[Path, int]] = {}  # top-level name -> its files, and when each was written


class Folder:
    """A folder of files that are imported; its modules are what their names mean to these files.

    It is first on the path while one is imported, and last afterwards, for imports in functions.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.modules: dict[str, ModuleType] = {}
        self.written: dict[Path, int] = {}

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Imports in the block find this folder's modules before any others of their names."""
        _note_imported()
        for other in _folders.values():
            if other is not self:
                for name in other.modules:
                    if file_below(self.place, name.partition(".")[0]):
                        sys.modules.pop(name, None)
        sys.modules.update(self.modules)
        sys.path.insert(0, str(self.place))
        importlib.invalidate_caches()
        # compiled code is told apart by whole seconds: it would hide an edit within one
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield
        finally:
            sys.dont_write_bytecode = before
            sys.path.remove(str(self.place))
            _note_imported()

    def file(self, file: Path) -> None:
        """Import a file, unless it is imported already."""
        name = name_of(file)
        if name in self.modules:
            return
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec
        assert spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
        self.modules[name] = sys.modules[name]


def name_of(file: Path) -> str:
    """The name of a file's module, which no other file has."""
    return f"lossbench_file_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"


def import_of(module: str) -> ModuleType:
    """The module of this dotted name, or of this file."""
    try:
        return _import_of(module)
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _declared:
            raise
        _declare_operators()
        return _import_of(module)


def _declare_operators() -> None:
    _declared.append(sys.modules["torch"].library.Library("torchvision", "FRAGMENT"))
    for operator in OPERATORS:
        _declared[0].define(operator + SCHEMA)


def _import_of(module: str) -> ModuleType:
    if not module.endswith(".py"):
        imported = importlib.import_module(module)
        top = module.partition(".")[0]
        if top != "lossbench":
            written = _packages.setdefault(top, {})
            written.update(_times(_below(top), written))
        return imported
    file = Path(module)
    folder = _folders.setdefault(file.parent, Folder(file.parent))
    if len(_folders) > 1 or name_of(file) not in folder.modules:
        with folder.entered():
            folder.file(file)
        _last_on_path(folder)
    return folder.modules[name_of(file)]


def forget_edited() -> None:
    """Have what was edited since it was imported imported again, with all that goes with it."""
    for folder in _folders.values():
        if _is_edited(folder.written):
            for name, module in folder.modules.items():
                if sys.modules.get(name) is module:
                    del sys.modules[name]
            folder.modules.clear()
            folder.written.clear()
    for top, written in _packages.items():
        if _is_edited(written):
            for module in list(_below(top)):
                sys.modules.pop(module.__name__, None)
            written.clear()


def _note_imported() -> None:
    """Note what was imported from each folder, also by functions that were called meanwhile."""
    folders = {str(place): folder for place, folder in _folders.items()}
    homes = {top: folders.get(_home(m)) for top, m in sys.modules.items() if "." not in top}
    for name, module in sys.modules.items():
        top = name.partition(".")[0]
        if top != "lossbench" and (folder := homes.get(top)):
            folder.modules[name] = module
    for folder in _folders.values():
        folder.written.update(_times(folder.modules.values(), folder.written))


def _last_on_path(folder: Folder) -> None:
    """Keep the folders after everything else on the path, this one before the others."""
    ours = [str(folder.place), *(str(place) for place in _folders if place != folder.place)]
    added = [path for path in ours if path not in sys.path or path in _added]
    sys.path[:] = [path for path in sys.path if path not in _added] + added
    _added.update(added)


def _home(module: ModuleType) -> str:
    """The folder that holds a top-level module or package."""
    names = vars(module) if isinstance(module, ModuleType) else {}
    places = list(names.get("__path__", ())) or [names.get("__file__")]
    return os.path.dirname(places[0] or "")


def _below(top: str) -> Iterator[ModuleType]:
    """What is imported of a top-level module or package."""
    within = f"{top}."
    for name, module in list(sys.modules.items()):
        if (name == top or name.startswith(within)) and isinstance(module, ModuleType):
            yield module


def _times(modules: Iterable[ModuleType], known: Mapping[Path, int]) -> dict[Path, int]:
    """When each module's file was written, in nanoseconds, for those that are not known."""
    files = {Path(file) for m in modules if (file := getattr(m, "__file__", None))}
    return {file: file.stat().st_mtime_ns for file in files - known.keys() if file.is_file()}


def _is_edited(written: Mapping[Path, int]) -> bool:
    return any(not f.is_file() or f.stat().st_mtime_ns != t for f, t in written.items())
