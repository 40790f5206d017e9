"""What several tests use: a small request, files written below a folder, work done once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

Files = Mapping[str, str | bytes]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUICK = ("dataset=moons", "trainer=short", "seeds=2", "tracking=none", "launcher.workers=2")


@dataclass(frozen=True)
class Done:
    """What a command gave back."""

    code: int
    out: str
    err: str


class Whole:
    """Splits as (inputs, targets) of all replicas, which training never holds at once."""

    def __init__(self, splits: Any) -> None:
        self.task, self.notes, self.origin = splits.task, splits.notes, splits.origin
        self.train, self.validation, self.test = map(splits.first, ("train", "validation", "test"))


def put(folder: Path, files: Files) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)


def called(*words: str) -> int:
    """The exit code of the command line, run in this process, which keeps its signal handlers."""
    from lossbench.cli import main

    before = [signal.getsignal(number) for number in SIGNALS]
    try:
        return main(list(words))
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def once(place: Path, make: Callable[[Path], object]) -> Path:
    """Have one worker make a file or folder; the others wait for it."""
    with FileLock(f"{place}.lock"):
        if not place.exists():
            temporary = place.with_name(f"making-{place.name}")
            make(temporary)
            temporary.rename(place)
    return place


def sampled(rows: Iterable[Any], each: int, *, named: bool = False) -> list[Any]:
    """Parameters of a test, of which one in so many is tried each time, the others when slow.

    A tuple is a row of several parameters; named: the first is what the row is called.
    """
    parameters = []
    for place, row in enumerate(rows):
        values = row if isinstance(row, tuple) else (row,)
        name, values = (values[0], values[1:]) if named else (None, values)
        marks = [pytest.mark.slow] if place % each else []
        parameters.append(pytest.param(*values, marks=marks, id=name))
    return parameters
