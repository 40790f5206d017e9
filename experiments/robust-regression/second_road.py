"""Robust regressions again without lossbench's training: statsmodels, and a plain PyTorch loop.

    python experiments/robust-regression/second_road.py

Ten splits of its own of each set, 30 % of the training targets ten deviations too high. Linear:
least squares, least absolute deviations, statsmodels' robust linear models, which start from least
squares and estimate their own scale, and re-weighted least squares at the study's scales from
either start. An MLP of 64 on five of the splits: Adam from .03 along a cosine, 80 epochs. Next to
them what needs no input, and shuffled targets.
"""

from __future__ import annotations

import numpy as np
import statsmodels.api as sm
import torch
from scales import corrupt, draw
from sklearn.linear_model import QuantileRegressor
from torch import Tensor, nn

SPLITS, EPOCHS, SHARE = 10, 80, 0.3
SCALES = {"diabetes": 1.39, "autompg": 0.71, "friedman": 0.85}


def error(predicted: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def tukey(residual: Tensor, c: float) -> Tensor:
    inside = (1 - (residual / c).square()).clamp(min=0)
    return c**2 / 6 * (1 - inside**3)


def huber(residual: Tensor, delta: float) -> Tensor:
    size = residual.abs()
    return torch.where(size <= delta, residual**2 / 2, delta * (size - delta / 2))


def huber_weight(delta: float):
    return lambda r: np.minimum(1, delta / np.maximum(np.abs(r), 1e-12))


def tukey_weight(c: float):
    return lambda r: np.maximum(0, 1 - (r / c) ** 2) ** 2


def weigh(x: np.ndarray, y: np.ndarray, start: np.ndarray, weight) -> np.ndarray:
    """Re-weighted least squares at a fixed scale."""
    for _ in range(100):
        w = np.sqrt(weight(y - x @ start))[:, None]
        start = np.linalg.lstsq(w * x, w[:, 0] * y, rcond=None)[0]
    return start


def train(
    x: np.ndarray, y: np.ndarray, test: np.ndarray, loss, seed: int, start: float = 0.0
) -> np.ndarray:
    """What a perceptron with one hidden layer predicts after the last epoch."""
    torch.manual_seed(seed)
    inputs, target = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    model = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 1))
    nn.init.constant_(model[2].bias, start)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y)).split(64):
            optimizer.zero_grad()
            loss(target[rows] - model(inputs[rows])[:, 0]).mean().backward()
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        return model(torch.from_numpy(test).float())[:, 0].numpy()


def score(name: str, seed: int) -> dict[str, float]:
    """Clean test error of each way to fit one split."""
    x, clean, test_x, test_y = draw(name, seed, samples=400)
    y = corrupt(clean, SHARE, seed)
    one, test_one = sm.add_constant(x), sm.add_constant(test_x)
    mixed = np.random.default_rng(seed).permutation(y)
    lad = QuantileRegressor(quantile=0.5, alpha=0)
    scale = SCALES[name]
    lad_start = np.r_[lad.fit(x, y).intercept_, lad.coef_]
    ols_start = sm.OLS(y, one).fit().params
    found = {
        "mean of the targets": np.full(len(test_y), y.mean()),
        "their median": np.full(len(test_y), np.median(y)),
        "squared, clean targets": test_one @ sm.OLS(clean, one).fit().params,
        "squared": test_one @ sm.OLS(y, one).fit().params,
        "absolute": lad.fit(x, y).predict(test_x),
        "Huber": test_one @ sm.RLM(y, one, sm.robust.norms.HuberT()).fit().params,
        "Tukey": test_one @ sm.RLM(y, one, sm.robust.norms.TukeyBiweight()).fit().params,
        "Huber, from absolute": test_one @ weigh(one, y, lad_start, huber_weight(1.345 * scale)),
        "Tukey, from absolute": test_one @ weigh(one, y, lad_start, tukey_weight(4.685 * scale)),
        "Tukey, from squared": test_one @ weigh(one, y, ols_start, tukey_weight(4.685 * scale)),
        "Tukey, shuffled": test_one
        @ sm.RLM(mixed, one, sm.robust.norms.TukeyBiweight()).fit().params,
    }
    if seed < 5:
        losses = {
            "MLP, squared": lambda r: r.square(),
            "MLP, absolute": lambda r: r.abs(),
            "MLP, Huber": lambda r: huber(r, 1.345 * scale),
            "MLP, Tukey": lambda r: tukey(r, 4.685 * scale),
        }
        found |= {key: train(x, y, test_x, loss, seed) for key, loss in losses.items()}
        found["MLP, Tukey, given mean"] = train(
            x, y, test_x, losses["MLP, Tukey"], seed, start=float(y.mean())
        )
        found["MLP, Tukey, shuffled"] = train(x, mixed, test_x, losses["MLP, Tukey"], seed)
    return {key: error(predicted, test_y) for key, predicted in found.items()}


def main() -> None:
    torch.set_num_threads(1)
    for name in SCALES:
        found = [score(name, seed) for seed in range(SPLITS)]
        print(name)
        for key in found[0]:
            values = [each[key] for each in found if key in each]
            spread = np.std(values, ddof=1) / len(values) ** 0.5
            print(f"  {key:24} {np.mean(values):.3f} ± {spread:.3f}")


if __name__ == "__main__":
    main()
