"""What the articles say of losses, as far as a formula or a small computation decides it.

A row is a statement's number, a part of it, and whether that part holds, which `test_articles.py`
computes. Statements that are decided by training are in `experiments/`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import optimize
from sklearn.datasets import load_digits
from sklearn.linear_model import Lasso, LinearRegression, QuantileRegressor, Ridge
from sklearn.metrics import log_loss
from sklearn.svm import SVC
from torch import Tensor
from torch.nn import functional

from lossbench.losses import (
    binary,
    binary_margins,
    distribution,
    embedding,
    generative,
    multiclass,
    multiclass_margins,
    pairs,
    ranking,
    regression,
    segmentation,
)

ROWS: list[tuple[int, str, bool, Callable[[], bool]]] = []
Loss = Callable[..., Tensor]


def part(number: int, words: str, holds: bool = True) -> Callable[[Callable[[], bool]], None]:
    """Add a row to the table."""
    return lambda check: ROWS.append((number, words, holds, check))


def real(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def near(one: Tensor, other: Tensor, tolerance: float = 1e-12) -> bool:
    return bool((one - other).abs().max() <= tolerance)


def slope(loss: Loss, at: Tensor, target: Tensor, **hyper: float) -> Tensor:
    """The derivative of each example's loss in its prediction."""
    at = at.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(at, target, **hyper).sum(), at)
    return gradient


def argmin(loss: Loss, target: Tensor, **hyper: float) -> float:
    """The one prediction for all targets that costs least."""

    def cost(value: float) -> float:
        prediction = torch.full_like(target, value)
        return float(loss(prediction, target, **hyper).mean())

    found = optimize.minimize_scalar(cost, bounds=(0, 20), options={"xatol": 1e-9})
    found = optimize.minimize_scalar(
        cost, bounds=(found.x - 0.1, found.x + 0.1), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.x)


# --- what a loss estimates ------------------------------------------------------------------------
LOGNORMAL = torch.from_numpy(np.random.default_rng(0).lognormal(size=20_001))
GRID = torch.linspace(-9, 9, 1801, dtype=torch.float64)
ZERO = torch.zeros_like(GRID)


@part(1, "the best constant for the squared error is the mean of 20,001 lognormal numbers")
def _() -> bool:
    return abs(argmin(regression.squared_error, LOGNORMAL) - LOGNORMAL.mean()) < 1e-4


@part(2, "for the absolute error it is their median, for the pinball loss their quantile")
def _() -> bool:
    ordered = LOGNORMAL.sort().values
    found = [argmin(regression.quantile, LOGNORMAL, q=q) for q in (0.1, 0.5, 0.9)]
    found.append(argmin(regression.absolute_error, LOGNORMAL))
    return all(
        abs(value - ordered[round(q * 20_000)]) < 1e-3
        for value, q in zip(found, (0.1, 0.5, 0.9, 0.5), strict=True)
    )


@part(2, "the linear quantile model covers its level to .02 on 10,000 heteroscedastic examples")
def _() -> bool:
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(12_000, 1))
    y = x[:, 0] + (0.2 + x[:, 0]) * rng.standard_normal(12_000)
    covered = [
        np.mean(
            y[2000:]
            <= QuantileRegressor(quantile=q, alpha=0).fit(x[:2000], y[:2000]).predict(x[2000:])
        )
        - q
        for q in (0.1, 0.5, 0.9)
    ]
    return bool(np.abs(covered).max() <= 0.02)


@part(8, "at variance 1 the Gaussian likelihood is half the squared error, gradient and all")
def _() -> bool:
    loss: Loss = lambda z, y: regression.gaussian_nll(torch.stack([z, 0 * z], -1), y)  # noqa: E731
    half = regression.squared_error(GRID, ZERO) / 2
    same = near(loss(GRID, ZERO), half)
    return same and near(slope(loss, GRID, ZERO), slope(regression.squared_error, GRID, ZERO) / 2)


