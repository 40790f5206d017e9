"""Jobs -> MLflow, beside training: it never waits for MLflow and never fails because of it.

The results folder is the truth. A marker in it, `.undelivered-…`, stands while a sweep has not
shown MLflow everything; what a killed sweep left is made good by the next.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from lossbench import results
from lossbench.configuration import Configuration
from lossbench.processes import alive, identity
from lossbench.settings import masked
from lossbench.sweep.plan import Job

if TYPE_CHECKING:
    from lossbench.tracking import Store

RETRY_SECONDS = 10
PATIENCE_SECONDS = 60  # how long the end of a sweep waits for a store that makes no progress
MARKER = ".undelivered-"


class Delivery:
    """A thread that brings MLflow up to what the jobs say; trouble is told once and tried again."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.console = console
        self.tracked = [job for job in jobs if job.config.tracking.uri is not None]
        self.stores: dict[tuple[str, str], Store] = {}
        self.news: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.pending: dict[str, Any] = {}
        self.told = False
        self.moved = time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.markers: list[Path] = []

    @property
    def needed(self) -> bool:
        """Whether a sweep that trains nothing has something to make good."""
        return any(left_behind(folder) for folder in {job.folder for job in self.tracked})

    def __enter__(self) -> Delivery:
        for job in {job.folder: job for job in self.tracked}.values():
            for marker in left_behind(job.folder):
                before = results.places(job.folder)  # what is written from now on is told of
                self.pending[str(marker)] = partial(self._make_good, job.config, marker, before)
            self.markers.append(job.folder / f"{MARKER}{uuid.uuid4().hex}")
            experiments = sorted({j.config.tracking.experiment for j in self.tracked})
            with contextlib.suppress(OSError):
                self.markers[-1].write_text(json.dumps({**identity(), "experiments": experiments}))
        self.thread.start()
        return self

    def tell(self, job: Job) -> None:
        """Something became of a job."""
        if job.config.tracking.uri is not None:
            self.news.put(job)

    def __exit__(self, *error: object) -> None:
        """Show what is left, and close what was cut off as killed."""
        patience = PATIENCE_SECONDS if error[0] is None else PATIENCE_SECONDS / 10
        for job in self.tracked:
            if job.begun and job.place is None and job.error is None:
                job.cut_off = True
                self.tell(job)
        self.news.put(None)
        self.moved = time.monotonic()
        while self.thread.is_alive() and time.monotonic() - self.moved < patience:
            self.thread.join(0.1)
        if self.thread.is_alive() or self.pending:
            self._tell_trouble(TimeoutError("it takes too long"))
            return
        # A sweep that was cut off may leave a result that a worker finished and nobody told of.
        for marker in self.markers if error[0] is None else ():
            marker.unlink(missing_ok=True)
        if self.told:
            self.console.print("MLflow has taken all runs by now.")

    def _run(self) -> None:
        if self.tracked:
            with contextlib.suppress(Exception):  # met again, and told, where it is needed
                importlib.import_module("lossbench.tracking")  # while the workers import theirs
        wanted = True
        while wanted:
            with contextlib.suppress(queue.Empty):
                job = self.news.get(timeout=RETRY_SECONDS if self.pending else None)
                while job is not None:
                    self.pending[f"{job.folder}/{job.name}/{job.key}"] = partial(self._show, job)
                    job = self.news.get_nowait()
                wanted = False
            self._attempt()

    def _attempt(self) -> None:
        """Work off what is pending up to the first failure, which goes to the end."""
        for key, action in list(self.pending.items()):
            del self.pending[key]
            try:
                action()
            except Exception as error:  # whatever MLflow, its database or its server may raise
                self.pending[key] = action
                self.stores.clear()
                self._tell_trouble(error)
                return
            self.moved = time.monotonic()

    def _tell_trouble(self, error: Exception) -> None:
        if not self.told:
            self.told = True
            reason = masked(" ".join(str(error).split()))[:200]
            self.console.print(
                f"MLflow does not take the runs ({reason}). Training goes on, results are complete "
                "in the results folder, and delivery is tried again; should it not succeed by the "
                f"end, deliver them later with: lossbench sync{_options(self.tracked[0])}",
                soft_wrap=True,
                markup=False,
            )

    def _store(self, uri: str, experiment: str) -> Store:
        if (uri, experiment) not in self.stores:
            from lossbench.tracking import Store  # MLflow: slow to import, not always wanted

            self.stores[uri, experiment] = Store(uri, experiment)
        return self.stores[uri, experiment]

    def _show(self, job: Job) -> None:
        if job.cut_off and job.run_id is None:
            return
        store = self._store(job.config.tracking.uri or "", job.config.tracking.experiment)
        if job.run_id is None:
            job.run_id = store.open(job.config, job.key, job.name)
        store.describe(job.run_id, job.config)
        if job.place is not None:
            store.finish(job.run_id, results.read(job.place), job.place)
        elif job.cut_off:
            store.client.set_terminated(job.run_id, "KILLED")
        elif job.error is not None:
            store.fail(job.run_id, str(job.error))

    def _make_good(self, config: Configuration, marker: Path, before: list[Path]) -> None:
        """Deliver what a sweep before this one did not."""
        from lossbench.tracking import deliver

        uri = config.tracking.uri or ""
        with contextlib.suppress(ValueError):
            for name in json.loads(marker.read_text())["experiments"]:
                self._store(uri, name)  # closes the runs of processes that are gone
        deliver(before, uri, own=True)
        marker.unlink(missing_ok=True)


def left_behind(folder: Path) -> list[Path]:
    """The markers of sweeps that are over but were not shown whole."""
    found = []
    for marker in folder.glob(f"{MARKER}*"):
        try:
            if not alive(json.loads(marker.read_text())):
                found.append(marker)
        except (OSError, ValueError):
            found.append(marker)
    return found


def _options(job: Job) -> str:
    """What `lossbench sync` needs to be told."""
    where = job.config.results.dir
    uri = job.config.tracking.uri or ""
    hidden = " --uri URI" if masked(uri) != uri else ""
    return ("" if where == "results" else f" --results {where}") + hidden
