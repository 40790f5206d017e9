"""Batches of pairs again without lossbench: a plain PyTorch loop.

    python experiments/retrieval/second_road.py

Two views of eight latent numbers, two perceptrons, cosines times 20, Adam at .003, five seeds;
recall at 1 of 512 at the same number of epochs, and at the same number of steps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

SEEDS = 5
SIZES = {
    "16 epochs": {4: 16, 16: 16, 64: 16, 256: 16},
    "768 steps": {4: 2, 16: 8, 64: 32, 256: 128},
}


def draw(seed: int) -> list[torch.Tensor]:
    """Both views of 1,536 + 512 things, of variance 1."""
    rng = np.random.default_rng(seed)
    things, views = rng.standard_normal((2048, 8)), []
    for size in (24, 16):
        weights = rng.standard_normal((8, size))
        view = things @ (weights / np.linalg.norm(weights, axis=0))
        view += 0.5 * rng.standard_normal(view.shape)
        views.append(torch.from_numpy((view - view.mean(0)) / view.std(0)).float())
    return views


def train(batch: int, epochs: int, seed: int) -> float:
    views = draw(seed)
    torch.manual_seed(seed)
    sides = [
        nn.Sequential(nn.Linear(view.shape[1], 64), nn.ReLU(), nn.Linear(64, 16)) for view in views
    ]
    optimizer = torch.optim.Adam([p for side in sides for p in side.parameters()], lr=0.003)

    def score(rows: torch.Tensor) -> torch.Tensor:
        left, right = (
            functional.normalize(side(view[rows]), dim=-1)
            for side, view in zip(sides, views, strict=True)
        )
        return left @ right.T

    for _ in range(epochs):
        for rows in torch.randperm(1536).split(batch):
            optimizer.zero_grad()
            functional.cross_entropy(20 * score(rows), torch.arange(len(rows))).backward()
            optimizer.step()
    with torch.no_grad():
        scores = score(torch.arange(1536, 2048))
    return float((scores.argmax(1) == torch.arange(512)).float().mean())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for what, sizes in SIZES.items():
        for batch, epochs in sizes.items():
            recalls = np.array([train(batch, epochs, seed) for seed in range(SEEDS)])
            error = recalls.std(ddof=1) / np.sqrt(SEEDS)
            print(f"{what}, batches of {batch:3}: recall at 1 {recalls.mean():.3f} +- {error:.3f}")