@part(9, "Huber is half the square below delta and delta (|r| - delta / 2) above it")
def _() -> bool:
    r = GRID.abs()
    formula = torch.where(r <= 2, r.square() / 2, 2 * (r - 1))
    return near(regression.huber(GRID, ZERO, delta=2.0), formula)


@part(9, "both slopes at delta are delta, and the curvature falls from 1 to 0 there")
def _() -> bool:
    at = real(2 - 1e-6, 2 + 1e-6, -2 + 1e-6, -2 - 1e-6)
    slopes = slope(regression.huber, at, torch.zeros(4).double(), delta=2.0)
    step = real(1.9, 1.9 + 1e-6, 2.1, 2.1 + 1e-6)
    ends = slope(regression.huber, step, torch.zeros(4).double(), delta=2.0)
    curvature = (ends[1::2] - ends[::2]) / 1e-6
    return near(slopes, real(2, 2, -2, -2), 2e-6) and near(curvature, real(1, 0), 1e-6)


@part(12, "Newton's method with log-cosh arrives at 0 from r = 0.5, 1, 1.5, 2 and 3", holds=False)
def _() -> bool:
    return bool((newton(real(0.5, 1, 1.5, 2, 3)).abs() < 1e-6).all())


@part(12, "it arrives from 0.5 and 1, where the curvature has not yet died away")
def _() -> bool:
    return bool((newton(real(0.5, 1)).abs() < 1e-6).all())


def newton(r: Tensor) -> Tensor:
    """After 50 steps, held within 300; the second derivative is 1 / cosh^2."""
    for _ in range(50):
        step = slope(regression.log_cosh, r, torch.zeros_like(r)) * r.cosh().square()
        r = (r - step).clamp(-300, 300)
    return r


@part(13, "log-cosh is within .2 of Huber at delta 1, its slope within .25")
def _() -> bool:
    gap = regression.log_cosh(GRID, ZERO) - regression.huber(GRID, ZERO)
    slopes = slope(regression.log_cosh, GRID, ZERO) - slope(regression.huber, GRID, ZERO)
    return bool(gap.abs().max() < 0.2 and slopes.abs().max() < 0.25)


@part(13, "beyond 5 it is the absolute error less log 2, to 1e-4")
def _() -> bool:
    far = GRID[GRID.abs() > 5]
    gap = regression.log_cosh(far, 0 * far) - regression.absolute_error(far, 0 * far)
    return near(gap, torch.full_like(gap, -math.log(2)), 1e-4)


def descend(loss: Loss, rate: Callable[[int], float]) -> Tensor:
    """The last 20 of 400 steps from 1.03 to 0."""
    x, path = real(1.03), []
    for step in range(400):
        x = x - rate(step) * slope(loss, x, 0 * x)
        path.append(x)
    return torch.stack(path[-20:])


@part(14, "at a constant rate the absolute error keeps jumping by the rate, the squared one rests")
def _() -> bool:
    jumps = descend(regression.absolute_error, lambda step: 0.1).diff(dim=0).abs()
    rests = descend(regression.squared_error, lambda step: 0.1).abs()
    return near(jumps, torch.full_like(jumps, 0.1), 1e-9) and bool(rests.max() < 1e-9)


@part(14, "with a rate that decays it rests too")
def _() -> bool:
    return bool(
        descend(regression.absolute_error, lambda step: 0.1 * (1 - step / 400)).abs().max() < 0.01
    )


@part(15, "the gradient of each example's squared error is 2 (prediction - target)")
def _() -> bool:
    return near(slope(regression.squared_error, GRID, ZERO + 1), 2 * (GRID - 1))


@part(15, "of the mean over n examples it is still 2 (prediction - target)", holds=False)
def _() -> bool:
    mean: Loss = lambda z, y: regression.squared_error(z, y).mean()  # noqa: E731
    gradient = slope(mean, GRID, ZERO + 1)
    assert near(gradient, 2 * (GRID - 1) / len(GRID))
    return near(gradient, 2 * (GRID - 1))


def sparse_problem() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((200, 50))
    return x, x[:, :5].sum(1) + 0.5 * np.random.default_rng(1).standard_normal(200)


