"""Jobs in worker processes, each forked from a server that has the heavy imports done.

A job has a process and a pipe of its own and shares no lock, so that a worker may be killed at any
moment without harm to another. On a cluster each machine runs its jobs through this module, too.
"""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Protocol, cast

from pebble import ProcessExpired, concurrent

from lossbench import registry
from lossbench.configuration import Choice

PRELOAD = ["lossbench.sweep.ahead"]
POLL_SECONDS = 0.02
REPORT_SECONDS = 0.1
DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    'epoch' (done, total, point of its curves), 'again' (why it is tried once more), 'finished'
    (result) or 'failed' (error); on a cluster also 'where' (the machine) and 'note' (a line).
    """

    job: int
    what: str
    value: Any = None


class WorkerLostError(RuntimeError):
    """A worker died or took too long: another try may do better."""


class Launch(Protocol):
    """What a launcher is: the settings of `launcher.` come as keywords, one for each of its own."""

    def __call__(
        self, work: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], /, **settings: Any
    ) -> Generator[Event, None, None]: ...


def chosen(launcher: Choice) -> Launch:
    """The launcher of a configuration, with its settings; a call may give others."""
    plugin = registry.find("launcher", launcher.name)[0] if launcher.name else None
    settings = {name: value for name, value in launcher.values.items() if name != "split"}
    return cast(Launch, partial(registry.load(plugin) if plugin else launch, **settings))


def room(launcher: Choice) -> int:
    """How many jobs run at once, by the `room` next to the plugin that it is; 1 where none says."""
    if not launcher.name:
        return 1
    plugin = registry.find("launcher", launcher.name)[0]
    ask = getattr(import_module(plugin.module), "room", None)
    return int(ask(launcher.values)) if ask else 1


def outlives_command(launcher: Choice) -> bool:
    """Whether its jobs go on without the command, as where a scheduler says when they run."""
    return "detach" in launcher.values


def launch(
    work: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    *,
    workers: int | None = None,
    timeout: float | None = None,
    retries: int = 0,
) -> Generator[Event, None, None]:
    """Run work(*job, report) for each job; a worker that dies takes only its own job with it.

    A job is asked for when there is a worker for it; its number is its place among all jobs.
    """
    fresh = ((number, job, retries) for number, job in enumerate(jobs))
    again: deque[tuple[int, tuple[Any, ...], int]] = deque()
    running: dict[int, tuple[Future[Any], tuple[int, tuple[Any, ...], int]]] = {}
    with _Workers(work, timeout) as processes:
        while True:
            for slot in sorted(set(range(worker_count(workers))) - running.keys()):
                if attempt := again.popleft() if again else next(fresh, None):
                    number, job, _ = attempt
                    running[slot] = processes.begin(slot, number, job), attempt
            if not running:
                return
            processes.wait()
            ended = [slot for slot, (future, _) in running.items() if future.done()]
            yield from processes.reports()
            for slot in ended:
                future, (number, job, left) = running.pop(slot)
                event = _ended(number, future, timeout)
                if isinstance(event.value, WorkerLostError) and left:
                    again.append((number, job, left - 1))
                    event = Event(number, "again", event.value)
                yield event


class _Workers:
    """The processes of one launch; leaving the block ends them."""

    def __init__(self, work: Callable[..., Any], timeout: float | None) -> None:
        self.work, self.gpus, self.context = work, visible_gpus(), _context()
        self.receiver, sender = self.context.Pipe(False)
        end, self.alive = self.context.Pipe(False)
        self.pipes = sender, end
        # Trap: pebble 5.2 reads the keyword `context`; its `mp_context` it does not, and forks.
        process: Any = concurrent.process
        self.start = process(context=self.context, timeout=timeout)(_perform)

    def begin(self, slot: int, number: int, job: tuple[Any, ...]) -> Future[Any]:
        """Start a job in a process."""
        gpu = gpu_of(slot, self.gpus)
        try:
            started: Future[Any] = self.start(self.pipes, self.work, number, job, gpu)
            return started
        except (EOFError, OSError):  # another server is started for the next
            lost: Future[Any] = Future()
            lost.set_exception(WorkerLostError("the server of its process died"))
            return lost

    def wait(self) -> None:
        """Until a job reports, or for a moment."""
        self.receiver.poll(POLL_SECONDS)

    def reports(self) -> Iterator[Event]:
        """What jobs reported since."""
        while self.receiver.poll():
            yield Event(*self.receiver.recv())

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.context.active_children():
            process.kill()  # a result is written whole or not at all
            process.join()
        self.alive.close()


def _context() -> Any:
    """The forkserver, started where no Ctrl-C can reach it: to end a sweep is for this process."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return context


def worker_count(wanted: int | None) -> int:
    """How many jobs run at once: so many, or one for each core."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return wanted or cores


def visible_gpus() -> list[str]:
    """The CUDA devices that this process may use, found without importing torch."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(i) for i, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def gpu_of(slot: int, gpus: Sequence[str]) -> str | None:
    """The device of a worker: they are dealt out in turn.

    >>> [gpu_of(slot, ["0", "3"]) for slot in range(5)], gpu_of(0, [])
    (['0', '3', '0', '3', '0'], None)
    """
    return gpus[slot % len(gpus)] if gpus else None


def _ended(job: int, future: Any, timeout: float | None) -> Event:
    try:
        return Event(job, "finished", future.result())
    except TimeoutError:
        why = f"stopped after launcher.timeout={timeout:g} s"
    except ProcessExpired as error:
        why = f"its process died: exit code {error.exitcode}"
        if error.exitcode and error.exitcode < 0:
            hint = " (out of memory?)" if error.exitcode == -signal.SIGKILL else ""
            why = f"its process died: signal {signal.Signals(-error.exitcode).name}{hint}"
    except Exception as error:
        return Event(job, "failed", error)
    return Event(job, "failed", WorkerLostError(why))


def _perform(
    pipes: tuple[Connection, Connection],
    work: Callable[..., Any],
    number: int,
    job: tuple[Any, ...],
    gpu: str | None,
) -> Any:
    """In the worker: a message is smaller than a pipe's atomic write, so workers need no lock."""
    sender, end = pipes
    _die_with_launcher(end)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    last = 0.0

    def report(done: int, total: int, point: Callable[[], Any] | None = None) -> None:
        nonlocal last
        now = time.monotonic()
        if done in (0, total) or now - last > REPORT_SECONDS:
            last = now
            message = (number, "epoch", (done, total, point and point()))
            if len(ForkingPickler.dumps(message)) > select.PIPE_BUF:
                message = (number, "epoch", (done, total, None))
            sender.send(message)

    try:
        return work(*job, report)
    except (SystemExit, KeyboardInterrupt) as error:  # else it would end the launcher
        raise RuntimeError(f"a plugin raised {type(error).__name__}({error})") from error


def _die_with_launcher(end: Connection) -> None:
    """Leave interrupts to the launcher, and end with it or with the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # else Lightning exits 0, later
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)

    def wait() -> None:  # until the launcher's side of the pipe is closed
        end.poll(None)
        os._exit(143)

    threading.Thread(target=wait, daemon=True).start()
