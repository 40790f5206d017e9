"""A CSV or Parquet file as a table, or the reason why it cannot be read."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from csv import Error, reader
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lossbench.contract import UserError
from lossbench.datasets.columns import is_text, read_numbers
from lossbench.datasets.table import Table
from lossbench.paths import expanded, regular_file
from lossbench.registry.schema import reason_of

# What pandas and pyarrow raise for bytes that are not a table; they share no base class.
READING = (OSError, ValueError, LookupError, TypeError, OverflowError, NotImplementedError)
SEPARATORS = ",;\t|"
CELLS = 2**20  # of a Parquet file that are in memory at a time


@dataclass(frozen=True)
class Spelling:
    """How numbers are written: the decimal sign, what stands between thousands, and for gaps."""

    decimal: str = "."
    thousands: str = ""
    gaps: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        return (self.decimal, self.thousands) == (".", "")


PLAIN = Spelling()


def named_file(path: str, key: str, what: str) -> tuple[Path, int]:
    """The file that a parameter names, and its version; UserError where there is none."""
    try:
        file = regular_file(path, key)
        return file, file.stat().st_mtime_ns
    except OSError as error:
        raise UserError(
            f"{key}={path}: {error.strerror} ({expanded(path).absolute()}); give a {what}."
        ) from error


def read_table(file: Path, spelling: Spelling, key: str) -> Table:
    """The file's content, with text column names; UserError where it cannot be read."""
    formats = {".csv": _read_csv, ".parquet": _read_parquet, ".pq": _read_parquet}
    if file.suffix.lower() not in formats:
        raise UserError(f"{key}={file}: the suffix must be {', '.join(formats)}.")
    with _refusing(file):
        table = formats[file.suffix.lower()](file, spelling)
    for name in table:
        if table.names.count(name) > 1:
            raise UserError(f"{file}: two columns are named {name!r}; rename one.")
    return table


@contextlib.contextmanager
def _refusing(file: Path) -> Iterator[None]:
    """UserError where the file cannot be read."""
    try:
        yield
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8; save it as UTF-8"
        raise UserError(f"{file}: it cannot be read: {reason}.") from error
    except READING as error:
        reason = reason_of(error)
        raise UserError(f"{file}: it cannot be read: {reason}") from error


def _read_parquet(file: Path, spelling: Spelling) -> Table:
    """Each column as pandas reads it; those of an index are none."""
    names = tuple(map(str, pq.read_schema(file).empty_table().to_pandas()))
    rows = pq.read_metadata(file).num_rows
    width = max(1, CELLS // max(1, rows))
    places = {name: place for place, name in enumerate(names)}

    @functools.lru_cache(maxsize=1)  # columns are read in order, several times over
    def read_block(start: int) -> pd.DataFrame:
        with _refusing(file):
            block = pd.read_parquet(
                file, engine="pyarrow", columns=list(names[start : start + width])
            ).reset_index(drop=True)
        pa.default_memory_pool().release_unused()  # else it keeps what decoding took
        return block

    def read(name: str) -> pd.Series:
        place = places[name] % width
        column = read_block(places[name] - place).iloc[:, place]
        return _respell(column.rename(name), spelling)

    return Table(names, rows, read)


def _respell(column: pd.Series, spelling: Spelling) -> pd.Series:
    """The column as numbers, where it is text that writes them with the signs that are wanted."""
    if spelling.plain or not is_text(column):
        return column
    return read_numbers(column, spelling.decimal, spelling.thousands, spelling.gaps)


def _read_csv(file: Path, spelling: Spelling) -> Table:
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
    frame = read()
    frame.columns = frame.columns.astype(str)
    if spelling.plain:
        return Table.of(frame)
    text = read(dtype=str).set_axis(frame.columns, axis=1)
    for name in text:
        column = _respell(text[name], spelling)
        if not is_text(column):
            frame[name] = column
    return Table.of(frame)


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
