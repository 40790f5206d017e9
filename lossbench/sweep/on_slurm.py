"""Runs on a Slurm cluster: a few array tasks share them, each through its machine's local launcher.

A run of seconds is no Slurm job of its own. Tasks write results into the shared folder and events
into a file each, so that they go on without the command, and the same command picks them up. What
became of a task is asked of `squeue`, which needs no accounting, and what became of a run of its
task alone. Nothing of submitit is imported unless it is asked for.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import pickle
import platform
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock

from lossbench.contract import UserError
from lossbench.paths import expanded
from lossbench.sweep import slurm_answers
from lossbench.sweep.launcher import Event, WorkerLostError
from lossbench.sweep.launcher import launch as launch_here
from lossbench.sweep.progress import count_of
from lossbench.sweep.slurm_request import parameters, shares
from lossbench.sweep.workplace import Workplace, unpack

POLL_SECONDS = 0.5
LOOK_SECONDS = 3.0  # between two questions to squeue, which serves everyone on the cluster
UNSEEN_SECONDS = 90.0  # for which a network file system may hide a new folder
PATIENCE_SECONDS = 15.0  # after which it is said why nothing has begun
ENDS = ("finished", "failed")
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL"}
OVER |= {"DEADLINE", "OUT_OF_MEMORY"}
Line = tuple[str, str, Any]  # the name of a job, what happened to it, and its value


def launch(
    work: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    *,
    folder: str,
    partition: str | None,
    account: str | None,
    qos: str | None,
    constraint: str | None,
    time: str,
    cpus: Annotated[int, "[1, inf)"],
    gpus: Annotated[int, "[0, inf)"],
    memory: str,
    workers: Annotated[int, "[1, inf)"],
    share: Annotated[int, "[1, inf)"] | None,
    requeues: Annotated[int, "[0, inf)"],
    timeout: Annotated[float, "(0, inf)"] | None,
    retries: Annotated[int, "[0, inf)"],
    setup: list[str],
    options: list[str],
    detach: bool,
) -> Generator[Event, None, None]:
    """Run work(*job, report) for each job in array tasks; with detach they are left to Slurm."""
    _refuse_without_slurm()
    asked: dict[str, Any] = {"partition": partition, "account": account, "qos": qos}
    asked |= {"constraint": constraint, "time": time, "cpus": cpus, "gpus": gpus, "memory": memory}
    asked |= {"workers": workers, "setup": setup, "options": options}
    slurm_answers.refuse_impossible(asked)
    slurm = _Slurm(expanded(folder).absolute(), asked, requeues, timeout, retries, work)
    named = {_place(job).name: (number, job) for number, job in enumerate(jobs)}
    submitted = slurm.begin({name: job for name, (_, job) in named.items()}, share)
    for said in slurm.told[:1]:
        yield Event(0, "note", f"An earlier task ended before it began: {said}.")
    if detach and named:
        has = f"{count_of(len(named), 'run')} in {count_of(len(slurm.tasks), 'task')}"
        has += f" (job {', '.join(submitted)})" if submitted else ""
        yield Event(0, "note", f"Slurm has {has}; the same command later reports on them.")
        return
    try:
        for name, event in slurm.follow({name: job for name, (_, job) in named.items()}):
            yield Event(named[name][0], *event)
    finally:
        slurm.cancel()


def room(settings: Mapping[str, Any]) -> int:
    """How many runs are in training at once, where Slurm has nothing else to do."""
    most: int = settings["workers"] * settings["cpus"]
    return min(most, slurm_answers.cores(settings["partition"]))


def _refuse_without_slurm() -> None:
    """UserError where submitit or Slurm is missing."""
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError("launcher=slurm needs submitit: pip install 'lossbench[slurm]'") from error
    if lacking := [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]:
        raise UserError(
            f"launcher=slurm: no {lacking[0]} here. Run this on your cluster's login node; or "
            "launcher=local."
        )


def _place(job: tuple[Any, ...]) -> Workplace:
    return next(each for each in job if isinstance(each, Workplace))


@dataclass
class Share:
    """What an array task does: its runs, but for those that it ended before it was requeued."""

    folder: Path
    work: Callable[..., Any]
    jobs: list[tuple[str, tuple[Any, ...]]]
    cpus: int
    timeout: float | None
    retries: int

    def __call__(self) -> None:
        import submitit

        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))  # then Slurm alone decides
        requeue = signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # is for this process alone
        file = self.folder / f"{submitit.JobEnvironment().job_id}.events"
        over = {name for name, what, _ in _lines(file, 0)[0] if what in ENDS}
        todo = [(name, job) for name, job in self.jobs if name not in over]
        begun: set[str] = set()
        with file.open("ab", buffering=0) as events:
            calls = (job for _, job in todo)
            for event in launch_here(
                self.work, calls, workers=self.cpus, timeout=self.timeout, retries=self.retries
            ):
                signal.signal(signal.SIGUSR2, requeue)  # its server runs by now, and ignores it
                name = todo[event.job][0]
                if name not in begun:
                    begun.add(name)
                    node = os.environ.get("SLURMD_NODENAME") or platform.node()
                    events.write(_line(name, "where", node))
                events.write(_line(name, event.what, event.value))

    def checkpoint(self) -> Any:
        """What submitit requeues where time is up or another job needs the room."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def _line(name: str, what: str, value: Any) -> bytes:
    return base64.b64encode(pickle.dumps((name, what, value))) + b"\n"


