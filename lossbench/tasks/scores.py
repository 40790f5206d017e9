"""Scores that tasks share: over the example axis, replicas kept, NaN where undefined."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

PROBABILITY_FLOOR = 1e-12  # one certain mistake costs 27.6 nats, not infinity
CALIBRATION_BINS = 15
_results: ContextVar[dict[Any, Any] | None] = ContextVar("results", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Within it, what is `shared` is computed once for the same tensors."""
    token = _results.set({})
    try:
        yield
    finally:
        _results.reset(token)


def shared(function: Callable[[Tensor, Tensor], T]) -> Callable[[Tensor, Tensor], T]:
    """What several metrics need of an estimate and its target."""

    @functools.wraps(function)
    def once(estimate: Tensor, target: Tensor) -> T:
        results = _results.get()
        if results is None:
            return function(estimate, target)
        key = (function, id(estimate), id(target))
        if (
            key not in results
        ):  # the tensors are kept too: their ids are theirs as long as they live
            results[key] = (function(estimate, target), estimate, target)
        result: T = results[key][0]
        return result

    return once


def class_counts(label: Tensor, num_classes: int) -> Tensor:
    """Examples per class, (..., N) int64 -> (..., C) int64."""
    empty = torch.zeros(*label.shape[:-1], num_classes, dtype=torch.int64, device=label.device)
    return empty.scatter_add(-1, label, torch.ones_like(label))


def log_probability(probability: Tensor) -> Tensor:
    """Natural logarithm of a probability that is first raised to `PROBABILITY_FLOOR`."""
    return probability.clamp_min(PROBABILITY_FLOOR).log()


def log_likelihood(probability: Tensor, target: Tensor) -> Tensor:
    """Of each binary target in [0, 1], in nats: y log p + (1 - y) log(1 - p)."""
    return target * log_probability(probability) + (1 - target) * log_probability(1 - probability)


def expected_calibration_error(
    confidence: Tensor, correct: Tensor, bins: int = CALIBRATION_BINS
) -> Tensor:
    """Mean over equal-width bins (low, high] of |accuracy - confidence|, by share (Guo 2017).

    The metric `ece` has 15 bins; another number is a metric of your own that calls this. What is
    NaN in `correct` does not count.
    """
    gaps, known = (correct - confidence).nan_to_num(0.0), ~correct.isnan()
    return _binned(confidence, gaps, bins).abs().sum(-1) / known.sum(-1)


def reliability(confidence: Tensor, correct: Tensor) -> dict[str, Tensor]:
    """Mean confidence, accuracy and count of the same bins; NaN where one is empty."""
    known = (~correct.isnan()).to(confidence.dtype)
    count = _binned(confidence, known)
    return {
        "reliability.confidence": _binned(confidence, known * confidence) / count,
        "reliability.accuracy": _binned(confidence, correct.nan_to_num(0.0)) / count,
        "reliability.count": count,
    }


def _binned(confidence: Tensor, values: Tensor, count: int = CALIBRATION_BINS) -> Tensor:
    """The sums (..., count) of what falls into each bin of confidence."""
    edges = torch.arange(1, count).to(confidence) / count
    bins = torch.bucketize(confidence, edges)
    sums = values.new_zeros(*confidence.shape[:-1], count)
    return sums.scatter_add(-1, bins, values)


def _below_and_up_to(score: Tensor) -> tuple[Tensor, Tensor]:
    """For each example, how many of its row score less, and how many score no more."""
    ordered, score = score.sort(-1).values.contiguous(), score.contiguous()
    return torch.searchsorted(ordered, score), torch.searchsorted(ordered, score, right=True)


def auroc(score: Tensor, positive: Tensor) -> Tensor:
    """Area under the ROC curve from ranks, ties at their average rank; NaN with one class only."""
    below, up_to = _below_and_up_to(score)
    positives = positive.sum(-1)
    negatives = score.shape[-1] - positives
    twice_ranks = ((below + up_to + 1) * positive).sum(-1)  # integers: exact for every N
    wins = (twice_ranks - positives * (positives + 1)).to(score.dtype)
    return wins / (2 * positives * negatives).to(score.dtype)


def average_precision(score: Tensor, positive: Tensor) -> Tensor:
    """Mean over the positives of the precision at their own score; NaN without positives."""
    below, _ = _below_and_up_to(score)
    in_order = positive.long().gather(-1, score.argsort(-1)).cumsum(-1)
    positives_below = torch.nn.functional.pad(in_order, (1, 0)).gather(-1, below)
    positives = positive.sum(-1, keepdim=True)
    precision = (positives - positives_below).to(score.dtype) / (score.shape[-1] - below)
    return (precision * positive).sum(-1) / positives.squeeze(-1)


def recall(rank: Tensor, k: int) -> Tensor:
    """Share of the ranks (..., N), of those above 0, that are k or better; NaN without any."""
    return ((rank > 0) & (rank <= k)).sum(-1) / (rank > 0).sum(-1)


def _roc(score: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Rates of false acceptance and false rejection (..., N) at each score, the highest first.

    Accepted are all scores down to it, its ties too; NaN with one class only.
    """
    order = score.argsort(-1, descending=True)
    score, positive = score.gather(-1, order).contiguous(), positive.gather(-1, order)
    accepted = torch.searchsorted(-score, -score, right=True)
    hits = torch.nn.functional.pad(positive.long().cumsum(-1), (1, 0)).gather(-1, accepted)
    positives = positive.sum(-1, keepdim=True)
    acceptance = (accepted - hits).to(score.dtype) / (score.shape[-1] - positives)
    return acceptance, (positives - hits).to(score.dtype) / positives


def partial_auroc(score: Tensor, positive: Tensor, highest: float) -> Tensor:
    """Area under the ROC curve up to a false positive rate, scaled so that chance is 0.5.

    McClish 1989; linear within ties; NaN with one class only.
    """
    acceptance, rejection = _roc(score, positive)
    x, y = (torch.nn.functional.pad(rate, (1, 0)) for rate in (acceptance, 1 - rejection))
    width, rise = x.diff(), y.diff()
    inside = (highest - x[..., :-1]).clamp(min=0).minimum(width)
    share = torch.where(width > 0, inside / width, 0.0)
    area = (inside * (y[..., :-1] + share * rise / 2)).sum(-1)
    least = highest**2 / 2
    undefined = (acceptance + rejection).isnan().any(-1)
    return ((1 + (area - least) / (highest - least)) / 2).masked_fill(undefined, torch.nan)


def equal_error_rate(score: Tensor, positive: Tensor) -> Tensor:
    """Where false acceptance equals false rejection, linear between thresholds; NaN with one class.

    A pair is accepted where its score reaches the threshold; thresholds are the scores.
    """
    acceptance, rejection = _roc(score, positive)
    crossing = (acceptance < rejection).sum(-1, keepdim=True)
    crossing = crossing.clamp(max=score.shape[-1] - 1)
    before = torch.nn.functional.pad(acceptance, (1, 0)).gather(-1, crossing)
    gap_before = torch.nn.functional.pad(acceptance - rejection, (1, 0), value=-1.0)
    gap_before, gap = gap_before.gather(-1, crossing), (acceptance - rejection).gather(-1, crossing)
    share = -gap_before / (gap - gap_before)
    return (before + share * (acceptance.gather(-1, crossing) - before)).squeeze(-1)


def uneven(count: int, sets: int) -> Tensor:
    """Sets of probabilities (sets, count) that are all different, always the same."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(sets, count, generator=generator, dtype=torch.float64) + 0.1
    return drawn / drawn.sum(1, keepdim=True)
