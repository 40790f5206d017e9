"""Rows of a table that come later, coded as the data set's own were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lossbench.contract import UserError

SHOWN = 5  # cells in a message


@dataclass(frozen=True)
class Coding:
    """How the columns of a table are features.

    levels: of each column the levels of its text, in order, none of one of numbers; gaps: the
    columns that are followed, after all features, by one that says where something is missing.
    """

    levels: dict[str, tuple[str, ...]]
    gaps: tuple[str, ...]

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        """(N, features), NaN where missing; UserError where a column is not as it was."""
        if absent := [name for name in self.levels if name not in frame]:
            raise UserError(f"predict: the data set has columns that are not given: {absent}.")
        columns = [self._code(frame[name], levels) for name, levels in self.levels.items()]
        missing = [frame[name].isna().to_numpy()[:, None] for name in self.gaps]
        return np.concatenate([*columns, *missing], axis=1, dtype=np.float64)

    def _code(self, column: pd.Series, levels: tuple[str, ...]) -> np.ndarray:
        """One column as its features."""
        known = column.notna()
        if not known.all() and column.name not in self.gaps:
            raise UserError(f"predict: column {column.name!r} has gaps; the data set's has none.")
        if not levels:
            numbers = pd.to_numeric(column.where(known, np.nan), errors="coerce").astype(float)
            codes, coded = numbers.to_numpy()[:, None], numbers.notna()
        else:
            places = pd.Index(levels, dtype=object).get_indexer(pd.Index(column, dtype=object))
            codes, coded = np.eye(len(levels))[places], pd.Series(places >= 0, column.index)
            codes[~known.to_numpy()] = np.nan
        if other := [*column[known & ~coded].unique()][:SHOWN]:
            more = ", …" if levels[SHOWN:] else ""
            expected = f"one of {', '.join(levels[:SHOWN])}{more}" if levels else "numbers"
            raise UserError(f"predict: column {column.name!r} holds {other}; expected {expected}.")
        return codes
