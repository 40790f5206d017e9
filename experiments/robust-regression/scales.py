"""The scale of the noise that every loss is given, by a first fit of the absolute error.

    python experiments/robust-regression/scales.py

For each data set and share of outliers: the median of the absolute residuals of a linear model
fitted by least absolute deviations to the training examples, outliers and all, times 1.4826; in
standard deviations of the clean targets, the mean over ten splits that no result uses. Friedman's
function has 1,000 examples here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import QuantileRegressor

from lossbench.datasets.synthetic import friedman

sys.path.insert(0, str(Path(__file__).parent))
from data import autompg

SHARES, SIZE = (0.0, 0.3), 10.0


def diabetes(_: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return load_diabetes(return_X_y=True)


def draw(
    name: str, seed: int, samples: int = 1000
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs and targets to train on and of the test split, scaled as the training ones are."""
    rng = np.random.default_rng([seed, 8])
    if name == "diabetes":
        x, y = diabetes(rng)
    else:
        sample = autompg(rng) if name == "autompg" else friedman(rng, samples=samples)
        x, y = sample.inputs, sample.targets
    rows = rng.permutation(len(y))
    first, last = rows[: int(0.6 * len(y))], rows[int(0.8 * len(y)) :]
    spread = np.maximum(x[first].std(0), 1e-9)
    x, y = (x - x[first].mean(0)) / spread, (y - y[first].mean()) / y[first].std()
    return x[first], y[first], x[last], y[last]


def corrupt(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The targets with this share of them ten deviations too high."""
    moved = np.random.default_rng([seed, 9]).permutation(len(y))[: round(share * len(y))]
    return y + SIZE * np.isin(np.arange(len(y)), moved)


def scale_of(x: np.ndarray, y: np.ndarray) -> float:
    fitted = QuantileRegressor(quantile=0.5, alpha=0).fit(x, y).predict(x)
    return float(1.4826 * np.median(np.abs(y - fitted)))


def main() -> None:
    for name in ("diabetes", "autompg", "friedman"):
        for share in SHARES:
            found = []
            for seed in range(100, 110):
                x, y, *_ = draw(name, seed)
                found.append(scale_of(x, corrupt(y, share, seed)))
            print(f"{name:10} {share:.1f}  {np.mean(found):.3f} ± {np.std(found, ddof=1):.3f}")


if __name__ == "__main__":
    main()
