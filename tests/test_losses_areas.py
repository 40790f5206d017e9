"""Losses of the pairs of a batch: against plain loops, and the areas they stand in for."""

from __future__ import annotations

import math

import pytest
import sklearn.metrics
import torch

from lossbench.losses import areas

NAMES = (
    "pairwise_hinge",
    "pairwise_squared",
    "pairwise_squared_hinge",
    "pairwise_logistic",
    "partial_auc",
    "partial_auc_kl",
    "smooth_ap",
)
COSTS = {
    "pairwise_hinge": lambda d: max(0, 0.7 - d),
    "pairwise_squared": lambda d: (0.7 - d) ** 2,
    "pairwise_squared_hinge": lambda d: max(0, 0.7 - d) ** 2,
    "pairwise_logistic": lambda d: math.log(1 + math.exp(-d)),
}


def batch(seed, size=12, scale=2.0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(size, generator=generator, dtype=torch.float64) * scale
    return scores, (torch.rand(size, generator=generator) < 0.4).double()


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def looped(name, scores, target):
    """The value as its equation is printed, pair by pair."""
    positives = [s for s, y in zip(scores, target, strict=True) if y == 1]
    negatives = [s for s, y in zip(scores, target, strict=True) if y == 0]
    if not positives or not negatives:
        return 0.0
    lack = lambda i, j: max(0, 0.7 - (i - j)) ** 2  # noqa: E731
    if name in COSTS:
        values = [COSTS[name](i - j) for i in positives for j in negatives]
    elif name == "partial_auc":
        highest = sorted(negatives)[-math.ceil(0.4 * len(negatives)) :]
        values = [lack(i, j) for i in positives for j in highest]
    elif name == "partial_auc_kl":
        values = [
            0.5 * math.log(sum(math.exp(lack(i, j) / 0.5) for j in negatives) / len(negatives))
            for i in positives
        ]
    else:
        values = []
        for i in positives:
            ahead = sum(sigmoid((j - i) / 0.3) for j in positives) - 0.5
            behind = sum(sigmoid((j - i) / 0.3) for j in negatives)
            values.append(1 - (1 + ahead) / (1 + ahead + behind))
    return sum(values) / len(values)


HYPER = {
    "pairwise_logistic": {},
    "partial_auc": {"max_fpr": 0.4, "margin": 0.7},
    "partial_auc_kl": {"temperature": 0.5, "margin": 0.7},
    "smooth_ap": {"temperature": 0.3},
}


@pytest.mark.parametrize("name", NAMES)
def test_equals_a_loop_over_pairs(name):
    """Values in float64 and float32 are those of the printed equation, pair by pair."""
    for seed in range(8):
        scores, target = batch(seed)
        expected = looped(name, scores.tolist(), target.tolist())
        hyper = HYPER.get(name, {"margin": 0.7})
        for dtype, digits in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
            value = getattr(areas, name)(scores.to(dtype), target.to(dtype), **hyper)
            assert value.item() == pytest.approx(expected, rel=digits, abs=digits / 10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_costs_and_teaches_nothing(name, label):
    """A batch without pairs has the value 0 and the gradient 0, also far out."""
    scores = torch.tensor([1e4, -1e4, 3.0], requires_grad=True)
    value = getattr(areas, name)(scores, torch.full((3,), label))
    (slope,) = torch.autograd.grad(value, scores)
    assert value == 0
    assert not slope.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_added_to_all_scores_changes_nothing(name):
    scores, target = batch(3)
    loss = getattr(areas, name)
    torch.testing.assert_close(loss(scores + 50, target), loss(scores, target))


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("share", [0.07, 0.3, 0.7])
def test_a_share_of_the_negatives_is_counted_exactly(size, share):
    """0.07 of 100 is 7 and not 8, though the product is rounded up; in float32 too."""
    target = torch.zeros(size + 1)
    target[0] = 1
    for dtype in (torch.float32, torch.float64):
        scores = torch.arange(size + 1, dtype=dtype, requires_grad=True)
        areas.partial_auc(scores, target, max_fpr=share).backward()
        assert (scores.grad > 0).sum() == math.ceil(round(share * size, 6))


def test_limits_of_the_temperature():
    """Hot, partial_auc_kl is pairwise_squared_hinge; cold, the worst pair and 1 - AP."""
    scores, target = batch(5)
    pairs = areas.pairwise_squared_hinge(scores, target)
    hot = areas.partial_auc_kl(scores, target, temperature=1e7)
    torch.testing.assert_close(hot, pairs, rtol=1e-6, atol=0)
    worst = areas.partial_auc(scores, target, max_fpr=1e-3)
    cold = areas.partial_auc_kl(scores, target, temperature=1e-6)
    torch.testing.assert_close(cold, worst, rtol=1e-4, atol=1e-4)
    precision = sklearn.metrics.average_precision_score(target, scores)
    cold = areas.smooth_ap(scores, target, temperature=1e-4)
    assert cold.item() == pytest.approx(1 - precision, abs=1e-9)
