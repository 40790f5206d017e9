"""Configurations -> results: drops what is done, deals out the rest, shows it to MLflow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from lossbench import results
from lossbench.configuration import Configuration, digest
from lossbench.contract import UnusableError, UserError
from lossbench.registry.entry_points import refuse_unreadable
from lossbench.results import Result
from lossbench.sweep.claimed import Leases, clear_dead
from lossbench.sweep.delivery import Delivery
from lossbench.sweep.forecast import known_seconds
from lossbench.sweep.launcher import Event, chosen, outlives_command, room
from lossbench.sweep.pieces import Pieces, pieces_of
from lossbench.sweep.plan import Job, plan
from lossbench.sweep.progress import Display
from lossbench.sweep.trial import refuse_faulty
from lossbench.sweep.workplace import (
    UnfitMachineError,
    Workplace,
    code_here,
    refuse_other_code,
    refuse_without_gpu,
    trained_since,
)

POLL_SECONDS = 0.5  # between looks at what another command trains


def execute(
    configs: Sequence[Configuration], console: Console, *, rerun: bool = False, wait: bool = True
) -> list[Job]:
    """Train what is missing, or all of it again; each job tells what became of it.

    wait: whether to wait for runs that another command is training.
    """
    jobs = plan(configs, rerun=rerun)
    for folder in dict.fromkeys(job.folder for job in jobs):
        if note := results.outdated_note(folder):
            console.print(note, markup=False)
    for job, kinds in zip(jobs, results.changed(configs, jobs[0].folder), strict=True):
        if kinds:
            changed = ", ".join(job.config.named(kind) for kind in kinds)
            console.print(f"{job.name}: the code of {changed} has changed; trained again.")
    if not rerun:
        _say_peeking(jobs, console)
    todo = [job for job in jobs if job.seeds]
    done = len(jobs) - len(todo)
    if done:
        are = "is" if done == 1 else "are"
        console.print(f"{done} of {len(jobs)} runs {are} done already and {are} not trained again.")
    if todo:
        refuse_unreadable()
    refuse_faulty(todo)
    delivery = Delivery(jobs, console)
    if todo or delivery.tracked:
        with delivery:
            if todo:
                _train_all(todo, delivery, console, rerun=rerun, wait=wait)
    return jobs


def _say_peeking(jobs: Sequence[Job], console: Console) -> None:
    """Say which seeds are trained again for nothing but their test curves."""
    for job in (job for job in jobs if job.config.trainer.peek):
        plain = replace(job.config, trainer=replace(job.config.trainer, peek=False))
        again = set(job.seeds).difference(results.missing_seeds(plain, job.folder))
        if again:
            seeds = "1 seed" if len(again) == 1 else f"{len(again)} seeds"
            console.print(f"{job.name}: {seeds} without test curves, trained again to have some.")


def _train_all(
    todo: list[Job], delivery: Delivery, console: Console, *, rerun: bool, wait: bool
) -> None:
    """Train what no other command trains, and then what one left undone."""
    list(clear_dead(todo[0].folder))
    with Leases() as leases, _counted(todo, console):
        left = _train(todo, leases, delivery, console, rerun)
        theirs = [holder for job in left if (holder := leases.holder(job.target))]
        if theirs:
            what = "waiting for it (--no-wait leaves them)" if wait else "they are left to it"
            runs = f"{len(theirs)} of {len(todo)} runs"
            console.print(f"Another command ({theirs[0]}) is training {runs}; {what}.")
        while left and wait:
            time.sleep(POLL_SECONDS)
            left = _train(left, leases, delivery, console, rerun)


def _train(
    jobs: Sequence[Job], leases: Leases, delivery: Delivery, console: Console, rerun: bool
) -> list[Job]:
    """Train the jobs that no other command is training; gives the others back."""
    launcher = jobs[0].config.launcher
    work = _work_elsewhere if launcher.name else _work
    with Display(jobs, console) as display:
        runs = _Round(jobs, leases, delivery, display, rerun)
        with closing(chosen(launcher)(work, runs.calls())) as events:
            for event in events:
                runs.take(event)
    return runs.left


@dataclass
class _Round:
    """The runs of a command on their way to the launcher, and what comes back of them.

    begun: by the number of a job, its run and, where it is a piece of one, which.
    """

    jobs: Sequence[Job]
    leases: Leases
    delivery: Delivery
    display: Display
    rerun: bool
    begun: list[tuple[Job, Pieces | None, int]] = field(default_factory=list)
    left: list[Job] = field(default_factory=list)

    def calls(self) -> Iterator[tuple[Any, ...]]:
        """What the launcher is given, as it asks for it."""
        launcher = self.jobs[0].config.launcher
        claimed = outlives_command(launcher)  # and knows what it trains
        seconds = known_seconds(self.jobs) if claimed else {}
        most = room(launcher)
        for job in self.jobs:
            if not (claimed or self.leases.take(job.target)):
                self.left.append(job)
                self.display.leave(job)
                continue
            missing = results.missing_seeds(job.config, job.folder)
            job.seeds = job.seeds if self.rerun else missing
            dealt = list(_dealt(job, most // job.runs)) if job.seeds else []
            for pieces, piece, seeds, folder in dealt:
                self.display.begin()
                self.begun.append((job, pieces, piece))
                call = job.config, seeds, folder
                yield _elsewhere(job, seconds, *call) if launcher.name else call
            if not dealt:
                self.leases.release(job.target)
                self.display.leave(job, "done by another command")
                self.delivery.tell(job)

    def take(self, event: Event) -> None:
        """Bring all up to an event of a job."""
        job, pieces, piece = self.begun[event.job]
        of_run = pieces.of_run(event, piece) if pieces else event
        if of_run is None:
            return
        _handle(of_run, job, self.delivery)
        self.display.show(of_run, job)
        if job.place or job.error:
            self.leases.release(job.target)


@contextlib.contextmanager
def _counted(jobs: Sequence[Job], console: Console) -> Iterator[None]:
    """Whatever ends the block early, say how far it came."""
    try:
        yield
    except BaseException as error:
        done, failed = sum(bool(j.place) for j in jobs), sum(bool(j.error) for j in jobs)
        if done or failed or not isinstance(error, UserError):  # else nothing was begun
            console.print(
                f"{done} of {len(jobs)} runs are done, {failed} failed, "
                f"{len(jobs) - done - failed} are not finished."
            )
        raise


def _dealt(job: Job, room: int) -> Iterator[tuple[Pieces | None, int, list[int], Path]]:
    """The jobs of a run, each with its seeds and its folder: one, unless it is dealt to several."""
    pieces = pieces_of(job, room)
    if pieces is None:
        yield None, 0, job.seeds, job.folder
        return
    if not pieces.seeds:  # a command was killed before it had put them together
        job.place = pieces.join()
    for piece, seeds in enumerate(pieces.seeds):
        yield pieces, piece, seeds, pieces.folder


def _work(*arguments: Any) -> Any:
    """In the worker, where the heavy imports are done already."""
    from lossbench.training.tuning import train_and_write

    return train_and_write(*arguments)


def _elsewhere(
    job: Job, seconds: dict[Job, float], config: Configuration, seeds: list[int], folder: Path
) -> tuple[Any, ...]:
    """The job of a run for another machine."""
    needs = [f".checkpoints/{job.key}-*/[!.]*"]
    if job.config.tune.trials:  # what was chosen for seeds that are held already
        needs += [f"{job.key}/*", f"{job.key}-*/*"]
    name = f"{job.key}-{digest(seeds)}"
    held = len(results.parts(folder, job.key))
    place = Workplace(folder, name, tuple(needs), seconds.get(job), held)
    return config, seeds, place, code_here(config)


def _work_elsewhere(
    config: Configuration, seeds: list[int], place: Workplace, code: dict[str, str], report: Any
) -> Any:
    """In the worker on another machine, if it has the same code and what was asked for."""
    refuse_other_code(config, code)
    refuse_without_gpu(config)
    if done := trained_since(replace(config, seeds=tuple(seeds)), place):
        return done
    return _work(config, seeds, place.folder, report)


def _handle(event: Event, job: Job, delivery: Delivery) -> None:
    match event:
        case Event(what="epoch", value=(done, total, point)):
            job.begun = True
            delivery.tell_progress(job, done, total, point)
            return
        case Event(what="finished", value=place):
            job.place = place
        case Event(what="failed", value=error):
            job.error = error
            if isinstance(error, UnfitMachineError):
                raise error  # such a machine would take and fail one run after the other
            if isinstance(error, UnusableError):
                results.open_folder(job.config.results.dir)  # no use in continuing without it
        case _:  # tried again, or a word on where it is
            return
    if job.begun or not isinstance(job.error, UserError):
        delivery.tell(job)


def failures(jobs: Sequence[Job]) -> list[str]:
    """One line for each job that failed."""
    return [f"{job.name}: {reason(job.error)}" for job in jobs if job.error]


def reason(error: BaseException | None) -> str:
    """An error of a job in words."""
    if isinstance(error, UserError | RuntimeError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def results_of(jobs: Sequence[Job]) -> list[Result]:
    """The stored results of the jobs, with just the seeds that were asked for."""
    results_held = []
    for job in jobs:
        result = results.stored(job.config, job.folder)
        if result is not None:
            held = [s for s in job.config.seeds if s in set(result.seeds.seed)]
            if held:
                results_held.append(results.with_asked(results.of_seeds(result, held)))
    return results_held
