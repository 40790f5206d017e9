"""Anyone's table: CSV or Parquet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from csv import Error, reader
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from lossbench.contract import File, Sample, UserError
from lossbench.datasets.columns import (
    MISSING,
    MOST_CLASSES,
    SIGNS,
    encode_features,
    is_text,
    listed,
    quote,
    read_numbers,
    read_targets,
    spell,
)
from lossbench.datasets.suspects import find_suspects, note_rare, note_repeated
from lossbench.paths import expanded, regular_file
from lossbench.registry.hints import choices
from lossbench.registry.schema import Faults

# What pandas and pyarrow raise for bytes that are not a table; they share no base class.
READING = (OSError, ValueError, LookupError, TypeError, OverflowError, NotImplementedError)
SEPARATORS = ",;\t|"
MOST_NOTES = 5  # of columns; what more there is, is counted


@dataclass(frozen=True)
class Wanted:
    """What of a table is wanted, and how: the parameters of `csv`."""

    target: str
    task: str | None
    features: tuple[str, ...] | None
    drop: tuple[str, ...]
    impute: bool
    positive: str | None
    decimal: str
    thousands: str


def csv(
    rng: np.random.Generator,
    /,
    *,
    path: File,
    target: str,
    task: Literal["binary", "multiclass", "regression"] | None = None,
    drop: tuple[str, ...] = (),
    features: tuple[str, ...] | None = None,
    missing: Literal["refuse", "impute"] | None = None,
    positive: str | int | float | bool | None = None,
    decimal: Literal["point", "comma"] | None = None,
    thousands: Literal["comma", "point", "space", "apostrophe"] | None = None,
) -> Sample:
    """A CSV or Parquet file with a header; every column but the target is a feature.

    Numbers stay, true and false become 1 and 0, text of at most 50 levels one column per level;
    an empty cell is a missing value, and in a column of text "NA" or "None" is text. A CSV file's
    columns are separated by commas, semicolons, tabs or bars, as its first line has them.
    The target poses classes (in sorted order) where it is text, true/false or at most 20 distinct
    integers, else a regression; `task` decides otherwise.

    Args:
        path: the file.
        target: the column to predict.
        task: how the target is read; null decides by what it holds.
        drop: columns to leave out, such as an identifier.
        features: the only columns to use; null uses all.
        missing: impute fills a number's gaps with the median and a text's with the most frequent
            level, of the training split of each seed, next to a column that says where gaps were;
            refuse, like null, refuses them.
        positive: the cell of the class that recall and f1 count; null is the last in sorted order.
        decimal: the decimal sign; null is the point.
        thousands: what stands between thousands; null is nothing.
    """
    try:
        file = regular_file(path, "dataset.path")
        version = file.stat().st_mtime_ns
    except OSError as error:
        raise UserError(
            f"dataset.path={path}: {error.strerror} ({expanded(path).absolute()}); "
            "give a .csv or .parquet."
        ) from error
    point, mark = SIGNS[decimal or "point"], SIGNS[thousands] if thousands else ""
    if point == mark:
        raise UserError(
            f"dataset.thousands={thousands} is the decimal sign as well; give another "
            "dataset.decimal."
        )
    only = None if features is None else tuple(features)
    counted = None if positive is None else spell(positive)
    wanted = Wanted(target, task, only, tuple(drop), missing == "impute", counted, point, mark)
    return _read_sample(file, wanted, version)


@functools.lru_cache(maxsize=1)
def _read_sample(file: Path, wanted: Wanted, version: int) -> Sample:
    """The same for every seed, so read once for each version of the file."""
    table = _choose_columns(file, _read_table(file, wanted), wanted)
    target = table[wanted.target]
    columns = table.drop(columns=wanted.target)
    if len(table) < 10 or columns.empty:
        raise UserError(
            f"{file}: {len(table)} rows and {table.shape[1]} columns; "
            "give at least 10 rows, and a feature next to the target."
        )
    notes = list[str]()
    if wanted.impute:
        columns, notes = _read_gaps(file, columns)
    faults = Faults()
    with faults.gathered():
        _refuse_missing(file, target, columns, wanted)
    with faults.gathered():
        inputs, fill = encode_features(file, columns)
    faults.tell()
    targets, kind, classes = read_targets(file, target, wanted.task, wanted.positive)
    notes += _note_suspects(file, columns, targets, kind)
    notes += _note_target(file, target, kind, targets, classes, wanted)
    notes += [f"{file.name}: {note}" for note in note_rare(targets, classes)]
    notes += [f"{file.name}: {note}" for note in note_repeated(table)]
    return Sample(inputs, targets, kind, notes=tuple(notes), fill=fill)


def _choose_columns(file: Path, table: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """The target and the columns that are to be features, in the order of the file."""
    named = {"target": (wanted.target,), "drop": wanted.drop, "features": wanted.features or ()}
    for key, names in named.items():
        for name in names:
            if name not in table:
                raise UserError(
                    f"dataset.{key}={name}: no column of {file}. {choices(name, table.columns)}"
                )
            if key != "target" and name == wanted.target:
                raise UserError(f"dataset.{key}={name} is the target of {file}; give features.")
    if wanted.features is not None and wanted.drop:
        raise UserError("dataset.drop: dataset.features names all that are used; give one of them.")
    used = [name for name in table if name not in wanted.drop]
    if wanted.features is not None:
        used = [name for name in table if name in (*wanted.features, wanted.target)]
    return table[used]


# --- notes --------------------------------------------------------------------------------------


def _note_suspects(file: Path, columns: pd.DataFrame, targets: np.ndarray, kind: str) -> list[str]:
    """A line for each column that had better not be a feature."""
    suspicious = find_suspects(columns, targets, kind != "regression")
    notes = [
        f"{file.name}: column {name!r} {what}, and is a feature; dataset.drop=[{quote(name)}] "
        "leaves it out."
        for name, what in suspicious.items()
    ]
    more = len(notes) - MOST_NOTES
    return notes[:MOST_NOTES] + ([f"{file.name}: and {more} more such columns."] * (more > 0))


def _note_target(
    file: Path,
    column: pd.Series,
    kind: str,
    targets: np.ndarray,
    classes: Sequence[Any],
    wanted: Wanted,
) -> list[str]:
    """How the target was read, where it could have been meant otherwise."""
    levels, where = column.nunique(), f"{file.name}: the target {column.name!r}"
    if kind == "binary" and wanted.positive is None and isinstance(classes[1], str):
        return [
            f"{where}: class 1, which recall and f1 count, is {classes[1]!r} ({targets.mean():.0%} "
            f"of the rows); dataset.positive={quote(classes[0])} makes it the other."
        ]
    if wanted.task or not types.is_numeric_dtype(column) or types.is_bool_dtype(column):
        return []
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


# --- gaps ---------------------------------------------------------------------------------------


def _read_gaps(file: Path, columns: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The columns, with "NA", "?" and the like in numbers read as gaps, and what to say of gaps."""
    notes, columns = [], columns.copy()
    for name in columns:
        text = columns[name]
        marks = text[text.str.strip().str.lower().isin(MISSING)] if is_text(text) else text[:0]
        if len(marks) and not is_text(numbers := read_numbers(text, ".", "", MISSING)):
            columns[name] = numbers
            notes.append(
                f"{file.name}: column {name!r}: {listed(map(repr, marks.unique()))} in "
                f"{len(marks)} rows read as missing."
            )
    gaps = columns.isna().sum()
    if gaps.any():
        notes.append(
            f"{file.name}: {gaps.sum()} missing values in {listed(gaps[gaps > 0].index)}: filled "
            "with the median or most frequent level of each training split, and marked."
        )
    return columns, notes


