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
import re
import socket
import sqlite3
import subprocess
import sys
import time
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from lossbench.configuration import Configuration
from lossbench.contract import UnusableError, UserError
from lossbench.nested import leaves
from lossbench.paths import expanded
from lossbench.processes import alive, identity
from lossbench.results import Result, bands, read
from lossbench.settings import masked
from lossbench.statistics import t_interval
from lossbench.view import state

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")  # seconds; MLflow's own is 120

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

LOCK_SECONDS = 600
DATABASE_LOCK = 20_261_121  # a number of ours among those of a database's advisory locks
DATABASES = ("postgresql", "mysql", "mssql")
AT_ONCE = 1000  # metrics that MLflow takes in one call
FAILURES = (MlflowException, OSError, sqlite3.Error, SQLAlchemyError, ImportError)
VIEW = "losses"
REPORT = "report.html"
PARAM = 500  # characters of a parameter's value
NOTE = 4900  # characters; the description of an experiment holds 5,000


def absolute(uri: str) -> str:
    """The URI with a SQLite file's place made absolute."""
    if not uri.startswith("sqlite:///"):
        return uri
    return f"sqlite:///{expanded(uri.removeprefix('sqlite:///')).absolute()}"


class Store:
    """An MLflow experiment, ready for writing."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Open or create; UnusableError says why it cannot be used."""
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # it logs tracebacks
        self.uri = absolute(uri)
        try:
            with self._lock():
                self.client = MlflowClient(self.uri)
                self.experiment = self._experiment(experiment)
            self._close_dead()
        except FAILURES as error:
            raise _unusable(uri, error) from error

    @property
    def _file(self) -> Path | None:
        place = self.uri.removeprefix("sqlite:///")
        return Path(place) if place != self.uri else None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time creates a database; SQLite's under another name until whole.

        What cannot be opened fails here: MLflow would try for hours.
        """
        if self.uri.startswith(DATABASES):
            with create_engine(self.uri, poolclass=NullPool).connect() as connection:
                if self.uri.startswith("postgresql"):
                    connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": DATABASE_LOCK})
                yield
            return
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
            with contextlib.closing(sqlite3.connect(self._file)) as database:
                database.execute("PRAGMA schema_version")
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
        try:
            created: str = self.client.create_experiment(final, artifact_location=place)
        except MlflowException:
            faster = self.client.get_experiment_by_name(final)  # by another process, on a server
            if faster is None:
                raise
            created = faster.experiment_id
        return created

    def _close_dead(self) -> None:
        """End the runs whose process is gone."""
        for run in self._search("RUNNING"):
            if not alive(_process(run)):
                self.client.set_terminated(run.info.run_id, "KILLED")

    def open(self, config: Configuration, key: str, name: str) -> str:
        """Open the run of a configuration and give its id."""
        tags = {
            "loss": config.loss.name,
            "dataset": config.dataset.name,
            "corruption": config.corruption.name,
            "lossbench.key": key,
            **{f"lossbench.{name}": value for name, value in identity().items()},
        }
        opened: str = self.client.create_run(self.experiment, run_name=name, tags=tags).info.run_id
        return opened

    def describe(self, run_id: str, config: Configuration) -> None:
        """Give the run its parameters; a second time changes nothing."""
        known = [
            (k, str(v)[:PARAM]) for k, v in leaves(config.mapping) if not k.startswith("tracking.")
        ]
        self.client.log_batch(run_id, params=[Param(*each) for each in known])

    def finish(self, run_id: str, result: Result, folder: Path) -> None:
        """Fill the run from its result and end it; a second time changes nothing."""
        written = int((folder / "seeds.parquet").stat().st_mtime * 1000)
        metrics = [Metric(*m, written, e) for e, m in _measured(result) if math.isfinite(m[1])]
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
        return {run.data.tags.get("lossbench.folder", "") for run in self._search("FINISHED")}

    def at_work(self) -> set[str]:
        """The keys of the runs whose process is alive and will deliver them itself."""
        running = [run for run in self._search("RUNNING") if alive(_process(run))]
        return {run.data.tags.get("lossbench.key", "") for run in running}

    def _search(self, status: str) -> Iterator[Run]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment],
                f"attributes.status = '{status}'",
                ViewType.ACTIVE_ONLY,
                1000,
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def publish(self, report: Path, said: str, results: Mapping[str, Result]) -> None:
        """Keep the report with the last of these runs, and say what it says above all runs.

        results: by key. Of what is said, the first line is seen unopened.
        """
        ours = [r for r in self._search("FINISHED") if r.data.tags.get("lossbench.key") in results]
        if not ours:
            raise UnusableError("it does not show any of the runs yet")
        run = max(ours, key=lambda run: run.info.end_time)
        self.client.log_text(run.info.run_id, report.read_text(encoding="utf-8"), REPORT)
        place = f"#/experiments/{self.experiment}/runs/{run.info.run_id}/artifacts/{REPORT}"
        note = f"[The report]({place}): {said}"
        if len(note) > NOTE:
            note = f"{note[:NOTE].rpartition(chr(10))[0]}\n\n… and more in the report."
        self.client.set_experiment_tag(self.experiment, "mlflow.note.content", note)
        configs = [result.config for result in results.values()]
        kinds = ("dataset", "corruption")
        beside = [
            kind for kind in kinds if len({config.choice(kind).name for config in configs}) > 1
        ]
        self._save_view(next(iter(results.values())).summary, beside)

    def _save_view(self, summary: dict[str, Any], beside: Sequence[str] = ()) -> None:
        """Save a view of charts by loss; MLflow's format for it is not documented, but tested."""
        packed = b64encode(zlib.compress(json.dumps(state(summary, beside)).encode())).decode()
        now = int(time.time() * 1000)
        view = {"name": VIEW, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
        tag = f"mlflow.sharedViewState.{VIEW}"
        self.client.set_experiment_tag(self.experiment, tag, json.dumps(view))

    @property
    def page(self) -> str:
        """The part of MLflow's address that shows the saved view."""
        query = f"compareRunsMode=CHART&viewStateShareKey={VIEW}"
        return f"#/experiments/{self.experiment}/runs?{query}"


def _process(run: Run) -> dict[str, str]:
    tags = run.data.tags
    return {name: tags.get(f"lossbench.{name}", "") for name in ("host", "pid", "began")}


def _unusable(uri: str, error: Exception) -> UnusableError:
    reason = masked(" ".join(str(error).split()))[:200]
    if isinstance(error, ImportError):
        reason += "; for PostgreSQL: pip install 'lossbench[postgres]'"
    if revision := re.search(r"out-of-date database schema \(found version (\w+)", str(error)):
        own = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
        older = any(own.glob(f"{revision[1]}_*.py"))
        reason = (
            f"it was made by {'an older' if older else 'a newer'} MLflow than {mlflow.__version__}"
        )
        reason += (
            f". Run: mlflow db upgrade {masked(uri)}"
            if older
            else ". Upgrade: pip install -U mlflow"
        )
    return UnusableError(f"tracking.uri={masked(uri)}: cannot be used: {reason}")


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


def experiments(uri: str) -> list[str]:
    """The names of the store's experiments, the one that was written to last first."""
    try:
        found = MlflowClient(absolute(uri)).search_experiments(order_by=["last_update_time DESC"])
    except Exception as error:  # whatever MLflow, its database or its server may raise
        raise _unusable(uri, error) from error
    return [experiment.name for experiment in found]


def refuse_taken(port: int) -> None:
    """UnusableError where MLflow's server could not listen."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise UnusableError(f"--port {port}: {os.strerror(error.errno or 0)}.") from error


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
        reason, shown = masked(" ".join(str(error).split()))[:200], masked(uri)
        raise UserError(f"{run_id}: neither a result nor a run in {shown}: {reason}") from error
    raise UserError(f"{run_id}: the run is {run.info.status} and has no result.")


def deliver(places: Sequence[Path], to: str | None = None, *, own: bool = False) -> int:
    """Show MLflow every one of these results that it has not got, and count them.

    to is another store than the one that a result names; own leaves out what does not name it.
    """
    stores: dict[tuple[str, str], tuple[Store, set[str], set[str]]] = {}
    count = 0
    for place in places:
        result = read(place)
        uri, experiment = result.config.tracking.uri, result.config.tracking.experiment
        if uri is None or (own and absolute(uri) != absolute(masked(to or ""))):
            continue
        uri = to or _in_full(uri)
        if (uri, experiment) not in stores:
            store = Store(uri, experiment)
            stores[uri, experiment] = (store, store.delivered(), store.at_work())
        store, known, at_work = stores[uri, experiment]
        if place.name not in known and result.key not in at_work:
            name = f"{result.config.loss.name} on {result.config.dataset.name}"
            try:
                run_id = store.open(result.config, result.key, name)
                store.describe(run_id, result.config)
                store.finish(run_id, result, place)
            except FAILURES as error:
                raise _unusable(uri, error) from error
            count += 1
    return count


def _in_full(uri: str) -> str:
    """The address, which must not be one that was written without its credentials."""
    if "://***@" in uri or "=***" in uri:
        raise UserError(
            f"{uri}: the results do not keep its credentials. Give the store's address in full: "
            "lossbench sync --uri URI"
        )
    return uri
