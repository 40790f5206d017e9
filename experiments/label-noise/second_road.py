"""Cross-entropy and two robust losses again without lossbench: a plain PyTorch loop.

    python experiments/label-noise/second_road.py

Digits, 40 % of the training labels made wrong, an MLP 128-128, Adam, 100 epochs, five seeds; once
at the learning rate of the study and once at the one that its tuning chose for cross-entropy.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

SEEDS, EPOCHS, BATCH, RATE = 5, 100, 128, 0.4


def probability(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.softmax(logits, -1).gather(-1, target[:, None])[:, 0]


LOSSES = {
    "cross_entropy": functional.cross_entropy,
    "generalized_cross_entropy": lambda z, y: ((1 - probability(z, y) ** 0.7) / 0.7).mean(),
    "mean_absolute_error": lambda z, y: 2 * (1 - probability(z, y)).mean(),
}


def accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float((model(x).argmax(-1) == y).float().mean())


def train(loss, lr: float, seed: int) -> tuple[float, float]:
    """Accuracy on the wrong training labels, and on the test split."""
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
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return accuracy(model, x, y), accuracy(model, test_x, test_y)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for lr in (1e-3, 7.4e-5):
        for name, loss in LOSSES.items():
            found = np.array([train(loss, lr, seed) for seed in range(SEEDS)])
            error = found.std(0, ddof=1) / np.sqrt(SEEDS)
            print(
                f"lr {lr:g}  {name:26} given labels {found[:, 0].mean():.3f}"
                f"  test {found[:, 1].mean():.3f} +- {error[1]:.3f}"
            )
