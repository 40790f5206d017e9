"""Places: those that a user names, and the folders of data that come with the package."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lossbench.contract import UserError


def expanded(path: str) -> Path:
    """With ~ for a home; an unknown ~user stays as it is, where Path.expanduser would raise."""
    return Path(os.path.expanduser(path))


def regular_file(path: str, key: str) -> Path:
    """The same, also where nothing is; UserError for what cannot be read whole."""
    file = expanded(path)
    if file.exists() and not file.is_file():
        raise UserError(f"{key}={path}: not a regular file, but a directory, pipe or device.")
    return file


def sha256(file: Path) -> str:
    """The digest of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def packaged(name: str) -> Path:
    """A folder of data (`conf`, `experiments`): inside the wheel, or next to the package."""
    here = Path(__file__).resolve().parent
    return next(p for p in (here / name, here.parent / name) if p.is_dir())


def experiment_files() -> dict[str, Path]:
    """Every experiment's file by name: those of the working directory, then the packaged ones."""
    folders = [Path("experiments"), packaged("experiments")]
    files = [f for folder in folders for f in sorted(folder.glob("*/experiment.yaml"))]
    return {f.parent.name: f for f in reversed(files)}
