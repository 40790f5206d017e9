"""What a sweep would do and cost, without doing it: the list of runs, and the time they take.

Seconds come from results of the same kind of run, or from a part of an epoch of one, timed.
"""

from __future__ import annotations

import math
import statistics
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from lossbench import results
from lossbench.configuration import Configuration, digest
from lossbench.contract import UserError
from lossbench.sweep.launcher import launch, outlives_command, worker_count
from lossbench.sweep.plan import Job, plan
from lossbench.sweep.progress import count_of, duration
from lossbench.sweep.trial import refuse_faulty

LOOKED_AT = 200  # stored results, the newest ones
TIMED_KINDS = 5  # kinds of run of which a part of an epoch is timed
TIMED_EXAMPLES = 16  # of the first replica, to begin with
TIMED_SECONDS = 3.0  # what is timed is to take no longer
LIMIT_SECONDS = 30.0  # where it does, the price is not known
START_SECONDS = 8  # until the first worker trains


@dataclass(frozen=True)
class Pace:
    """What a seed costs: seconds to begin, and seconds for each epoch."""

    begin: float
    epoch: float
    how: str

    def seconds(self, job: Job) -> float:
        """The cost of the seeds that a job has still to train."""
        each = self.begin + self.epoch * job.config.trainer.max_epochs
        return each * _trainings(job.config, len(job.seeds))


def forecast(
    configs: Sequence[Configuration], console: Console, *, rerun: bool = False
) -> dict[str, Any]:
    """Print the runs, which of them are done, and what the rest will cost; writes nothing.

    Gives the same as a record for programs; core_seconds are None where nothing shows them.
    UserError where a run cannot be trained, as from the command without --dry-run.
    """
    jobs = plan(configs, rerun=rerun, dry=True)
    sys.stdout.writelines(map(_line, jobs))
    sys.stdout.flush()
    todo = [job for job in jobs if job.seeds]
    console.print(
        f"{count_of(len(jobs), 'run')}: {len(jobs) - len(todo)} done, {len(todo)} to train."
    )
    seconds: float | None = 0.0
    if todo:
        refuse_faulty(todo, also_single=True)
        seconds, words = _cost(todo)
        console.print(words, markup=False)
    console.print("Nothing was trained, nothing was written.")
    return {"runs": list(map(_record, jobs)), "core_seconds": seconds}


def _record(job: Job) -> dict[str, Any]:
    asked, missing = len(job.config.seeds), len(job.seeds)
    state = "done" if not missing else "to train" if missing == asked else "partly"
    counts = {"seeds": asked, "held": asked - missing}
    return {"key": job.key, "name": job.name, "status": state, **counts}


def _line(job: Job) -> str:
    run = _record(job)
    line = f"{run['status']:9} {run['held']:4}/{run['seeds']:<4} seeds  {job.name}"
    return textwrap.fill(line, 100, subsequent_indent=" " * 28) + "\n"


def _cost(todo: Sequence[Job]) -> tuple[float | None, str]:
    """What the jobs would take: seconds of one core, and in words."""
    kinds: dict[str, list[Job]] = {}
    for job in todo:
        kinds.setdefault(_kind(job.config, len(job.seeds)), []).append(job)
    paces = _paces(kinds)
    seeds = f"{sum(len(job.seeds) for job in todo)} seeds"
    if not paces:
        scheduled = outlives_command(todo[0].config.launcher)
        looked = "results of this kind" if scheduled else f"a trial of at most {LIMIT_SECONDS:g} s"
        return None, f"{seeds}: how long they take is unknown; {looked} did not show it."
    typical = Pace(
        statistics.mean(pace.begin for pace in paces.values()),
        statistics.mean(pace.epoch for pace in paces.values()),
        "",
    )
    work = [paces.get(kind, typical).seconds(job) for kind, jobs in kinds.items() for job in jobs]
    how = sorted({pace.how for pace in paces.values()})
    guessed = len(kinds) - len(paces)
    how += [f"their mean for {guessed} other kinds of run"] if guessed else []
    return sum(work), (
        f"{seeds}: about {duration(sum(work))} of one core{_wall(work, todo[0])} "
        f"(by {', '.join(how)})."
    )


def _wall(work: Sequence[float], job: Job) -> str:
    """How long it is until all have ended, where it is known how many run at once."""
    launcher = job.config.launcher
    if launcher.name and not launcher.values.get("workers"):
        return ""
    workers = min(worker_count(launcher.values["workers"]), len(work))
    wall = START_SECONDS + max(max(work), sum(work) / workers)
    return f", {duration(wall)} with {count_of(workers, 'worker')}"


