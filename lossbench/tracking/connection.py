"""MLflow's stores: how they are created by one process, opened, and why they cannot be."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from lossbench.configuration.settings import cause, masked, store_address
from lossbench.contract import UnusableError, UserError

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")  # seconds; MLflow's own is 120

import mlflow
import psutil
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

LOCK_SECONDS = 600
DATABASE_LOCK = 20_261_121  # a number of ours among those of a database's advisory locks
NETWORKED = re.compile(
    r"nfs\d?|cifs|smb\w*|lustre|gpfs|beegfs\w*|ceph|9p|afs|pvfs2|panfs|wekafs|glusterfs|fuse\.\w+"
)
DATABASES = ("postgresql", "mysql", "mssql")
FAILURES = (MlflowException, OSError, sqlite3.Error, SQLAlchemyError, ImportError)


@contextlib.contextmanager
def locked(uri: str) -> Iterator[MlflowClient]:
    """A client of a store that is complete; one process at a time is inside the block.

    An SQLite file is created under another name until it is whole. What cannot be opened fails
    here: MLflow would try for hours.
    """
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it logs tracebacks
    if uri.startswith(DATABASES):
        with create_engine(uri, poolclass=NullPool).connect() as connection:
            if uri.startswith("postgresql"):
                connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": DATABASE_LOCK})
            yield MlflowClient(uri)
    elif file := _file(uri):
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock", timeout=LOCK_SECONDS):
            if not file.exists():
                temporary = file.with_name(f".{file.name}.{os.getpid()}")
                MlflowClient(f"sqlite:///{temporary}").search_experiments(max_results=1)
                with contextlib.closing(sqlite3.connect(temporary)) as database:
                    mode = "DELETE" if network_file_system(file.parent) else "WAL"
                    database.execute(f"PRAGMA journal_mode={mode}")
                os.replace(temporary, file)
            with contextlib.closing(sqlite3.connect(file)) as database:
                database.execute("PRAGMA schema_version")
            yield MlflowClient(uri)
    else:
        yield MlflowClient(uri)


def network_file_system(folder: Path, partitions: Sequence[Any] | None = None) -> str:
    """The kind of the network file system that a folder is on, such as nfs4; empty for a local one.

    A write-ahead log of SQLite needs memory that all who read the file share, so one machine.
    """
    around = [folder.absolute(), *folder.absolute().parents]
    mounted = partitions if partitions is not None else psutil.disk_partitions(all=True)
    kinds = {Path(each.mountpoint): str(each.fstype) for each in mounted}
    kind = next((kinds[place] for place in around if place in kinds), "")
    return kind if NETWORKED.fullmatch(kind) else ""


def network_note(uri: str) -> str:
    """What to say of an SQLite store that several machines can see, or nothing."""
    file = _file(store_address(uri))
    kind = network_file_system(file.parent) if file else ""
    return kind and (
        f"{file} is on a network file system ({kind}), where SQLite is for one machine at a time. "
        "Where several look at it, give tracking.uri=postgresql://… or http://…."
    )


def _file(uri: str) -> Path | None:
    """The file of a SQLite store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """The id of an experiment, created if need be; of `name-2`, … where that name was deleted."""
    known, number = client.get_experiment_by_name(name), 1
    while known is not None and known.lifecycle_stage == "deleted":
        number += 1
        known = client.get_experiment_by_name(f"{name}-{number}")
    if known is None:
        file, final = _file(uri), name if number == 1 else f"{name}-{number}"
        artifacts = (file.parent / "mlartifacts" / name).as_uri() if file else None
        try:
            return str(client.create_experiment(final, artifact_location=artifacts))
        except MlflowException:
            known = client.get_experiment_by_name(final)  # by another process, on a server
            if known is None:
                raise
    return str(known.experiment_id)


def experiments(uri: str) -> list[str]:
    """The names of the store's experiments, the one that was written to last first."""
    try:
        client = MlflowClient(store_address(uri))
        known = client.search_experiments(order_by=["last_update_time DESC"])
    except UserError:
        raise
    except Exception as error:  # whatever MLflow, its database or its server may raise
        raise unusable(uri, error) from error
    return [experiment.name for experiment in known]


def fetch(uri: str, run_id: str, folder: Path) -> Path:
    """Download what a run logged; UserError where there is no such run, or it has no result."""
    logging.getLogger("alembic").setLevel(logging.ERROR)
    try:
        client = MlflowClient(store_address(uri))
        run = client.get_run(run_id)
        if run.info.status == "FINISHED":
            place = folder / run_id
            place.mkdir()
            return Path(client.download_artifacts(run_id, "", str(place)))
    except UserError:
        raise
    except Exception as error:  # whatever MLflow, its database or its server may raise
        shown = f"{run_id}: neither a result nor a run in {masked(uri)}"
        raise UserError(f"{shown}: {cause(error)}") from error
    raise UserError(f"{run_id}: the run is {run.info.status} and has no result.")


def unusable(uri: str, error: Exception) -> UnusableError:
    """What to tell the user of a store that failed."""
    reason = cause(error)
    if isinstance(error, ImportError):
        reason += "; for PostgreSQL: pip install 'lossbench[postgres]'"
    if revision := re.search(r"out-of-date database schema \(found version (\w+)", str(error)):
        migrations = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
        older = any(migrations.glob(f"{revision[1]}_*.py"))
        reason = f"made by {'an older' if older else 'a newer'} MLflow than {mlflow.__version__}. "
        reason += f"Run: mlflow db upgrade {masked(uri)}" if older else "Run: pip install -U mlflow"
    return UnusableError(f"tracking.uri={masked(uri)}: cannot be used: {reason}")
