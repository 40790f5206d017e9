"""How many replicas to train as one: enough to share the calls, few enough for cache and memory."""

from __future__ import annotations

import itertools
import os

import psutil
import torch
from torch import Tensor

from lossbench.datasets.pool import SCORED_NUMBERS
from lossbench.training.stack import Stack

CACHE = 32 * 2**20  # bytes that a training step goes through before its speed falls
FEWEST = 8  # below it, calls cost more than memory
PREPARING = 3  # times its own rows and data that a replica needs at once
MADE = 12  # bytes of a number of a batch while it is made: float64, float32
STATE = 5  # a parameter, its gradient, two moments, its best value
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
    held = PREPARING * stack.splits.bytes_of_replica + scored + STATE * parameters
    if gpu:
        return max(1, int(SHARE * torch.cuda.mem_get_info()[0] / (step + held)))
    free = psutil.virtual_memory().available / (os.cpu_count() or 1)
    return max(1, min(max(FEWEST, CACHE // step), int(SHARE * free / (step + held))))


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
