"""The window on the results: one MLflow run for each configuration. Only this file knows MLflow.

A run is opened when training starts and filled when its result is written. What was killed in
between is closed as KILLED by the next store that opens.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import platform
import sqlite3
import subprocess
import sys
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from lossbench.contract import UnusableError, UserError
from lossbench.results import Config, Result, bands, read
from lossbench.statistics import t_interval

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

LOCK_SECONDS = 120
AT_ONCE = 1000  # metrics that MLflow takes in one call
VIEW = "losses"


def absolute(uri: str) -> str:
    """The URI with a SQLite file's place made absolute."""
    if not uri.startswith("sqlite:///"):
        return uri
    return f"sqlite:///{Path(uri.removeprefix('sqlite:///')).expanduser().absolute()}"


class Store:
    """An MLflow experiment, ready for writing."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Open or create; UnusableError says why it cannot be used."""
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.uri = absolute(uri)
        try:
            with self._lock():
                self.client = MlflowClient(self.uri)
                self.experiment = self._experiment(experiment)
            self._close_dead()
        except (MlflowException, OSError, sqlite3.Error, TimeoutError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UnusableError(f"tracking.uri={uri}: cannot be used: {reason}") from error

    @property
    def _file(self) -> Path | None:
        place = self.uri.removeprefix("sqlite:///")
        return Path(place) if place != self.uri else None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time creates a SQLite store, under another name until it is whole."""
        if self._file is None:
            yield
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._file}.lock", timeout=LOCK_SECONDS):
            if not self._file.exists():
                temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}")
                MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
                with contextlib.closing(sqlite3.connect(temporary)) as database:
                    database.execute("PRAGMA journal_mode=WAL")
                os.replace(temporary, self._file)
            yield

    def _experiment(self, name: str) -> str:
        """The id of the experiment; of `name-2`, … where one of that name was deleted."""
        found = self.client.get_experiment_by_name(name)
        number = 1
        while found is not None and found.lifecycle_stage == "deleted":
            number += 1
            found = self.client.get_experiment_by_name(f"{name}-{number}")
        if found is not None:
            return found.experiment_id
        place = (self._file.parent / "mlartifacts" / name).as_uri() if self._file else None
        final = name if number == 1 else f"{name}-{number}"
        identity = self.client.create_experiment(final, artifact_location=place)
        return identity

    def _close_dead(self) -> None:
        """End the runs whose process is gone."""
        running = self.client.search_runs([self.experiment], "attributes.status = 'RUNNING'")
        for run in running:
            tags = run.data.tags
            if tags.get("lossbench.host") == platform.node() and not _alive(tags):
                self.client.set_terminated(run.info.run_id, "KILLED")

    def start(self, config: Config, key: str, name: str) -> str:
        """Open the run of a configuration and give its id."""
        process = psutil.Process()
        tags = {
            "loss": config["loss"]["name"],
            "dataset": config["dataset"]["name"],
            "corruption": config["corruption"]["name"],
            "lossbench.key": key,
            "lossbench.pid": str(process.pid),
            "lossbench.began": str(process.create_time()),
            "lossbench.host": platform.node(),
        }
        run = self.client.create_run(self.experiment, run_name=name, tags=tags)
        params = [Param(k, v) for k, v in _flat(config) if not k.startswith("tracking.")]
        self.client.log_batch(run.info.run_id, params=params)
        return run.info.run_id

    def finish(self, run_id: str, result: Result, folder: Path) -> None:
        """Fill the run from its result and end it."""
        now = int(time.time() * 1000)
        metrics = [Metric(*m, now, e) for e, m in _measured(result) if math.isfinite(m[1])]
        for start in range(0, len(metrics), AT_ONCE):
            self.client.log_batch(run_id, metrics=metrics[start : start + AT_ONCE])
        tags = [RunTag("lossbench.folder", folder.name), RunTag("task", result.summary["task"])]
        chosen = result.summary.get("tuning", {"chosen": {}})["chosen"]
        tags += [RunTag(f"tuned.{key}", str(value)) for key, value in chosen.items()]
        if result.diverged:
            tags.append(RunTag("diverged", f"{result.diverged} of {len(result.seeds)} seeds"))
        self.client.log_batch(run_id, tags=tags)
        for file in sorted(folder.iterdir()):
            self.client.log_artifact(run_id, str(file))
        self.client.set_terminated(run_id, "FINISHED")
        self._save_view(result.summary)

    def fail(self, run_id: str, reason: str) -> None:
        """End a run that gave no result."""
        self.client.set_tag(run_id, "lossbench.reason", reason[:5000])
        self.client.set_terminated(run_id, "FAILED")

    def delivered(self) -> set[str]:
        """The names of the result folders that the store already shows."""
        names, token = set(), None
        while True:
            page = self.client.search_runs(
                [self.experiment],
                "attributes.status = 'FINISHED'",
                ViewType.ACTIVE_ONLY,
                1000,
                page_token=token,
            )
            names |= {run.data.tags.get("lossbench.folder", "") for run in page}
            token = page.token
            if not token:
                return names

    def _save_view(self, summary: dict[str, Any]) -> None:
        """Save a view of charts by loss; MLflow's format for it is not documented, but tested."""
        packed = b64encode(zlib.compress(json.dumps(_view(summary)).encode())).decode()
        now = int(time.time() * 1000)
        view = {"name": VIEW, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
        tag = f"mlflow.sharedViewState.{VIEW}"
        self.client.set_experiment_tag(self.experiment, tag, json.dumps(view))

    @property
    def page(self) -> str:
        """The part of MLflow's address that shows the saved view."""
        query = f"compareRunsMode=CHART&viewStateShareKey={VIEW}"
        return f"#/experiments/{self.experiment}/runs?{query}"


def _view(summary: dict[str, Any]) -> dict[str, Any]:
    """The state of MLflow's chart page: curves with their bands, then the test metrics."""
    metrics = [summary["primary"], *(m for m in summary["directions"] if m != summary["primary"])]
    curves = ["train/loss", *(f"val/{metric}" for metric in metrics)]
    charts = [
        {
            "uuid": f"curve-{number}",
            "type": "LINE",
            "metricSectionId": "curves",
            "metricKey": name,
            "selectedMetricKeys": [name, f"{name}_low", f"{name}_high"],
            "displayName": f"{name}: mean and 95 % interval over seeds",
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "scaleType": "linear",
            "lineSmoothness": 0,
            "runsCountToCompare": 20,
            "deleted": False,
            "isGenerated": False,
        }
        for number, name in enumerate(curves)
    ] + [
        {
            "uuid": f"test-{number}",
            "type": "BAR",
            "metricSectionId": "test",
            "metricKey": f"test/{metric}",
            "runsCountToCompare": 20,
            "deleted": False,
            "isGenerated": False,
        }
        for number, metric in enumerate(metrics)
    ]
    sections = [
        {"uuid": place, "name": name, "display": True, "isReordered": False, "isGenerated": False}
        for place, name in (("curves", "Learning curves"), ("test", "Test split, last epoch"))
    ]
    return {
        "compareRunCharts": charts,
        "compareRunSections": sections,
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": "loss"}],
        },
        "useGroupedValuesInCharts": True,
        "groupsExpanded": {},
        "runsHiddenMode": "SHOWALL",
        "hideEmptyCharts": True,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "searchFilter": "",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": [],
        "columnOrder": [],
        "columnWidths": {},
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
    }


def _alive(tags: dict[str, str]) -> bool:
    try:
        process = psutil.Process(int(tags.get("lossbench.pid", "-1")))
        return str(process.create_time()) == tags.get("lossbench.began")
    except (psutil.Error, ValueError):
        return False


def _flat(config: Config, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)[:500]


def _measured(result: Result) -> Iterator[tuple[int, tuple[str, float]]]:
    """(epoch, (name, value)): mean curves with the ends of their intervals, and test metrics."""
    for row in bands(result.curves).to_dict("records"):
        for suffix, end in (("", "mean"), ("_low", "low"), ("_high", "high")):
            yield row["epoch"], (f"{row['metric']}{suffix}", row[end])
    for name in result.seeds.columns[result.seeds.columns.str.startswith("test")]:
        values = result.seeds[name].dropna()
        if len(values):
            interval = t_interval(values)
            for suffix, value in (
                ("", interval.estimate),
                ("_low", interval.low),
                ("_high", interval.high),
            ):
                yield 0, (f"{name}{suffix}", float(value))
    yield 0, ("diverged", float(result.diverged))


def latest_experiment(uri: str) -> str:
    """The experiment that was written to last."""
    found = MlflowClient(absolute(uri)).search_experiments(order_by=["last_update_time DESC"])
    return found[0].name


def serve(store: Store, port: int) -> int:
    """MLflow's own server on the loopback address, until it is interrupted."""
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)])
    try:
        return server.wait()
    finally:
        server.terminate()
        server.wait()


