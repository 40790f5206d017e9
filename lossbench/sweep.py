"""Configurations -> results: drops what is done, deals out the rest, shows it to MLflow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lossbench import results
from lossbench.contract import UserError
from lossbench.launcher import Event, launch
from lossbench.results import Config, Result

if TYPE_CHECKING:
    from lossbench.tracking import Store


@dataclass
class Job:
    """A run, the seeds of it that are missing, and what became of it."""

    config: Config
    key: str
    name: str
    folder: Path
    seeds: list[int]
    error: BaseException | None = None
    run_id: str | None = None


@dataclass
class Tracking:
    """The MLflow stores in use; trouble with one is told once and never ends training."""

    console: Console
    stores: dict[tuple[str, str], Store | None] = field(default_factory=dict)

    def store(self, config: Config) -> Store | None:
        """The open store of a configuration, or None where there is none to be had."""
        uri, experiment = config["tracking"]["uri"], config["tracking"]["experiment"]
        if uri is None:
            return None
        if (uri, experiment) not in self.stores:
            self.stores[uri, experiment] = None
            with self._told_once(uri, experiment):
                from lossbench.tracking import Store  # MLflow: slow to import, not always wanted

                self.stores[uri, experiment] = Store(uri, experiment)
        return self.stores[uri, experiment]

    @contextlib.contextmanager
    def _told_once(self, uri: str, experiment: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever MLflow, its database or its server may raise
            self.stores[uri, experiment] = None
            reason = " ".join(str(error).split())[:200]
            self.console.print(
                f"MLflow does not take the runs ({reason}). Results are complete in the results "
                "folder; deliver them later with: lossbench sync",
                soft_wrap=True,
            )

    def start(self, job: Job) -> None:
        """Open the job's run."""
        if store := self.store(job.config):
            with self._told_once(**job.config["tracking"]):
                job.run_id = store.start(job.config, job.key, job.name)

    def end(self, job: Job, place: Path | None) -> None:
        """Fill the job's run, or close it with the reason why it failed."""
        if place is None and job.run_id is None:
            return
        store = self.store(job.config)
        if store is None:
            return
        with self._told_once(**job.config["tracking"]):
            if place is not None:
                run_id = job.run_id or store.start(job.config, job.key, job.name)
                store.finish(run_id, results.read(place), place)
            elif job.run_id:
                store.fail(job.run_id, str(job.error))
            job.run_id = None

    def interrupt(self, jobs: Sequence[Job]) -> None:
        """Close the runs that were cut off."""
        for job in jobs:
            if job.run_id and (store := self.store(job.config)):
                with self._told_once(**job.config["tracking"]):
                    store.client.set_terminated(job.run_id, "KILLED")


def plan(configs: Sequence[Config]) -> list[Job]:
    """A job for each configuration; its folder is created and tried."""
    from lossbench.comparison import labels  # after the folders are known to be writable

    jobs = []
    for config in configs:
        key = results.key_of(config)
        folder = results.open_folder(config["results"]["dir"])
        jobs.append(Job(config, key, "", folder, results.missing_seeds(config, folder)))
    shown = [Result(j.key, j.config, *[Any] * 4) for j in jobs]  # type: ignore[arg-type]
    for job, label in zip(jobs, labels(shown), strict=True):
        job.name = f"{label} on {job.config['dataset']['name']}"
    return jobs


def execute(configs: Sequence[Config], console: Console) -> list[Job]:
    """Train what is missing; each job tells what became of it."""
    jobs = plan(configs)
    for job in jobs:
        if kinds := results.changed(job.config, job.folder):
            said = ", ".join(f"{kind}={job.config[kind]['name']}" for kind in kinds)
            console.print(f"{job.name}: the code of {said} has changed; trained again.")
    open_jobs = [job for job in jobs if job.seeds]
    done = len(jobs) - len(open_jobs)
    if done:
        console.print(f"{done} of {len(jobs)} runs are done already and are not trained again.")
    if open_jobs:
        _train(open_jobs, console)
    return jobs


def _train(jobs: list[Job], console: Console) -> None:
    settings = jobs[0].config["launcher"]
    tracking, display = Tracking(console), Display(jobs, console)
    calls = [(j.config, j.seeds, j.folder) for j in jobs]
    try:
        with display:
            for event in launch(_work, calls, settings["workers"], settings["timeout"]):
                _handle(event, jobs[event.job], tracking, display)
    except BaseException:
        tracking.interrupt(jobs)
        raise


def _work(*arguments: Any) -> Path:
    """In the worker, where the heavy imports are done already."""
    from lossbench.tuning import train_and_write

    return train_and_write(*arguments)


def _handle(event: Event, job: Job, tracking: Tracking, display: Display) -> None:
    match event:
        case Event(what="epoch", value=(0, _)):
            tracking.start(job)
        case Event(what="finished", value=place):
            tracking.end(job, place)
        case Event(what="failed", value=error):
            job.error = error
            tracking.end(job, None)
    display.show(event)


class Display:
    """Bars in a terminal, a line for each finished run elsewhere."""

    def __init__(self, jobs: list[Job], console: Console) -> None:
        self.jobs, self.console = jobs, console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.epochs = {i: job.config["trainer"]["max_epochs"] for i, job in enumerate(jobs)}
        total = sum(self.epochs.values())
        self.all = self.bars.add_task(f"{len(jobs)} runs", total=total, unit="epochs")
        self.each: dict[int, TaskID] = {}
        self.ended = 0
        self.began = time.monotonic()

    def __enter__(self) -> Display:
        self.console.print(f"Training {len(self.jobs)} runs (starting workers takes some seconds).")
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, event: Event) -> None:
        """Bring the display up to an event."""
        job = self.jobs[event.job]
        if event.what == "epoch":
            self._advance(event.job, *event.value)
            return
        self.ended += 1
        if event.job in self.each:
            self.bars.update(self.each[event.job], visible=False)
        words = "failed" if job.error else "done"
        seconds = time.monotonic() - self.began
        self.console.print(
            f"[{self.ended}/{len(self.jobs)}] {seconds:5.1f} s  {job.name}: {words}",
            markup=False,
            highlight=False,
        )

    def _advance(self, number: int, done: int, total: int) -> None:
        if number not in self.each:
            name = f"  {self.jobs[number].name}"
            self.each[number] = self.bars.add_task(name, total=total, unit="epochs")
            self.epochs[number] = total  # more than one training's where candidates come first
        self.bars.update(self.each[number], completed=done)
        self.bars.update(
            self.all,
            total=sum(self.epochs.values()),
            completed=sum(task.completed for task in self.bars.tasks if task.id != self.all),
        )


def failures(jobs: Sequence[Job]) -> list[str]:
    """One line for each job that failed."""
    return [f"{job.name}: {_reason(job.error)}" for job in jobs if job.error]


def _reason(error: BaseException | None) -> str:
    if isinstance(error, UserError | RuntimeError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def outcome(jobs: Sequence[Job]) -> list[Result]:
    """The stored results of the jobs, with just the seeds that were asked for."""
    found = []
    for job in jobs:
        result = results.stored(job.config, job.folder)
        if result is not None:
            held = [s for s in job.config["seeds"] if s in set(result.seeds.seed)]
            if held:
                found.append(results.of_seeds(result, held))
    return found
