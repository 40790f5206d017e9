"""Anyone's table: CSV or Parquet."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from csv import Error, reader
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from lossbench.contract import Sample, UserError
from lossbench.paths import expanded, regular_file
from lossbench.schema import choices

# What pandas and pyarrow raise for bytes that are not a table; they share no base class.
READING = (OSError, ValueError, LookupError, TypeError, OverflowError, NotImplementedError)
MOST_LEVELS = 50
MOST_CLASSES = 20
DATE = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(\D.*)?"


def csv(
    rng: np.random.Generator,
    /,
    *,
    path: str,
    target: str,
    task: Literal["binary", "multiclass", "regression"] | None = None,
) -> Sample:
    """A CSV or Parquet file with a header; every column but the target is a feature.

    Numbers stay, true and false become 1 and 0, text of at most 50 levels one column per level.
    The target poses classes (in sorted order) where it is text, true/false or at most 20 distinct
    integers, else a regression.
    """
    try:
        file = regular_file(path, "dataset.path")
        version = file.stat().st_mtime_ns
    except OSError as error:
        raise UserError(
            f"dataset.path={path}: {error.strerror} ({expanded(path).absolute()}); "
            "give a .csv or .parquet."
        ) from error
    return _sample(file, target, task, version)


@functools.lru_cache(maxsize=1)
def _sample(file: Path, target: str, task: str | None, version: int) -> Sample:
    """The same for every seed, so read once for each version of the file."""
    table = _table(file)
    if target not in table:
        raise UserError(
            f"dataset.target={target}: no column of {file}. {choices(target, table.columns)}"
        )
    _refuse_missing(file, table)
    if len(table) < 10 or table.shape[1] < 2:
        raise UserError(
            f"{file}: {len(table)} rows and {table.shape[1]} columns; "
            "give at least 10 rows, and a feature beside the target."
        )
    features = [_columns(file, table[name]) for name in table if name != target]
    targets, kind = _targets(file, table[target], task)
    return Sample(np.concatenate(features, axis=1), targets, kind)


# --- reading ------------------------------------------------------------------------------------


def _table(file: Path) -> pd.DataFrame:
    """The file's content, with text column names; UserError where it cannot be read."""
    formats = {".csv": _read_csv, ".parquet": _read_parquet, ".pq": _read_parquet}
    if file.suffix.lower() not in formats:
        raise UserError(f"dataset.path={file}: the suffix must be {', '.join(formats)}.")
    try:
        table = formats[file.suffix.lower()](file)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8; save it as UTF-8"
        raise UserError(f"{file}: it cannot be read: {reason}.") from error
    except READING as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file}: it cannot be read: {reason}") from error
    names = table.columns.astype(str)
    for name in names[names.duplicated()]:
        raise UserError(f"{file}: two columns are named {name!r}; rename one.")
    return table.set_axis(names, axis=1)


def _read_parquet(file: Path) -> pd.DataFrame:
    return pd.read_parquet(file, engine="pyarrow")


