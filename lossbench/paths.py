"""Places that a user names."""

from __future__ import annotations

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
        raise UserError(f"{key}={path}: it is no file, but a directory, pipe or device.")
    return file
