"""Shared by all tests: one thread, and real processes in folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import lossbench  # noqa: F401 (sets what matrix products need before torch computes)

torch.set_num_threads(1)

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lossbench_command(tmp_path: Path) -> Command:
    """Run the command line in an empty folder, as a process."""

    def command(*words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lossbench.cli", *words],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return command