def _read_csv(file: Path) -> pd.DataFrame:
    """pandas fills short rows and guesses an index, so the shape is checked first."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = reader(lines, strict=True, skipinitialspace=True)
        try:
            header = next(rows, [])
            ragged = next(
                ((rows.line_num, len(r)) for r in rows if r and len(r) != len(header)), None
            )
        except Error as error:
            raise ValueError(f"line {rows.line_num}: {error}") from error
    _refuse_header(header)
    if ragged:
        raise ValueError(f"line {ragged[0]} has {ragged[1]} fields, the header {len(header)}")
    return pd.read_csv(
        file, encoding="utf-8-sig", index_col=False, skipinitialspace=True, low_memory=False
    )


def _refuse_header(header: list[str]) -> None:
    """ValueError where the first line does not name each column once."""
    if not any(header):
        raise ValueError("it is empty; the first line must name the columns")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise ValueError("its columns must be separated by commas")
    for position, name in enumerate(header, 1):
        if not name.strip():
            raise ValueError(f"column {position} has no name; name it, or remove it (an index?)")
        if not name.isprintable():
            raise ValueError(f"the name of column {position} is not text; is this a CSV file?")
        if header.count(name) > 1:
            raise ValueError(f"two columns are named {name!r} in its first line; name each once")


# --- columns ------------------------------------------------------------------------------------


def _refuse_missing(file: Path, table: pd.DataFrame) -> None:
    missing = table.isna()
    counts = missing.sum()
    if counts.any():
        worst = counts[counts > 0]
        first = int(missing[worst.index[0]].to_numpy().argmax()) + 1
        raise UserError(
            f"{file}: missing values in {_shown(f'{n} ({c})' for n, c in worst.items())}, "
            f"{missing.any(axis=1).sum()} of {len(table)} rows, the first in data row {first}; "
            "fill them or remove the rows."
        )


def _columns(file: Path, column: pd.Series) -> np.ndarray:
    """One column as numbers (N, 1), or one-hot (N, levels)."""
    if types.is_bool_dtype(column) or types.is_numeric_dtype(column):
        return _numbers(file, column)[:, None]
    text = _text(file, column)
    levels = sorted(text.unique())
    if len(levels) > MOST_LEVELS:
        raise UserError(
            f"{file}: column {column.name!r} is text with {len(levels)} distinct values, more than "
            f"{MOST_LEVELS} (an identifier?); remove it or make it numbers."
        )
    return (text.to_numpy()[:, None] == np.array(levels, dtype=object)).astype(np.float64)


def _numbers(file: Path, column: pd.Series) -> np.ndarray:
    if types.is_complex_dtype(column):
        raise UserError(f"{file}: column {column.name!r} is complex; give real numbers.")
    values = column.to_numpy(dtype=np.float64)
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise UserError(
            f"{file}: column {column.name!r} has {broken} infinite values in {len(values)} rows; "
            "replace them or remove the rows."
        )
    return values


def _text(file: Path, column: pd.Series) -> pd.Series:
    """A column of text, or of true and false as text; dates and half-numbers are refused."""
    if types.is_bool_dtype(column):
        return column.astype(int).astype(str)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if not all(isinstance(value, str) for value in column):
        raise UserError(
            f"{file}: column {column.name!r} is {column.dtype}, neither numbers, true/false nor "
            "text; convert or remove it (a date: to a number of days)."
        )
    if column.str.fullmatch(DATE).all():
        raise UserError(
            f"{file}: column {column.name!r} holds dates ({column.iloc[0]}); "
            "make it a number of days, or remove it."
        )
    numeric = pd.to_numeric(column, errors="coerce").notna()
    if 0.5 <= numeric.mean() < 1:
        odd = column[~numeric].unique()
        raise UserError(
            f"{file}: column {column.name!r} is numbers except {_shown(map(repr, odd))} in "
            f"{(~numeric).sum()} rows; replace them or remove the rows."
        )
    return column


# --- the target ---------------------------------------------------------------------------------


def _targets(file: Path, column: pd.Series, task: str | None) -> tuple[np.ndarray, str]:
    """Class indices or numbers, and the name of the task that they pose."""
    numeric = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
    values = pd.Series(_numbers(file, column)) if numeric else _text(file, column)
    levels = sorted(values.unique())
    few = not numeric or (types.is_integer_dtype(column) and len(levels) <= MOST_CLASSES)
    kind = task or ("regression" if not few else "binary" if len(levels) == 2 else "multiclass")
    where = f"{file}: target {column.name!r}"
    if len(levels) < 2:
        raise UserError(f"{where} has one value only, {column.iloc[0]}; there is nothing to learn.")
    if kind == "regression":
        if not numeric:
            raise UserError(f"{where} is not numbers; give task=multiclass, or another target.")
        return values.to_numpy(), kind
    if kind == "binary" and len(levels) != 2:
        raise UserError(f"{where} has {len(levels)} distinct values; binary needs two.")
    if task is None and len(levels) > MOST_CLASSES:
        raise UserError(
            f"{where} is text with {len(levels)} distinct values, more than {MOST_CLASSES}; "
            "give task=multiclass if these are classes, or another target."
        )
    counts = values.value_counts()
    if counts.min() < 5:
        raise UserError(
            f"{where}: class {column[values == counts.idxmin()].iloc[0]} has {counts.min()} rows; "
            "give at least 5, merge it or remove it."
        )
    return np.searchsorted(levels, values.to_numpy()), kind


def _shown(names: Iterable[object], most: int = 20) -> str:
    """The first names, and how many more there are."""
    words = [str(name)[:60] for name in names]
    more = f", … ({len(words) - most} more)" if len(words) > most else ""
    return ", ".join(words[:most]) + more
