"""Jobs on a Ray cluster that runs already: each in the local launcher of the machine it came to.

Only events cross machines, and the files of a job's folder as bytes, so that no folder needs to be
shared. Nothing of Ray is imported unless it is asked for.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import signal
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from lossbench.contract import UserError
from lossbench.sweep.launcher import Event, WorkerLostError
from lossbench.sweep.launcher import launch as launch_here
from lossbench.sweep.machines import fits, refuse_too_large
from lossbench.sweep.ray_joining import KEYS, SIGNALS, joined, nodes
from lossbench.sweep.workplace import (
    Files,
    UnfitMachineError,
    Watch,
    Workplace,
    packed,
    receive,
    unpack,
)

POLL_SECONDS = 0.1
LOOK_SECONDS = 5.0  # between looks for machines that no longer answer, which raise nothing
PATIENCE_SECONDS = 15.0  # after which a job that has not begun is explained


def launch(
    work: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    *,
    address: str,
    cpus: Annotated[float, "(0, inf)"],
    gpus: Annotated[float, "[0, inf)"],
    workers: Annotated[int, "[1, inf)"] | None,
    timeout: Annotated[float, "(0, inf)"] | None,
    retries: Annotated[int, "[0, inf)"],
) -> Generator[Event, None, None]:
    """Run work(*job, report) for each job, wherever the cluster has room for one."""
    if gpus > 1 and gpus % 1:
        raise UserError(f"launcher.gpus={gpus:g}: above 1 give a whole number; Ray splits one GPU.")
    cluster = _Cluster(joined(address), work, {"cpus": cpus, "gpus": gpus}, timeout)
    fresh = (_Attempt(number, job, retries) for number, job in enumerate(jobs))
    again: deque[_Attempt] = deque()
    with _signals_held_back() as signals, cluster:
        while not signals:
            while len(cluster.running) < _room(cluster.ray, cluster.needs, workers):
                attempt = again.popleft() if again else next(fresh, None)
                if attempt is None:
                    break
                cluster.begin(attempt)
            if not cluster.running:
                return
            for attempt, event in cluster.events():
                lost = isinstance(event.value, WorkerLostError) and event.what == "failed"
                if lost and attempt.left:
                    again.append(replace(attempt, left=attempt.left - 1, node=""))
                    event = Event(attempt.number, "again", event.value)
                yield event


@contextlib.contextmanager
def _signals_held_back() -> Iterator[list[int]]:
    """The signals that come are listed, and the first one is handled when the block is left.

    Trap: what a handler raises in Ray's C code comes out as a SystemError, or not at all.
    """
    came: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    numbers = SIGNALS if main else ()
    before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for first in came[:1]:
            signal.raise_signal(first)


def room(settings: Mapping[str, Any]) -> int:
    """How many jobs fit on the cluster."""
    needs = {"cpus": settings["cpus"], "gpus": settings["gpus"]}
    return _room(joined(settings["address"]), needs, settings["workers"])


def _room(ray: Any, needs: Mapping[str, float], workers: int | None) -> int:
    """How many jobs fit on the nodes as they are now, each whole on one."""
    there = sum(fits(needs, node) for node in nodes(ray))
    return max(1, min([there, *([workers] if workers else [])]))


@dataclass
class _Attempt:
    """A try of a job. left: tries after it. files: what it has sent home, to be given to the next.

    begun: when it was given to Ray.
    """

    number: int
    job: tuple[Any, ...]
    left: int
    files: frozenset[str] = frozenset()
    host: str = ""
    node: str = ""
    begun: float = field(default_factory=time.monotonic)

    @property
    def place(self) -> Workplace | None:
        return next((each for each in self.job if isinstance(each, Workplace)), None)


class _Cluster:
    """The tasks of one launch; leaving the block cancels them."""

    def __init__(
        self, ray: Any, work: Callable[..., Any], needs: dict[str, float], timeout: float | None
    ) -> None:
        self.ray, self.work, self.timeout = ray, work, timeout
        self.needs = {key: amount for key, amount in needs.items() if amount}
        # Trap: GPUs in the decorator would cost a new worker for each task, in options they do not.
        self.remote = ray.remote(_perform).options(
            num_cpus=needs["cpus"],
            num_gpus=needs["gpus"],
            max_retries=0,
            num_returns="streaming",
            scheduling_strategy="SPREAD",
        )
        self.running: dict[Any, _Attempt] = {}
        self.looked, self.explained = time.monotonic(), False
        refuse_too_large(self.needs, nodes(ray), "the Ray cluster", "add a larger node")

    def begin(self, attempt: _Attempt) -> None:
        """Give a job to Ray, with the files that it needs."""
        place = attempt.place
        files = place.files(attempt.files) if place else {}
        stream = self.remote.remote(self.work, attempt.job, self.timeout, os.getcwd(), files)
        attempt.begun = time.monotonic()
        self.running[stream] = attempt

    def events(self) -> Iterator[tuple[_Attempt, Event]]:
        """What happened since; waits a moment."""
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            yield from self._lost()
            yield from self._waiting()
        streams = list(self.running)
        if not streams:
            return
        ready, _ = self.ray.wait(
            streams, num_returns=len(streams), timeout=POLL_SECONDS, fetch_local=False
        )
        for stream in ready:
            attempt = self.running[stream]
            for event in self._next(stream, attempt):
                if event.what in ("finished", "failed"):
                    del self.running[stream]
                yield attempt, event

    def _next(self, stream: Any, attempt: _Attempt) -> Iterator[Event]:
        """The next event of a task; a task that ends without one was lost."""
        number, errors = attempt.number, self.ray.exceptions
        try:
            what, value = self.ray.get(next(stream))
        except StopIteration:
            yield Event(number, "failed", WorkerLostError("its task ended without a result"))
        except errors.RayTaskError as error:
            fault = (error.cause or error) if attempt.node else _not_loaded(error)
            yield Event(number, "failed", fault)
        except errors.RayError as error:
            where = f" on {attempt.host}" if attempt.host else ""
            yield Event(
                number, "failed", WorkerLostError(f"its worker{where} died: {type(error).__name__}")
            )
        else:
            yield from self._handled(attempt, what, value)

    def _handled(self, attempt: _Attempt, what: str, value: Any) -> Iterator[Event]:
        place = attempt.place
        if what == "where":
            attempt.host, attempt.node = value
            yield Event(attempt.number, "where", attempt.host)
        elif what == "files":
            assert place
            attempt.files |= {name for name, content in value.items() if content is not None}
            unpack(value, place.folder)
        elif what == "result":
            assert place
            key, files = value
            yield Event(attempt.number, "finished", receive(files, place.folder, key))
        else:
            yield Event(attempt.number, what, value)

    def _lost(self) -> Iterator[tuple[_Attempt, Event]]:
        """Jobs of machines that no longer answer: their streams would wait for ever."""
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        for stream, attempt in list(self.running.items()):
            if attempt.node and attempt.node not in alive:
                del self.running[stream]
                error = WorkerLostError(f"{attempt.host} does not answer")
                yield attempt, Event(attempt.number, "failed", error)

    def _waiting(self) -> Iterator[tuple[_Attempt, Event]]:
        """Say once what the cluster has not enough of, where nothing has begun for a while."""
        attempts = list(self.running.values())
        if self.explained or any(each.node for each in attempts):
            return
        late = [a for a in attempts if time.monotonic() - a.begun > PATIENCE_SECONDS]
        if not late:
            return
        self.explained = True
        free, total = self.ray.available_resources(), self.ray.cluster_resources()
        has = [
            f"{free.get(name, 0):g} of {total.get(name, 0):g} {name} free"
            for name, key in KEYS.items()
            if key in self.needs
        ]
        wants = " ".join(f"launcher.{key}={amount:g}" for key, amount in self.needs.items())
        note = f"Waiting: the cluster has {' and '.join(has)}, and {wants} has to fit on one node."
        yield late[0], Event(late[0].number, "note", note)

    def __enter__(self) -> _Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self.running:
            self.ray.cancel(stream, force=True)


def _not_loaded(error: Exception) -> UnfitMachineError:
    """What is wrong with a machine on which a task did not come to its first line."""
    said = str(error).strip()
    at = re.search(r"ip=([\w.:]+)", said)
    return UnfitMachineError(
        f"the node of the Ray cluster at {at[1] if at else 'an unknown address'} cannot load what "
        f"it is to run: {said.splitlines()[-1]}. Install the same packages in the environment that "
        "Ray was started from there; nothing of it was used."
    )


def _perform(
    work: Callable[..., Any],
    job: tuple[Any, ...],
    timeout: float | None,
    directory: str,
    files: Files,
) -> Iterator[tuple[str, Any]]:
    """In a Ray worker, which is used again: what happens to a job in the launcher of this machine.

    Its folder is one of this machine; what changes there is reported as files.
    """
    import ray

    sys.modules["__main__"].__dict__.pop("__file__", None)  # else each process runs Ray's file
    yield "where", (platform.node(), ray.get_runtime_context().get_node_id())
    if os.path.isdir(directory):
        os.chdir(directory)  # losses and data are named from here
    with tempfile.TemporaryDirectory(prefix="lossbench-") as temporary:
        folder = Path(temporary)
        unpack(files, folder)
        watch = Watch(folder)
        here = tuple(
            replace(each, folder=folder) if isinstance(each, Workplace) else each for each in job
        )
        for event in launch_here(work, [here], workers=1, timeout=timeout):
            if changes := watch.changes():
                yield "files", changes
            if event.what == "finished" and isinstance(event.value, Path):
                yield "result", (event.value.name.partition("-")[0], packed(event.value))
            else:
                yield event.what, event.value
