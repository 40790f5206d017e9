"""What to know of one's data: columns that had better not be features, rare classes, repeats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from lossbench.datasets.splitting import SHARES, TEST, TRAIN, VALIDATION
from lossbench.datasets.table import Table

# What says which part a row is in, in lower case.
SPLITS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing", "holdout"), TEST),
}
SAYS_SPLIT = "says which split a row belongs to"
REPEATED_ID = "is named like an identifier"
NAMED_ID = re.compile(
    r"(?:^|[^A-Za-z])(?:id|uid|uuid|guid)s?$|^ids?(?:[^A-Za-z]|$)|[a-z](?:Id|ID)$"
)
SPLIT_NAMES = {"split", "fold", "partition", "subset"}
ROW_NAMES = {"index", "idx", "row", "row number", "rownumber", "row_number", "no", "nr"}
FEW_CHANGES = 0.2  # of those that a random order of the classes would have
ENOUGH = 50  # rows of a class in the test split
SEPARABLE = 30  # rows that chance does not put into order
SHIFT, MIX = np.uint64(31), np.uint64(0x9E3779B97F4A7C15)  # spread what differs over all bits
TAIL, SQUASHED = 0.05, 0.1  # on each side; of a deviation, what the values between may span
MOST_VALUES = 50  # of a column that is held against the target value by value


def find_suspects(features: Table, target: np.ndarray, classes: bool) -> dict[str, str]:
    """Column -> what is suspicious about it, for columns that are features all the same.

    target: class indices or numbers (N,); classes: which of the two.
    """
    reasons = {str(name): _describe(features[name], target, classes) for name in features}
    return {name: reason for name, reason in reasons.items() if reason}


def note_rare(
    targets: np.ndarray, classes: Sequence[Any], parts: np.ndarray | None = None
) -> list[str]:
    """Whether the test split has too few of a class for its recall to say much.

    targets: indices (N,) of `classes`; none is not of classes. parts: (N,) the given ones.
    """
    if not classes:
        return []
    given = parts is not None and bool((parts == TEST).any())
    tested = np.bincount(targets[parts == TEST] if given else targets, minlength=len(classes))
    if not given:
        tested = tested * SHARES[3][-1] // sum(SHARES[3])
    if tested.min() >= ENOUGH:
        return []
    fewest, about = int(tested.argmin()), "" if given else "about "
    return [
        f"the test split has {about}{tested[fewest]} rows of the class {classes[fewest]!r}, fewer "
        f"than {ENOUGH}: each is {1 / max(1, tested[fewest]):.1%} of its recall."
    ]


def hash_columns(columns: Iterable[pd.Series]) -> np.ndarray:
    """(N,) numbers that are equal for rows that are equal in every column."""
    rows: Any = np.uint64(0)
    for column in columns:
        hashes = pd.util.hash_pandas_object(column, index=False).to_numpy()
        rows = (rows ^ (rows >> SHIFT)) * MIX + hashes
    return rows


def hash_rows(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) numbers that are equal for equal examples."""
    return np.array(
        [hash((x.tobytes(), y.tobytes())) for x, y in zip(inputs, targets, strict=True)]
    )


def note_repeated(
    same: np.ndarray, parts: np.ndarray | None = None, groups: np.ndarray | None = None
) -> list[str]:
    """Whether rows are, or may be, in the training and in the test split at once.

    same: (N,) numbers that are equal for equal rows.
    """
    if parts is not None and (parts == TEST).any():
        count = int(np.isin(same[parts == TEST], same[parts != TEST]).sum())
        note = f"{count} of {(parts == TEST).sum()} rows of the test are in the other splits too"
    else:
        ordered = np.sort(same)
        count = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
        if groups is not None:
            known = pd.DataFrame({"row": same, "group": groups})
            count = int((known.duplicated("row") & ~known.duplicated()).sum())
        note = f"{count} of {len(same)} rows repeat an earlier one, so that splits share rows"
    return [f"{note}; remove them, unless they are separate cases."] if count else []