@part(16, "an L1 penalty makes weights exactly 0 that do not matter, an L2 penalty does not")
def _() -> bool:
    x, y = sparse_problem()
    zeros = [np.sum(model.fit(x, y).coef_ == 0) for model in (Lasso(0.1), Ridge(10.0))]
    return bool(zeros[0] > 30 and zeros[1] == 0)


@part(16, "an L1 loss makes such weights 0", holds=False)
def _() -> bool:
    x, y = sparse_problem()
    return bool(np.sum(np.abs(QuantileRegressor(alpha=0).fit(x, y).coef_) < 1e-6) > 30)


@part(17, "the squared error does to a fit what an L2 penalty does", holds=False)
def _() -> bool:
    x, y = sparse_problem()
    plain, shrunk = LinearRegression().fit(x, y).coef_, Ridge(50.0).fit(x, y).coef_
    return bool(np.abs(plain - shrunk).max() < 1e-3)


def least_curvature(of_output: Callable[[Tensor], Tensor]) -> float:
    """The least eigenvalue of the Hessian of the squared error in the weights, at 20 places."""
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((50, 4)))
    y = (x[:, 0] > 0).double()

    def cost(w: Tensor) -> Tensor:
        return regression.squared_error(of_output(x @ w), y).mean()

    starts = torch.from_numpy(3 * np.random.default_rng(1).standard_normal((20, 4)))
    hessians = [torch.autograd.functional.hessian(cost, w) for w in starts]
    return float(torch.stack([torch.linalg.eigvalsh(h).min() for h in hessians]).min())


@part(18, "the squared error of a linear model has no negative curvature in the weights")
def _() -> bool:
    return least_curvature(lambda z: z) >= 0


def steps_to_95(loss: Loss, start: str) -> Tensor:
    """Full-batch steps at rate 0.5 until 95 of 100 are right, for each of eight data sets.

    A logistic model of 200 examples of two Gaussian classes in 5 dimensions, from weights of .01 or
    from ten times the wrong direction. At most 400 steps; the squared error needs thousands.
    """
    rng = np.random.default_rng(0)
    y = torch.arange(200).remainder(2).double().expand(8, 200)
    x = torch.from_numpy(rng.standard_normal((8, 200, 5))) + (2 * y - 1).unsqueeze(-1)
    w = torch.from_numpy(0.01 * rng.standard_normal((8, 5)))
    w = torch.full_like(w, -10 / 5**0.5) if start == "saturated" else w
    steps = torch.full((8,), -1)
    for step in range(401):
        z = (x @ w.unsqueeze(-1)).squeeze(-1)
        arrived = ((z > 0) == (y > 0)).double().mean(1) >= 0.95
        steps = torch.where(arrived & (steps < 0), step, steps)
        if (steps >= 0).all():
            break
        w = w - 0.5 * (slope(loss, z, y).unsqueeze(-1) * x).mean(1)
    return torch.where(steps < 0, 401, steps)


@part(19, "from weights near 0 the squared error needs twice the steps to 95 % right", holds=False)
def _() -> bool:
    one, other = (steps_to_95(f, "small") for f in (binary.cross_entropy, binary.squared_error))
    return bool((other >= 2 * one).all())


@part(19, "from saturated weights on the wrong side it needs twice the steps")
def _() -> bool:
    one, other = (steps_to_95(f, "saturated") for f in (binary.cross_entropy, binary.squared_error))
    return bool((other >= 2 * one).all())


@part(20, "near-zero weights make the slope of the sigmoid nearly 0", holds=False)
def _() -> bool:
    z = torch.from_numpy(0.01 * np.random.default_rng(0).standard_normal(1000))
    slopes = torch.sigmoid(z) * (1 - torch.sigmoid(z))
    assert near(slopes, torch.full_like(slopes, 0.25), 1e-3), "that is the largest it can be"
    return bool(slopes.mean() < 0.05)


