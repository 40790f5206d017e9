"""A job on another machine: what it needs goes there, what it makes comes home, code is compared.

The results folder stays the truth, and only the command writes to it where jobs carry files.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lossbench import registry, results
from lossbench.configuration import Configuration
from lossbench.contract import UserError
from lossbench.registry.identity import code_of
from lossbench.results.sources import package_versions

Files = dict[str, bytes | None]  # by their names in a folder; None where one is deleted


class UnfitMachineError(UserError):
    """A machine that no run of the command may use: it has other code or data, or lacks a GPU."""


@dataclass(frozen=True)
class Workplace:
    """The results folder of a job.

    name: of the job, among all that the folder is of. needs: patterns of the files that it reads.
    seconds: that it may take, where that is known. held: how many results of its key there are.
    """

    folder: Path
    name: str
    needs: tuple[str, ...] = ()
    seconds: float | None = None
    held: int = 0

    def files(self, more: frozenset[str] = frozenset()) -> Files:
        """What the job needs of the folder, and more, by name."""
        needed = {file for pattern in self.needs for file in self.folder.glob(pattern)}
        needed |= {self.folder / name for name in more}
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in sorted(needed)
            if file.is_file()
        }


def unpack(files: Mapping[str, bytes | None], folder: Path) -> None:
    """Write files below a folder, each whole or not at all, or delete them."""
    for name, content in files.items():
        file = folder / name
        if content is None:
            file.unlink(missing_ok=True)
            _remove_empty(file.parent, folder)
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".writing-{uuid.uuid4().hex}")
        temporary.write_bytes(content)
        os.replace(temporary, file)


def _remove_empty(folder: Path, end: Path) -> None:
    while folder != end and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


class Watch:
    """What changes among the checkpoints of a folder from one look to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = self._listed()

    def changes(self) -> Files:
        """What was written or deleted since the last look."""
        now, new = self._listed(), Files()
        for name in now - self.seen:
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                new[name] = (self.folder / name).read_bytes()
        gone = dict.fromkeys(self.seen - now)
        self.seen = now
        return {**gone, **new}

    def _listed(self) -> set[str]:
        """Every file that is whole; none of them ever changes."""
        files = self.folder.glob(".checkpoints/*/[!.]*")
        return {str(file.relative_to(self.folder)) for file in files}


def packed(folder: Path) -> dict[str, bytes]:
    """The files of a result."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def receive(files: Mapping[str, bytes], folder: Path, key: str) -> Path:
    """Put a result into the results folder; UserError where it is not as it was written."""
    temporary = folder / f".writing-{uuid.uuid4().hex}"
    try:
        unpack(files, temporary)
        results.read(temporary)
        return results.into_place(temporary, folder, key)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def trained_since(config: Configuration, place: Workplace) -> Path | None:
    """The result of a job that another try or command wrote after it was given away."""
    parts = results.parts(place.folder, config.key)
    if len(parts) > place.held and not results.missing_seeds(config, place.folder):
        return parts[-1]
    return None


# ---- is it the same code? ----------------------------------------------------------------------
def code_here(config: Configuration) -> dict[str, str]:
    """Of each package and plugin that decides numbers the version or the digest of its code."""
    codes = {}
    for kind in config.decisive_kinds:
        plugins = [p for each in config.choice(kind).all for p in registry.find(kind, each.name)]
        codes[config.named(kind)] = " ".join(map(code_of, plugins))
    return {**package_versions(), **codes}


def refuse_other_code(config: Configuration, code: Mapping[str, str]) -> None:
    """In the worker: UnfitMachineError names what is another here than where the command runs.

    code: what `code_here` gave there.
    """
    node = platform.node()
    try:
        fresh, here = replace(config), code_here(config)  # without what was computed there
        differing = [k for k, value in fresh.numbers.items() if value != config.numbers.get(k)]
    except UserError as error:
        raise UnfitMachineError(f"on {node}: {error}") from error
    others = [_difference(name, value, here.get(name)) for name, value in code.items()]
    others = [*filter(None, others), *(f"{name} has other files" for name in differing)]
    if others:
        raise UnfitMachineError(
            f"{node} has not what this command has: {'; '.join(others)}. Install the same "
            "packages and files on every machine; nothing of it was used."
        )


def refuse_without_gpu(config: Configuration) -> None:
    """In the worker: UnfitMachineError where a GPU was asked for and torch sees none here.

    The engine counts GPUs by what it was started with, and training would go on without.
    """
    import torch

    gpus = config.launcher.values.get("gpus")
    if gpus and config.trainer.device != "cpu" and not torch.cuda.is_available():
        raise UnfitMachineError(
            f"launcher.gpus={gpus:g}: torch {torch.__version__} sees no CUDA device on "
            f"{platform.node()}. Install a torch with CUDA there, or give launcher.gpus=0."
        )


def _difference(name: str, there: str, here: Any) -> str:
    if there == here:
        return ""
    known = "=" not in name
    return f"{name} {here}, not {there}" if known else f"the code of {name} differs"
