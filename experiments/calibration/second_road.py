"""The over-confident regime again without lossbench: a plain PyTorch loop, and SciPy for T.

    python experiments/calibration/second_road.py

Four Gaussian classes are drawn here as the study's are described; 1,200 examples to train on, 400
to fit T on and 400 to test on, for each of ten seeds. Next to the networks stands the true
posterior, which is calibrated: its error is what 400 examples alone make of 0.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy import optimize
from torch import nn
from torch.nn import functional

SEEDS, EPOCHS, BATCH, CLASSES, FEATURES = 10, 80, 128, 4, 30


def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, labels and true posteriors of 2,000 examples."""
    rng = np.random.default_rng([seed, 77])
    labels = rng.permutation(np.arange(2000) % CLASSES)
    angles = 2 * np.pi * np.arange(CLASSES) / CLASSES
    square = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], 1)  # neighbours 2 apart
    plane = np.linalg.qr(rng.standard_normal((FEATURES, 2)))[0]
    x = (square @ plane.T)[labels] + rng.standard_normal((2000, FEATURES))
    scores = -((x[:, None] - (square @ plane.T)[None]) ** 2).sum(-1) / 2
    posterior = torch.softmax(torch.from_numpy(scores), -1)
    x = (x - x[:1200].mean(0)) / x[:1200].std(0)
    return torch.from_numpy(x).float(), torch.from_numpy(labels), posterior


def focal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    p = torch.softmax(logits, -1).gather(-1, target[:, None])[:, 0]
    return -((1 - p) ** 3 * p.clamp_min(1e-30).log()).mean()


def brier(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    one_hot = functional.one_hot(target, CLASSES)
    return (torch.softmax(logits, -1) - one_hot).square().sum(-1).mean()


def smoothed(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, target, label_smoothing=0.1)


LOSSES = {
    "cross_entropy": functional.cross_entropy,
    "focal 3": focal,
    "brier": brier,
    "label_smoothing": smoothed,
}


def train(x: torch.Tensor, y: torch.Tensor, loss, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    sizes = (FEATURES, 128, 128, CLASSES)
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def ece(p: np.ndarray, y: np.ndarray) -> float:
    """Of the likeliest class in 15 bins of equal width."""
    confidence, correct = p.max(1), p.argmax(1) == y
    bins = np.minimum((confidence * 15).astype(int), 14)
    return sum(abs((correct - confidence)[bins == b].sum()) for b in range(15)) / len(y)


def temperature(logits: torch.Tensor, y: torch.Tensor) -> float:
    def cost(log_t: float) -> float:
        return float(functional.cross_entropy(logits.double() / np.exp(log_t), y))

    return float(np.exp(optimize.minimize_scalar(cost, bounds=(-4, 4), method="bounded").x))


def main() -> None:
    torch.set_num_threads(1)
    rows: dict[str, list[list[float]]] = {}
    for seed in range(SEEDS):
        x, y, posterior = draw(seed)
        true, test = posterior[1600:].numpy(), y[1600:].numpy()
        rows.setdefault("true posterior", []).append(
            [ece(true, test), 1.0, ece(true, test), np.mean(true.argmax(1) == test), 0.0]
        )
        for name, loss in LOSSES.items():
            model = train(x[:1200], y[:1200], loss, seed)
            with torch.no_grad():
                held, logits = model(x[1200:1600]), model(x[1600:]).double()
            t = temperature(held, y[1200:1600])
            p, scaled = (torch.softmax(logits / each, -1).numpy() for each in (1.0, t))
            right = np.mean(p.argmax(1) == test)
            rows.setdefault(name, []).append(
                [ece(p, test), t, ece(scaled, test), right, p.max(1).mean() - right]
            )
    print(
        f"{'mean of ' + str(SEEDS) + ' seeds':16} ECE    +- s.e.  T     scaled accuracy too sure by"
    )
    for name, values in rows.items():
        mean, error = np.mean(values, 0), np.std(values, 0, ddof=1) / np.sqrt(SEEDS)
        print(
            f"{name:16} {mean[0]:.4f} {error[0]:.4f}  {mean[1]:.2f}  {mean[2]:.4f} {mean[3]:.4f}"
            f"   {mean[4]:+.4f}"
        )


if __name__ == "__main__":
    main()
