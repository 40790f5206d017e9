"""What MLflow's page of an experiment shows when it is opened by `lossbench ui`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

from lossbench.contract import UnusableError


def state(summary: dict[str, Any]) -> dict[str, Any]:
    """The state of MLflow's chart page: curves of each run, then the test metrics, best first."""
    primary, directions = summary["primary"], summary["directions"]
    metrics = [primary, *(metric for metric in directions if metric != primary)]
    return {
        "compareRunCharts": _charts(metrics),
        "compareRunSections": _sections(),
        "groupBy": None,
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
        "orderByKey": f"metrics.`test/{primary}`",
        "orderByAsc": directions[primary] < 0,
        "searchFilter": "",
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
    everywhere = {"runsCountToCompare": 20, "deleted": False, "isGenerated": False}
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


def serve(uri: str, port: int) -> int:
    """MLflow's own server on the loopback address, until it is interrupted."""
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--workers", "1"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # seconds of start
    )
    try:
        return server.wait()
    finally:
        server.terminate()
        server.wait()
