"""A seed's examples in float64, made block by block of rows of the pool, and their measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossbench.contract import Sample

BLOCK = 2**19  # numbers that are held in float64 at once
PIXEL = 255  # the largest uint8


@dataclass(frozen=True)
class Examples:
    """Rows of inputs (M, ...), measured in a scale from a mean; NaN is the fill before.

    To a corruption they are an array of float64 that makes what is asked for: `examples[rows]`,
    `np.asarray(examples)`, and `blocks` and `mean` for what must not be in memory as a whole.
    """

    inputs: np.ndarray
    rows: np.ndarray
    fill: np.ndarray | None = None
    centre: np.ndarray | None = None
    scale: np.ndarray | None = None

    dtype = np.dtype(np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.inputs.shape[1:])

    @property
    def ndim(self) -> int:
        return self.inputs.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        values: np.ndarray = self.inputs[self.rows[chosen]].astype(np.float64)
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        if self.scale is not None:
            values = (values - self.centre) / self.scale
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    @property
    def measures(self) -> tuple[np.ndarray, ...] | None:
        """Mean, scale and, where gaps are filled, with what; None where nothing is changed."""
        if self.centre is None or self.scale is None:
            return None
        return (self.centre, self.scale, *(() if self.fill is None else (self.fill,)))

    def blocks(self, chosen: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """All of them, or the chosen ones, in order."""
        places = np.arange(len(self)) if chosen is None else chosen
        numbers = int(np.prod(self.shape[1:]))
        # numpy adds up a single feature in another order; as a whole it is small.
        size = max(1, BLOCK // numbers) if numbers > 1 else len(places)
        for start in range(0, len(places), size):
            yield self[places[start : start + size]]

    def mean(self, chosen: np.ndarray | None = None) -> np.ndarray:
        """Over the examples, bit for bit what numpy gives of all at once."""
        count = len(self) if chosen is None else len(chosen)
        return _add(self.blocks(chosen)) / count


def _add(blocks: Iterator[np.ndarray]) -> np.ndarray:
    """The sum over examples, row after row."""
    total: np.ndarray = next(blocks).sum(0)
    for block in blocks:
        total = np.concatenate([total[None], block]).sum(0)
    return total


def _weigh(blocks: Iterator[np.ndarray], weights: np.ndarray) -> Iterator[np.ndarray]:
    """Each block times the weights (N,) of its rows."""
    start = 0
    for block in blocks:
        share = weights[start : start + len(block)].reshape(-1, *[1] * (block.ndim - 1))
        yield block * share
        start += len(block)


def measured(sample: Sample, train: np.ndarray, weights: np.ndarray | None = None) -> Examples:
    """The training examples, standardised as the sample asks for, by themselves (weighted)."""
    examples = Examples(sample.inputs, train)
    if sample.fill:
        examples = replace(examples, fill=sample.fill(np.asarray(examples)))
    if sample.standardise == "items":
        items = items_of(np.asarray(Examples(sample.inputs, train)))
        mean, spread = np.nanmean(items, 0, keepdims=True), np.nanstd(items, 0, keepdims=True)
        return replace(examples, centre=mean, scale=_not_constant(spread, np.nanmax(abs(items), 0)))
    if sample.standardise:
        mean, scale = _measure(examples, sample.standardise == "channels", weights)
        return replace(examples, centre=mean, scale=scale)
    if sample.fill or sample.inputs.dtype == np.uint8:
        one = np.ones((1,) * (sample.inputs.ndim - 1))
        largest = PIXEL if sample.inputs.dtype == np.uint8 else 1
        return replace(examples, centre=0 * one, scale=largest * one)
    return examples


def _measure(
    examples: Examples, channels: bool, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the deviation of each feature, or channel; 1 where it is constant."""

    def average(of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        if weights is None:
            mean = _add(of(block) for block in examples.blocks()) / len(examples)
        else:
            mean = _add(_weigh(map(of, examples.blocks()), weights)) / weights.sum()
        return mean.mean(axes, keepdims=True) if channels else mean

    axes = tuple(range(1, examples.ndim - 1))
    mean = average(lambda block: block)
    spread = np.sqrt(average(lambda block: np.square(block - mean)))
    largest = np.max([np.abs(block).max(0) for block in examples.blocks()], axis=0)
    if channels:
        largest = largest.max(axes, keepdims=True)
    return mean, _not_constant(spread, largest)


def _not_constant(spread: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The deviation of each feature, 1 where it is constant; largest: the size of its numbers."""
    return np.where(spread <= 1e-12 * largest, 1, spread)  # not 0: the mean is rounded


def items_of(inputs: np.ndarray) -> np.ndarray:
    """The items (K, features) of lists (N, L, features), NaN where a list has none."""
    items = inputs.reshape(-1, inputs.shape[-1])
    return items[~np.isnan(items).all(1)]
