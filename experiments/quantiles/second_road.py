"""The same question without lossbench: scikit-learn, a plain PyTorch loop, and the truth.

    python experiments/quantiles/second_road.py

Data are drawn here as the study's are described, on ten seeds of its own: quantile regression by
linear programming on 5,000 examples; networks on 200 and on 5,000; what knows no feature; the true
quantiles; and networks whose targets were shuffled. Seven networks, one for each level, are trained
one by one on the same 200 examples, to see how often they cross.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy import stats
from sklearn.linear_model import QuantileRegressor
from torch import Tensor, nn

SEEDS, TESTED = 10, 10_000
LEVELS = np.arange(1, 20) / 20
SEVEN = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, targets and true quantiles (count, 19)."""
    rng = np.random.default_rng([seed, 14])
    x = rng.uniform(size=(count, 10))
    centre, scale = x[:, 0] - x[:, 1] + x[:, 2], 0.3 + x[:, 0]
    truth = centre[:, None] + scale[:, None] * stats.norm.ppf(LEVELS)
    return x, centre + scale * rng.standard_normal(count), truth


def pinball(q: Tensor, y: Tensor, at: tuple[float, ...] | np.ndarray = LEVELS) -> Tensor:
    levels, residual = torch.tensor(at).to(q), y[:, None] - q
    return torch.maximum(levels * residual, (levels - 1) * residual).mean()


def train(
    x: Tensor, y: Tensor, seed: int, at: tuple[float, ...] | np.ndarray = LEVELS
) -> nn.Module:
    torch.manual_seed(seed)
    sizes = (x.shape[1], 64, 64, len(at))
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(100):
        for rows in torch.randperm(len(x)).chunk(max(1, len(x) // 64)):
            optimizer.zero_grad()
            pinball(model(x[rows]), y[rows], at).backward()
            optimizer.step()
    return model


def cover(q: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((q[:, 1] <= y) & (y <= q[:, 17])))


def score(q: np.ndarray, y: np.ndarray) -> list[float]:
    """Coverage of 80 %, pinball, pinball of what is sorted, share of rows that cross."""
    seven = q[:, [round(20 * u) - 1 for u in SEVEN]]
    better = [float(pinball(torch.from_numpy(z), torch.from_numpy(y))) for z in (q, np.sort(q, 1))]
    assert better[1] <= better[0] + 1e-12, "sorting made it worse"
    return [cover(q, y), *better, float(np.mean((np.diff(seven) < 0).any(1)))]


def standardised(x: np.ndarray, y: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    inputs = (x - x[:count].mean(0)) / x[:count].std(0)
    targets = (y - y[:count].mean()) / y[:count].std()
    return torch.from_numpy(inputs).float(), torch.from_numpy(targets).float()


def crossing_apart(seed: int, count: int) -> float:
    """The share of test rows of which two of seven networks cross."""
    features, targets = standardised(*draw(seed, count + TESTED)[:2], count)
    models = [
        train(features[:count], targets[:count], 100 * seed + number, (level,))
        for number, level in enumerate(SEVEN)
    ]
    with torch.no_grad():
        q = torch.cat([model(features[count:]) for model in models], 1)
    return float((q.diff(dim=1) < 0).any(1).float().mean())


def network(seed: int, count: int, shuffled: bool = False) -> list[float]:
    x, y, _ = draw(seed, count + TESTED)
    if shuffled:
        y[:count] = np.random.default_rng(seed).permutation(y[:count])
    mean, spread = y[:count].mean(), y[:count].std()
    features, learnt = standardised(x, y, count)
    model = train(features[:count], learnt[:count], seed)
    with torch.no_grad():
        q = model(features[count:]).double().numpy() * spread + mean
    return score(q, y[count:])


def constant(seed: int, count: int) -> list[float]:
    y = draw(seed, count + TESTED)[1]
    return score(np.tile(np.quantile(y[:count], LEVELS), (TESTED, 1)), y[count:])


def known(seed: int, count: int) -> list[float]:
    _, y, truth = draw(seed, count + TESTED)
    return score(truth[count:], y[count:])


def main() -> None:
    torch.set_num_threads(1)
    for level in SEVEN:
        shares = []
        for seed in range(3):
            x, y, _ = draw(seed, 5_000 + TESTED)
            model = QuantileRegressor(quantile=level, alpha=0).fit(x[:5_000], y[:5_000])
            shares.append(np.mean(y[5_000:] <= model.predict(x[5_000:])))
        print(f"scikit-learn, level {level:4}: coverage {np.mean(shares):.4f}")
    print(f"{'':28} coverage  pinball  sorted  crossing")
    for name, of, count in (
        ("network, 200", network, 200),
        ("network, 5,000", network, 5_000),
        ("no feature, 200", constant, 200),
        ("true quantiles", known, 200),
        ("network, 200, shuffled", lambda s, n: network(s, n, shuffled=True), 200),
    ):
        rounds = range(3 if count > 1_000 else SEEDS)
        found = np.array([of(seed, count) for seed in rounds])
        error = found[:, 0].std(ddof=1) / np.sqrt(len(found))
        cells = "  ".join(f"{value:.4f}" for value in found.mean(0))
        print(f"{name:28} {cells}  (coverage ± {error:.4f})")
    apart = np.mean([crossing_apart(seed, 200) for seed in range(3)])
    print(f"seven networks one by one, 200: {apart:.4f} of the rows cross")


if __name__ == "__main__":
    main()
