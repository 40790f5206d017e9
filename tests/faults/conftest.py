"""Faults are provoked for real: the command line in this process where a process is not the point.

Workers are real processes in either case.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Done, Files

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def refused(command: Callable[..., Done], here: Path) -> Callable[..., str]:
    """The request is refused in at most two lines, without a traceback, and nothing is left."""

    def run(*words: str, code: int = 2, files: Files | None = None, lines: int = 2) -> str:
        said = command(*words, files=files)
        assert said.code == code, said
        assert "Traceback" not in said.err
        assert len(said.err.splitlines()) <= lines, said.err
        assert not list(here.glob("results/*/seeds.parquet"))
        return said.err

    return run
