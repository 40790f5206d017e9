"""What losses ask for, again without lossbench: formulas in NumPy, by brute force on grids.

    python experiments/minimisers/second_road.py

Binary scores from -5 to 5 in steps of .001; all probabilities of three classes in steps of .005,
and all pairs of scores from -2 to 2 in steps of .02 with the third at 0; 300 drawn predictions for
sums over labels; 20,001 log-normal numbers for regression.
"""

from __future__ import annotations

import numpy as np
from scipy import optimize

POPULATIONS = ((0.5, 0.3, 0.2), (0.45, 0.3, 0.25), (0.4, 0.33, 0.27), (0.42, 0.36, 0.22))
MARGIN = {
    "logistic": lambda m: np.logaddexp(0, -m),
    "exponential": lambda m: np.exp(-m),
    "hinge": lambda m: np.maximum(0, 1 - m),
    "squared hinge": lambda m: np.maximum(0, 1 - m) ** 2,
    "square": lambda m: (1 - m) ** 2,
}


def of_each_class(p: np.ndarray) -> dict[str, np.ndarray]:
    """Losses (..., C) of probabilities for each class as the label."""
    log_p = np.log(p)
    others = np.log1p(-p)
    below = np.where(p[..., None, :] < p[..., :, None], p[..., None, :], 0).max(-1)
    return {
        "cross-entropy": -log_p,
        "Brier": 1 - 2 * p + (p**2).sum(-1, keepdims=True),
        "complementary": -log_p - others.sum(-1, keepdims=True) + others,
        "focal, 2": -((1 - p) ** 2) * log_p,
        "dual focal, 2": -((1 - p + below) ** 2) * log_p,
        "max sup, .1": -log_p + 0.1 * (log_p.max(-1) - log_p.mean(-1))[..., None],
        "generalized, .7": (1 - p**0.7) / 0.7,
        "poly, 1": -log_p + 1 - p,
        "symmetric": -0.1 * log_p + 4 * (1 - p),
        "smoothing, .1": -0.9 * log_p - 0.1 * log_p.mean(-1, keepdims=True),
        "absolute": 2 * (1 - p),
        "normalised": log_p / log_p.sum(-1, keepdims=True),
        "reverse": 4 * (1 - p),
    }


def of_scores(z: np.ndarray) -> dict[str, np.ndarray]:
    """Hinges (..., 3) of scores for each class as the label."""
    ahead = 1 + z[..., None, :] - z[..., :, None]  # of label i, class j
    ahead[..., range(3), range(3)] = 0
    ahead = np.maximum(0, ahead)
    own, wrong = np.maximum(0, 1 - z), np.maximum(0, 1 + z)
    return {
        "Crammer-Singer": ahead.max(-1),
        "Weston-Watkins": ahead.sum(-1),
        "one for each class": own + wrong.sum(-1, keepdims=True) - wrong,
    }


def show_binary() -> None:
    z = np.linspace(-5, 5, 10_001)
    for name, loss in MARGIN.items():
        found = [z[(e * loss(z) + (1 - e) * loss(-z)).argmin()] for e in (0.1, 0.3, 0.6, 0.9)]
        print(f"{name:15}", *(f"{value:+.3f}" for value in found))


def show_probabilities() -> None:
    steps = np.arange(1, 199)
    a, b = np.meshgrid(steps, steps, indexing="ij")
    inside = a + b < 200
    grid = np.stack([a, b, 200 - a - b], -1)[inside] / 200
    for name, values in of_each_class(grid).items():
        for p in POPULATIONS[::3]:
            print(f"{name:15} {p}", grid[(values @ p).argmin()].round(3))


def show_scores() -> None:
    line = np.linspace(-2, 2, 201)
    z = np.stack([*np.meshgrid(line, line, indexing="ij"), np.zeros((201, 201))], -1)
    shifted = z[..., None, :] + np.linspace(-1, 1, 9)[:, None]  # matters to one hinge for each
    for name, values in of_scores(shifted.reshape(-1, 3)).items():
        for p in POPULATIONS:
            cost = values @ p
            best = shifted.reshape(-1, 3)[cost <= cost.min() + 1e-12]
            firsts = {tuple(np.flatnonzero(row >= row.max() - 1e-9).tolist()) for row in best}
            print(f"{name:18} {p} least {cost.min():.4f}, first: {sorted(firsts)}")


def show_sums() -> None:
    z = 3 * np.random.default_rng(0).standard_normal((300, 3))
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    for name, values in of_each_class(p).items():
        total = values.sum(-1)
        print(f"{name:15} sum over labels {total.min():.6f} to {total.max():.6f}")


def show_sample() -> None:
    y = np.random.default_rng(1).lognormal(size=20_001)

    def best(loss) -> float:
        return float(optimize.minimize_scalar(loss, bracket=(0.5, 2), tol=1e-10).x)

    print("mean", best(lambda c: np.mean((y - c) ** 2)) - y.mean())
    print("median", best(lambda c: np.mean(np.abs(y - c))) - np.median(y))
    for q in (0.1, 0.9):
        found = best(lambda c, q=q: np.mean(np.maximum(q * (y - c), (q - 1) * (y - c))))
        print(f"quantile {q}", found - np.quantile(y, q))
    logs = best(lambda c: np.mean((np.log1p(c) - np.log1p(y)) ** 2))
    print("mean of logs", logs - np.expm1(np.log1p(y).mean()), "and off the mean", logs - y.mean())


if __name__ == "__main__":
    for show in (show_binary, show_probabilities, show_scores, show_sums, show_sample):
        show()
