"""Bounded cross-entropy again without lossbench: a plain PyTorch loop.

    python experiments/classifiers/second_road.py

Digits, 40 % of the training labels made wrong, an MLP 128-128, Adam at .003, 60 epochs, five seeds.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

SEEDS, EPOCHS, BATCH, RATE = 5, 60, 64, 0.4


def train(bound: float, seed: int) -> tuple[float, float, float]:
    """Accuracy on the given labels and on the test split; share of examples beyond the bound."""
    inputs, labels = load_digits(return_X_y=True)
    rest, test_x, rest_y, test_y = train_test_split(
        inputs, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    x, _, y, _ = train_test_split(rest, rest_y, test_size=0.25, random_state=seed, stratify=rest_y)
    mean, deviation = x.mean(0), x.std(0)
    deviation[deviation == 0] = 1
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(y))[: round(RATE * len(y))]
    y[wrong] = (y[wrong] + rng.integers(1, 10, len(wrong))) % 10
    x, test_x = (torch.from_numpy((part - mean) / deviation).float() for part in (x, test_x))
    y, test_y = torch.from_numpy(y), torch.from_numpy(test_y)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x[rows]), y[rows], reduction="none")
            loss.clamp(max=bound).mean().backward()
            optimizer.step()
    with torch.no_grad():
        logits = model(x)
        beyond = (functional.cross_entropy(logits, y, reduction="none") > bound).float().mean()
        given = (logits.argmax(-1) == y).float().mean()
        right = (model(test_x).argmax(-1) == test_y).float().mean()
    return float(given), float(right), float(beyond)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for bound in (float("inf"), 3.0, 5.0):
        numbers = np.array([train(bound, seed) for seed in range(SEEDS)])
        error = numbers[:, 1].std(ddof=1) / np.sqrt(SEEDS)
        given, right, beyond = numbers.mean(0)
        print(
            f"bound {bound:3}: given labels {given:.3f}  test {right:.3f} +- {error:.3f}"
            f"  beyond the bound {beyond:.3f}"
        )
