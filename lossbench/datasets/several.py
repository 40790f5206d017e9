"""Several columns as the targets of each row: numbers, or labels that apply or do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from lossbench.contract import UserError
from lossbench.datasets.columns import listed

TASKS = ("regression", "multilabel")


def read_several(
    file: Path, columns: Sequence[pd.Series], task: str | None
) -> tuple[np.ndarray, str]:
    """(N, columns), NaN where a cell is empty, and the task: labels where all cells are 0 or 1."""
    names = [column.name for column in columns]
    if task not in (*TASKS, None):
        raise UserError(
            f"dataset.target={listed(names)}: several columns are the targets of "
            f"dataset.task={' or '.join(TASKS)}; give one, or another task."
        )
    for column in columns:
        known = column.dropna().infer_objects()
        if not (types.is_numeric_dtype(known) or types.is_bool_dtype(known)):
            raise UserError(
                f"{file}: target {column.name!r} is text ({column.dropna().iloc[0]}); with several "
                "targets give numbers, or 1 and 0 for a label that applies and does not."
            )
    targets = np.stack([column.astype("float64").to_numpy() for column in columns], axis=1)
    are_labels = bool((np.isnan(targets) | (targets == 0) | (targets == 1)).all())
    return targets, task or ("multilabel" if are_labels else "regression")
