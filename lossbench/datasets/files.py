"""Anyone's table: CSV or Parquet."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from csv import Error, reader
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from lossbench.contract import File, Sample, UserError
from lossbench.datasets.suspects import find_suspects
from lossbench.paths import expanded, regular_file
from lossbench.registry.hints import choices

# What pandas and pyarrow raise for bytes that are not a table; they share no base class.
READING = (OSError, ValueError, LookupError, TypeError, OverflowError, NotImplementedError)
MOST_LEVELS = 50
MOST_CLASSES = 20
# What stands for a missing value in a column of numbers, in lower case.
MISSING = ("na", "n/a", "#n/a", "nan", "-nan", "none", "null", "<na>", "?", "-", ".")
MOST_NOTES = 5  # of columns; what more there is, is counted
DATE = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(\D.*)?"
SIGNED = r"[-+]?[$€£¥]?\s?[-+]?"
SPACE = "[ '_\u2019\u00a0\u202f]"  # what separates thousands where it is neither comma nor point
# How numbers are written that a CSV file should hold otherwise, and what to do about it.
WRITTEN = {
    "a comma between thousands": rf"{SIGNED}\d{{1,3}}(,\d{{3}})+(\.\d+)?",
    "a decimal comma": rf"{SIGNED}(\d{{1,3}}((\.|{SPACE})\d{{3}})+|\d*),\d+",
    "points between thousands": rf"{SIGNED}\d{{1,3}}(\.\d{{3}}){{2,}}",
    "a mark between thousands": rf"{SIGNED}\d{{1,3}}({SPACE}\d{{3}})+(\.\d+)?",
    "a unit": r"[-+]?[$€£¥]\s?\d+(\.\d+)?|[-+]?\d+(\.\d+)?\s?[%€$£¥]",
}


def csv(
    rng: np.random.Generator,
    /,
    *,
    path: File,
    target: str,
    task: Literal["binary", "multiclass", "regression"] | None = None,
    drop: tuple[str, ...] = (),
) -> Sample:
    """A CSV or Parquet file with a header; every column but the target is a feature.

    Numbers stay, true and false become 1 and 0, text of at most 50 levels one column per level;
    an empty cell is a missing value, and in a column of text "NA" or "None" is text.
    The target poses classes (in sorted order) where it is text, true/false or at most 20 distinct
    integers, else a regression; `task` decides otherwise. `drop` names columns to leave out, such
    as an identifier.
    """
    try:
        file = regular_file(path, "dataset.path")
        version = file.stat().st_mtime_ns
    except OSError as error:
        raise UserError(
            f"dataset.path={path}: {error.strerror} ({expanded(path).absolute()}); "
            "give a .csv or .parquet."
        ) from error
    return _read_sample(file, target, task, tuple(drop), version)


@functools.lru_cache(maxsize=1)
def _read_sample(
    file: Path, target: str, task: str | None, drop: tuple[str, ...], version: int
) -> Sample:
    """The same for every seed, so read once for each version of the file."""
    table = _read_table(file)
    for key, name in (("target", target), *(("drop", name) for name in drop)):
        if name not in table:
            raise UserError(
                f"dataset.{key}={name}: no column of {file}. {choices(name, table.columns)}"
            )
    if target in drop:
        raise UserError(f"dataset.drop={target} is the target of {file}; drop features.")
    table = table.drop(columns=list(drop))
    _refuse_missing(file, table)
    if len(table) < 10 or table.shape[1] < 2:
        raise UserError(
            f"{file}: {len(table)} rows and {table.shape[1]} columns; "
            "give at least 10 rows, and a feature next to the target."
        )
    columns = table.drop(columns=target)
    features = [_encode(file, columns[name]) for name in columns]
    targets, kind = _read_targets(file, table[target], task)
    notes = _note_suspects(file, columns, targets, kind)
    if task is None:
        notes += _note_reading(file, table[target], kind)
    return Sample(np.concatenate(features, axis=1), targets, kind, notes=tuple(notes))


def _note_suspects(file: Path, columns: pd.DataFrame, targets: np.ndarray, kind: str) -> list[str]:
    """A line for each column that had better not be a feature."""
    suspicious = find_suspects(columns, targets, kind != "regression")
    notes = [
        f"{file.name}: column {name!r} {what}, and is a feature; dataset.drop=[{_quote(name)}] "
        "leaves it out."
        for name, what in suspicious.items()
    ]
    more = len(notes) - MOST_NOTES
    return notes[:MOST_NOTES] + ([f"{file.name}: and {more} more such columns."] * (more > 0))


def _note_reading(file: Path, column: pd.Series, kind: str) -> list[str]:
    """How the target was read, where it could have been meant otherwise."""
    if not types.is_numeric_dtype(column) or types.is_bool_dtype(column):
        return []
    levels, where = column.nunique(), f"{file.name}: the target {column.name!r}"
    whole = bool((column == np.floor(column)).all())
    if kind == "multiclass":
        return [
            f"{where} holds {levels} whole numbers, read as classes; dataset.task=regression "
            "reads them as numbers."
        ]
    if kind == "regression" and (levels == 2 or (whole and levels <= MOST_CLASSES)):
        other = "binary" if levels == 2 else "multiclass"
        return [
            f"{where} holds {levels} distinct numbers, read as a regression; "
            f"dataset.task={other} reads them as classes."
        ]
    return []


def _quote(name: str) -> str:
    """A column's name as the command line takes it."""
    return name if name.isidentifier() else repr(name)


