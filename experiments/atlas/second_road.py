"""Three surprises of the atlas again without lossbench: plain PyTorch loops on data as published.

    python experiments/atlas/second_road.py

1. Ten hinges, one for each class, where three labels in ten are wrong: digits of scikit-learn.
2. The pinball loss at one half, which is half of the absolute error: Friedman's function.
3. A proportional-odds model that agrees less than cross-entropy: ratings of marriages, statsmodels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from sklearn import datasets, metrics, model_selection
from statsmodels.datasets import fair
from torch import Tensor, nn
from torch.nn import functional

SEEDS = 20
Loss = Callable[[Tensor, Tensor], Tensor]


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    sizes = (inputs, 64, 64, outputs)
    layers = [[nn.Linear(a, b), nn.ReLU()] for a, b in itertools.pairwise(sizes)]
    return nn.Sequential(*itertools.chain.from_iterable(layers))[:-1]


def train(
    model: nn.Module, x: Tensor, y: Tensor, loss: Loss, epochs: int, batch: int, eps: float = 1e-8
) -> nn.Module:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003, eps=eps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def parts(x: np.ndarray, y: np.ndarray, seed: int, classes: bool) -> list[np.ndarray]:
    """Standardised training inputs, their targets, and those of the test: .6 and .2 of all."""
    strata = y if classes else None
    x, rest_x, y, rest_y = model_selection.train_test_split(
        x, y, train_size=0.6, random_state=seed, stratify=strata
    )
    test_x, test_y = rest_x[::2], rest_y[::2]
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    return [(x - mean) / scale, y, (test_x - mean) / scale, test_y]


def paired(name: str, first: list[float], second: list[float]) -> None:
    gap = np.subtract(first, second)
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    print(
        f"{name:44} {np.mean(first):.4f} against {np.mean(second):.4f}: "
        f"{gap.mean():+.4f} +- {error:.4f}"
    )


# ---- 1. hinges under wrong labels --------------------------------------------------------------
def hinges(logits: Tensor, target: Tensor) -> Tensor:
    signs = 2 * functional.one_hot(target, logits.shape[1]) - 1
    return torch.relu(1 - signs * logits).sum(1).mean()


def accuracy(loss: Loss, seed: int, wrong: float) -> float:
    x, y, test_x, test_y = parts(*datasets.load_digits(return_X_y=True), seed, classes=True)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))[: round(wrong * len(y))]
    y = y.copy()
    y[rows] = (y[rows] + rng.integers(1, 10, len(rows))) % 10
    torch.manual_seed(seed)
    model = train(mlp(64, 10), torch.tensor(x).float(), torch.tensor(y), loss, 20, 64)
    with torch.no_grad():
        decided = model(torch.tensor(test_x).float()).argmax(1).numpy()
    return float(np.mean(decided == test_y))


# ---- 2. half of the absolute error -------------------------------------------------------------
def pinball(prediction: Tensor, target: Tensor) -> Tensor:
    r = target - prediction[:, 0]
    return torch.maximum(0.5 * r, -0.5 * r).mean()


def absolute(prediction: Tensor, target: Tensor) -> Tensor:
    return (target - prediction[:, 0]).abs().mean()


def root_mean_squared_error(loss: Loss, seed: int, eps: float) -> float:
    x, y, test_x, test_y = parts(
        *datasets.make_friedman1(500, noise=1.0, random_state=seed), seed, classes=False
    )
    torch.manual_seed(seed)
    target = torch.tensor((y - y.mean()) / y.std())
    model = train(mlp(10, 1).double(), torch.tensor(x), target, loss, 20, 64, eps)
    with torch.no_grad():
        off = model(torch.tensor(test_x))[:, 0].numpy() * y.std() + y.mean() - test_y
    return float(np.sqrt(np.mean(off**2)))


# ---- 3. proportional odds ----------------------------------------------------------------------
class Proportional(nn.Module):
    """Log-probabilities of grades between cuts, which begin at 0, -.69, -1.39, … or where told."""

    def __init__(self, inputs: int, cuts: Tensor | None, grades: int) -> None:
        super().__init__()
        self.score = mlp(inputs, 1)
        first, gaps = torch.zeros(1), torch.zeros(grades - 2)
        if cuts is not None:
            first, gaps = cuts[:1].clone(), (-cuts.diff()).expm1().log()
        self.first, self.gaps = nn.Parameter(first), nn.Parameter(gaps)

    def forward(self, x: Tensor) -> Tensor:
        gaps = functional.softplus(self.gaps).cumsum(0)
        cuts = self.first - torch.cat([torch.zeros(1), gaps])
        beyond = torch.sigmoid(self.score(x) + cuts)
        whole = torch.ones(len(x), 1)
        between = torch.cat([whole, beyond], 1) - torch.cat([beyond, 0 * whole], 1)
        return between.clamp_min(1e-12).log()


def agreement(seed: int, kind: str, epochs: int) -> float:
    """Quadratic weighted kappa of the likeliest grade, cuts at 0 or at the shares of grades."""
    table = fair.load_pandas().data
    grades = table.pop("rate_marriage").to_numpy(np.int64) - 1
    x, y, test_x, test_y = parts(table.to_numpy(np.float64), grades, seed, classes=True)
    torch.manual_seed(seed)
    beyond = torch.tensor([np.mean(y > k) for k in range(4)]).float()
    model = {
        "cross-entropy": lambda: mlp(x.shape[1], 5),
        "cuts as they come": lambda: Proportional(x.shape[1], None, 5),
        "cuts at the shares": lambda: Proportional(x.shape[1], torch.logit(beyond), 5),
    }[kind]()
    train(model, torch.tensor(x).float(), torch.tensor(y), functional.cross_entropy, epochs, 256)
    with torch.no_grad():
        decided = model(torch.tensor(test_x).float()).argmax(1).numpy()
    return float(metrics.cohen_kappa_score(decided, test_y, weights="quadratic"))


def main() -> None:
    torch.set_num_threads(1)
    for wrong in (0.3, 0.0):
        first, second = (
            [accuracy(loss, seed, wrong) for seed in range(SEEDS)]
            for loss in (hinges, functional.cross_entropy)
        )
        paired(f"1. accuracy of hinges, {wrong:.0%} wrong", first, second)
    for eps in (1e-8, 1e-30):
        first, second = (
            [root_mean_squared_error(loss, seed, eps) for seed in range(SEEDS)]
            for loss in (pinball, absolute)
        )
        paired(f"2. error of pinball, Adam's eps {eps:g}", first, second)
        print(f"   largest difference of a seed {np.abs(np.subtract(first, second)).max():.1e}")
    for kind, epochs in (("cuts as they come", 15), ("cuts at the shares", 15)):
        first, second = (
            [agreement(seed, each, epochs) for seed in range(5)] for each in (kind, "cross-entropy")
        )
        paired(f"3. kappa, {kind}, {epochs} epochs", first, second)


if __name__ == "__main__":
    main()
