"""Before anything trains: which runs cannot, found by reading, then by building each and a step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lossbench import registry
from lossbench.configuration import Configuration, digest
from lossbench.contract import UnusableError, UserError
from lossbench.registry.hints import choices
from lossbench.registry.parts import with_parts
from lossbench.registry.posed import metrics_of, posed_tasks
from lossbench.registry.schema import SHOWN
from lossbench.sweep.launcher import chosen, outlives_command
from lossbench.sweep.plan import Job

AT_ONCE = 50  # runs of one dataset tried by one worker, so that it is prepared once
MOST_PIECES = 20  # of so many that are tried before a sweep on a cluster begins
START_SECONDS, EACH_SECONDS = 30.0, 5.0  # what takes longer is left to its own run


def refuse_faulty(jobs: Sequence[Job], *, also_single: bool = False) -> None:
    """UserError names every run that cannot be trained.

    A single run is refused here where reading shows it, and is tried by its worker before it
    trains, or here too if that is asked for. A run whose trial dies or hangs is not refused: in
    training it harms only itself.
    """
    _refuse(jobs, [(job, _unknown_metric(job.config)) for job in jobs])
    scheduled = bool(jobs) and outlives_command(jobs[0].config.launcher)  # each is tried there
    if len(jobs) == 1 or scheduled:
        _refuse(jobs, [(job, _mismatch(job.config)) for job in jobs])
    if not scheduled and (len(jobs) > 1 or (jobs and also_single)):
        _refuse(jobs, _tried(jobs))


def _refuse(jobs: Sequence[Job], outcomes: Iterable[tuple[Job, UserError | None]]) -> None:
    """UserError where any job has one, with the names of the jobs for each distinct one."""
    refused: dict[str, list[str]] = {}
    kinds = set()
    for job, error in outcomes:
        if error:
            refused.setdefault(str(error), []).append(job.name)
            kinds.add(type(error))
    if not refused:
        return
    kind = UnusableError if kinds == {UnusableError} else UserError
    if len(jobs) == 1:
        raise kind(*refused)
    count = sum(map(len, refused.values()))
    lines = [f"{_several(names)}: {reason}" for reason, names in refused.items()]
    more = [f"… and {len(lines) - SHOWN} more faults."] if len(lines) > SHOWN else []
    head = f"{count} of {len(jobs)} runs cannot be trained, so none was started."
    raise kind("\n".join([head, *lines[:SHOWN], *more]))


def _several(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _mismatch(config: Configuration) -> UserError | None:
    """The error where nothing fits the tasks that the text of the dataset names."""
    tasks = posed_tasks(registry.find("dataset", config.dataset.name)[0])
    if not tasks:
        return None
    try:
        loss = registry.find_for_task(config.loss.name, *tasks)
        loss = with_parts(loss, config.loss.values, *tasks)
        for plugin in (loss, registry.find("corruption", config.corruption.name)[0]):
            registry.refuse_unsupplied(plugin, tasks)
    except UserError as error:
        return error
    return None


def _unknown_metric(config: Configuration) -> UserError | None:
    """The error where no task that the text of the dataset names has the metric."""
    name, installed = config.metric, registry.installed("metric")
    if name is None or ":" in name or name in {plugin.name for plugin in installed}:
        return None
    tasks = posed_tasks(registry.find("dataset", config.dataset.name)[0])
    known = [metrics_of(registry.find("task", task)[0]) for task in tasks]
    own = [metric for metrics in known for metric in metrics]
    if not tasks or not all(known) or name in own:
        return None
    allowed = [*own, *(plugin.name for plugin in installed if plugin.task in tasks)]
    return UserError(
        f"metric={name}: the task {' or '.join(tasks)} has no such metric. {choices(name, allowed)}"
    )


def _tried(jobs: Sequence[Job]) -> Iterator[tuple[Job, UserError | None]]:
    """Each job and why a worker could not take a step of it."""
    pieces = _pieces(jobs)
    calls = [([job.config for job in piece],) for piece in pieces]
    limit = START_SECONDS + EACH_SECONDS * max(map(len, pieces))
    launch = chosen(jobs[0].config.launcher)
    for event in launch(_try_out, calls, timeout=limit, retries=0):
        if event.what == "finished":
            yield from zip(pieces[event.job], event.value, strict=True)


def _pieces(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs to try: those of one dataset together, not too many at once, of all kinds in each.

    On a cluster, at most a thousand of them; any other is tried by the worker that trains it.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(digest(job.config.data), []).append(job)
    pieces = []
    for group in groups.values():
        count = -(-len(group) // AT_ONCE)
        pieces += [group[first::count] for first in range(count)]
    return pieces[:: -(-len(pieces) // MOST_PIECES)] if jobs[0].config.launcher.name else pieces


def _try_out(configs: list[Configuration], report: Any) -> list[UserError | None]:
    """In the worker: why each of these cannot be trained, if it cannot."""
    from lossbench.training import draw_splits

    try:
        splits = draw_splits(configs[0], list(configs[0].seeds[:1]))
    except UserError as error:
        return [error] * len(configs)
    return [_error(config, splits) for config in configs]


def _error(config: Configuration, splits: Any) -> UserError | None:
    from lossbench.training import adapt_to_loss, tried_recipe
    from lossbench.training.tuning import axes_of

    try:
        splits = adapt_to_loss(config, splits)
        tried_recipe(config, splits)
        if config.tune.trials:
            axes_of(config, splits.task.name)
    except UserError as error:
        return error
    return None