# --- reading ------------------------------------------------------------------------------------


def _read_table(file: Path) -> pd.DataFrame:
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
        file,
        encoding="utf-8-sig",
        index_col=False,
        skipinitialspace=True,
        low_memory=False,
        keep_default_na=False,  # "NA" and "None" may be text; as a number they are refused below
        na_values=[""],
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
            f"{file}: missing values in {_list_first(f'{n} ({c})' for n, c in worst.items())}, "
            f"{missing.any(axis=1).sum()} of {len(table)} rows, the first in data row {first}; "
            "fill them or remove the rows."
        )


def _encode(file: Path, column: pd.Series) -> np.ndarray:
    """One column as numbers (N, 1), or one-hot (N, levels)."""
    if types.is_bool_dtype(column) or types.is_numeric_dtype(column):
        return _to_numbers(file, column)[:, None]
    text = _to_text(file, column)
    levels = sorted(text.unique())
    if len(levels) > MOST_LEVELS:
        raise UserError(
            f"{file}: column {column.name!r} is text with {len(levels)} distinct values, more than "
            f"{MOST_LEVELS} (an identifier?); leave it out with "
            f"dataset.drop=[{_quote(str(column.name))}], or make it numbers."
        )
    return (text.to_numpy()[:, None] == np.array(levels, dtype=object)).astype(np.float64)


def _to_numbers(file: Path, column: pd.Series) -> np.ndarray:
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


def _to_text(file: Path, column: pd.Series) -> pd.Series:
    """A column of text, or of true and false as text; dates and half-numbers are refused."""
    if types.is_bool_dtype(column):
        return column.astype(int).astype(str)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    where = f"{file}: column {column.name!r}"
    if not all(isinstance(value, str) for value in column):
        raise UserError(f"{where} {_describe_foreign(column)}")
    if column.str.fullmatch(DATE).all():
        raise UserError(
            f"{where} holds dates ({column.iloc[0]}); make it a number of days, or remove it."
        )
    numeric = pd.to_numeric(column, errors="coerce").notna()
    rest = column[~numeric]
    other = rest[~rest.str.strip().str.lower().isin(MISSING)]
    if written := _describe_spelling(other):
        raise UserError(f"{where} {written}")
    if len(rest) and (numeric.mean() >= 0.5 or (other.empty and numeric.any())):
        odd = _list_first(map(repr, rest.unique()))
        raise UserError(
            f"{where} is numbers except {odd} in {len(rest)} rows; replace them or remove the rows."
        )
    return column


