"""How many replicas to train as one: enough to share the calls, few enough for cache and memory."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torch
from torch import Tensor

from lossbench.datasets.pool import SCORED_NUMBERS

if TYPE_CHECKING:
    from lossbench.training.stack import Stack

CACHE = 32 * 2**20  # bytes that a training step goes through before its speed falls
FEWEST = 8  # below it, calls cost more than memory
PREPARING = 3  # times its own rows and data that a replica needs at once
MADE = 12  # bytes of a number of a batch while it is made: float64, float32
STATE = 5  # a parameter, its gradient, two moments, its best value
CGROUPS = Path("/sys/fs/cgroup")
MOST = 2**60  # bytes; a larger limit means none
SHARE = 0.5  # of the memory that is free, among all processes that train


def in_chunks(seeds: list[int], most: int) -> list[list[int]]:
    """The seeds in order, in the fewest chunks of at most so many, of equal size (+-1)."""
    count = -(-len(seeds) // most)
    ends = [len(seeds) * i // count for i in range(count + 1)]
    return [seeds[a:b] for a, b in itertools.pairwise(ends)]


def most_replicas(stack: Stack, gpu: bool) -> int:
    """How many replicas like the stack's only one; speed and memory depend on it, results not."""
    parameters = sum(map(_bytes, stack.stacked))
    step = 2 * _saved(stack) + (STATE - 1) * parameters
    scored = MADE * max(SCORED_NUMBERS, stack.splits.inputs[0].numel())
    buffers = sum(map(_bytes, stack.state.values())) - parameters  # and those of the best epoch
    held = PREPARING * stack.splits.bytes_of_replica + scored + STATE * parameters + 2 * buffers
    if gpu:
        return max(1, int(SHARE * torch.cuda.mem_get_info()[0] / (step + held)))
    return max(1, min(max(FEWEST, CACHE // step), int(SHARE * _free() / (step + held))))


def _free() -> float:
    """Bytes of memory for each process that trains: of the machine, the container or the job."""
    machine = psutil.virtual_memory().available / (os.cpu_count() or 1)
    return min(machine, limit_of_container(CGROUPS), limit_of_slurm(os.environ))


def limit_of_slurm(environment: Mapping[str, str]) -> float:
    """Bytes of a Slurm job's memory for each of its cores; infinite outside of one."""
    if per_cpu := environment.get("SLURM_MEM_PER_CPU"):
        return float(per_cpu) * 2**20
    per_node = float(environment.get("SLURM_MEM_PER_NODE", 0)) * 2**20
    return per_node / float(environment.get("SLURM_CPUS_ON_NODE", 1)) or math.inf


def limit_of_container(root: Path) -> float:
    """Bytes that control groups leave to each core; an outer group's limit holds for inner ones."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min([math.inf, *map(_left_of, _control_groups(root))]) / cores


def _control_groups(root: Path) -> Iterator[Path]:
    """The folders of this process's control group, in version 2 and 1, and of those around it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                folder = root / controllers / path.strip("/")
                yield from (each for each in (folder, *folder.parents) if each.is_relative_to(root))


def _left_of(group: Path) -> float:
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max": no limit
            limit = int((group / most).read_text())
            return math.inf if limit > MOST else limit - int((group / used).read_text())
    return math.inf


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _saved(stack: Stack) -> int:
    """Bytes that a batch's forward pass leaves for its backward pass, parameters included."""
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    batch = stack.splits.first("train", stack.recipe.batch_size)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        objective = stack.looped(stack.objective, stack.state, *batch)
    del objective  # until here: what is let go may lend its address to another
    return sum(saved.values())


def give_memory_back() -> None:
    """Have the allocator give the system what is freed: glibc keeps it, in pieces, for itself."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # of another C library
        ctypes.CDLL(None).malloc_trim(0)
