"""Shared by all tests: one thread, the command line, and what is made once and then copied."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of this process and of those that it starts

import pytest
import torch
from support import Done, Files, called, once, put

import lossbench  # noqa: F401 (sets what matrix products need before torch computes)

torch.set_num_threads(1)

Command = Callable[..., Done]
# Long files first, so that none is left alone at the end.
LONGEST = (
    "test_faults_stores.py",
    "test_comparison_tables.py",
    "test_report.py",
    "test_faults_losses.py",
    "test_check.py",
    "test_plugins.py",
    "test_command_line.py",
    "test_peeking.py",
    "test_tracking.py",
    "test_show.py",
    "test_settling.py",
    "test_tuning.py",
    "test_stack.py",
    "test_checkpoint.py",
    "test_losses.py",
    "test_foreign.py",
    "test_faults_security.py",
    "test_claims.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the longest files first, in the order of `LONGEST`."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def command(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run the command line in an empty folder, in this process; workers are processes as ever.

    A real process costs seconds of imports: where it is the point, take `command_process`.
    """
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str, files: Files | None = None) -> Done:
        put(here, files or {})
        capfd.readouterr()
        return Done(called(*words), *capfd.readouterr())

    return run


@pytest.fixture
def command_process(tmp_path: Path) -> Command:
    """Run the command line in an empty folder, as a process of its own."""

    def run(*words: str, timeout: float = 120) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "lossbench.cli", *words],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this run of the tests, the same one for all of its workers."""
    base = tmp_path_factory.getbasetemp()
    place = (base if worker_id == "master" else base.parent) / "shared"
    place.mkdir(exist_ok=True)
    return place


@pytest.fixture(scope="session")
def empty_store(shared: Path) -> Path:
    """A SQLite file with MLflow's tables, whose migrations take seconds: to be copied."""

    def make(place: Path) -> None:
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{place}").search_experiments(max_results=1)
        with contextlib.closing(sqlite3.connect(place)) as database:
            database.execute("PRAGMA journal_mode=WAL")

    return once(shared / "empty.db", make)


@pytest.fixture
def with_store(here: Path, empty_store: Path) -> Path:
    """An empty working directory, but for an empty store where results go."""
    (here / "results").mkdir()
    shutil.copy(empty_store, here / "results" / "mlflow.db")
    return here
