"""The twelve losses again without lossbench: a plain PyTorch loop and finite differences.

    python experiments/twelve-losses/second_road.py

First each formula, written down again, against the loss of this folder: values to 1e-9, and
gradients against finite differences. Then digits, four splits of its own, a perceptron with one
hidden layer of 128, Adam at .001, 60 epochs, batches of 100, with right labels and with 40 % of
them wrong; also a linear model (logistic regression), the most frequent class, and shuffled labels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from lossbench.losses import multiclass, multiclass_margins

sys.path.insert(0, str(Path(__file__).parent))
import losses

SPLITS, EPOCHS, LEARNT = 4, 60, 1078


def label(y: Tensor) -> Tensor:
    return functional.one_hot(y, 10).double()


def side(y: Tensor) -> Tensor:
    return 2 * label(y) - 1


def sure(z: Tensor) -> Tensor:
    return torch.softmax(z, -1)


def tanimoto(z: Tensor, y: Tensor) -> Tensor:
    common = (sure(z) * label(y)).sum(-1)
    return -common / (sure(z).square().sum(-1) + label(y).square().sum(-1) - common)


FORMULAS = {
    "log": lambda z, y: -torch.log(sure(z)[range(len(y)), y]),
    "L2": lambda z, y: (z - label(y)).square().sum(-1),
    "L2 of softmax": lambda z, y: (sure(z) - label(y)).square().sum(-1),
    "hinge": lambda z, y: (1 - side(y) * z).clamp(min=0).sum(-1),
    "L1": lambda z, y: (z - label(y)).abs().sum(-1),
    "L1 of softmax": lambda z, y: (sure(z) - label(y)).abs().sum(-1),
    "Chebyshev": lambda z, y: (sure(z) - label(y)).abs().max(-1).values,
    "hinge^2": lambda z, y: (1 - side(y) * z).clamp(min=0).pow(2).sum(-1),
    "hinge^3": lambda z, y: (1 - side(y) * z).clamp(min=0).pow(3).sum(-1),
    "log^2": lambda z, y: torch.log(sure(z)[range(len(y)), y]).square(),
    "Tanimoto": tanimoto,
    "Cauchy-Schwarz": lambda z, y: -torch.log((sure(z) * label(y)).sum(-1) / sure(z).norm(dim=-1)),
}
OURS = {
    "log": multiclass.cross_entropy,
    "L2": multiclass.squared_error,
    "L2 of softmax": multiclass.brier,
    "hinge": multiclass_margins.one_vs_all_hinge,
    "L1": losses.l1,
    "L1 of softmax": losses.l1_softmax,
    "Chebyshev": losses.chebyshev_softmax,
    "hinge^2": losses.squared_hinge,
    "hinge^3": losses.cubed_hinge,
    "log^2": losses.squared_log,
    "Tanimoto": losses.tanimoto,
    "Cauchy-Schwarz": losses.cauchy_schwarz,
}


def compare_formulas() -> None:
    """The largest differences over 200 random logits, and whether +-1e4 stays finite."""
    generator = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(200, 10, generator=generator, dtype=torch.float64)
    y = torch.arange(200) % 10
    far = 1e4 * torch.sign(z[:20])
    for name, ours in OURS.items():
        gap = float((ours(z, y) - FORMULAS[name](z, y)).abs().max())
        leaf = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(ours(leaf, y).sum(), leaf)
        step = 1e-6 * torch.eye(10, dtype=torch.float64)
        ends = [FORMULAS[name](z + s, y) - FORMULAS[name](z - s, y) for s in step]
        off = float((slope - torch.stack(ends, -1) / 2e-6).abs().max())
        leaf = far.clone().requires_grad_()
        value = ours(leaf, y[:20])
        (slope,) = torch.autograd.grad(value.sum(), leaf)
        finite = bool(torch.isfinite(value).all() and torch.isfinite(slope).all())
        print(f"{name:16} value off by {gap:.1e}, gradient by {off:.1e}, finite at 1e4: {finite}")


def train(x: Tensor, y: Tensor, name: str, seed: int) -> tuple[nn.Module, int]:
    """The model, and the epoch in which 95 % of the training examples were first right."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    reached = EPOCHS + 1
    for epoch in range(1, EPOCHS + 1):
        for rows in torch.randperm(len(x)).chunk(len(x) // 100):
            optimizer.zero_grad()
            FORMULAS[name](model(x[rows]), y[rows]).mean().backward()
            optimizer.step()
        with torch.no_grad():
            if reached > epoch and (model(x).argmax(1) == y).double().mean() >= 0.95:
                reached = epoch
    return model, reached


def main() -> None:
    torch.set_num_threads(1)
    compare_formulas()
    inputs, labels = load_digits(return_X_y=True)
    found: dict[str, list[list[float]]] = {}
    for seed in range(SPLITS):
        rng = np.random.default_rng([seed, 12])
        place = rng.permutation(len(labels))
        x, y = inputs[place], labels[place]
        x = (x - x[:LEARNT].mean(0)) / np.maximum(x[:LEARNT].std(0), 1e-6)
        features, right = torch.from_numpy(x), torch.from_numpy(y)
        wrong = right[:LEARNT].clone()
        rows = torch.from_numpy(rng.permutation(LEARNT)[: round(0.4 * LEARNT)])
        wrong[rows] = (wrong[rows] + torch.from_numpy(rng.integers(1, 10, len(rows)))) % 10
        shown, test = features[:LEARNT], slice(len(y) - 360, None)

        def accuracy(model: nn.Module, of=features[test], to=right[test]) -> float:
            with torch.no_grad():
                return float((model(of).argmax(1) == to).double().mean())

        for name in OURS:
            model, epoch = train(shown, right[:LEARNT], name, seed)
            noisy, _ = train(shown, wrong, name, seed)
            found.setdefault(name, []).append([accuracy(model), accuracy(noisy), epoch])
        mixed, _ = train(shown, right[torch.randperm(LEARNT)], "log", seed)
        found.setdefault("log, shuffled", []).append([accuracy(mixed), np.nan, np.nan])
        linear = LogisticRegression(max_iter=2000)
        scores = [
            linear.fit(x[:LEARNT], given).score(x[test], y[test])
            for given in (y[:LEARNT], wrong.numpy())
        ]
        found.setdefault("logistic", []).append([*scores, np.nan])
        mode = np.bincount(y[:LEARNT]).argmax()
        found.setdefault("most frequent", []).append([np.mean(y[test] == mode), np.nan, np.nan])
    base = np.array(found["log"])
    for name, rows in found.items():
        values = np.array(rows)
        error = (values - base).std(0, ddof=1) / np.sqrt(SPLITS)
        mean, gain = values.mean(0), (values - base).mean(0)
        print(
            f"{name:16} accuracy {mean[0]:.4f} ({gain[0]:+.4f} ± {error[0]:.4f}), with 40 % wrong "
            f"{mean[1]:.4f} ({gain[1]:+.4f} ± {error[1]:.4f}), epochs to .95 {mean[2]:.1f}"
        )


if __name__ == "__main__":
    main()