def _describe(column: pd.Series, target: np.ndarray, classes: bool) -> str:
    known = column.notna().to_numpy() & ~np.isnan(target)
    if classes and not known.all() and _follows(target, ~known):
        return "gives the class away by its gaps"
    column, target = column[known], target[known]
    numeric = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
    words = set() if numeric else {str(v).strip().lower() for v in column.unique()[:10]}
    if len(words) > 1 and words <= set(SPLITS):
        return f"{SAYS_SPLIT} ({', '.join(sorted(words))})"
    if str(column.name).lower() in SPLIT_NAMES:
        return "is named like a split"
    identity, away = _identify(column), _find_giveaway(column, target) if classes else ""
    if identity or (away and column.is_unique and _is_whole(column)):
        return (identity or "differs in every row") + away
    return _find_copy(column, target, classes) or (_find_extremes(column) if numeric else "")


def _find_extremes(column: pd.Series) -> str:
    """Whether rare values leave nearly all others alike once they are standardised, or nothing."""
    values = column.to_numpy(dtype=np.float64)
    low, high = np.quantile(values, (TAIL, 1 - TAIL))
    spread = values.std()
    if not 0 < high - low < SQUASHED * spread:
        return ""
    far = values[np.abs(values - np.median(values)).argmax()]
    return (
        f"holds {far:.3g} next to {1 - 2 * TAIL:.0%} of values within {low:.3g} .. {high:.3g}, "
        f"which standardising squashes to {(high - low) / spread:.2g}"
    )


def _identify(column: pd.Series) -> str:
    """How the column identifies rows, or nothing."""
    name = str(column.name)
    named = bool(NAMED_ID.search(name)) or name.lower() in ROW_NAMES
    alike = REPEATED_ID if named else ""
    if not types.is_numeric_dtype(column) or types.is_bool_dtype(column):
        return "differs in every row" if column.is_unique else alike
    values = column.to_numpy(dtype=np.float64)
    steps = np.diff(values)
    if not len(steps):
        return ""
    if steps[0] and np.allclose(steps, steps[0], rtol=1e-9, atol=0):
        return "is the row number" if abs(steps[0]) == 1 else "rises evenly from row to row"
    if not _is_whole(column):
        return ""
    if (steps > 0).all() or (steps < 0).all():
        return "rises from row to row" if steps[0] > 0 else "falls from row to row"
    numbers = np.ptp(values) == len(values) - 1 and column.is_unique
    return "numbers the rows" if numbers else alike


def _is_whole(column: pd.Series) -> bool:
    return types.is_numeric_dtype(column) and bool((column == np.floor(column)).all())


def _find_giveaway(column: pd.Series, target: np.ndarray) -> str:
    """How far the class follows from the order of the values, where it does."""
    along = target[np.argsort(column.to_numpy(), kind="stable")]
    changes = np.count_nonzero(along[1:] != along[:-1])
    shares = np.bincount(along.astype(np.int64)) / len(along)
    if changes > FEW_CHANGES * len(along) * (1 - np.square(shares).sum()):
        return ""
    return f" and gives the class away (in its order the class changes {changes} times)"


def _follows(target: np.ndarray, values: np.ndarray) -> bool:
    """Whether each of some values occurs in one class only, of several that are there."""
    each = pd.Series(target).groupby(values, sort=False).nunique()
    return len(np.unique(target)) > 1 and bool((each == 1).all())


def _find_copy(column: pd.Series, target: np.ndarray, classes: bool) -> str:
    """Whether the target can be read off the column, by its values or by their order."""
    if not classes:
        if not types.is_numeric_dtype(column) or (column == column.iloc[0]).all():
            return ""
        same = abs(np.corrcoef(column.to_numpy(dtype=np.float64), target)[0, 1]) > 1 - 1e-9
        return "is the target, up to its unit" if same else ""
    # most columns of numbers show in a few rows that they have too many values
    few = column[: 4 * MOST_VALUES].nunique() <= MOST_VALUES
    levels = column.nunique() if few else len(column)
    if levels <= min(MOST_VALUES, len(column) // 2):
        if _follows(target, column.to_numpy()):
            return f"gives the class away (each of its {levels} values occurs in one class only)"
        return ""
    if not types.is_numeric_dtype(column) or len(column) < SEPARABLE:
        return ""
    ends = column.groupby(target).agg(["min", "max"]).sort_values("min")
    if (ends["max"].to_numpy()[:-1] < ends["min"].to_numpy()[1:]).all():
        return "gives the class away (each class has a range of its values to itself)"
    return ""
