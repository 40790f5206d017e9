"""Names of results in their folder: the key, and a number where that is taken."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path


def into_place(temporary: Path, folder: Path, key: str) -> Path:
    """Rename to the key's first free name; renaming onto a full folder fails, so none is lost."""
    for name in names_of(key):
        try:
            os.rename(temporary, folder / name)
            return folder / name
        except OSError:
            if not (folder / name).exists():
                raise
    raise AssertionError("names never end")


def names_of(key: str) -> Iterator[str]:
    """The key, key-1, key-2, …, without end."""
    yield key
    yield from (f"{key}-{number}" for number in itertools.count(1))


def move_aside(place: Path) -> Path:
    """Put a damaged result out of sight; those after it of the same key move up."""
    folder, key = place.parent, place.name.partition("-")[0]
    held = list(itertools.takewhile(Path.exists, (folder / name for name in names_of(key))))
    aside = free_name(folder, f".damaged-{place.name}")
    os.rename(place, aside)
    for name, part in zip(names_of(key), [part for part in held if part != place], strict=False):
        os.rename(part, folder / name)  # onto itself where it stands right
    return aside


def free_name(folder: Path, stem: str) -> Path:
    """The first of stem, stem-1, … that nothing in the folder has."""
    return next(folder / name for name in names_of(stem) if not (folder / name).exists())
