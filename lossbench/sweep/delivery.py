"""Jobs -> MLflow in one thread: training neither waits for MLflow nor fails because of it.

The results folder is the truth: what a store lacks is delivered by the same command later.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import shlex
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from lossbench import results
from lossbench.configuration.settings import Tracking, cause, masked
from lossbench.sweep.plan import Job
from lossbench.tracking.shown import shows_all

if TYPE_CHECKING:
    from lossbench.tracking.store import Store

CURVE_SECONDS = 10  # between two points of the curves that a run in training shows
RETRY_SECONDS = 10
PATIENCE_SECONDS = 60  # how long the end of a sweep waits for a store that makes no progress


class Delivery:
    """Brings MLflow up to what the jobs say; trouble is reported once and tried again."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.console = console
        self.tracked = [job for job in jobs if job.config.tracking.uri is not None]
        self.store: Store | None = None
        self.news: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.pending: dict[int, Job] = {}
        self.due: dict[int, float] = {}
        self.reported = self.over = False
        self.moved = time.monotonic()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Delivery:
        if self.tracked and not self._is_idle():
            for job in self.tracked:
                if not job.seeds:
                    self.tell(job)
            self.thread.start()
        return self

    def _is_idle(self) -> bool:
        """Whether every job is done, and the store shows that already."""
        if any(job.seeds for job in self.tracked):
            return False
        held = [results.parts(job.folder, job.key) for job in self.tracked]
        tracking = self.tracked[0].config.tracking
        return shows_all(tracking.uri or "", tracking.experiment, held)

    def tell(self, job: Job) -> None:
        """A job is done already, or has ended."""
        if job.config.tracking.uri is not None:
            self.news.put(job)

    def tell_progress(
        self, job: Job, done: int, total: int, point: tuple[int, dict[str, float]] | None
    ) -> None:
        """A job is in training."""
        now = time.monotonic()
        if now < self.due.setdefault(id(job), now + CURVE_SECONDS):
            return
        self.due[id(job)] = now + CURVE_SECONDS
        if point and point[0] > (job.points[-1][0] if job.points else -1):  # not so if tried again
            job.points.append(point)
        job.progress = f"{done} of {total} epochs"
        self.tell(job)

    def __exit__(self, *error: object) -> None:
        """Show what is left, and close what was cut off as killed."""
        self.over = True
        for job in self.tracked:
            if job.progress and job.place is None and job.error is None:
                self.tell(job)
        self.news.put(None)
        patience = PATIENCE_SECONDS if error[0] is None else PATIENCE_SECONDS / 10
        self.moved = time.monotonic()
        while self.thread.is_alive() and time.monotonic() - self.moved < patience:
            self.thread.join(0.1)
        if self.thread.is_alive() or self.pending:
            self._report_trouble(TimeoutError("it takes too long"))
        elif self.reported:
            self.console.print("MLflow has taken all runs by now.")

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # met again, and reported, where it is needed
            importlib.import_module("lossbench.tracking.store")  # while the workers import theirs
        wanted = True
        while wanted:
            with contextlib.suppress(queue.Empty):
                job = self.news.get(timeout=RETRY_SECONDS if self.pending else None)
                while job is not None:
                    self.pending[id(job)] = job
                    job = self.news.get_nowait()
                wanted = False
            self._attempt()

    def _attempt(self) -> None:
        """Show what is pending up to the first failure, which goes to the end."""
        for number, job in list(self.pending.items()):
            del self.pending[number]
            try:
                self._show(job)
            except Exception as error:  # whatever MLflow, its database or its server may raise
                self.pending[number] = job
                self.store = None  # opened again next time; curves are resent from the start
                for each in self.tracked:
                    each.sent = 0
                self._report_trouble(error)
                return
            self.moved = time.monotonic()

    def _report_trouble(self, error: Exception) -> None:
        if not self.reported:
            self.reported = True
            self.console.print(
                f"MLflow does not take the runs ({cause(error)}). Training continues, results are "
                "complete in the results folder, and delivery is tried again; should it not "
                f"succeed by the end, deliver them later with: {_sync_command(self.tracked[0])}",
                soft_wrap=True,
                markup=False,
            )

    def _show(self, job: Job) -> None:
        store, has_result = self._opened(job.config.tracking), job.place or not job.seeds
        if not has_result and not job.error and not self.over:
            points = job.points[job.sent :]
            store.show_training(job.config, job.name, points, job.progress)
            job.sent += len(points)
            return
        if not has_result:
            store.end(job.key, "FAILED" if job.error else "KILLED")
        if places := results.parts(job.folder, job.key):
            job.shown |= store.deliver(places, job.name)
        if job.error:
            store.fail(job.config, job.name, str(job.error))

    def _opened(self, tracking: Tracking) -> Store:
        """The store, which the jobs of a command share."""
        if self.store is None:
            # MLflow: slow to import, not always wanted.
            from lossbench.tracking.connection import network_note
            from lossbench.tracking.store import Store

            self.store = Store(tracking.uri or "", tracking.experiment)
            self.moved = time.monotonic()
            if note := network_note(tracking.uri or ""):
                self.console.print(note, soft_wrap=True, markup=False)
        return self.store


def _sync_command(job: Job) -> str:
    """What delivers the results later."""
    where, uri = job.config.results.dir, job.config.tracking.uri or ""
    words = ["lossbench", "sync"]
    words += [] if where == "results" else ["--results", where]
    if uri != f"sqlite:///{where}/mlflow.db":
        words += ["--uri", uri if masked(uri) == uri else "URI"]
    return shlex.join(words)
