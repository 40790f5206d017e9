"""Four losses on identities never seen, again: a plain PyTorch loop, and MAP@R by a double loop.

    python experiments/metric-learning/second_road.py

Ten draws of its own of 100 + 50 identities, eight takes each, an MLP 64-128-128-64, Adam at .003,
batches of 8 identities with four takes, 10 epochs, the losses' defaults. Next to them the features
as they are, a network that is not trained, linear discriminant analysis, and a normalised softmax
of identities that were shuffled.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor, nn
from torch.nn import functional

SEEDS, EPOCHS, LEARNT, TESTED, TAKES = 10, 10, 100, 50, 8


def draw(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs and identities to learn from, and others to test on; by the first's deviations."""
    rng, fixed = np.random.default_rng([seed, 7]), np.random.default_rng(9)
    labels = np.repeat(np.arange(LEARNT + TESTED), TAKES)
    who = rng.standard_normal((LEARNT + TESTED, 8))[labels]
    who += 0.5 * rng.standard_normal(who.shape)
    how = math.sqrt(2) * rng.standard_normal(who.shape)
    first, second = fixed.standard_normal((16, 64)) / 4, fixed.standard_normal((64, 64)) / 8
    x = np.tanh(np.hstack([who, how]) @ first) @ second
    some = LEARNT * TAKES
    x = torch.from_numpy((x - x[:some].mean(0)) / x[:some].std(0)).float()
    y = torch.from_numpy(labels)
    return x[:some], y[:some], x[some:], y[some:]


def softmax(u: Tensor, y: Tensor, w: Tensor, margin: float = 0.0, scale: float = 20.0) -> Tensor:
    """Cross-entropy of cosines, the true angle larger by the margin (ArcFace)."""
    cosine = u @ functional.normalize(w, dim=-1).T
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos() + margin
    turned = torch.where(angle > math.pi, cosine - margin * math.sin(margin), angle.cos())
    own = functional.one_hot(y, LEARNT).bool()
    return functional.cross_entropy(scale * torch.where(own, turned, cosine), y)


def triplet(u: Tensor, y: Tensor, margin: float = 0.2) -> Tensor:
    """Mean over anchors of the mean over their triplets."""
    far = 2 - 2 * u @ u.T
    same = y[:, None] == y
    mate = same & ~torch.eye(len(y), dtype=torch.bool)
    chosen = mate[:, :, None] & ~same[:, None, :]
    cost = (far[:, :, None] - far[:, None, :] + margin).clamp(min=0) * chosen
    return (cost.sum((1, 2)) / chosen.sum((1, 2)).clamp(min=1)).mean()


def sup_con(u: Tensor, y: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean over anchors of the mean over their mates of -log softmax among all others."""
    itself = torch.eye(len(y), dtype=torch.bool)
    mate = (y[:, None] == y) & ~itself
    nats = -(u @ u.T / temperature).masked_fill(itself, -torch.inf).log_softmax(-1)
    return (nats.masked_fill(~mate, 0).sum(-1) / mate.sum(-1).clamp(min=1)).mean()


def batches(y: Tensor) -> list[Tensor]:
    """Runs of four takes of an identity, in random order, eight in a batch."""
    runs = [run for k in range(LEARNT) for run in torch.randperm(TAKES).split(4)]
    takes = torch.stack([torch.nonzero(y == i // 2).squeeze(1)[run] for i, run in enumerate(runs)])
    return list(takes[torch.randperm(len(takes))].flatten().split(32))


def train(name: str, x: Tensor, y: Tensor) -> nn.Module:
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64)
    )
    w = nn.Parameter(nn.init.xavier_uniform_(torch.empty(LEARNT, 64)))
    losses = {
        "normalised softmax": lambda u, y: softmax(u, y, w),
        "ArcFace": lambda u, y: softmax(u, y, w, 0.5, 64.0),
        "triplet": triplet,
        "SupCon": sup_con,
    }
    optimizer = torch.optim.Adam([*model.parameters(), w], lr=0.003)
    for _ in range(EPOCHS if name else 0):
        for rows in batches(y):
            optimizer.zero_grad()
            losses[name](functional.normalize(model(x[rows]), dim=-1), y[rows]).backward()
            optimizer.step()
    return model.requires_grad_(False)


def map_at_r(embedding: Tensor, y: Tensor) -> float:
    """For each example: the share of mates among the first 1, 2, … R, where the last is one."""
    u = functional.normalize(embedding, dim=-1)
    cosine, labels, scores = (u @ u.T).numpy(), y.tolist(), []
    for query, row in enumerate(cosine):
        near = [int(i) for i in np.argsort(-row) if i != query]
        hits, total = 0, 0.0
        for rank, other in enumerate(near[: TAKES - 1], start=1):
            if labels[other] == labels[query]:
                hits += 1
                total += hits / rank
        scores.append(total / (TAKES - 1))
    return float(np.mean(scores))


def measure(seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    x, y, test, unseen = draw(seed)
    found = {"features": map_at_r(test, unseen)}
    found["not trained"] = map_at_r(train("", x, y)(test), unseen)
    for name in ("normalised softmax", "ArcFace", "triplet", "SupCon"):
        found[name] = map_at_r(train(name, x, y)(test), unseen)
    linear = LinearDiscriminantAnalysis(n_components=8).fit(x, y)
    found["linear discriminants"] = map_at_r(torch.from_numpy(linear.transform(test)), unseen)
    mixed = y[torch.randperm(len(y))]
    found["softmax, shuffled"] = map_at_r(train("normalised softmax", x, mixed)(test), unseen)
    return found


def main() -> None:
    torch.set_num_threads(1)
    found = [measure(seed) for seed in range(SEEDS)]
    for name in found[0]:
        values = np.array([each[name] for each in found])
        print(f"{name:22} {values.mean():.4f} ± {values.std(ddof=1) / SEEDS**0.5:.4f}")
    for name in ("ArcFace", "triplet", "SupCon"):
        gain = np.array([each[name] - each["normalised softmax"] for each in found])
        spread = gain.std(ddof=1) / SEEDS**0.5
        print(f"{name} less softmax".ljust(22), f"{gain.mean():+.4f} ± {spread:.4f}")


if __name__ == "__main__":
    main()
