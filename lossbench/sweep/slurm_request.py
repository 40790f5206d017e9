"""What is asked of Slurm, from the words of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

from lossbench.contract import UserError

TASK_SECONDS = 600.0  # of work for a task, where it is known how long runs take
WARNING_SECONDS = 60  # before the end of its time a task is told to make room, or a quarter of it
MOST_TASKS = 1000  # of an array; Slurm's own limit is often 1001
UNITS = {1: (60,), 2: (60, 1), 3: (3600, 60, 1)}  # seconds, of 90, 1:30 and 1:30:00
AFTER_DAYS = {1: (3600,), 2: (3600, 60), 3: (3600, 60, 1)}
UNITS_OF_MEMORY = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}
SETUP_FAILED = "launcher.setup: "


def parameters(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What submitit is asked for, from the settings of the launcher."""
    limit = minutes(wanted["time"])
    asked = {
        "time": limit,
        **{key: wanted[key] for key in ("partition", "account", "qos", "constraint")},
        "cpus_per_task": wanted["cpus"],
        "gpus_per_node": wanted["gpus"] or None,
        "mem": wanted["memory"],
        "setup": guarded(wanted["setup"]),
        "array_parallelism": wanted["workers"],
        "signal_delay_s": min(WARNING_SECONDS, limit * 15),
        "additional_parameters": options_by_name(wanted["options"]),
        "stderr_to_stdout": True,
        "job_name": "lossbench",
    }
    return {name: value for name, value in asked.items() if value is not None}


def guarded(setup: Sequence[str]) -> list[str]:
    """Commands of shell, the first of which that fails ends the task with a word on it."""
    said = f"{SETUP_FAILED}%s failed with exit code %d on %s\\n"
    return [
        f'eval {quote(line)} || {{ printf "{said}" {quote(line)} $? "$SLURMD_NODENAME"; exit 1; }}'
        for line in setup
    ]


def megabytes(text: str) -> float:
    """An amount of memory as Slurm writes it; 0 where it is none, which sbatch refuses.

    >>> megabytes("4G"), megabytes("500"), megabytes("lots")
    (4096.0, 500.0, 0.0)
    """
    found = re.fullmatch(r"(\d+)([KMGT]?)B?", text.strip().upper())
    return float(found[1]) * UNITS_OF_MEMORY[found[2]] if found else 0.0


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
