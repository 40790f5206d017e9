"""Before a sweep trains anything: every run is built and takes one step on two examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lossbench.configuration import Configuration, digest
from lossbench.contract import UserError
from lossbench.schema import SHOWN
from lossbench.sweep.launcher import launch
from lossbench.sweep.plan import Job

AT_ONCE = 50  # runs of one dataset tried by one worker, so that it is prepared once
START_SECONDS, EACH_SECONDS = 30.0, 5.0  # what takes longer is left to its own run


def refuse_faulty(jobs: Sequence[Job]) -> None:
    """UserError names every run that cannot be trained; a single run tells it itself.

    A run whose trial dies or hangs is not refused: in training it harms only itself.
    """
    if len(jobs) < 2:
        return
    pieces = list(_pieces(jobs))
    calls = [([job.config for job in piece],) for piece in pieces]
    limit = START_SECONDS + EACH_SECONDS * max(map(len, pieces))
    refused: dict[str, list[str]] = {}
    workers = jobs[0].config.launcher.workers
    for event in launch(_try_out, calls, workers=workers, timeout=limit):
        if event.what == "finished":
            for job, reason in zip(pieces[event.job], event.value, strict=True):
                if reason:
                    refused.setdefault(reason, []).append(job.name)
    if refused:
        count = sum(map(len, refused.values()))
        lines = [f"{_several(names)}: {reason}" for reason, names in refused.items()]
        more = [f"… and {len(lines) - SHOWN} more faults."] if len(lines) > SHOWN else []
        head = f"{count} of {len(jobs)} runs cannot be trained, so none was started."
        raise UserError("\n".join([head, *lines[:SHOWN], *more]))


def _several(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _pieces(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """The jobs of one dataset together, not too many at once."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(digest(job.config.data), []).append(job)
    for group in groups.values():
        for start in range(0, len(group), AT_ONCE):
            yield group[start : start + AT_ONCE]


def _try_out(configs: list[Configuration], report: Any) -> list[str]:
    """In the worker: why each of these cannot be trained, or nothing."""
    from lossbench.training import data, try_step

    try:
        splits = data(configs[0], list(configs[0].seeds[:1]))
    except UserError as error:
        return [str(error)] * len(configs)
    return [_reason(try_step, config, splits) for config in configs]


def _reason(try_step: Callable[..., None], config: Configuration, splits: Any) -> str:
    try:
        try_step(config, splits)
    except UserError as error:
        return str(error)
    return ""