def known_seconds(jobs: Sequence[Job]) -> dict[Job, float]:
    """What each job takes by the stored results of its kind, where there are some."""
    known = _of_results(jobs[0].folder)
    paces = {job: known.get(_kind(job.config, len(job.seeds))) for job in jobs}
    return {job: pace.seconds(job) for job, pace in paces.items() if pace}


def _kind(config: Configuration, seeds: int) -> str:
    """What runs share that take about as long for an epoch of a seed."""
    trainer, chosen = config.trainer, [config.dataset.mapping, config.model.mapping]
    parts = [config.loss.name, trainer.batch_size, trainer.precision, seeds.bit_length()]
    return digest([*chosen, *parts])


def _trainings(config: Configuration, seeds: int) -> int:
    """How many replicas are trained: with those to tune on, and an idle one that a stack needs."""
    return seeds + 1 + config.tune.trials * config.tune.seeds


def _paces(kinds: dict[str, list[Job]]) -> dict[str, Pace]:
    """The pace of each kind that is known or can be timed."""
    first = next(iter(kinds.values()))[0]
    known = _of_results(first.folder)
    paces = {kind: pace for kind, pace in known.items() if kind in kinds}
    most = 0 if outlives_command(first.config.launcher) else TIMED_KINDS  # nothing is run here
    timed = [kind for kind in kinds if kind not in paces][:most]
    calls = [(kinds[kind][0].config, kinds[kind][0].seeds) for kind in timed]
    for event in launch(_timed, calls, workers=1, timeout=LIMIT_SECONDS) if calls else ():
        if event.what == "finished":
            paces[timed[event.job]] = event.value
    return paces


def _of_results(folder: Path) -> dict[str, Pace]:
    """The median pace of each kind of run among the newest results."""
    newest = sorted(results.places(folder), key=lambda place: -place.stat().st_mtime)
    paces: dict[str, list[float]] = {}
    for place in newest[:LOOKED_AT]:
        try:
            config, summary = results.described(place)
        except UserError:
            continue
        seeds = len(config.seeds)
        each = summary["seconds"] / config.trainer.max_epochs / _trainings(config, seeds)
        paces.setdefault(_kind(config, seeds), []).append(each)
    return {kind: Pace(0, statistics.median(e), "stored results") for kind, e in paces.items()}


def _timed(config: Configuration, seeds: list[int], report: Any) -> Pace:
    """In the worker: time an epoch of a few examples, and of more while that takes no longer."""
    import torch

    from lossbench.training import data, make_recipe, replicas_at_once
    from lossbench.training.replicas import idle_replicas

    torch.set_num_threads(1)  # as a run's
    begin = math.inf
    for _ in range(2):  # the first one imports plugins, too
        began = time.monotonic()
        splits = data(config, seeds[:1])
        begin = min(begin, time.monotonic() - began)
        if begin > TIMED_SECONDS:
            break
    examples, batch = splits.train.size, config.trainer.batch_size
    recipe = make_recipe(config, splits)
    count = min(len(seeds), replicas_at_once(config, recipe, splits))
    _second_epoch(config, recipe, splits, seeds[:1], min(TIMED_EXAMPLES, examples))  # a cold start
    took, done, epoch = 0.0, TIMED_EXAMPLES, math.nan
    for replicas, size in ((1, TIMED_EXAMPLES), (1, batch), (count, batch), (count, examples)):
        size = min(size, examples)
        if 3 * took * replicas * size / done > TIMED_SECONDS:
            break  # at the worst, it takes as many times longer as there are more rows
        if splits.replicas < replicas:
            splits = data(config, seeds[:replicas])
        took = _second_epoch(config, recipe, splits, seeds[:replicas], size)
        done = replicas * size
        epoch = took * examples / size / (replicas + idle_replicas(recipe.smallest_batch(size)))
    return Pace(begin, epoch, "timing a part of an epoch")


def _second_epoch(
    config: Configuration, recipe: Any, splits: Any, seeds: list[int], size: int
) -> float:
    """Seconds for the second epoch of these seeds' replicas on so many examples."""
    from lossbench.training import fit_stack

    moments: list[float] = []
    share = size / splits.train.size
    parts = {"train": splits.train, "validation": splits.validation}
    few = replace(
        splits, **{n: part.first(max(2, round(share * part.size))) for n, part in parts.items()}
    )
    short = replace(config, trainer=replace(config.trainer, max_epochs=2, checkpoint=None))
    fit_stack(short, recipe, few, seeds, lambda *_: moments.append(time.monotonic()), test=False)
    return moments[1] - moments[0]
