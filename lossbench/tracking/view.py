"""What MLflow's page of an experiment shows when it is opened by `lossbench ui`."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lossbench.contract import UnusableError
from lossbench.results import Result, duplicates

POLL_SECONDS = 0.3  # between looks at whether MLflow answers


MOST_RUNS = 100  # in a chart; the user hides others by their eye


def state(result: Result, search: str = "") -> dict[str, Any]:
    """The state of MLflow's chart page: curves of each run, then the test metrics, best first.

    Each run is a line of its own, of unlike runs too, which a mean over them would hide; of many
    runs the ten best have lines at first, as colours and curves of more cannot be told apart. A
    metric that another one gives has no chart. search: which runs there are.
    """
    primary, directions = result.summary["primary"], result.summary["directions"]
    hidden = {primary, *duplicates([result], primary)}
    metrics = [primary, *(metric for metric in directions if metric not in hidden)]
    return {
        "compareRunCharts": _charts(metrics),
        "compareRunSections": _sections(),
        "groupBy": None,
        "runsHiddenMode": "FIRST_10_RUNS",
        "hideEmptyCharts": True,
        "orderByKey": f"metrics.`test/{primary}`",
        "orderByAsc": directions[primary] < 0,
        "searchFilter": search,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": [
            *(f"tags.`{tag}`" for tag in ("loss", "dataset", "corruption", "diverged")),
            *(f"metrics.`test/{metric}`" for metric in metrics),
        ],
        "columnOrder": [],
        "columnWidths": {},
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
    }


def _charts(metrics: list[str]) -> list[dict[str, Any]]:
    """A line chart for each curve, the first metric's on top, and a bar chart for each metric."""
    everywhere = {"runsCountToCompare": MOST_RUNS, "deleted": False, "isGenerated": False}
    curves = [f"val/{metrics[0]}", "train/loss", *(f"val/{metric}" for metric in metrics[1:])]
    return [
        {
            "uuid": f"curve-{number}",
            "type": "LINE",
            "metricSectionId": "curves",
            "metricKey": name,
            "selectedMetricKeys": [name],
            "displayName": f"{name}, mean over seeds",
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "lineSmoothness": 0,
            "displayPoints": False,
            **everywhere,
        }
        for number, name in enumerate(curves)
    ] + [
        {
            "uuid": f"test-{number}",
            "type": "BAR",
            "metricSectionId": "test",
            "metricKey": f"test/{metric}",
            **everywhere,
        }
        for number, metric in enumerate(metrics)
    ]


def _sections() -> list[dict[str, Any]]:
    """The parts of the page that the charts stand in."""
    return [
        {
            "uuid": place,
            "name": name,
            "display": True,
            "isReordered": False,
            "isGenerated": False,
            "columns": 2,
            "cardHeight": 340,
        }
        for place, name in (("curves", "Learning curves"), ("test", "Test split, last epoch"))
    ]


def refuse_taken(port: int) -> None:
    """UnusableError where MLflow's server could not listen."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise UnusableError(f"--port {port}: {os.strerror(error.errno or 0)}.") from error


def serve(uri: str, port: int, announce: Callable[[], None]) -> int:
    """MLflow's own server on the loopback address, until it is interrupted.

    announce: called when it answers, which takes seconds.
    """
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,  # what it says of stores; troubles are on the error output
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # seconds of start
    )
    try:
        while server.poll() is None and not _answers(port):
            time.sleep(POLL_SECONDS)
        if server.poll() is None:
            announce()
        return server.wait()
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def pages_served(folder: Path, port: int) -> Iterator[None]:
    """The reports of a folder on the loopback address, while the block runs."""

    class Quiet(SimpleHTTPRequestHandler):
        """Files of the folder, without a line for each request."""

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
