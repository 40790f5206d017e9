"""Poly-1 against cross-entropy again without lossbench: a plain PyTorch loop and scikit-learn.

    python experiments/polyloss/second_road.py

Digits, 300 to learn from and 1,200 to test on, ten splits of its own; a perceptron 128-128, Adam
at .001, 60 epochs, batches of 100. Also logistic regression, the most frequent class, shuffled
labels, and the probabilities that Poly-1 asks for where the true ones are .6, .3 and .1.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import optimize
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

SEEDS, EPOCHS, LEARNT = 10, 60, 300


def poly1(logits: Tensor, target: Tensor, epsilon: float) -> Tensor:
    chance = torch.softmax(logits, -1).gather(-1, target[:, None])[:, 0]
    return functional.cross_entropy(logits, target) + epsilon * (1 - chance).mean()


def train(x: Tensor, y: Tensor, epsilon: float, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(100):
            optimizer.zero_grad()
            poly1(model(x[rows]), y[rows], epsilon).backward()
            optimizer.step()
    return model


def ece(p: np.ndarray, y: np.ndarray) -> float:
    confidence, right = p.max(1), p.argmax(1) == y
    bins = np.minimum((confidence * 15).astype(int), 14)
    return sum(abs((right - confidence)[bins == b].sum()) for b in range(15)) / len(y)


def minimiser(epsilon: float, truth: np.ndarray) -> np.ndarray:
    def cost(logits: np.ndarray) -> float:
        p = np.exp(logits - logits.max())
        p /= p.sum()
        return float(truth @ (-np.log(p) + epsilon * (1 - p)))

    logits = optimize.minimize(cost, np.log(truth), method="BFGS").x
    return np.exp(logits) / np.exp(logits).sum()


def main() -> None:
    torch.set_num_threads(1)
    inputs, labels = load_digits(return_X_y=True)
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(SEEDS):
        place = np.random.default_rng([seed, 13]).permutation(len(labels))
        x, y = inputs[place], labels[place]
        x = (x - x[:LEARNT].mean(0)) / np.maximum(x[:LEARNT].std(0), 1e-6)
        features, digits = torch.from_numpy(x).float(), torch.from_numpy(y)
        test = slice(len(y) - 1200, None)
        learnt, shown = features[:LEARNT], digits[:LEARNT]
        for epsilon in (0.0, 1.0, 2.0, 5.0):
            model = train(learnt, shown, epsilon, seed).requires_grad_(False)
            p = torch.softmax(model(features[test]), -1).double().numpy()
            row = (np.mean(p.argmax(1) == y[test]), ece(p, y[test]))
            found.setdefault(f"epsilon {epsilon:g}", []).append(row)
        linear = LogisticRegression(max_iter=2000).fit(x[:LEARNT], y[:LEARNT])
        found.setdefault("logistic regression", []).append((linear.score(x[test], y[test]), np.nan))
        mode = np.bincount(y[:LEARNT]).argmax()
        found.setdefault("most frequent class", []).append((np.mean(y[test] == mode), np.nan))
        model = train(learnt, shown[torch.randperm(LEARNT)], 2.0, seed)
        guess = model(features[test]).argmax(1).numpy()
        found.setdefault("epsilon 2, shuffled", []).append((np.mean(guess == y[test]), np.nan))
    plain = np.array(found["epsilon 0"])
    for name, rows in found.items():
        values = np.array(rows)
        gain = values[:, 0] - plain[:, 0]
        error = gain.std(ddof=1) / np.sqrt(SEEDS)
        print(
            f"{name:20} accuracy {values[:, 0].mean():.4f}, less cross-entropy's "
            f"{gain.mean():+.4f} ± {error:.4f}, ece {values[:, 1].mean():.4f}"
        )
    for epsilon in (-1.0, 0.0, 1.0, 2.0, 5.0):
        print(f"minimiser at {epsilon:2g}:", minimiser(epsilon, np.array([0.6, 0.3, 0.1])).round(3))


if __name__ == "__main__":
    main()
