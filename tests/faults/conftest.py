"""Faults are provoked for real: the command line in this process where a process is not the point.

Workers are real processes in either case.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lossbench.cli import main

sys.path.insert(0, str(Path(__file__).parent))

QUICK = ("dataset=moons", "trainer=short", "seeds=2", "tracking=none", "launcher.workers=2")


@dataclass(frozen=True)
class Said:
    """What a command gave back."""

    code: int
    out: str
    err: str


Files = Mapping[str, str | bytes]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(here: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """Run the command line in the empty folder, with some files in it."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in signals]

    def run(*words: str, files: Files | None = None) -> Said:
        put(here, files or {})
        capfd.readouterr()
        code = main(list(words))
        return Said(code, *capfd.readouterr())

    yield run
    for number, handler in zip(signals, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def refused(command: Callable[..., Said], here: Path) -> Callable[..., str]:
    """The request is refused in at most two lines, without a traceback, and nothing is left."""

    def run(*words: str, code: int = 2, files: Files | None = None, lines: int = 2) -> str:
        said = command(*words, files=files)
        assert said.code == code, said
        assert "Traceback" not in said.err
        assert len(said.err.splitlines()) <= lines, said.err
        assert not list(here.glob("results/*/seeds.parquet"))
        return said.err

    return run


def put(folder: Path, files: Files) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
