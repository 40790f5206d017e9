"""One small instance of each structured task, and batches drawn for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossbench.metrics import metrics_of, score
from lossbench.tasks import Task
from lossbench.tasks.distribution import Distribution
from lossbench.tasks.embedding import Embedding
from lossbench.tasks.generative import Generative
from lossbench.tasks.multilabel import Multilabel
from lossbench.tasks.pairs import Pairs
from lossbench.tasks.ranking import Ranking
from lossbench.tasks.segmentation import Segmentation
from lossbench.tasks.sequence import Sequence

NAN = float("nan")
LABELS, SHARES = Multilabel((2,), 4), Distribution((2,), 3)
IDENTITIES, PAIRS, RANKS = Embedding((2,), 5, 3), Pairs((2, 2), 3), Ranking((2, 2))
MASKS, STEPS = Segmentation((1, 3, 4), (3, 4)), Sequence((9, 2), 4)
PIXELS = Generative((5,), 5, 2)
TASKS = [LABELS, SHARES, IDENTITIES, PAIRS, RANKS, MASKS, STEPS, PIXELS]
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
seeded = given(seed=st.integers(0, 2**32))


def scored(task: Task, estimate: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the task's own metrics are worth."""
    return score(metrics_of(task), estimate, target)


def strip(frames: list[int], labels: list[int]) -> torch.Tensor:
    """A sequence target of one strip: (1, 2, T)."""
    return torch.tensor([[frames, labels + [0] * (len(frames) - len(labels))]])


def random_labels(rng: np.random.Generator, shape: tuple[int, ...], steps: int, classes: int):
    """Label sequences (..., T) of length 1 to T / 2, padded with zeros."""
    lengths = rng.integers(1, steps // 2 + 1, (*shape, 1))
    labels = rng.integers(1, classes, (*shape, steps)) * (np.arange(steps) < lengths)
    return torch.from_numpy(labels)


def batch(task: Task, seed: int, replicas: tuple[int, ...] = (3,), n: int = 24):
    """Estimates and targets of stacked replicas, both drawn at random."""
    rng = np.random.default_rng(seed)
    shape = (*replicas, n)
    estimate = torch.from_numpy(rng.normal(size=(*shape, *task.output_shape(1))))
    _, example = task.example()
    target = torch.from_numpy(rng.integers(0, 2, (*shape, *example.shape[1:])))
    if isinstance(task, Distribution):
        target = torch.softmax(torch.from_numpy(rng.normal(size=(*shape, 3))), -1)
    elif isinstance(task, Embedding | Pairs):
        target = torch.from_numpy(np.sort(rng.integers(0, 5, shape)))
    elif isinstance(task, Sequence):
        target = torch.stack([random_labels(rng, shape, 9, 4) for _ in range(2)], -2)
    elif isinstance(task, Generative):
        target = torch.from_numpy(rng.uniform(size=(*shape, 5)))
    dtype = torch.int64 if task.target_dtype == torch.int64 else torch.float64
    return task.estimate(estimate, None), target.to(dtype)
