"""What each row of a table or an array counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from lossbench.contract import UserError


def read_weights(file: Path, name: str, column: pd.Series) -> np.ndarray:
    """(N,) numbers of at least 0, as a column or an array of this name holds them."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    with np.errstate(over="ignore"):
        wrong = ~(numbers >= 0) | ~np.isfinite(numbers.astype(np.float32))
    if wrong.any() or not numbers.any():
        cell = column.iloc[row := int(wrong.argmax())]
        held = "is empty" if pd.isna(cell) else f"holds {cell}"
        where = f"{held} in data row {row + 1}" if wrong.any() else "holds 0 in all rows"
        raise UserError(
            f"{file}: {name!r} {where}; dataset.weight={name} takes finite numbers of at least 0, "
            "some of them above: write 0 for a row that is to be left out."
        )
    return numbers
