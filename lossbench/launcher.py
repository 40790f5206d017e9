"""Runs in worker processes, each forked from a server that has the heavy imports done."""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, TimeoutError
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from pebble import ProcessExpired, ProcessPool

PRELOAD = ["lossbench.tuning"]
POLL_SECONDS = 0.1
DEATH_SIGNAL = 1  # prctl's PR_SET_PDEATHSIG

_to_parent: Connection


@dataclass(frozen=True)
class Event:
    """What happened to a job: 'epoch' (done, total), 'finished' (result) or 'failed' (error)."""

    job: int
    what: str
    value: Any = None


def launch(
    work: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    workers: int | None = None,
    timeout: float | None = None,
) -> Iterator[Event]:
    """Run work(*job, report) for each job; a worker that dies takes only its own job with it."""
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    receiver, sender = context.Pipe(duplex=False)
    count = min(workers or _cores(), len(jobs))
    pool = ProcessPool(count, 1, _prepare_worker, (sender,), context)
    waiting = {
        i: pool.schedule(_perform, args=[work, i, job], timeout=timeout)
        for i, job in enumerate(jobs)
    }
    try:
        while waiting:
            if receiver.poll(POLL_SECONDS):
                yield Event(*receiver.recv())
                continue
            for job in [i for i, future in waiting.items() if future.done()]:
                yield _ended(job, waiting.pop(job), timeout)
        pool.close()
    finally:
        pool.stop()
        pool.join()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _ended(job: int, future: Any, timeout: float | None) -> Event:
    try:
        return Event(job, "finished", future.result())
    except TimeoutError:
        return Event(job, "failed", RuntimeError(f"stopped after launcher.timeout={timeout:g} s"))
    except ProcessExpired as error:
        how = f"exit code {error.exitcode}"
        if error.exitcode and error.exitcode < 0:
            how = f"signal {signal.Signals(-error.exitcode).name}"
        hint = " (out of memory?)" if error.exitcode == -signal.SIGKILL else ""
        return Event(job, "failed", RuntimeError(f"its process died: {how}{hint}"))
    except (Exception, CancelledError) as error:
        return Event(job, "failed", error)


def _prepare_worker(sender: Connection) -> None:
    """Let the parent decide about interrupts, and die with it."""
    global _to_parent
    _to_parent = sender
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # else Lightning exits 0, later
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def _perform(work: Callable[..., Any], number: int, job: tuple[Any, ...]) -> Any:
    """In the worker: a message is smaller than a pipe's atomic write, so workers need no lock."""

    def report(done: int, total: int) -> None:
        _to_parent.send((number, "epoch", (done, total)))

    return work(*job, report)
