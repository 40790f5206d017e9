"""Both losses again without lossbench: a plain PyTorch loop, and least squares in closed form.

    python experiments/square-loss/second_road.py

Five splits of its own of digits, wine, breast cancer and iris, and five draws of fifty Gaussian
classes; a perceptron 128-128, Adam at .001, 40 epochs, batches of 64 (fifty classes: 128). Next to
them least squares on one-hot labels, logistic regression, the most frequent class, and the squared
error on shuffled labels.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

SEEDS, EPOCHS = 5, 40


def squared(outputs: Tensor, target: Tensor) -> Tensor:
    one_hot = functional.one_hot(target, outputs.shape[-1])
    return (outputs - one_hot).square().sum(-1).mean()


def rescaled(outputs: Tensor, target: Tensor, k: float, m: float) -> Tensor:
    one_hot = functional.one_hot(target, outputs.shape[-1])
    return ((1 + (k - 1) * one_hot) * (outputs - m * one_hot).square()).mean()


LOSSES = {
    "cross-entropy": functional.cross_entropy,
    "squared error": squared,
    "k 1, M 15": lambda z, y: rescaled(z, y, 1, 15),
    "k 5, M 15": lambda z, y: rescaled(z, y, 5, 15),
}


def fifty(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, 50])
    labels = np.arange(5000) % 50
    return 1.2 * rng.standard_normal((50, 20))[labels] + rng.standard_normal((5000, 20)), labels


def train(x: Tensor, y: Tensor, loss, batch: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    classes = int(y.max()) + 1
    model = nn.Sequential(
        nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),
        nn.Linear(128, classes),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).chunk(max(1, len(x) // batch)):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def score(x: np.ndarray, y: np.ndarray, seed: int, batch: int, names: list[str]) -> list[float]:
    """Test accuracy of each loss, then of what stands next to them."""
    place = np.random.default_rng([seed, 6]).permutation(len(y))
    x, y, learnt, last = x[place], y[place], int(0.6 * len(y)), int(0.8 * len(y))
    x = (x - x[:learnt].mean(0)) / np.maximum(x[:learnt].std(0), 1e-6)
    features, labels = torch.from_numpy(x).float(), torch.from_numpy(y)

    def accuracy(model: nn.Module) -> float:
        with torch.no_grad():
            return float((model(features[last:]).argmax(1) == labels[last:]).float().mean())

    first, own = features[:learnt], labels[:learnt]
    found = [accuracy(train(first, own, LOSSES[name], batch, seed)) for name in names]
    ones = np.c_[x, np.ones(len(x))]
    weights = np.linalg.lstsq(ones[:learnt], np.eye(y.max() + 1)[y[:learnt]], rcond=None)[0]
    logistic = LogisticRegression(max_iter=2000).fit(x[:learnt], y[:learnt])
    mixed = own[torch.randperm(learnt, generator=torch.Generator().manual_seed(seed))]
    return [
        *found,
        float(np.mean((ones[last:] @ weights).argmax(1) == y[last:])),
        float(logistic.score(x[last:], y[last:])),
        float(np.mean(y[last:] == np.bincount(y[:learnt]).argmax())),
        accuracy(train(first, mixed, squared, batch, seed)),
    ]


def main() -> None:
    torch.set_num_threads(1)
    sets = {
        "digits": lambda seed: datasets.load_digits(return_X_y=True),
        "wine": lambda seed: datasets.load_wine(return_X_y=True),
        "breast cancer": lambda seed: datasets.load_breast_cancer(return_X_y=True),
        "iris": lambda seed: datasets.load_iris(return_X_y=True),
        "fifty classes": fifty,
    }
    for name, of in sets.items():
        names = list(LOSSES)[: 4 if name == "fifty classes" else 2]
        batch = 128 if name == "fifty classes" else 64
        found = np.array([score(*of(seed), seed, batch, names) for seed in range(SEEDS)])
        gain = found - found[:, :1]
        error = gain.std(0, ddof=1) / np.sqrt(SEEDS)
        labels = [*names, "closed form", "logistic regression", "most frequent", "shuffled"]
        print(name)
        for label, mean, more, e in zip(labels, found.mean(0), gain.mean(0), error, strict=True):
            print(f"  {label:20} {mean:.4f}  less cross-entropy's {more:+.4f} ± {e:.4f}")


if __name__ == "__main__":
    main()
