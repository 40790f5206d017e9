"""A table, a column at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Table:
    """Columns that are read when they are asked for, so that never all are in memory twice.

    read: a name -> its column, of so many rows.
    """

    names: tuple[str, ...]
    rows: int
    read: Callable[[str], pd.Series]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Table:
        """One that is in memory."""
        return cls(tuple(map(str, frame)), len(frame), frame.__getitem__)

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> pd.Series:
        return self.read(name)

    def only(self, names: Iterable[str]) -> Table:
        """These columns of it."""
        return replace(self, names=tuple(names))

    def where(self, kept: np.ndarray) -> Table:
        """These rows (N,) of it."""

        def read(name: str) -> pd.Series:
            return self.read(name)[kept].reset_index(drop=True)

        return replace(self, rows=int(np.count_nonzero(kept)), read=read)
