"""The linear models again without lossbench: generalised linear models of statsmodels.

    python experiments/counts/second_road.py

Three splits of its own of each table, twenty draws of each formula: 3,000 examples to learn from,
all others but 600 to test on.
Likelihoods of the test split are per example, with the constant. The last rows are a constant, and
a Poisson model whose targets were shuffled.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import statsmodels.api as sm
from scipy import linalg, stats

from lossbench.datasets import amounts

LEARNT = 3_000
SETS: dict[str, Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]] = {
    "bikeshare": lambda rng: _of(amounts.bikeshare(rng)),
    "randhie": lambda rng: _of(amounts.randhie(rng)),
    "drawn, dispersion 2": lambda rng: draw(rng, 1.0, 2.0),
    "drawn, Poisson of 20": lambda rng: draw(rng, 3.0, 0.0),
}


def _of(sample) -> tuple[np.ndarray, np.ndarray]:
    return sample.inputs, sample.targets


def draw(rng: np.random.Generator, offset: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((13_600, 5))
    w = rng.standard_normal(5)
    mean = np.exp(offset + 0.5 * x @ w / np.linalg.norm(w))
    rate = mean * rng.gamma(1 / spread, spread, len(mean)) if spread else mean
    return x, rng.poisson(rate).astype(float)


def deviance(mean: np.ndarray, y: np.ndarray) -> float:
    logs = y * np.log(np.where(y > 0, y, 1) / mean)
    return 2 * float(np.mean(logs - y + mean))


def score(mean: np.ndarray, y: np.ndarray) -> list[float]:
    """D2 with predictions raised to a tenth of the mean, R2, total, share below 0."""
    raised = np.maximum(mean, 0.1 * y.mean())
    d2 = 1 - deviance(raised, y) / deviance(np.full_like(y, y.mean()), y)
    r2 = 1 - np.mean((y - mean) ** 2) / y.var()
    return [d2, r2, mean.sum() / y.sum(), float(np.mean(mean < 0))]


def independent(x: np.ndarray, learnt: np.ndarray) -> np.ndarray:
    """Columns that no others make up among the learnt rows, in deviations there."""
    x = x - x[learnt].mean(0)
    size, order = linalg.qr(x[learnt], mode="r", pivoting=True)
    size = np.abs(np.diag(size))
    kept = np.sort(order[: int((size > 1e-9 * size[0]).sum())])
    return x[:, kept] / x[learnt][:, kept].std(0)


def fit(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    log = sm.families.links.Log()
    none = np.r_[np.log(y.mean()), np.zeros(x.shape[1] - 1)]
    poisson = sm.GLM(y, x, sm.families.Poisson()).fit(start_params=none)
    start = poisson.params
    bound = sm.GLM(y, x, sm.families.Gaussian(log)).fit(start_params=start, maxiter=300)
    alpha = max(float(np.mean(((y - poisson.mu) ** 2 - y) / poisson.mu**2)), 1e-3)
    for _ in range(20):  # moments and likelihood take turns
        binomial = sm.GLM(y, x, sm.families.NegativeBinomial(alpha=alpha)).fit(start_params=start)
        profile = np.linspace(0.5, 2, 61) * alpha
        scores = [stats.nbinom.logpmf(y, 1 / a, 1 / (1 + a * binomial.mu)).sum() for a in profile]
        before, alpha = alpha, float(profile[np.argmax(scores)])
        if abs(alpha / before - 1) < 0.02:
            break
    plain = sm.OLS(y, x).fit()
    logs = sm.OLS(np.log1p(y), x).fit()
    mixed = np.random.default_rng(0).permutation(y)
    shuffled = sm.GLM(mixed, x, sm.families.Poisson()).fit(start_params=none)
    return {
        "poisson": poisson.predict(test),
        "negative_binomial": binomial.predict(test),
        "identity": plain.predict(test),
        "log_link": bound.predict(test),
        "log1p": np.expm1(logs.predict(test)),
        "constant": np.full(len(test), y.mean()),
        "shuffled": shuffled.predict(test),
        "alpha": np.array(alpha),
        "pearson": np.array(poisson.pearson_chi2 / poisson.df_resid),
    }


def main() -> None:
    warnings.simplefilter("ignore")
    for name, of in SETS.items():
        rows: dict[str, list[list[float]]] = {}
        facts = []
        for seed in range(20 if name.startswith("drawn") else 3):
            rng = np.random.default_rng([seed, 15])
            x, y = of(rng)
            place = rng.permutation(len(y))
            learnt, test = place[:LEARNT], place[LEARNT + 600 :]
            x = sm.add_constant(independent(x, learnt), has_constant="add")
            means = fit(x[learnt], y[learnt], x[test])
            alpha, pearson = float(means.pop("alpha")), float(means.pop("pearson"))
            for loss, mean in means.items():
                rows.setdefault(loss, []).append(score(mean, y[test]))
            mean = means["negative_binomial"]
            likelihoods = [
                float(stats.poisson.logpmf(y[test], means["poisson"]).mean()),
                float(stats.nbinom.logpmf(y[test], 1 / alpha, 1 / (1 + alpha * mean)).mean()),
            ]
            facts.append([pearson, alpha, *likelihoods])
        pearson, alpha, poisson, binomial = np.mean(facts, axis=0)
        print(f"{name}: variance over mean {pearson:.2f}, dispersion {alpha:.2f}")
        print(f"  log-likelihood: poisson {poisson:.3f}, negative binomial {binomial:.3f}")
        for loss, values in rows.items():
            d2, r2, total, below = np.mean(values, axis=0)
            less = np.array(rows["poisson"])[:, 0] - np.array(values)[:, 0]
            error = less.std(ddof=1) / np.sqrt(len(less))
            print(
                f"  {loss:18} d2 {d2:7.4f}, poisson's more by {less.mean():7.4f} ± {error:.4f}  "
                f"r2 {r2:7.4f}  total {total:.4f}  below 0 {below:.4f}"
            )


if __name__ == "__main__":
    main()