# --- probabilities --------------------------------------------------------------------------------
LOGITS = torch.from_numpy(3 * np.random.default_rng(2).standard_normal((300, 5)))
LABELS = torch.from_numpy(np.random.default_rng(3).integers(0, 5, 300))
HUGE = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])


@part(22, "the gradient of cross-entropy is p - y, of a sigmoid and of a softmax")
def _() -> bool:
    z = torch.cat([LOGITS[:, 0], real(-1e4, -100, 100, 1e4)])
    y = (torch.arange(len(z)) % 2).double()
    one = near(slope(binary.cross_entropy, z, y), torch.sigmoid(z) - y, 1e-6)
    p = torch.softmax(LOGITS, -1) - functional.one_hot(LABELS, 5)
    return one and near(slope(multiclass.cross_entropy, LOGITS, LABELS), p, 1e-6)


@part(22, "a mistake however large has a gradient of 1, where that of the squared error vanishes")
def _() -> bool:
    z, y = real(-50.0, -1e4), torch.ones(2).double()
    kept = near(slope(binary.cross_entropy, z, y), real(-1, -1), 1e-9)
    return kept and bool(slope(binary.squared_error, z, y).abs().max() < 1e-9)


@part(23, "from logits of 1e4 in single precision it is finite and right; e^z / sum e^z is not")
def _() -> bool:
    target = torch.tensor([1, 1])
    value = multiclass.cross_entropy(HUGE, target)
    naive = HUGE.exp() / HUGE.exp().sum(-1, keepdim=True)
    return bool((value == torch.tensor([2e4, 0.0])).all() and naive.isnan().any())


TARGETS = torch.softmax(torch.from_numpy(np.random.default_rng(4).standard_normal((300, 5))), -1)


@part(24, "at fixed targets cross-entropy and KL have one gradient, and differ by the entropy")
def _() -> bool:
    gradients = [
        slope(loss, LOGITS, TARGETS)
        for loss in (distribution.cross_entropy, distribution.kl_divergence)
    ]
    entropy = -(TARGETS * TARGETS.log()).sum(-1)
    gap = distribution.cross_entropy(LOGITS, TARGETS) - distribution.kl_divergence(LOGITS, TARGETS)
    return near(*gradients, 1e-10) and near(gap, entropy, 1e-10)


@part(25, "cross-entropy, torch's, its NLL of log-softmax and scikit-learn's log loss are one")
def _() -> bool:
    ours = multiclass.cross_entropy(LOGITS, LABELS)
    others = [
        functional.cross_entropy(LOGITS, LABELS, reduction="none"),
        functional.nll_loss(functional.log_softmax(LOGITS, -1), LABELS, reduction="none"),
        distribution.cross_entropy(LOGITS, functional.one_hot(LABELS, 5).double()),
    ]
    learnt = log_loss(LABELS, torch.softmax(LOGITS, -1), labels=range(5))
    return all(near(ours, other, 1e-9) for other in others) and abs(ours.mean() - learnt) < 1e-9


@part(26, "a log loss in bits is the binary cross-entropy times 1 / log 2, everywhere")
def _() -> bool:
    p = torch.sigmoid(GRID)
    return near(-p.log2(), binary.cross_entropy(GRID, ZERO + 1) / math.log(2), 1e-9)


@part(27, "a model that only knows that 1 in 100 is positive is not called great", holds=False)
def _() -> bool:
    y = (torch.arange(1000) < 10).double()
    return bool(binary.cross_entropy(torch.full_like(y, math.log(1 / 99)), y).mean() > 0.2)


@part(27, "a guess among 1,000 classes is not called broken", holds=False)
def _() -> bool:
    zero = torch.zeros(1, 1000).double()
    return bool(multiclass.cross_entropy(zero, torch.tensor([0])) <= 2)


