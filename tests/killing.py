"""Start a sweep or find a port for a server, kill what should be killed, read what is left."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
from mlflow import MlflowClient


def free_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`lossbench run` with these words, as a process with a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lossbench.cli", "run", *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_tree(process: subprocess.Popen[str]) -> None:
    """SIGKILL for the launcher, its server and its workers at once."""
    family = psutil.Process(process.pid).children(recursive=True)
    for member in [psutil.Process(process.pid), *family]:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.communicate()


def table(folder: Path) -> pd.DataFrame:
    """Every number of a results folder: a row for each configuration, seed, epoch and metric."""
    found = []
    for file in sorted((folder / "results").glob("[!.]*/curves.parquet")):
        key = file.parent.name.partition("-")[0]
        rows = pd.read_parquet(file.with_name("seeds.parquet"))
        rows = rows.drop(columns="status").melt("seed", var_name="metric").assign(epoch=-1)
        found.append(pd.concat([rows, pd.read_parquet(file)]).assign(key=key))
    every = pd.concat(found, ignore_index=True).astype({"value": float})
    order = ["key", "seed", "epoch", "metric"]
    return every.drop_duplicates(order)[[*order, "value"]].sort_values(order, ignore_index=True)


def statuses(folder: Path) -> dict[str, list[str]]:
    """What MLflow says of each key: the statuses of its runs."""
    client = MlflowClient(f"sqlite:///{folder / 'results' / 'mlflow.db'}")
    found: dict[str, list[str]] = {}
    for run in client.search_runs([e.experiment_id for e in client.search_experiments()]):
        found.setdefault(run.data.tags["lossbench.key"], []).append(run.info.status)
    return found
