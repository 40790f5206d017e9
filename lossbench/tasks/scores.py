"""Scores that tasks share: over the example axis, replicas kept, NaN where undefined."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Weight = Tensor | None  # (..., N) above 0: how much each example counts, None: all alike

P = ParamSpec("P")
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


def shared(function: Callable[P, T]) -> Callable[P, T]:
    """What several metrics need of an estimate, its target and, where it asks, their weights."""

    @functools.wraps(function)
    def once(*tensors: P.args, **none: P.kwargs) -> T:
        results = _results.get()
        if results is None:
            return function(*tensors, **none)
        key = (function, *map(id, tensors))
        if (
            key not in results
        ):  # the tensors are kept too: their ids are theirs as long as they live
            results[key] = (function(*tensors, **none), tensors)
        result: T = results[key][0]
        return result

    return once


def weighed(values: Tensor, weight: Weight) -> Tensor:
    """Values (..., N) times what their examples count."""
    return values if weight is None else values * weight


def average(values: Tensor, weight: Weight) -> Tensor:
    """The mean of values (..., N), or (..., N * T) of T columns: sum(w v) / sum(w).

    One number that has no examples is itself.
    """
    if weight is None or not values.ndim:
        return values.mean(-1)
    weight = of_columns(weight, values)
    return (values * weight).sum(-1) / weight.sum(-1)


def of_columns(weight: Tensor, values: Tensor) -> Tensor:
    """Weights (..., N) of examples, repeated for each of the T columns of values (..., N * T)."""
    columns = values.shape[-1] // weight.shape[-1]
    return weight if columns == 1 else weight.repeat_interleave(columns, -1)


def class_counts(label: Tensor, num_classes: int, weight: Weight = None) -> Tensor:
    """Examples per class, (..., N) int64 -> (..., C) int64, or the sums of their weights."""
    counts = label.new_ones(()).expand_as(label) if weight is None else weight
    empty = counts.new_zeros(*label.shape[:-1], num_classes)
    return empty.scatter_add(-1, label, counts)


def log_probability(probability: Tensor) -> Tensor:
    """Natural logarithm of a probability that is first raised to `PROBABILITY_FLOOR`."""
    return probability.clamp_min(PROBABILITY_FLOOR).log()


def log_likelihood(probability: Tensor, target: Tensor) -> Tensor:
    """Of each binary target in [0, 1], in nats: y log p + (1 - y) log(1 - p)."""
    return target * log_probability(probability) + (1 - target) * log_probability(1 - probability)


def expected_calibration_error(
    confidence: Tensor, correct: Tensor, bins: int = CALIBRATION_BINS, weight: Weight = None
) -> Tensor:
    """Mean over equal-width bins (low, high] of |accuracy - confidence|, by share (Guo 2017).

    The metric `ece` has 15 bins; another number is a metric of your own that calls this. What is
    NaN in `correct` does not count.
    """
    gaps, known = (correct - confidence).nan_to_num(0.0), ~correct.isnan()
    sums = _binned(confidence, weighed(gaps, weight), bins)
    return sums.abs().sum(-1) / weighed(known, weight).sum(-1)


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


def _sort(score: Tensor, *, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Each row's scores in order, and the examples that have them."""
    ordered, order = score.sort(-1, descending=descending)
    return ordered.contiguous(), order


def _cumulated(values: Tensor) -> Tensor:
    """(..., N + 1) sums of the first values, none to all."""
    return torch.nn.functional.pad(values.cumsum(-1), (1, 0))


def _counted(weight: Weight, score: Tensor) -> Tensor:
    """What each example counts, (..., N): 1, in numbers that add up exactly, or its weight."""
    return torch.ones_like(score, dtype=torch.int64) if weight is None else weight.double()


def _as_real(values: Tensor, score: Tensor) -> Tensor:
    """Whole numbers in the precision of the scores, others in their own."""
    return values.to(torch.promote_types(values.dtype, score.dtype))


def auroc(score: Tensor, positive: Tensor, weight: Weight = None) -> Tensor:
    """Area under the ROC curve: wins of positives over negatives, ties half; NaN with one class."""
    (ordered, order), score = _sort(score), score.contiguous()
    counted = _counted(weight, score)
    positives, negatives = counted * positive, counted * ~positive
    lower = _cumulated(negatives.gather(-1, order))
    below, up_to = (
        lower.gather(-1, torch.searchsorted(ordered, score, right=ties)) for ties in (False, True)
    )
    twice_wins = (positives * (below + up_to)).sum(-1)
    pairs = positives.sum(-1) * negatives.sum(-1)
    return (_as_real(twice_wins, score) / _as_real(2 * pairs, score)).to(score.dtype)


def average_precision(score: Tensor, positive: Tensor, weight: Weight = None) -> Tensor:
    """Mean over the positives of the precision at their own score; NaN without positives."""
    (ordered, order), score = _sort(score), score.contiguous()
    below, counted = torch.searchsorted(ordered, score), _counted(weight, score)
    positives = counted * positive
    reached, hits = (_from(below, each.gather(-1, order)) for each in (counted, positives))
    precision = _as_real(hits, score) / reached
    return ((precision * positives).sum(-1) / positives.sum(-1)).to(score.dtype)


def _from(place: Tensor, values: Tensor) -> Tensor:
    """For each place, the sum of the values from there on."""
    lower = _cumulated(values)
    return lower[..., -1:] - lower.gather(-1, place)


def recall(rank: Tensor, k: int) -> Tensor:
    """Share of the ranks (..., N), of those above 0, that are k or better; NaN without any."""
    return ((rank > 0) & (rank <= k)).sum(-1) / (rank > 0).sum(-1)


def _roc(score: Tensor, positive: Tensor, weight: Weight = None) -> tuple[Tensor, Tensor]:
    """Rates of false acceptance and false rejection (..., N) at each score, the highest first.

    Accepted are all scores down to it, its ties too; NaN with one class only.
    """
    score, order = _sort(score, descending=True)
    positive = positive.gather(-1, order)
    counted, places = _counted(weight, score), torch.searchsorted(-score, -score, right=True)
    sums = _cumulated(counted.gather(-1, order))
    hit_sums = _cumulated(counted.gather(-1, order) * positive)
    accepted, hits = sums.gather(-1, places), hit_sums.gather(-1, places)
    positives = hit_sums[..., -1:]
    acceptance = _as_real(accepted - hits, score) / (sums[..., -1:] - positives)
    return acceptance, _as_real(positives - hits, score) / positives


def partial_auroc(score: Tensor, positive: Tensor, highest: float, weight: Weight = None) -> Tensor:
    """Area under the ROC curve up to a false positive rate, scaled so that chance is 0.5.

    McClish 1989; linear within ties; NaN with one class only.
    """
    acceptance, rejection = _roc(score, positive, weight)
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
