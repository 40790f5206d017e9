"""CTC's spikes and the KL term again without lossbench: PyTorch's own losses in a plain loop.

    python experiments/structured/second_road.py

Strips are drawn here: 20 steps of two columns, three digits at random places, an empty column
between them at least. Two seeds of each; Adam at .003, batches of 64, 30 epochs.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

SEEDS, EPOCHS, STEPS, DIGITS = 2, 30, 20, 3


def fit(parameters, count: int, loss_of, seed: int) -> None:
    optimizer = torch.optim.Adam(parameters, lr=3e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(count).split(64):
            optimizer.zero_grad()
            loss_of(rows).backward()
            optimizer.step()


def strips(seed: int, count: int = 1280) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (N, 16, 20), the class of each step, 0 where there is none, and labels (N, 3)."""
    rng = np.random.default_rng([seed, 61])
    images, digits = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) / 8 - 1
    x, classes = -np.ones((count, 2 * STEPS, 8)), np.zeros((count, 2 * STEPS), int)
    chosen = rng.integers(len(digits), size=(count, DIGITS))
    spare = 2 * STEPS - 8 * DIGITS - (DIGITS - 1)
    for row, picked in enumerate(chosen):
        edges = np.sort(rng.integers(spare + 1, size=DIGITS))
        for place, (edge, image) in enumerate(zip(edges, picked, strict=True)):
            columns = slice(edge + 9 * place, edge + 9 * place + 8)
            x[row, columns] = images[image].T
            classes[row, columns] = digits[image] + 1
    steps = x.reshape(count, STEPS, 16).transpose(0, 2, 1)
    labels = torch.from_numpy(digits[chosen] + 1)
    return torch.from_numpy(steps).float(), torch.from_numpy(classes[:, 1::2]), labels


def read(name: str, seed: int) -> list[float]:
    """The share of steps that are blank, and of strips that are read without a mistake."""
    torch.manual_seed(seed)
    x, classes, labels = strips(seed)
    model = nn.Sequential(
        nn.Conv1d(16, 64, 7, padding=3), nn.ReLU(),
        nn.Conv1d(64, 64, 7, padding=3), nn.ReLU(), nn.Conv1d(64, 11, 1),
    )  # fmt: skip

    def loss_of(rows: Tensor) -> Tensor:
        scores = model(x[rows])
        if name == "cross_entropy":
            return functional.cross_entropy(scores, classes[rows])
        sizes = [torch.full((len(rows),), size) for size in (STEPS, DIGITS)]
        logs = scores.permute(2, 0, 1).log_softmax(-1)
        return functional.ctc_loss(logs, labels[rows], *sizes)

    fit(model.parameters(), 960, loss_of, seed)
    with torch.no_grad():
        path = model(x[960:]).argmax(1)
    decoded = [[int(k) for k in torch.unique_consecutive(row) if k] for row in path]
    right = np.mean([d == row.tolist() for d, row in zip(decoded, labels[960:], strict=True)])
    return [float((path == 0).float().mean()), float(right)]


def encode(beta: float, seed: int) -> list[float]:
    """KL and reconstruction in nats on test digits, of the latents' means as in the study."""
    torch.manual_seed(seed)
    x = torch.from_numpy(load_digits().data / 16).float()[torch.randperm(1797)]
    encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    decoder = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64))

    def parts(batch: Tensor, drawn: bool) -> tuple[Tensor, Tensor]:
        mean, log_variance = encoder(batch).chunk(2, -1)
        posterior = Normal(mean, (log_variance / 2).exp())
        logits = decoder(posterior.rsample() if drawn else mean)
        surprise = functional.binary_cross_entropy_with_logits(logits, batch, reduction="none")
        return kl_divergence(posterior, Normal(0.0, 1.0)).sum(-1).mean(), surprise.sum(-1).mean()

    def loss_of(rows: Tensor) -> Tensor:
        kl, reconstruction = parts(x[rows], drawn=True)
        return reconstruction + beta * kl

    fit([*encoder.parameters(), *decoder.parameters()], 1078, loss_of, seed)
    with torch.no_grad():
        return [float(part) for part in parts(x[1437:], drawn=False)]


def main() -> None:
    torch.set_num_threads(1)
    for name in ("ctc", "cross_entropy"):
        blank, right = np.mean([read(name, seed) for seed in range(SEEDS)], axis=0)
        print(f"{name:14} blank {blank:.3f}, strips read without a mistake {right:.3f}")
    for beta in (0.0, 0.1, 0.3, 1.0, 3.0, 10.0):
        kl, reconstruction = np.mean([encode(beta, seed) for seed in range(SEEDS)], axis=0)
        print(f"beta {beta:4}      KL {kl:.3g}, reconstruction {reconstruction:.3f}")


if __name__ == "__main__":
    main()