def variants(classes: int, rest: str) -> tuple[Tensor, Tensor]:
    """Both cross-entropies as p_y goes from .01 to .98, the rest uniform or on one class."""
    p = torch.linspace(0.01, 0.98, 98, dtype=torch.float64)
    others = torch.full((98, classes - 1), 1e-6, dtype=torch.float64)
    others[:, 0] = 1.0
    others = torch.ones_like(others) if rest == "uniform" else others
    others = others / others.sum(-1, keepdim=True) * (1 - p).unsqueeze(-1)
    logits, target = torch.cat([p.unsqueeze(-1), others], -1).log(), torch.zeros(98).long()
    return multiclass.cross_entropy(logits, target), multiclass.complementary_cross_entropy(
        logits, target
    )


@part(28, "the two multi-class cross-entropies differ by a constant", holds=False)
def _() -> bool:
    gaps = [b - a for a, b in (variants(k, r) for k in (2, 3, 10, 100) for r in ("uniform", "one"))]
    return all(float(gap.max() - gap.min()) < 0.01 for gap in gaps)


@part(28, "with two classes the second falls at the same rate as the first", holds=False)
def _() -> bool:
    first, second = variants(2, "one")
    assert near(second, 2 * first, 1e-9), "it is twice the first"
    return near(first.diff(), second.diff(), 0.01)


@part(29, "the second variant is the higher one, whatever the other probabilities")
def _() -> bool:
    pairs_of = [variants(k, r) for k in (2, 3, 10, 100) for r in ("uniform", "one")]
    return all(bool((second > first).all()) for first, second in pairs_of)


@part(30, "scores of .8 and .08 cost .09 and 1.09 in nats", holds=False)
def _() -> bool:
    p = real(0.8, 0.08)
    cost = binary.cross_entropy((p / (1 - p)).log(), torch.ones(2).double())
    return near(cost, real(0.09, 1.09), 0.01)


@part(30, "with logarithms of base 10 they cost that, cut off after two digits")
def _() -> bool:
    return near((-real(0.8, 0.08).log10() * 100).floor() / 100, real(0.09, 1.09))


