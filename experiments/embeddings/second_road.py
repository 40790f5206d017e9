"""Softmax, ArcFace, centre loss and contrastive again without lossbench: a plain PyTorch loop.

    python experiments/embeddings/second_road.py

Digits, a perceptron of 64 to 16 numbers, Adam at .003, 15 epochs, five seeds. Equal error rate of
"the same digit?" over all pairs of test examples, by scikit-learn's ROC, and angles within a class.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_curve
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

SEEDS, EPOCHS, BATCH = 5, 15, 64


class Head(nn.Module):
    """A weight, a bias and a centre for each digit."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(10, 16)))
        self.bias = nn.Parameter(torch.zeros(10))
        self.centres = nn.Parameter(torch.zeros(10, 16))

    def softmax(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(x @ self.weight.T + self.bias, y)

    def center(self, x: torch.Tensor, y: torch.Tensor, strength: float = 0.003) -> torch.Tensor:
        apart = (x - self.centres[y]).square().sum(-1).mean()
        return self.softmax(x, y) + strength / 2 * apart

    def arcface(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        cosine = functional.normalize(x, dim=-1) @ functional.normalize(self.weight, dim=-1).T
        angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
        turned = torch.where(
            angle + 0.5 > math.pi, cosine - 0.5 * math.sin(0.5), (angle + 0.5).cos()
        )
        own = functional.one_hot(y, 10).bool()
        return functional.cross_entropy(64 * torch.where(own, turned, cosine), y)

    def contrastive(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        first, second = torch.triu_indices(len(x), len(x), 1)
        distance = (x[first] - x[second]).norm(dim=-1)
        same = y[first] == y[second]
        return torch.where(same, distance.square(), (1 - distance).clamp(min=0).square()).mean()


def train(name: str, seed: int) -> tuple[float, float]:
    inputs, labels = load_digits(return_X_y=True)
    rest, test_x, rest_y, test_y = train_test_split(
        inputs / 16, labels, test_size=0.2, random_state=seed, stratify=labels
    )
    x, _, y, _ = train_test_split(rest, rest_y, test_size=0.25, random_state=seed, stratify=rest_y)
    x, test_x = torch.from_numpy(x).float(), torch.from_numpy(test_x).float()
    y = torch.from_numpy(y)
    torch.manual_seed(seed)
    head = Head()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16))
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.003)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            getattr(head, name)(model(x[rows]), y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        u = functional.normalize(model(test_x), dim=-1)
    first, second = np.triu_indices(len(test_y), 1)
    cosine, same = (u @ u.T).numpy()[first, second], test_y[first] == test_y[second]
    accepted, found, _ = roc_curve(same, cosine)
    crossing = np.argmin(np.abs(accepted - (1 - found)))
    angle = np.degrees(np.arccos(cosine[same].clip(-1, 1))).mean()
    return float((accepted + 1 - found)[crossing] / 2), float(angle)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in ("softmax", "center", "arcface", "contrastive"):
        numbers = np.array([train(name, seed) for seed in range(SEEDS)])
        error = numbers.std(0, ddof=1) / np.sqrt(SEEDS)
        rate, angle = numbers.mean(0)
        print(
            f"{name:12} equal error rate {rate:.4f} +- {error[0]:.4f}"
            f"  angle within a class {angle:.1f} +- {error[1]:.1f}"
        )
