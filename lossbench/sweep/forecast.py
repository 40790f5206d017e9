"""What a sweep would do and cost, without doing it: the list of runs, and the time they take.

Seconds come from results of the same kind of run, or from the first epochs of one, timed.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from lossbench import results
from lossbench.configuration import Configuration, digest
from lossbench.contract import UserError
from lossbench.sweep.launcher import launch, worker_count
from lossbench.sweep.plan import Job, plan
from lossbench.sweep.progress import duration

LOOKED_AT = 200  # stored results, the newest ones
TIMED_KINDS = 5  # kinds of run of which the first epochs are timed
TIMED_SEEDS = 64
TIMED_SECONDS = 3.0
START_SECONDS = 8  # until the first worker trains


@dataclass(frozen=True)
class Pace:
    """What a run costs: seconds to begin, and seconds for each epoch of each seed."""

    begin: float
    each: float
    how: str

    def seconds(self, job: Job) -> float:
        """The cost of the seeds that a job has still to train."""
        trainings = len(job.seeds) + job.config.tune.trials * job.config.tune.seeds
        return self.begin + self.each * job.config.trainer.max_epochs * trainings


class EnoughError(Exception):
    """The first epochs are timed."""


def forecast(configs: Sequence[Configuration], console: Console, *, rerun: bool = False) -> None:
    """Print the runs, which of them are done, and what the rest will cost; writes nothing."""
    jobs = plan(configs, rerun=rerun, dry=True)
    sys.stdout.writelines(map(_line, jobs))
    sys.stdout.flush()
    todo = [job for job in jobs if job.seeds]
    console.print(f"{len(jobs)} runs: {len(jobs) - len(todo)} done, {len(todo)} to train.")
    if todo:
        for line in _cost(todo):
            console.print(line, markup=False)
    console.print("Nothing was trained, nothing was written.")


def _line(job: Job) -> str:
    asked, missing = len(job.config.seeds), len(job.seeds)
    state = "done" if not missing else "to train" if missing == asked else "partly"
    line = f"{state:9} {asked - missing:4}/{asked:<4} seeds  {job.name}"
    return textwrap.fill(line, 100, subsequent_indent=" " * 28) + "\n"


def _cost(todo: Sequence[Job]) -> list[str]:
    """What the jobs would take, in words."""
    kinds: dict[str, list[Job]] = {}
    for job in todo:
        kinds.setdefault(_kind(job.config, len(job.seeds)), []).append(job)
    paces, refused = _paces(kinds)
    said = [f"{kinds[kind][0].name} would fail: {reason}" for kind, reason in refused.items()]
    if not paces:
        return said
    typical = Pace(
        statistics.mean(p.begin for p in paces.values()),
        statistics.mean(p.each for p in paces.values()),
        "",
    )
    work = [
        paces.get(kind, typical).seconds(job)
        for kind, jobs in kinds.items()
        for job in jobs
        if kind not in refused
    ]
    workers = min(worker_count(todo[0].config.launcher.workers), len(todo))
    wall = START_SECONDS + max(max(work), sum(work) / workers)
    guessed = len(kinds) - len(paces) - len(refused)
    how = sorted({pace.how for pace in paces.values()})
    how += [f"their mean for {guessed} other kinds of run"] if guessed else []
    said.append(
        f"{sum(len(job.seeds) for job in todo)} seeds: about {duration(sum(work))} of one core, "
        f"{duration(wall)} with {workers} workers (by {', '.join(how)})."
    )
    return said


def _kind(config: Configuration, seeds: int) -> str:
    """What runs share that take about as long for an epoch of a seed."""
    shape = [config.dataset.mapping, config.model.mapping]
    return digest(
        [
            *shape,
            config.loss.name,
            config.trainer.batch_size,
            config.trainer.precision,
            seeds.bit_length(),
        ]
    )


def _paces(kinds: dict[str, list[Job]]) -> tuple[dict[str, Pace], dict[str, str]]:
    """The pace of each kind that is known or can be timed, and why another would be refused."""
    paces = _of_results(next(iter(kinds.values()))[0].folder)
    paces = {kind: pace for kind, pace in paces.items() if kind in kinds}
    refused = {}
    timed = [kind for kind in kinds if kind not in paces][:TIMED_KINDS]
    calls = [(kinds[kind][0].config, kinds[kind][0].seeds[:TIMED_SEEDS]) for kind in timed]
    for event in launch(_timed, calls, workers=1) if calls else ():
        if event.what == "finished":
            paces[timed[event.job]] = event.value
        elif event.what == "failed":
            refused[timed[event.job]] = str(event.value)
    return paces, refused


def _of_results(folder: Path) -> dict[str, Pace]:
    """The median pace of each kind of run among the newest results."""
    newest = sorted(results.places(folder), key=lambda place: -place.stat().st_mtime)
    found: dict[str, list[float]] = {}
    for place in newest[:LOOKED_AT]:
        try:
            config, summary = results.described(place)
        except UserError:
            continue
        seeds = len(config.seeds)
        trainings = seeds + config.tune.trials * config.tune.seeds
        each = summary["seconds"] / config.trainer.max_epochs / trainings
        found.setdefault(_kind(config, seeds), []).append(each)
    return {kind: Pace(0, statistics.median(e), "stored results") for kind, e in found.items()}


def _timed(config: Configuration, seeds: list[int], report: Callable[[int, int], None]) -> Pace:
    """In the worker: train the first epochs."""
    from lossbench.tuning import train

    began = time.monotonic()
    moments: list[tuple[int, float]] = []

    def watch(done: int, total: int, *_: object) -> None:
        moments.append((done, time.monotonic()))
        if done and moments[-1][1] - moments[0][1] > TIMED_SECONDS:
            raise EnoughError

    with contextlib.suppress(EnoughError):
        train(replace(config, tune=replace(config.tune, trials=0)), seeds, watch)
    (_, first), (done, last) = moments[0], moments[-1]
    return Pace(first - began, (last - first) / done / len(seeds), "timing first epochs")
