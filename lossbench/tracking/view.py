"""What MLflow's page of an experiment shows when it is opened by `lossbench ui`."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from lossbench.contract import UnusableError


def state(summary: dict[str, Any]) -> dict[str, Any]:
    """The state of MLflow's chart page: curves of each run, then the test metrics, best first.

    What is not said is as MLflow has it.
    """
    primary, directions = summary["primary"], summary["directions"]
    metrics = [primary, *(metric for metric in directions if metric != primary)]
    curves = [f"val/{primary}", "train/loss", *(f"val/{metric}" for metric in metrics[1:])]
    tags = ("loss", "dataset", "corruption", "diverged")
    return {
        "compareRunCharts": [*map(_curve, curves), *map(_bars, metrics)],
        "compareRunSections": [
            _section("curves", "Learning curves"),
            _section("test", "Test split, last epoch"),
        ],
        "orderByKey": f"metrics.`test/{primary}`",
        "orderByAsc": directions[primary] < 0,
        "selectedColumns": [
            *(f"tags.`{tag}`" for tag in tags),
            *(f"metrics.`test/{metric}`" for metric in metrics),
        ],
    }


def _curve(name: str) -> dict[str, Any]:
    """The chart of a curve, unsmoothed."""
    return {
        "uuid": name,
        "type": "LINE",
        "metricSectionId": "curves",
        "metricKey": name,
        "selectedMetricKeys": [name],
        "xAxisKey": "step",
        "lineSmoothness": 0,
        "displayPoints": False,
        "runsCountToCompare": 20,
    }


def _bars(metric: str) -> dict[str, Any]:
    """The chart of a test metric."""
    name = f"test/{metric}"
    bars = {"uuid": name, "type": "BAR", "metricSectionId": "test", "metricKey": name}
    return {**bars, "runsCountToCompare": 20}


def _section(place: str, name: str) -> dict[str, Any]:
    """A part of the page that charts stand in."""
    return {"uuid": place, "name": name, "display": True, "columns": 2, "cardHeight": 340}


def refuse_taken(port: int) -> None:
    """UnusableError where MLflow's server could not listen."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise UnusableError(f"--port {port}: {os.strerror(error.errno or 0)}.") from error


def serve(uri: str, port: int, announce: Callable[[], None]) -> int:
    """MLflow's own server on the loopback address, until it is interrupted; its exit code.

    announce is called once, when the server answers.
    """
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    where = ["--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen([*command, *where], stdout=2)  # its messages are not the answer
    try:
        while server.poll() is None:
            if _answers(port):
                announce()
                return server.wait()
            time.sleep(0.2)
        return server.wait()
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    """Whether MLflow's server says that it is up."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False
