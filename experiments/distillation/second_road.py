"""Students of smoothed and of plain teachers again: one plain PyTorch loop for both.

    python experiments/distillation/second_road.py

Ten draws of its own of the twenty classes, Adam, batches of 100, 80 epochs: a teacher 128-128 at
.001 without and with smoothing .1, how well its penultimate layer separates classes, and students
16 at .01 of it at temperatures 1 and 4. Next to them a student alone, logistic regression, the
most frequent class, and a student of labels that were shuffled.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

SEEDS, EPOCHS, CLASSES, LEARNT = 10, 80, 20, 1_000


def draw(seed: int) -> tuple[Tensor, Tensor]:
    """5,000 examples of twenty classes, each of two clusters, by the first 1,000's deviations."""
    rng = np.random.default_rng([seed, 11])
    labels = rng.integers(CLASSES, size=5_000)
    centres = 1.2 * rng.standard_normal((2, CLASSES, 20))
    inputs = centres[rng.integers(2, size=5_000), labels] + rng.standard_normal((5_000, 20))
    inputs = (inputs - inputs[:LEARNT].mean(0)) / inputs[:LEARNT].std(0)
    return torch.from_numpy(inputs).float(), torch.from_numpy(labels)


def train(x: Tensor, t: Tensor, hidden: list[int], rate: float, temperature: float) -> nn.Module:
    """A perceptron that is taught the distributions t, softened."""
    model, width = nn.Sequential(), x.shape[1]
    for wide in hidden:
        model.extend([nn.Linear(width, wide), nn.ReLU()])
        width = wide
    model.append(nn.Linear(width, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    soft = torch.softmax(t.log() / temperature, -1)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(100):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x[rows]) / temperature, soft[rows])
            (temperature**2 * loss).backward()
            optimizer.step()
    return model.requires_grad_(False)


def separation(features: Tensor, labels: Tensor) -> float:
    """R² of Kornblith et al. 2021: 1 less the cosine distance within classes over that of all."""
    unit = functional.normalize(features, dim=-1)
    within = [1 - unit[labels == k].mean(0).square().sum() for k in range(CLASSES)]
    centres = torch.stack([unit[labels == k].mean(0) for k in range(CLASSES)])
    return float(1 - torch.stack(within).mean() / (1 - centres.mean(0).square().sum()))


def measure(seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    x, y = draw(seed)
    learnt, labels, test = x[:LEARNT], functional.one_hot(y[:LEARNT], CLASSES).float(), x[LEARNT:]

    def right(model: nn.Module) -> float:
        return float((model(test).argmax(-1) == y[LEARNT:]).float().mean())

    found = {"student alone": right(train(learnt, labels, [16], 1e-2, 1))}
    for smoothing in (0.0, 0.1):
        smooth = (1 - smoothing) * labels + smoothing / CLASSES
        teacher = train(learnt, smooth, [128, 128], 1e-3, 1)
        name = f"smoothing {smoothing:g}"
        found[f"{name}: teacher"] = right(teacher)
        found[f"{name}: separation"] = separation(teacher[:-1](test), y[LEARNT:])
        given = torch.softmax(teacher(learnt).double(), -1).float()
        for temperature in (1, 4):
            student = train(learnt, given, [16], 1e-2, temperature)
            found[f"{name}: student at {temperature}"] = right(student)
    linear = LogisticRegression(max_iter=2000).fit(learnt, y[:LEARNT])
    found["logistic regression"] = linear.score(test, y[LEARNT:])
    found["most frequent class"] = float((y[LEARNT:] == y[:LEARNT].mode().values).float().mean())
    mixed = labels[torch.randperm(LEARNT)]
    found["student, shuffled"] = right(train(learnt, mixed, [16], 1e-2, 1))
    return found


def main() -> None:
    torch.set_num_threads(1)
    found = [measure(seed) for seed in range(SEEDS)]
    for name in found[0]:
        values = np.array([each[name] for each in found])
        print(f"{name:28} {values.mean():.4f} ± {values.std(ddof=1) / SEEDS**0.5:.4f}")
    for temperature in (1, 4):
        plain, smooth = (f"smoothing {s}: student at {temperature}" for s in ("0", "0.1"))
        gain = np.array([each[plain] - each[smooth] for each in found])
        spread = gain.std(ddof=1) / SEEDS**0.5
        print(f"cost of smoothing at {temperature}     {gain.mean():+.4f} ± {spread:.4f}")


if __name__ == "__main__":
    main()
