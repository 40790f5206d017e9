"""The same rows in the same order, however seeds were dealt to stacks, workers and machines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def ordered(table: pd.DataFrame, names: list[str], seeds: Sequence[int]) -> pd.DataFrame:
    """The rows by these columns' values as first met, then in the order of the seeds."""
    met = [*zip(*(table[name] for name in names), strict=True)]
    ranks = {values: rank for rank, values in enumerate(dict.fromkeys(met))}
    places = {seed: place for place, seed in enumerate(seeds)}
    keys = [[ranks[values] for values in met], [places[seed] for seed in table.seed]]
    return table.take(np.lexsort(keys[::-1])).reset_index(drop=True)
