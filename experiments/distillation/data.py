"""Sets whose training targets are labels, smoothed labels, or what a teacher makes of them.

A row's target to train on is a distribution; to validate and to test on it is the label. The
teacher is a perceptron 128-128 trained on the seed's own training rows.
"""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from lossbench.contract import Sample
from lossbench.datasets import published

WIDTHS, RATE, EPOCHS, BATCH = (128, 128), 1e-3, 80, 100
Smoothing = Annotated[float, "[0, 1)"]


def digits(
    rng: np.random.Generator, /, *, smoothing: Smoothing = 0.0, distilled: bool = False
) -> Sample:
    """scikit-learn's digits, 300 to learn from."""
    inputs, labels = load_digits(return_X_y=True)
    return _posed(rng, inputs, labels, (300, 1_137), smoothing, distilled)


def mnist(
    rng: np.random.Generator, /, *, smoothing: Smoothing = 0.0, distilled: bool = False
) -> Sample:
    """5,000 digits of MNIST, each pixel the mean of four; 1,000 to learn from."""
    sample = published.mnist5k(rng)
    inputs = sample.inputs.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196)
    return _posed(rng, inputs, sample.targets, (1_000, 3_000), smoothing, distilled)


def gaussians(
    rng: np.random.Generator, /, *, smoothing: Smoothing = 0.0, distilled: bool = False
) -> Sample:
    """Twenty classes in 20 dimensions, each of two Gaussian clusters; 1,000 rows to learn from."""
    labels = rng.permutation(np.arange(4_000) % 20)
    centres = 1.2 * rng.standard_normal((40, 20))
    inputs = centres[labels + 20 * rng.integers(2, size=4_000)] + rng.standard_normal((4_000, 20))
    return _posed(rng, inputs, labels, (1_000, 1_000), smoothing, distilled, fresh=True)


def _posed(
    rng: np.random.Generator,
    inputs: np.ndarray,
    labels: np.ndarray,
    sizes: tuple[int, int],
    smoothing: float,
    distilled: bool,
    fresh: bool = False,
) -> Sample:
    """So many rows to learn from and to validate on, all others to test on."""
    place = rng.permutation(len(labels))
    split = np.searchsorted(np.cumsum(sizes), place, side="right")
    seed, learnt = int(rng.integers(2**62)), split == 0
    targets = np.eye(labels.max() + 1)[labels]
    targets[learnt] = (1 - smoothing) * targets[learnt] + smoothing / targets.shape[1]
    if distilled:
        shown = inputs[learnt]
        shown = (shown - shown.mean(0)) / np.maximum(shown.std(0), 1e-6)
        targets[learnt] = taught(shown, targets[learnt], seed)
    return Sample(inputs, targets, "distribution", fresh=fresh, split=split)


def taught(inputs: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
    """The probabilities that a teacher gives the rows that it was trained on."""
    x = torch.from_numpy(inputs).float()
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        teacher = trained(x, torch.from_numpy(targets).float())
    return torch.softmax(teacher(x).detach().double(), -1).numpy()


def trained(x: Tensor, targets: Tensor) -> nn.Module:
    """A perceptron after the last epoch of Adam on the cross-entropy."""
    widths = (x.shape[1], *WIDTHS)
    layers = [
        layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())
    ]
    model = nn.Sequential(*layers, nn.Linear(widths[-1], targets.shape[1]))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), targets[rows]).backward()
            optimizer.step()
    return model