def _refuse_missing(file: Path, target: pd.Series, columns: pd.DataFrame, wanted: Wanted) -> None:
    if target.hasnans:
        raise UserError(
            f"{file}: target {target.name!r} is missing in {target.isna().sum()} of {len(target)} "
            f"rows, the first in data row {int(target.isna().to_numpy().argmax()) + 1}; remove "
            "those rows."
        )
    gaps = columns.isna()
    counts = gaps.sum()
    if counts.any() and not wanted.impute:
        worst = counts[counts > 0]
        first = int(gaps[worst.index[0]].to_numpy().argmax()) + 1
        raise UserError(
            f"{file}: missing values in {listed(f'{n} ({c})' for n, c in worst.items())}, "
            f"{gaps.any(axis=1).sum()} of {len(gaps)} rows, the first in data row {first}; "
            "dataset.missing=impute fills them, dataset.drop=[…] leaves columns out."
        )


# --- reading ------------------------------------------------------------------------------------


def _read_table(file: Path, wanted: Wanted) -> pd.DataFrame:
    """The file's content, with text column names; UserError where it cannot be read."""
    formats = {".csv": _read_csv, ".parquet": _read_parquet, ".pq": _read_parquet}
    if file.suffix.lower() not in formats:
        raise UserError(f"dataset.path={file}: the suffix must be {', '.join(formats)}.")
    try:
        table = formats[file.suffix.lower()](file, wanted)
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


def _read_parquet(file: Path, wanted: Wanted) -> pd.DataFrame:
    table = pd.read_parquet(file, engine="pyarrow")
    return _respell(table, table[[name for name in table if is_text(table[name])]], wanted)


def _respell(table: pd.DataFrame, text: pd.DataFrame, wanted: Wanted) -> pd.DataFrame:
    """The table with the columns of numbers that are written with the signs that are wanted."""
    if (wanted.decimal, wanted.thousands) == (".", ""):
        return table
    gaps = MISSING if wanted.impute else ()
    for name in text:
        column = read_numbers(text[name], wanted.decimal, wanted.thousands, gaps)
        if not is_text(column):
            table[name] = column
    return table


def _read_csv(file: Path, wanted: Wanted) -> pd.DataFrame:
    """pandas fills short rows and guesses an index, so the shape is checked first."""
    with file.open(newline="", encoding="utf-8-sig") as lines:
        first = next((line for line in lines if line.strip()), "")
        separator = max(SEPARATORS, key=lambda mark: len(next(reader([first], delimiter=mark), [])))
        lines.seek(0)
        rows = reader(lines, strict=True, skipinitialspace=True, delimiter=separator)
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
    read: Callable[..., Any] = functools.partial(
        pd.read_csv,
        file,
        sep=separator,
        encoding="utf-8-sig",
        index_col=False,
        skipinitialspace=True,
        low_memory=False,
        keep_default_na=False,  # "NA" and "None" may be text; as a number they are refused below
        na_values=[""],
    )
    plain = (wanted.decimal, wanted.thousands) == (".", "")
    return read() if plain else _respell(read(), read(dtype=str), wanted)


def _refuse_header(header: list[str]) -> None:
    """ValueError where the first line does not name each column once."""
    if not any(header):
        raise ValueError("it is empty; the first line must name the columns")
    for position, name in enumerate(header, 1):
        if not name.strip():
            raise ValueError(f"column {position} has no name; name it, or remove it (an index?)")
        if not name.isprintable():
            raise ValueError(f"the name of column {position} is not text; is this a CSV file?")
        if header.count(name) > 1:
            raise ValueError(f"two columns are named {name!r} in its first line; name each once")
