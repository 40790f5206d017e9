"""Losses for rare classes again without lossbench: a plain PyTorch loop, and scikit-learn.

    python experiments/long-tail/second_road.py

Digits of which the training classes fall from 104 examples to 1, in an order rotated by seed, an
MLP 128-128, Adam at .001, 80 epochs, eight seeds; and logistic regression on the same splits.
Adjusted after training is by hand: log p less the logarithm of the classes' training sizes. An
epoch of 257 examples is three batches of 86, 86 and 85, or with a leftover of 128, 128 and 1.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy

SEEDS, EPOCHS, BATCH, RATIO = 8, 80, 128, 0.01


def draw(seed: int) -> tuple[np.ndarray, ...]:
    """Long-tailed training examples and a test split in which all classes are as frequent."""
    inputs, labels = load_digits(return_X_y=True)
    rest, test_x, rest_y, test_y = train_test_split(
        inputs, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    x, _, y, _ = train_test_split(rest, rest_y, test_size=0.25, random_state=seed, stratify=rest_y)
    mean, deviation = x.mean(0), x.std(0)
    deviation[deviation == 0] = 1
    rng = np.random.default_rng(seed)
    sizes = np.bincount(y).min() * RATIO ** (np.arange(10) / 9)
    sizes = np.roll(np.rint(sizes).astype(int), rng.integers(10))
    kept = [rng.permutation(np.flatnonzero(y == k))[: sizes[k]] for k in range(10)]
    rows = np.concatenate(kept)
    return (x[rows] - mean) / deviation, y[rows], (test_x - mean) / deviation, test_y


def recalls(scores: np.ndarray, y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Balanced accuracy, and the mean recall of the three smallest classes."""
    decided = scores.argmax(1)
    few = np.argsort(sizes)[:3]
    rare = np.mean([(decided[y == k] == k).mean() for k in few])
    return np.array([balanced_accuracy_score(y, decided), rare])


def cut(order: torch.Tensor, leftover: bool) -> tuple[torch.Tensor, ...]:
    return order.split(BATCH) if leftover else order.tensor_split(-(-len(order) // BATCH))


def train(loss, x, y, test_x, seed: int, leftover: bool = False) -> np.ndarray:
    """Log-probabilities of the test split."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.from_numpy(x).float(), torch.from_numpy(y)
    for _ in range(EPOCHS):
        for rows in cut(torch.randperm(len(y)), leftover):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        return torch.log_softmax(model(torch.from_numpy(test_x).float()), -1).numpy()


def measure(seed: int) -> dict[str, np.ndarray]:
    """Of each road, balanced accuracy and the recall of rare classes on the test split."""
    x, y, test_x, test_y = draw(seed)
    sizes = np.bincount(y)
    counts = torch.from_numpy(sizes).float()
    effective = (1 - 0.999**counts) / (1 - 0.999)
    weights = 10 / effective / (1 / effective).sum()
    plain = train(cross_entropy, x, y, test_x, seed)
    scores = {
        "cross_entropy": plain,
        "cross_entropy, leftover batch": train(cross_entropy, x, y, test_x, seed, leftover=True),
        "adjusted after training": plain - np.log(sizes),
        "class_balanced": train(
            lambda z, t: (weights[t] * cross_entropy(z, t, reduction="none")).mean(),
            x, y, test_x, seed,
        ),
        "logit_adjustment": train(
            lambda z, t: cross_entropy(z + counts.log(), t), x, y, test_x, seed
        ),
    }  # fmt: skip
    for weight in (None, "balanced"):
        linear = LogisticRegression(class_weight=weight, max_iter=2000).fit(x, y)
        scores[f"logistic regression, {weight or 'plain'}"] = linear.predict_log_proba(test_x)
    frequent = np.zeros_like(plain)
    frequent[:, sizes.argmax()] = 1
    scores["the most frequent class"] = frequent
    scores["labels shuffled"] = train(
        cross_entropy, x, np.random.default_rng(seed).permutation(y), test_x, seed
    )
    return {name: recalls(score, test_y, sizes) for name, score in scores.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    seeds = [measure(seed) for seed in range(SEEDS)]
    for name in seeds[0]:
        found = np.array([each[name] for each in seeds])
        error = found.std(0, ddof=1) / np.sqrt(SEEDS)
        print(
            f"{name:31} balanced accuracy {found[:, 0].mean():.3f} +- {error[0]:.3f}"
            f"  rare classes {found[:, 1].mean():.3f} +- {error[1]:.3f}"
        )
