"""Configurations -> results: drops what is done, deals out the rest, shows it to MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from rich.console import Console

from lossbench import registry, results
from lossbench.configuration import Configuration
from lossbench.contract import UnusableError, UserError
from lossbench.results import Result
from lossbench.sweep.claimed import claimed
from lossbench.sweep.delivery import Delivery
from lossbench.sweep.launcher import Event, launch
from lossbench.sweep.plan import Job, plan
from lossbench.sweep.progress import Display
from lossbench.sweep.trial import refuse_faulty


def execute(
    configs: Sequence[Configuration], console: Console, *, rerun: bool = False
) -> list[Job]:
    """Train what is missing, or all of it again; each job tells what became of it."""
    jobs = plan(configs, rerun=rerun)
    for folder in dict.fromkeys(job.folder for job in jobs):
        if note := results.outdated_note(folder):
            console.print(note, markup=False)
    for job in jobs:
        if kinds := results.changed(job.config, job.folder):
            said = ", ".join(job.config.named(kind) for kind in kinds)
            console.print(f"{job.name}: the code of {said} has changed; trained again.")
    open_jobs = [job for job in jobs if job.seeds]
    done = len(jobs) - len(open_jobs)
    if done:
        console.print(f"{done} of {len(jobs)} runs are done already and are not trained again.")
    if open_jobs:
        registry.refuse_unreadable()
    refuse_faulty(open_jobs)
    delivery = Delivery(jobs, console)
    if open_jobs or delivery.needed:
        with claimed(open_jobs) as mine, delivery:
            if len(mine) < len(open_jobs):
                console.print(
                    f"{len(open_jobs) - len(mine)} of {len(jobs)} runs are being trained by "
                    "another command, and are left to it."
                )
            _train(mine, delivery, console)
    return jobs


def _train(jobs: list[Job], delivery: Delivery, console: Console) -> None:
    if not jobs:
        return
    calls = [(j.config, j.seeds, j.folder) for j in jobs]
    settings = asdict(jobs[0].config.launcher)
    try:
        with (
            Display(jobs, console) as display,
            closing(launch(_work, calls, **settings)) as events,
        ):
            for event in events:
                _handle(event, jobs[event.job], delivery)
                display.show(event)
    except BaseException:
        done, failed = sum(bool(j.place) for j in jobs), sum(bool(j.error) for j in jobs)
        console.print(
            f"{done} of {len(jobs)} runs are done, {failed} failed, "
            f"{len(jobs) - done - failed} are not finished."
        )
        raise


def _work(*arguments: Any) -> Any:
    """In the worker, where the heavy imports are done already."""
    from lossbench.tuning import train_and_write

    return train_and_write(*arguments)


def _handle(event: Event, job: Job, delivery: Delivery) -> None:
    match event:
        case Event(what="epoch", value=(0, *_)):
            job.begun = True
        case Event(what="finished", value=place):
            job.place = place
        case Event(what="failed", value=error):
            job.error = error
            if isinstance(error, UnusableError):
                results.open_folder(job.config.results.dir)  # no use in going on without it
        case _:
            return
    if job.begun or not isinstance(job.error, UserError):
        delivery.tell(job)


def failures(jobs: Sequence[Job]) -> list[str]:
    """One line for each job that failed."""
    return [f"{job.name}: {_reason(job.error)}" for job in jobs if job.error]


def _reason(error: BaseException | None) -> str:
    if isinstance(error, UserError | RuntimeError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def results_of(jobs: Sequence[Job]) -> list[Result]:
    """The stored results of the jobs, with just the seeds that were asked for."""
    found = []
    for job in jobs:
        result = results.stored(job.config, job.folder)
        if result is not None:
            held = [s for s in job.config.seeds if s in set(result.seeds.seed)]
            if held:
                found.append(_with_metrics(results.of_seeds(result, held), job.config.metrics))
    return found


def _with_metrics(result: Result, names: Sequence[str]) -> Result:
    """The result with metrics that were asked for after it was trained."""
    if all(name.rpartition(":")[2] in result.summary["directions"] for name in names):
        return result
    from lossbench.rescoring import with_metrics  # torch: slow to import, seldom wanted

    return with_metrics(result, names)