# --- margins --------------------------------------------------------------------------------------
def two_classes(shift: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    return rng.standard_normal((120, 2)) + shift * (2 * y - 1)[:, None], y


@part(31, "a linear support vector machine is the same without the examples beyond its margin")
def _() -> bool:
    x, y = two_classes(1.0)
    whole = SVC(kernel="linear", tol=1e-9).fit(x, y)
    margin = (2 * y - 1) * whole.decision_function(x)
    near_it = margin < 1.001
    assert near_it.sum() < 60
    rest = SVC(kernel="linear", tol=1e-9).fit(x[near_it], y[near_it])
    z, target = torch.from_numpy(margin[~near_it]), torch.ones(int((~near_it).sum())).double()
    silent = slope(binary_margins.hinge, z, target).abs().max() == 0
    return bool(np.abs(whole.coef_ - rest.coef_).max() < 1e-4 and silent)


@part(32, "as its penalty goes to 0 its margin is half the distance of the two hulls, the largest")
def _() -> bool:
    x, y = two_classes(3.0)
    model = SVC(kernel="linear", C=1e6, tol=1e-10).fit(x, y)
    one, other = x[y == 1], x[y == 0]

    def apart(shares: np.ndarray) -> float:
        a, b = shares[: len(one)], shares[len(one) :]
        return float(np.sum((a @ one - b @ other) ** 2))

    def steep(shares: np.ndarray) -> np.ndarray:
        gap = shares[: len(one)] @ one - shares[len(one) :] @ other
        return np.concatenate([2 * one @ gap, -2 * other @ gap])

    sums = [
        {"type": "eq", "fun": lambda s: s[: len(one)].sum() - 1},
        {"type": "eq", "fun": lambda s: s[len(one) :].sum() - 1},
    ]
    start = np.concatenate([np.full(len(one), 1 / len(one)), np.full(len(other), 1 / len(other))])
    hulls = optimize.minimize(
        apart, start, jac=steep, bounds=[(0, 1)] * len(x), constraints=sums, options={"ftol": 1e-12}
    )
    return bool(abs(1 / np.linalg.norm(model.coef_) - math.sqrt(hulls.fun) / 2) < 1e-3)


@part(33, "the hinge has one best score for every probability above a half: none can be read off")
def _() -> bool:
    z = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    ones, zeros = torch.ones_like(z), torch.zeros_like(z)
    best = [
        z[
            (
                eta * binary_margins.hinge(z, ones) + (1 - eta) * binary_margins.hinge(z, zeros)
            ).argmin()
        ]
        for eta in (0.55, 0.7, 0.95)
    ]
    return near(torch.stack(best), real(1, 1, 1), 1e-3)


@part(34, "cross-entropy tells scores [10, 8, 8] from [10, -10, -10], the hinges give both 0")
def _() -> bool:
    z, y = real(10, 8, 8, 10, -10, -10).reshape(2, 3), torch.tensor([0, 0])
    soft = multiclass.cross_entropy(z, y)
    hinges = [multiclass_margins.crammer_singer(z, y), multiclass_margins.weston_watkins(z, y)]
    return bool(soft[0] > 0.2 and soft[1] < 1e-8 and not torch.stack(hinges).any())


@part(35, "the hinge lies below each of 4,000 chords, and has two slopes at margin 1")
def _() -> bool:
    ends = torch.from_numpy(np.random.default_rng(5).uniform(-5, 5, (2, 4000)))
    y = torch.ones(4000).double()
    loss = binary_margins.hinge
    chord = (loss(ends[0], y) + loss(ends[1], y)) / 2 - loss(ends.mean(0), y)
    slopes = slope(loss, real(1 - 1e-9, 1 + 1e-9), torch.ones(2).double())
    return bool(chord.min() > -1e-12) and near(slopes, real(-1, 0))


@part(35, "the squared hinge has the same slope, 0, on both sides of margin 1")
def _() -> bool:
    at = real(1 - 1e-9, 1 + 1e-9)
    return near(slope(binary_margins.squared_hinge, at, torch.ones(2).double()), real(0, 0), 1e-8)


@part(36, "Crammer and Singer's loss is 0 exactly where the margin over all others is 1 or more")
def _() -> bool:
    margin = LOGITS.gather(1, LABELS[:, None])[:, 0] - LOGITS.scatter(
        1, LABELS[:, None], -math.inf
    ).amax(1)
    zero = multiclass_margins.crammer_singer(LOGITS, LABELS) == 0
    return bool((zero == (margin >= 1)).all() and zero.any() and not zero.all())


@part(36, "where no class has a majority its best scores name the likeliest one", holds=False)
def _() -> bool:
    p, labels = real(0.45, 0.3, 0.25), torch.arange(3)

    def cost(z: np.ndarray) -> float:
        rows = torch.from_numpy(z).expand(3, 3)
        return float((p * multiclass_margins.crammer_singer(rows, labels)).sum())

    return cost(np.array([1.0, 0.0, 0.0])) < cost(np.zeros(3))


@part(37, "at a margin of -20 the exponential loss falls e^20 times as fast as the logistic one")
def _() -> bool:
    z, y = real(-20.0), real(1.0)
    steep, mild = slope(binary_margins.exponential, z, y), slope(binary.logistic, z, y)
    return bool(abs(steep / mild / math.exp(20) - 1) < 1e-6 and abs(mild + 1) < 1e-6)


@part(38, "the bounded cross-entropy of a mistake however large is the bound, without a slope")
def _() -> bool:
    z, y = real(-50.0, -1e4), torch.ones(2).double()
    value = binary.bounded_cross_entropy(z, y, bound=3.0)
    return (
        near(value, real(3, 3)) and not slope(binary.bounded_cross_entropy, z, y, bound=3.0).any()
    )


# --- focal, entropies, identities ---------------------------------------------------------------
@part(39, "focal at gamma 0 is cross-entropy")
def _() -> bool:
    return near(
        multiclass.focal(LOGITS, LABELS, gamma=0.0), multiclass.cross_entropy(LOGITS, LABELS)
    )


@part(40, "the focal gradient of an example at .99 is less than a thousandth of cross-entropy's")
def _() -> bool:
    z, y = real(math.log(99)), real(1.0)
    return bool(slope(binary.focal, z, y) / slope(binary.cross_entropy, z, y) < 1e-3)


@functools.cache
def share_of_easiest(loss: Loss) -> float:
    """Of the gradient in the logits, that of nine tenths of the digits, after 200 steps of Adam."""
    x, y = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    weights = torch.zeros(64, 10, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss(x / 16 @ weights, y).mean().backward()
        optimizer.step()
    logits = (x / 16 @ weights).detach()
    gradient = slope(loss, logits, y).norm(dim=-1)
    easiest = functional.cross_entropy(logits, y, reduction="none").argsort()[: 9 * len(y) // 10]
    return float(gradient[easiest].sum() / gradient.sum())


@part(40, "the easiest nine tenths have at most half of their share in cross-entropy", holds=False)
def _() -> bool:
    return share_of_easiest(multiclass.focal) < share_of_easiest(multiclass.cross_entropy) / 2


@part(40, "that share is little, less than a tenth of the gradient", holds=False)
def _() -> bool:
    return share_of_easiest(multiclass.focal) < 0.1


@part(44, "cross-entropy is the sum of (1 - p)^j / j, and focal that of (1 - p)^(j + gamma) / j")
def _() -> bool:
    p, j = torch.linspace(0.2, 0.99, 80, dtype=torch.float64), torch.arange(1, 201).double()
    z, y = (p / (1 - p)).log(), torch.ones(80).double()
    powers = [((1 - p[:, None]) ** (j + gamma) / j).sum(1) for gamma in (0, 2)]
    return near(binary.cross_entropy(z, y), powers[0]) and near(
        binary.focal(z, y, gamma=2.0), powers[1]
    )


@part(45, "no softmax gives each of two labels that are there more than a half; sigmoids do")
def _() -> bool:
    soft, apart = torch.softmax(LOGITS, -1), torch.sigmoid(LOGITS)
    return bool(((soft > 0.5).sum(-1) <= 1).all() and ((apart > 0.5).sum(-1) >= 2).any())


@part(46, "k equally likely classes have perplexity k, in any base if both use the same")
def _() -> bool:
    values = [
        (
            base
            ** (
                multiclass.cross_entropy(torch.zeros(1, k).double(), torch.tensor([0]))
                / math.log(base)
            ),
            k,
        )
        for k in (2, 10, 1000)
        for base in (2, math.e, 10)
    ]
    return all(abs(float(value) - k) < 1e-9 * k for value, k in values)


@part(47, "a model that gives the true class probability 1 has cross-entropy 0")
def _() -> bool:
    return float(multiclass.cross_entropy(HUGE, torch.tensor([0, 1])).max()) == 0


@part(48, "between labels 0 and 1 the absolute error counts mistakes")
def _() -> bool:
    a, b = real(0, 0, 1, 1), real(0, 1, 0, 1)
    return near(regression.absolute_error(a, b), (a != b).double())


@part(49, "KL is 0 for equal distributions and only for them")
def _() -> bool:
    equal = distribution.kl_divergence(TARGETS.log(), TARGETS).abs().max() < 1e-12
    return bool(equal and distribution.kl_divergence(LOGITS, TARGETS).min() > 1e-3)


@part(49, "it grows more where Q is large and P small than the other way round", holds=False)
def _() -> bool:
    p, q = real(0.01, 0.99), real(0.9, 0.1)
    terms = p * (p / q).log()
    return bool(terms[0] > terms[1])


# --- embeddings, masks, sequences ---------------------------------------------------------------
@part(50, "a pair of two classes beyond the margin is not pushed, within it it is")
def _() -> bool:
    apart = real(0, 0, 1.5, 0).reshape(2, 2)
    close = real(0, 0, 0.5, 0).reshape(2, 2)
    labels = torch.tensor([0, 1])
    return bool(
        not slope(embedding.contrastive, apart, labels).any()
        and slope(embedding.contrastive, close, labels).any()
    )


@part(54, "InfoNCE is the cross-entropy of picking the positive by cosine, and never below 0")
def _() -> bool:
    both = torch.from_numpy(np.random.default_rng(6).standard_normal((20, 2, 4)))
    left, right = functional.normalize(both, dim=-1).unbind(1)
    expected = functional.cross_entropy(left @ right.T / 0.07, torch.arange(20), reduction="none")
    value = pairs.info_nce(both, torch.arange(20))
    return near(value, expected, 1e-9) and bool((value >= 0).all())


def shares_of_hardest(loss: torch.nn.Module) -> list[float]:
    """Of the gradient, that of the tenth of 10 x 10 utterances that costs most; 20 draws."""
    speakers, shares = torch.arange(100) // 10, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        drawn = rng.standard_normal((10, 16))[speakers] + rng.standard_normal((100, 16))
        utterances = torch.from_numpy(drawn)
        gradient = slope(loss, utterances, speakers).norm(dim=-1)
        hardest = loss(utterances, speakers).argsort()[-10:]
        shares.append(float(gradient[hardest].sum() / gradient.sum()))
    return shares


@part(58, "the hardest tenth has a fifth of the gradient or more in each of 20 draws: softmax form")
def _() -> bool:
    return min(shares_of_hardest(embedding.Ge2e())) >= 0.2


@part(58, "it has in the contrast form", holds=False)
def _() -> bool:
    return min(shares_of_hardest(embedding.Ge2eContrast())) >= 0.2


@part(59, "at y = 1 the loss falls as x1 rises over x2; with torch's signs, it is torch's")
def _() -> bool:
    x, y = LOGITS[:, :2], torch.ones(300)
    theirs = functional.margin_ranking_loss(x[:, 0], x[:, 1], y, margin=1.0, reduction="none")
    falls = slope(ranking.margin_ranking, x, y)[:, 0] <= 0
    return near(ranking.margin_ranking(x, y), theirs) and bool(falls.all())


@part(60, "Dice is within [0, 1], and 1 for a hard mask that is met exactly")
def _() -> bool:
    masks = torch.from_numpy(np.random.default_rng(7).integers(0, 2, (50, 6, 6))).double()
    met = 1 - segmentation.dice_linear(1e4 * (2 * masks - 1), masks)
    guesses = torch.from_numpy(np.random.default_rng(8).standard_normal((50, 6, 6)))
    some = 1 - segmentation.dice_linear(guesses, masks)
    return near(met, torch.ones(50).double()) and bool((some >= 0).all() and (some <= 1).all())


@part(60, "it is 1 for a mask of halves that is met exactly, in the form with plain sums", False)
def _() -> bool:
    halves = torch.full((1, 6, 6), 0.5, dtype=torch.float64)
    return bool(1 - segmentation.dice_linear(0 * halves, halves) > 0.99)


@part(62, "each joint loss has a gradient in both embeddings at once")
def _() -> bool:
    both = torch.from_numpy(np.random.default_rng(9).standard_normal((20, 2, 4)))
    losses = (pairs.joint_logistic, pairs.joint_hinge, pairs.joint_sje)
    return all(bool(slope(f, both, torch.arange(20)).any(-1).any(0).all()) for f in losses)


@part(63, "the KL term of the ELBO pulls means to 0 and variances to 1, in proportion to beta")
def _() -> bool:
    posterior = real(1.5, -2.0, 1.0, -1.0).reshape(1, 4)  # two means, two log-variances
    prediction = torch.cat([torch.zeros(1, 3).double(), posterior], -1)
    target = torch.zeros(1, 3).double()
    once, twice = (
        slope(generative.elbo_gaussian, prediction, target, latent_dim=2, beta=beta)[0, 3:]
        for beta in (1.0, 2.0)
    )
    mean, log_variance = posterior[0, :2], posterior[0, 2:]
    return near(once, torch.cat([mean, (log_variance.exp() - 1) / 2]), 1e-9) and near(
        twice, 2 * once, 1e-9
    )
