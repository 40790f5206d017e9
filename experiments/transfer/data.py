"""Classes to learn from and, in the test split, others that only a probe of the features meets."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from lossbench.contract import Sample

TASK = "experiments/transfer/tasks.py:Transfer"
NEW = 1000  # a target from here on is of a new class; its thousands say what the row is for
LEARNT = 100, 30, 40  # digits of a class: to train on, to validate on, to test on
CHOSEN, TESTED = 30, 120  # rows of a new class to choose a probe's penalty by, and to test it on
ROOM, COPIES = 3, 3


def digits(rng: np.random.Generator, /) -> Sample:
    """Scikit-learn's digits: five classes, drawn by seed, to learn from, and five new ones.

    Of each new class a probe learns from 5 rows. Licence: CC BY 4.0.
    """
    inputs, labels = load_digits(return_X_y=True)
    rows, sizes = _chosen(rng, labels, shots=5)
    return _posed(inputs[rows] / 16, sizes, 5, fresh=False)


def moved(rng: np.random.Generator, /) -> Sample:
    """The same, each somewhere in 11 x 11 pixels; those to train on in three places each.

    Of each new class a probe learns from 20 rows.
    """
    inputs, labels = load_digits(return_X_y=True)
    rows, sizes = _chosen(rng, labels, shots=20, copies=COPIES)
    images = np.zeros((len(rows), 8 + ROOM, 8 + ROOM))
    places = rng.integers(ROOM + 1, size=(len(rows), 2))
    for image, row, (down, right) in zip(images, rows, places, strict=True):
        image[down : down + 8, right : right + 8] = inputs[row].reshape(8, 8) / 16
    return _posed(images.reshape(len(rows), -1), sizes, 5, fresh=False)


def gaussians(rng: np.random.Generator, /) -> Sample:
    """Thirty Gaussian classes to learn from and ten new ones, mixed to 64 numbers by a network.

    An example has 20 numbers. Learnt classes differ in the first 8 of them and new ones in 5 to 12,
    so that half of what these need tells nothing at first; 13 to 20 never tell anything, and vary
    25 times as much. Of each new class a probe learns from 5 rows.
    """
    sizes = np.array([[80, 30, 50], [5, CHOSEN, TESTED]])
    labels = _labels(sizes, 30, 10)
    centres = np.zeros((40, 20))
    centres[:30, :8] = 3.5 * rng.standard_normal((30, 8))
    centres[30:, 4:12] = 3.5 * rng.standard_normal((10, 8))
    hidden = rng.standard_normal((len(labels), 20))
    hidden[:, 12:] *= 5
    hidden += centres[labels]
    fixed = np.random.default_rng(12)
    first, second = fixed.standard_normal((20, 64)) / 8, fixed.standard_normal((64, 64)) / 8
    return _posed(np.tanh(hidden @ first) @ second, sizes, 30, fresh=True)


def _chosen(
    rng: np.random.Generator, labels: np.ndarray, *, shots: int, copies: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of ten classes in an order drawn by seed, and how many of each are in each part."""
    train, *others = LEARNT
    rows = []
    for place, label in enumerate(rng.permutation(10)):
        own = rng.permutation(np.flatnonzero(labels == label))
        copied = np.tile(own[:train], copies)
        learnt = np.concatenate([copied, own[train : sum(LEARNT)]])
        rows.append(learnt if place < 5 else own[: shots + CHOSEN + TESTED])
    return np.concatenate(rows), np.array([[train * copies, *others], [shots, CHOSEN, TESTED]])


def _labels(sizes: np.ndarray, learnt: int, new: int) -> np.ndarray:
    """The class of each row; rows of one class follow each other, learnt classes first."""
    return np.repeat(np.arange(learnt + new), np.repeat(sizes.sum(1), [learnt, new]))


def _posed(inputs: np.ndarray, sizes: np.ndarray, learnt: int, *, fresh: bool) -> Sample:
    """Rows in that order, of each class by part; sizes: (2, 3), of learnt and of new classes."""
    new = (len(inputs) - learnt * sizes[0].sum()) // sizes[1].sum()
    labels = _labels(sizes, learnt, new)
    blocks = zip(sizes, (learnt, new), strict=True)
    part = np.concatenate([np.tile(np.repeat(range(3), row), count) for row, count in blocks])
    is_new = labels >= learnt
    targets = np.where(is_new, NEW * (1 + part) + labels - learnt, labels)
    split = np.where(is_new, 2, part)
    return Sample(inputs, targets, TASK, standardise=fresh, fresh=fresh, split=split)