def _lines(file: Path, start: int) -> tuple[list[Line], int]:
    """The whole lines of a file from a place on, and the place after them."""
    with contextlib.suppress(FileNotFoundError), file.open("rb") as events:
        events.seek(start)
        whole = events.read().rpartition(b"\n")[0]
        lines = [pickle.loads(base64.b64decode(line)) for line in whole.splitlines()]
        return lines, start + len(whole) + (1 if whole else 0)
    return [], start


@dataclass
class _Task:
    """An array task: where it writes, how far that is read, and the runs that it has not ended."""

    file: Path
    names: set[str]
    read: int = 0
    over: float = 0.0


@dataclass
class _Slurm:
    """The tasks that a command follows."""

    folder: Path
    asked: dict[str, Any]
    requeues: int
    timeout: float | None
    retries: int
    work: Callable[..., Any]
    tasks: dict[str, _Task] = field(default_factory=dict)
    used: set[Path] = field(default_factory=set)
    told: list[str] = field(default_factory=list)  # why earlier tasks failed before they began
    looked: float = 0.0
    began: float = field(default_factory=time.monotonic)
    silent: bool = True

    def begin(self, jobs: dict[str, tuple[Any, ...]], share: int | None) -> list[str]:
        """Attach to what is there already, and submit the rest; gives the numbers of that."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            taken = self.attach(set(jobs))
            new = [name for name in jobs if name not in taken]
            seconds = [_place(jobs[name]).seconds for name in new]
            parts = shares(new, seconds, self.asked["workers"], share, self.asked["cpus"])
            return self.submit([[(name, jobs[name]) for name in part] for part in parts])

    def attach(self, names: set[str]) -> set[str]:
        """Follow what earlier commands submitted of these runs, and delete what is over."""
        taken: set[str] = set()
        for file in sorted(self.folder.glob("*/tasks.json")):
            tasks: dict[str, list[str]] = json.loads(file.read_text())
            states = slurm_answers.states(tasks)
            alive = {task for task in tasks if states.get(task, ("COMPLETED", ""))[0] not in OVER}
            if not alive:
                logs = map(slurm_answers.failed_setup, file.parent.glob("*/*_log.out"))
                self.told += [*filter(None, logs)][:1]
                shutil.rmtree(file.parent, ignore_errors=True)
            for task in alive:
                lines, _ = _lines(_events(file.parent, task), 0)
                ended = {name for name, what, _ in lines if what in ENDS}
                ours = names.intersection(tasks[task]) - ended - taken
                if ours:
                    self.tasks[task] = _Task(_events(file.parent, task), ours)
                    self.used.add(file.parent)
                    taken |= ours
        return taken

    def submit(self, parts: Sequence[Sequence[tuple[str, tuple[Any, ...]]]]) -> list[str]:
        """An array with a task for each part; gives its numbers."""
        import submitit

        if not parts:
            return []
        folder = self.folder / uuid.uuid4().hex[:12]
        folder.mkdir()
        executor = submitit.SlurmExecutor(folder / "%j", max_num_timeout=self.requeues)
        executor.update_parameters(**parameters(self.asked))
        limits = self.asked["cpus"], self.timeout, self.retries
        try:
            with contextlib.redirect_stderr(io.StringIO()), executor.batch():
                submitted = [
                    executor.submit(Share(folder, self.work, list(part), *limits)) for part in parts
                ]
            ids = [job.job_id for job in submitted]
        except Exception as error:  # submitit's own, with what sbatch said
            shutil.rmtree(folder, ignore_errors=True)
            raise slurm_answers.refusal(error, self.asked) from error
        tasks = {task: [name for name, _ in part] for task, part in zip(ids, parts, strict=True)}
        unpack({"tasks.json": json.dumps(tasks).encode()}, folder)
        self.tasks |= {t: _Task(_events(folder, t), set(names)) for t, names in tasks.items()}
        self.used.add(folder)
        return sorted({task.partition("_")[0] for task in ids}, key=int)

    def follow(self, jobs: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, tuple[str, Any]]]:
        """What happens to the runs until all have ended; a run's task may be lost and replaced."""
        left = dict.fromkeys(jobs, self.retries)
        failed = False
        while self.tasks:
            states: dict[str, tuple[str, str]] = {}
            if look := time.monotonic() - self.looked > LOOK_SECONDS:
                self.looked = time.monotonic()
                states = slurm_answers.states(self.tasks)
            for name, what, value in self._news():
                self.silent, failed = False, failed or what == "failed"
                yield name, (what, value)
            if note := self._waiting(states):
                yield next(iter(jobs)), ("note", note)
            lost: list[str] = []
            for name, what, value in self._ended(states) if look else ():
                again = isinstance(value, WorkerLostError) and left[name] > 0
                left[name] -= again
                lost += [name] * again
                failed = failed or not again
                yield name, ("again" if again else what, value)
            parts = shares(lost, [None] * len(lost), self.asked["workers"], None)
            self.submit([[(name, jobs[name]) for name in part] for part in parts])
            time.sleep(POLL_SECONDS)
        if not failed:  # the logs of what failed are kept
            for folder in self.used:
                shutil.rmtree(folder, ignore_errors=True)

    def _waiting(self, states: dict[str, tuple[str, str]]) -> str:
        """What to say once where nothing has begun for a while."""
        pending = {reason for state, reason in states.values() if state == "PENDING"}
        if not (pending and self.silent and time.monotonic() - self.began > PATIENCE_SECONDS):
            return ""
        self.silent = False
        return slurm_answers.waiting(pending)

    def _news(self) -> Iterator[Line]:
        """What tasks have written since."""
        for task in list(self.tasks.values()):
            lines, task.read = _lines(task.file, task.read)
            for name, what, value in lines:
                if name in task.names:
                    if what in ENDS:
                        task.names.discard(name)
                    if what == "finished" and isinstance(value, Path):
                        _see(value)
                    yield name, what, value
        self.tasks = {name: task for name, task in self.tasks.items() if task.names}

    def _ended(self, states: dict[str, tuple[str, str]]) -> Iterator[Line]:
        """The runs that tasks left undone which are over by these states, read before the news."""
        for number, task in list(self.tasks.items()):
            state = states.get(number, ("COMPLETED", ""))[0]
            if state not in OVER:
                continue
            task.over = task.over or time.monotonic()
            if state == "COMPLETED" and time.monotonic() - task.over < UNSEEN_SECONDS:
                continue  # its last lines are written, and not seen here yet
            del self.tasks[number]
            log = task.file.parent / number / f"{number}_0_log.out"
            for name in sorted(task.names):
                why = f"Slurm job {number} ended as {state}; its log is {log}"
                lost: RuntimeError = WorkerLostError(why)
                if state == "CANCELLED":  # somebody wanted it
                    lost = RuntimeError(f"Slurm job {number} was cancelled")
                elif said := slurm_answers.failed_setup(log):
                    lost = RuntimeError(f"{said}; the log is {log}")
                yield name, "failed", lost

    def cancel(self) -> None:
        """End the tasks that are followed."""
        if self.tasks:
            subprocess.run(["scancel", *self.tasks], check=False, capture_output=True)


def _events(folder: Path, task: str) -> Path:
    return folder / f"{task}.events"


def _see(place: Path) -> None:
    """Wait until a new result can be seen here, too."""
    end = time.monotonic() + UNSEEN_SECONDS
    while not (place / "summary.yaml").exists() and time.monotonic() < end:
        os.listdir(place.parent)  # makes a network file system look
        time.sleep(POLL_SECONDS)