def fetch(uri: str, run_id: str, folder: Path) -> Path:
    """Download what a run logged; UserError where there is no such run, or it has no result."""
    logging.getLogger("alembic").setLevel(logging.ERROR)
    try:
        client = MlflowClient(absolute(uri))
        run = client.get_run(run_id)
        if run.info.status == "FINISHED":
            place = folder / run_id
            place.mkdir()
            return Path(client.download_artifacts(run_id, "", str(place)))
    except Exception as error:  # whatever MLflow, its database or its server may raise
        reason, shown = " ".join(str(error).split())[:200], uri.partition("@")[2] or uri
        raise UserError(f"{run_id}: neither a result nor a run in {shown}: {reason}") from error
    raise UserError(f"{run_id}: the run is {run.info.status} and has no result.")


def deliver(folder: Path) -> int:
    """Show MLflow every result of the folder that it has not got, and count them."""
    stores: dict[tuple[str, str], tuple[Store, set[str]]] = {}
    count = 0
    for place in sorted(file.parent for file in folder.glob("[!.]*/seeds.parquet")):
        result = read(place)
        uri, experiment = result.config["tracking"].values()
        if uri is None:
            continue
        if (uri, experiment) not in stores:
            store = Store(uri, experiment)
            stores[uri, experiment] = (store, store.delivered())
        store, known = stores[uri, experiment]
        if place.name not in known:
            name = f"{result.config['loss']['name']} on {result.config['dataset']['name']}"
            store.finish(store.start(result.config, result.key, name), result, place)
            count += 1
    return count
