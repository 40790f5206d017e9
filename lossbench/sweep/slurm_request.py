"""What is asked of Slurm, from the words of a configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lossbench.contract import UserError

TASK_SECONDS = 600.0  # of work for a task, where it is known how long runs take
MOST_TASKS = 1000  # of an array; Slurm's own limit is often 1001
UNITS = {1: (60,), 2: (60, 1), 3: (3600, 60, 1)}  # seconds, of 90, 1:30 and 1:30:00
AFTER_DAYS = {1: (3600,), 2: (3600, 60), 3: (3600, 60, 1)}


def minutes(text: str) -> int:
    """A time as Slurm writes it, in minutes, rounded up; UserError where it is none.

    >>> minutes("90"), minutes("4:00:00"), minutes("2-12"), minutes("0:30")
    (90, 240, 3600, 1)
    """
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    numeric = all(re.fullmatch(r"\d+", part) for part in [*parts, *([days] if dash else [])])
    if not numeric or len(parts) > 3:
        raise UserError(
            f"launcher.time={text}: expected minutes, hours:minutes:seconds or days-hours, in "
            "quotes of its own: \"launcher.time='4:00:00'\"."
        )
    units = (AFTER_DAYS if dash else UNITS)[len(parts)]
    seconds = int(days or 0) * 86400 + sum(u * int(p) for u, p in zip(units, parts, strict=True))
    return max(1, -(-seconds // 60))


def shares(
    names: Sequence[str],
    seconds: Sequence[float | None],
    workers: int,
    share: int | None,
    cpus: int = 1,
) -> list[list[str]]:
    """Runs dealt to tasks: so many to each, or about ten minutes where it is known how long.

    >>> shares("abcde", [None] * 5, 2, None), shares("abcde", [None] * 5, 2, 1)
    ([['a', 'c', 'e'], ['b', 'd']], [['a'], ['b'], ['c'], ['d'], ['e']])
    >>> shares("abcde", [400] * 5, 2, None)
    [['a', 'e'], ['b'], ['c'], ['d']]
    """
    known = [each for each in seconds if each is not None]
    work = sum(known) if len(known) == len(seconds) else 0.0
    count = -(-len(names) // share) if share else max(workers, -int(-work // (TASK_SECONDS * cpus)))
    count = min(count, len(names), MOST_TASKS)
    return [list(names[start::count]) for start in range(count)]


def options_by_name(options: Sequence[str]) -> dict[str, str]:
    """Options of sbatch by name, from --name=value each."""
    for option in options:
        if not re.fullmatch(r"--[\w-]+(=.*)?", option):
            raise UserError(f"launcher.options: {option}: expected --name=value, as for sbatch.")
    pairs = [option.removeprefix("--").partition("=") for option in options]
    return {name: value for name, _, value in pairs}
