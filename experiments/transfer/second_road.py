"""Features of drawn classes again: a plain PyTorch loop, and scikit-learn's probe of new classes.

    python experiments/transfer/second_road.py

Ten draws of its own of the study's thirty and ten Gaussian classes, an MLP 64-128-128-30, Adam at
.002, batches of 128, 30 epochs, the losses' defaults. Next to them the inputs, a network that is
not trained, one of labels that were shuffled, logistic regression and the most frequent class.
Last, of one seed of the study's moved digits, the features that lossbench keeps, probed by both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from lossbench import run

SEEDS, EPOCHS, CLASSES, NEW = 10, 30, 30, 10
FOLDER = "experiments/transfer"
Rows = tuple[np.ndarray, np.ndarray]


def draw(seed: int) -> list[tuple[Tensor, Tensor]]:
    """Learnt classes to train and to test on, new ones to learn, to choose and to test a probe."""
    rng, fixed = np.random.default_rng([seed, 12]), np.random.default_rng(12)
    centres = np.zeros((CLASSES + NEW, 20))
    centres[:CLASSES, :8] = 3.5 * rng.standard_normal((CLASSES, 8))
    centres[CLASSES:, 4:12] = 3.5 * rng.standard_normal((NEW, 8))
    first, second = fixed.standard_normal((20, 64)) / 8, fixed.standard_normal((64, 64)) / 8
    old, new, parts = np.arange(CLASSES), np.arange(CLASSES, CLASSES + NEW), []
    for classes, each in ((old, 80), (old, 50), (new, 5), (new, 30), (new, 120)):
        labels = np.repeat(classes, each)
        hidden = rng.standard_normal((len(labels), 20)) * np.repeat([1, 5], [12, 8])
        parts.append((np.tanh((centres[labels] + hidden) @ first) @ second, labels - classes[0]))
    mean, spread = parts[0][0].mean(0), parts[0][0].std(0)
    return [
        (torch.from_numpy((x - mean) / spread).float(), torch.from_numpy(labels))
        for x, labels in parts
    ]


def squared(z: Tensor, y: Tensor) -> Tensor:
    return (z - functional.one_hot(y, CLASSES)).square().sum(-1).mean()


def brier(z: Tensor, y: Tensor) -> Tensor:
    return squared(z.softmax(-1), y)


def smoothed(z: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(z, y, label_smoothing=0.1)


def penalised(z: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(z, y) + 0.01 * z.square().sum(-1).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": functional.cross_entropy,
    "label smoothing": smoothed,
    "squared error": squared,
    "Brier": brier,
    "logit penalty": penalised,
}


def train(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    """A network whose last layer is the scores and all before it the features."""
    model = nn.Sequential(
        nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()),
        nn.Linear(128, CLASSES),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model.requires_grad_(False)


def probed(learn: Rows, choose: Rows, test: Rows) -> float:
    """Accuracy of logistic regression, of the penalty that is best on the second part."""
    mean = learn[0].mean(0)
    scale = max(np.square(learn[0] - mean).sum(1).mean() ** 0.5, 1e-12)
    (a, b, c) = ((rows - mean) / scale for rows, _ in (learn, choose, test))
    scores = []
    for penalty in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        model = LogisticRegression(C=1 / (penalty * len(a)), max_iter=5_000).fit(a, learn[1])
        scores.append((model.score(b, choose[1]), model.score(c, test[1])))
    return float(max(scores, key=lambda pair: pair[0])[1])  # of equals the largest penalty


def separation(features: Tensor, labels: Tensor) -> float:
    """1 less the mean cosine distance of two of a class over that of any two."""
    unit = functional.normalize(features, dim=-1)
    far, same = 1 - unit @ unit.T, labels[:, None] == labels
    return float(1 - far[same].mean() / far.mean())  # classes have as many rows each


def measure(seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    (x, y), (test, labels), *new = draw(seed)

    def probe(features: Callable[[Tensor], Tensor]) -> float:
        return probed(*((features(rows).numpy(), k.numpy()) for rows, k in new))

    found = {"inputs: probe": probe(lambda rows: rows)}
    found["not trained: probe"] = probe(train(smoothed, x, y, 0)[0])
    for name, loss in LOSSES.items():
        model = train(loss, x, y, EPOCHS)
        found[f"{name}: accuracy"] = float((model(test).argmax(-1) == labels).float().mean())
        found[f"{name}: separation"] = separation(model[0](test), labels)
        found[f"{name}: probe"] = probe(model[0])
    mixed = train(functional.cross_entropy, x, y[torch.randperm(len(y))], EPOCHS)
    found["shuffled: accuracy"] = float((mixed(test).argmax(-1) == labels).float().mean())
    found["shuffled: probe"] = probe(mixed[0])
    linear = LogisticRegression(max_iter=2_000).fit(x, y)
    found["logistic regression: accuracy"] = linear.score(test, labels)
    found["most frequent class: accuracy"] = 1 / CLASSES
    return found


def compare_probes(loss: str) -> None:
    """The study's probe and scikit-learn's, of the features of one seed that are kept."""
    with tempfile.TemporaryDirectory() as folder:
        result = run(
            f"loss={FOLDER}/losses.py:{loss}",
            f"dataset={FOLDER}/data.py:moved",
            f"model={FOLDER}/models.py:net",
            "task.embedding_dim=128",
            "optimizer.lr=0.002",
            "trainer.max_epochs=30",
            "trainer.batch_size=128",
            "seeds=1",
            "tracking=none",
            f"results.dir={folder}",
        )
        with np.load(next(Path(folder).glob("*/predictions.npz"))) as kept:
            features, target = kept["test"][0, :, :128], kept["test_target"][0]
    parts = [target // 1_000 == part for part in (1, 2, 3)]
    other = probed(*((features[part].astype(float), target[part] % 1_000) for part in parts))
    print(f"{loss}, seed 0: {result.seeds['test/probe_accuracy'][0]:.4f}, scikit-learn {other:.4f}")


def main() -> None:
    torch.set_num_threads(1)
    found = [measure(seed) for seed in range(SEEDS)]
    for name in found[0]:
        values = np.array([each[name] for each in found])
        print(f"{name:30} {values.mean():.4f} ± {values.std(ddof=1) / SEEDS**0.5:.4f}")
    for name in list(LOSSES)[1:]:
        gain = np.array([each[f"{name}: probe"] - each["cross-entropy: probe"] for each in found])
        print(f"{name}, probe less CE's".ljust(30), f"{gain.mean():+.4f}", end=" ")
        print(f"± {gain.std(ddof=1) / SEEDS**0.5:.4f}")
    for loss in ("Softmax", "SquaredError"):
        compare_probes(loss)


if __name__ == "__main__":
    main()
