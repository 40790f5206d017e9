"""Rows of a table as the items of lists, all padded to the longest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lossbench.contract import Sample, UserError
from lossbench.datasets.examples import items_of
from lossbench.tasks.list_ranking import NO_ITEM

FEWEST = 10  # lists
LARGE = 10  # a grade whose gain, 2^grade - 1, outweighs that of all others


@dataclass(frozen=True)
class ItemFiller:
    """What stands in for gaps of items (1, features), and where a list has none."""

    of_rows: Callable[[np.ndarray], np.ndarray] | None

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        items = items_of(inputs)
        return (self.of_rows(items) if self.of_rows else items.mean(0))[None]


def as_lists(file: Path, rows: Sample, query: pd.Series, torn: bool) -> Sample:
    """The lists of which rows with equal queries are the items, in the order of the file.

    torn: whether a list may be in two parts, which are then two lists.
    """
    grades, parts = (
        rows.targets,
        np.zeros(len(query), np.uint8) if rows.split is None else rows.split,
    )
    if (negative := grades[grades < 0]).size:
        raise UserError(
            f"{file}: {negative.size} of {grades.size} grades are below 0 ({negative[0]:g}); give "
            "numbers from 0, the higher the further ahead."
        )
    of_query = pd.factorize(query)[0]
    of_list = pd.factorize(4 * of_query + parts if torn else of_query)[0]
    sizes = np.bincount(of_list)
    if len(sizes) < FEWEST:
        raise UserError(
            f"{file}: column {query.name!r} names {len(sizes)} lists; give at least {FEWEST}, or "
            "another dataset.query."
        )
    place = of_list, pd.Series(of_list).groupby(of_list).cumcount().to_numpy()
    shape = len(sizes), int(sizes.max())
    inputs = np.full((*shape, rows.inputs.shape[1]), np.nan, rows.inputs.dtype)
    targets = np.full(shape, float(NO_ITEM))
    inputs[place], targets[place] = rows.inputs, grades
    return replace(
        rows,
        inputs=inputs,
        targets=targets,
        standardise="items",
        fill=ItemFiller(rows.fill),
        split=None if rows.split is None else _one_of_each(file, query, parts, of_list, "split"),
        groups=None
        if rows.groups is None
        else _one_of_each(file, query, rows.groups, of_list, "group"),
        notes=(*rows.notes, *_describe(file, sizes, targets)),
    )


def _one_of_each(
    file: Path, query: pd.Series, values: np.ndarray, of_list: np.ndarray, key: str
) -> np.ndarray:
    """What all items of each list have; UserError where they have not all the same."""
    first = values[np.unique(of_list, return_index=True)[1]]
    differs = first[of_list] != values
    if differs.any():
        raise UserError(
            f"{file}: the items of {query.name} {query.iloc[differs.argmax()]} differ in "
            f"dataset.{key}; a list is in one split, so give its items one cell there."
        )
    return first


def _describe(file: Path, sizes: np.ndarray, targets: np.ndarray) -> list[str]:
    """What the lists are like."""
    notes = [f"{file.name}: {len(sizes)} lists of {sizes.min()} to {sizes.max()} items."]
    if idle := int((targets.max(1) <= 0).sum()):
        notes.append(f"{file.name}: {idle} lists have no grade above 0; metrics leave them out.")
    if targets.max() > LARGE:
        notes.append(
            f"{file.name}: grades reach {targets.max():g}, and the gain of an item is 2^grade - 1, "
            "so that few items decide; give few grades, such as 0 to 4."
        )
    return notes
