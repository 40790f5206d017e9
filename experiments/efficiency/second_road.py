"""The same question without lossbench: constants by quadrature, estimators by NumPy and SciPy.

    python experiments/efficiency/second_road.py

Each of 400 data sets is drawn here, with another generator than the study's: 200 examples of 10
normal features and an intercept, targets a linear function of them plus noise. Least squares are
solved exactly, the absolute error by linear programming, Huber by re-weighted least squares.
"""

from __future__ import annotations

import numpy as np
from scipy import integrate, stats
from sklearn.linear_model import QuantileRegressor

ROUNDS, EXAMPLES, FEATURES, NOISE = 400, 200, 10, 0.5
MANY = 4_000  # examples, to see how far 200 are from the theory, on 60 data sets
DEVIATION = np.sqrt(1 + NOISE**2)  # of the targets
DELTA = 1.345 * NOISE
DRAWS = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "laplace": lambda rng, size: rng.laplace(scale=np.sqrt(0.5), size=size),
    "student_t": lambda rng, size: rng.standard_t(3, size) / np.sqrt(3),
    "contaminated": lambda rng, size: rng.standard_normal(size) + bad(rng, size),
}


def bad(rng: np.random.Generator, size: int) -> np.ndarray:
    """A tenth three deviations of the target off, either way, in units of the noise."""
    off = np.zeros(size)
    rows = rng.permutation(size)[: size // 10]
    off[rows] = rng.choice([-3.0, 3.0], len(rows)) * DEVIATION / NOISE
    return off


def huber_efficiency(delta: float) -> float:
    """(E psi')^2 / E psi^2 at the standard normal, by quadrature."""
    inside = integrate.quad(stats.norm.pdf, -delta, delta)[0]
    square = integrate.quad(lambda r: min(abs(r), delta) ** 2 * stats.norm.pdf(r), -9, 9)[0]
    return inside**2 / square


def huber(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """By re-weighted least squares, until nothing moves."""
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    for _ in range(200):
        weights = np.minimum(1, DELTA / np.maximum(np.abs(y - x @ w), 1e-12))
        new = np.linalg.solve(x.T @ (weights[:, None] * x), x.T @ (weights * y))
        if np.abs(new - w).max() < 1e-10:
            break
        w = new
    return new


def errors(kind: str, size: int = EXAMPLES, rounds: int = ROUNDS) -> np.ndarray:
    """(rounds, 3): squared distance of weights and intercept from the truth."""
    found = []
    for number in range(rounds):
        rng = np.random.default_rng([number, len(kind)])
        x = np.c_[rng.standard_normal((size, FEATURES)), np.ones(size)]
        truth = np.r_[rng.standard_normal(FEATURES), 0.0]
        truth /= np.linalg.norm(truth)
        y = x @ truth + NOISE * DRAWS[kind](rng, size)
        exact = QuantileRegressor(alpha=0, fit_intercept=False).fit(x, y).coef_
        fits = (np.linalg.lstsq(x, y, rcond=None)[0], exact, huber(x, y))
        found.append([np.sum((fit - truth) ** 2) for fit in fits])
    return np.array(found)


def main() -> None:
    print(f"quadrature: huber at 1.345 {huber_efficiency(1.345):.4f}, median {2 / np.pi:.4f}")
    rng = np.random.default_rng(0)
    for kind in DRAWS:
        found = errors(kind)
        drawn = found[rng.integers(0, ROUNDS, (2000, ROUNDS))].mean(1)
        for column, name in ((1, "absolute error"), (2, "huber")):
            ratio = found[:, 0].mean() / found[:, column].mean()
            low, high = np.quantile(drawn[:, 0] / drawn[:, column], [0.025, 0.975])
            print(f"{kind:13} squared error over {name:15} {ratio:.3f} ({low:.3f} to {high:.3f})")
    many = errors("laplace", MANY, 60).mean(0)
    print(f"laplace, {MANY:,} examples: squared error over absolute error {many[0] / many[1]:.3f}")


if __name__ == "__main__":
    main()
