"""What Slurm says of itself: its nodes, its tasks, and why it refuses something, in our words."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lossbench.contract import UserError
from lossbench.sweep.machines import Machine, refuse_too_large
from lossbench.sweep.progress import count_of
from lossbench.sweep.slurm_request import SETUP_FAILED, megabytes, minutes, options_by_name

DOCTOR_SECONDS, RUN_SECONDS = 5.0, 30.0  # until Slurm answers
NEVER = {"PartitionConfig", "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints"}
CAUSES = {  # by the key of `launcher.` that they come from, words of sbatch
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "constraint": "feature",
    "gpus": "gres|generic resource|gpu",
    "memory": "memory|--mem",
    "cpus": "cpu",
    "time": r"\btime\b",
    "options": "unrecognized|ambiguous|invalid option|node name",
}


@dataclass(frozen=True)
class Member:
    """A node as a member of a partition, in which a task may take so many minutes."""

    node: Machine
    partition: str
    minutes: float
    default: bool


def rows(*options: str, patience: float = RUN_SECONDS) -> list[Member]:
    """The nodes of each partition; UserError where Slurm does not answer in time."""
    words = ["sinfo", "--noheader", "--Node", "--format=%N|%c|%m|%G|%l|%P", *options]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=patience, check=True)
    except subprocess.TimeoutExpired as error:
        raise _silent(f"sinfo timed out after {patience:g} s") from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise _silent([*str(getattr(error, "stderr", "")).splitlines(), str(error)][0]) from error
    return [_row(line) for line in done.stdout.splitlines()]


def _silent(why: str) -> UserError:
    return UserError(
        f"launcher=slurm: Slurm does not answer here ({why}).\n"
        "Does `sinfo` work in this shell? Or launcher=local."
    )


def _row(line: str) -> Member:
    name, cores, memory, resources, limit, partition = line.strip().split("|")
    has = {"cpus": _whole(cores), "gpus": _gpus(resources), "memory": _whole(memory)}
    try:
        longest = float(minutes(limit))
    except UserError:  # infinite
        longest = float("inf")
    return Member(Machine(name, has), partition.rstrip("*"), longest, partition.endswith("*"))


def _whole(text: str) -> int:
    return int(text.rstrip("+"))


def _gpus(resources: str) -> int:
    """How many GPUs a node has, of its generic resources.

    >>> _gpus("gpu:a100:4(S:0-1),gpu:t4:2,mps:400"), _gpus("gpu"), _gpus("(null)")
    (6, 1, 0)
    """
    parts = [each.split(":") for each in re.sub(r"\(.*?\)", "", resources).split(",")]
    return sum(int(p[-1]) if p[-1].isdigit() else 1 for p in parts if p[0] == "gpu")


def cores(partition: str | None) -> int:
    """How many cores the nodes have, of a partition or all."""
    there = rows(*([f"--partition={partition}"] if partition else []))
    return int(sum(node.has["cpus"] for node in _nodes(there)))


def _nodes(there: Iterable[Member]) -> list[Machine]:
    return list({member.node.name: member.node for member in there}.values())


def state() -> str:
    """Whether submitit is installed and what the cluster has, in words."""
    if not find_spec("submitit"):
        return "not installed; pip install 'lossbench[slurm]'"
    installed = f"submitit {version('submitit')}"
    if not shutil.which("sinfo"):
        return f"{installed}, no sbatch here"
    try:
        there = _nodes(rows(patience=DOCTOR_SECONDS))
    except UserError:
        return f"{installed}, Slurm does not answer"
    cores = sum(node.has["cpus"] for node in there)
    gpus = sum(node.has["gpus"] > 0 for node in there)
    count = count_of(len(there), "node")
    return f"{installed}, {count} with {cores:g} cores, {gpus} of them with GPUs"


def refuse_impossible(wanted: Mapping[str, Any]) -> None:
    """UserError where no node of the partition has room for a task, or time for it.

    Slurm takes such a task and never starts it, where its partitions say no more than that.
    """
    there, named = _asked_of(wanted)
    needs = {"cpus": wanted["cpus"], "gpus": wanted["gpus"], "memory": megabytes(wanted["memory"])}
    given = {key: amount for key, amount in needs.items() if amount}
    refuse_too_large(given, _nodes(there), named, "name another launcher.partition")
    longest = max((member.minutes for member in there), default=float("inf"))
    if minutes(wanted["time"]) > longest and not wanted["qos"]:  # which may allow more
        raise UserError(
            f"launcher.time={wanted['time']}: {named} lets a task run for {longest:g} minutes. "
            "Ask for less, or name another launcher.partition."
        )


def _asked_of(wanted: Mapping[str, Any]) -> tuple[list[Member], str]:
    """The nodes that a task may come to, as far as is known, and how they are named."""
    options = options_by_name(wanted["options"])
    if "clusters" in options:
        return [], ""
    partition = options.get("partition", wanted["partition"]) or os.environ.get("SBATCH_PARTITION")
    if partition:
        return rows(f"--partition={partition}"), f"the partition {partition}"
    there = rows()
    default = [member for member in there if member.default]
    return (default, f"the partition {default[0].partition}") if default else (there, "Slurm")


def refusal(error: Exception, wanted: Mapping[str, Any]) -> UserError:
    """What sbatch said, behind the words of the command that are the cause of it."""
    said = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in _said(error)]
    reason = "; ".join(line.removeprefix("Batch job submission failed: ") for line in said)
    keys = [k for k, cause in CAUSES.items() if wanted[k] and re.search(cause, reason, re.I)]
    if not keys and "configuration" in reason:
        keys = [k for k in ("cpus", "gpus", "memory", "constraint", "options") if wanted[k]]
    named = " ".join(f"launcher.{key}={wanted[key]}" for key in keys) or "launcher=slurm"
    return UserError(
        f"{named}: sbatch refuses it: {reason}.\n"
        "`sinfo` shows partitions, their nodes and limits; `scontrol show partition` all of it."
    )


def _said(error: Exception) -> list[str]:
    lines = str(error).splitlines()
    return [line for line in lines if line.startswith("sbatch: ")] or lines[:2]


def waiting(reasons: Iterable[str]) -> str:
    """What to say of tasks that Slurm holds back for these reasons."""
    named = ", ".join(sorted(reasons))
    never = NEVER.intersection(reasons)
    more = (
        " As they are asked for they will never start: Ctrl-C, and ask for less." if never else ""
    )
    return f"Waiting: Slurm has them pending ({named}).{more}"


def states(tasks: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The state of each task that Slurm remembers, and why it waits."""
    numbers = ",".join(sorted({task.partition("_")[0] for task in tasks}))
    words = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r"]
    done = subprocess.run([*words, f"--jobs={numbers}"], capture_output=True, text=True)
    if done.returncode and "Invalid job id" not in done.stderr:
        return dict.fromkeys(tasks, ("UNKNOWN", ""))  # it does not answer: nothing is judged
    lines = [line.strip().split("|") for line in done.stdout.splitlines()]
    return {i: (state, "" if reason == "None" else reason) for i, state, reason in lines}


def failed_setup(log: Path) -> str:
    """The line of launcher.setup that a task's log says has failed, if any."""
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()
        return next((line for line in lines if line.startswith(SETUP_FAILED)), "")
    return ""