def _describe_foreign(column: pd.Series) -> str:
    """What a column holds that is neither numbers nor text, and what to do."""
    if all(isinstance(value, int) for value in column):
        most = max(len(str(abs(value))) for value in column)
        return (
            f"holds whole numbers of up to {most} digits, more than a number keeps (an "
            f"identifier?); leave it out with dataset.drop=[{_quote(str(column.name))}]."
        )
    kinds = sorted({type(value).__name__ for value in column})
    what = f"is {column.dtype}" if len(kinds) == 1 else f"mixes {_list_first(kinds)}"
    return (
        f"{what}, neither numbers, true/false nor text; convert or remove it "
        "(a date: to a number of days)."
    )


def _describe_spelling(cells: pd.Series) -> str:
    """How these cells write numbers, where all of them do, and what to write instead."""
    fits = pd.DataFrame({how: cells.str.strip().str.fullmatch(p) for how, p in WRITTEN.items()})
    if cells.empty or not fits.any(axis=1).all():
        return ""
    how = fits.sum().idxmax()  # of equals the first
    first = str(cells[fits[how]].iloc[0])
    digits = re.sub(r"[^\d.,+-]", "", first)
    advice = f"write {digits.replace(',', '')}"
    if how == "a decimal comma":
        advice = f"write a point, {digits.replace('.', '').replace(',', '.')}"
    elif how == "points between thousands":
        advice = f"write {digits.replace('.', '')}"
    elif how == "a comma between thousands" and digits.count(",") == 1 and "." not in digits:
        advice += f" (or {digits.replace(',', '.')}, if it is a decimal comma)"
    return f"holds numbers with {how} ({first!r}); {advice}."


# --- the target ---------------------------------------------------------------------------------


def _read_targets(file: Path, column: pd.Series, task: str | None) -> tuple[np.ndarray, str]:
    """Class indices or numbers, and the name of the task that they pose."""
    numeric = types.is_numeric_dtype(column) and not types.is_bool_dtype(column)
    values = pd.Series(_to_numbers(file, column)) if numeric else _to_text(file, column)
    levels = sorted(values.unique())
    few = not numeric or (types.is_integer_dtype(column) and len(levels) <= MOST_CLASSES)
    kind = task or ("regression" if not few else "binary" if len(levels) == 2 else "multiclass")
    where = f"{file}: target {column.name!r}"
    if len(levels) < 2:
        raise UserError(f"{where} has one value only, {column.iloc[0]}; there is nothing to learn.")
    if kind == "regression":
        if not numeric:
            raise UserError(
                f"{where} is not numbers; give dataset.task=multiclass, or another target."
            )
        return values.to_numpy(), kind
    if kind == "binary" and len(levels) != 2:
        raise UserError(
            f"{where} has {len(levels)} distinct values; binary needs two "
            "(dataset.task=multiclass takes more)."
        )
    if task is None and len(levels) > MOST_CLASSES:
        raise UserError(
            f"{where} is text with {len(levels)} distinct values, more than {MOST_CLASSES}; "
            "give dataset.task=multiclass if these are classes, or another target."
        )
    counts = values.value_counts()
    if counts.min() < 5:
        raise UserError(
            f"{where}: class {column[values == counts.idxmin()].iloc[0]} has {counts.min()} rows; "
            "give at least 5, merge it or remove it"
            + ("; or dataset.task=regression, if these are numbers." if numeric else ".")
        )
    return np.searchsorted(levels, values.to_numpy()), kind


def _list_first(names: Iterable[object], most: int = 20) -> str:
    """The first names, and how many more there are."""
    words = [str(name)[:60] for name in names]
    more = f", … ({len(words) - most} more)" if len(words) > most else ""
    return ", ".join(words[:most]) + more
