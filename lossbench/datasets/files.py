"""Anyone's table: CSV or Parquet."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from lossbench.contract import File, Sample, UserError
from lossbench.datasets.columns import (
    MISSING,
    MOST_CLASSES,
    NUMBERS,
    SIGNS,
    encode_features,
    is_text,
    listed,
    quote,
    read_durations,
    read_numbers,
    read_targets,
    spell,
)
from lossbench.datasets.queries import as_lists
from lossbench.datasets.reading import Spelling, named_file, read_table
from lossbench.datasets.roles import Wanted, choose_columns
from lossbench.datasets.several import read_several
from lossbench.datasets.splitting import TEST, TRAIN
from lossbench.datasets.suspects import (
    REPEATED_ID,
    SAYS_SPLIT,
    SPLITS,
    find_suspects,
    hash_columns,
    note_rare,
    note_repeated,
)
from lossbench.datasets.table import Table
from lossbench.datasets.weighing import read_weights
from lossbench.registry.schema import Faults

SUFFIXES = ".csv or .parquet"
CONTINUED = ("survival", "multilabel")  # tasks of several targets, which are no classes
MOST_NOTES = 5  # of columns; what more there is, is counted


def csv(
    rng: np.random.Generator,
    /,
    *,
    path: File,
    target: str | tuple[str, ...],
    task: Literal[
        "binary",
        "multiclass",
        "ordinal",
        "regression",
        "multilabel",
        "counts",
        "distributional",
        "survival",
        "list_ranking",
    ]
    | None = None,
    drop: tuple[str, ...] = (),
    features: tuple[str, ...] | None = None,
    missing: Literal["refuse", "impute"] | None = None,
    positive: str | int | float | bool | None = None,
    order: tuple[str, ...] | None = None,
    event: str | None = None,
    split: str | None = None,
    test: File | None = None,
    group: str | None = None,
    weight: str | None = None,
    query: str | None = None,
    decimal: Literal["point", "comma"] | None = None,
    thousands: Literal["comma", "point", "space", "apostrophe"] | None = None,
) -> Sample:
    """A CSV or Parquet file with a header; every column but the target is a feature.

    Numbers stay, true and false become 1 and 0, text of at most 50 levels one column per level;
    an empty cell is a missing value, and in a column of text "NA" or "None" is text. A CSV file's
    columns are separated by commas, semicolons, tabs or bars, as its first line has them.
    The target poses classes (in sorted order) where it is text, true/false or at most 20 distinct
    integers, else a regression; `task` decides otherwise. A regression leaves out rows without one.

    Args:
        path: the file.
        target: the column to predict, or several: labels where all hold 0 and 1, else numbers.
        task: how the target is read; null decides by what it holds.
        drop: columns to leave out, such as an identifier.
        features: the only columns to use; null uses all.
        missing: impute fills a number's gaps with the median and a text's with the most frequent
            level, of the training split of each seed, next to a column that says where gaps were;
            refuse, like null, refuses them.
        positive: the cell of the class that recall and f1 count; null is the last in sorted order.
        order: the cells of an ordinal target of text, from the lowest; numbers have their order.
        event: of task=survival the column that holds 1 where the target, a time above 0, is that
            of an event, and 0 where it is censored.
        split: a column that says train, validation or test; what no row is, is drawn from train.
        test: a file of the same columns, all of whose rows are the test split.
        group: a column whose equal cells keep rows in one split, such as a patient.
        weight: a column of what each row counts, in losses, metrics and standardising; rows of
            weight 0 are left out.
        query: of task=list_ranking the column whose equal cells make rows the items of one list,
            which is one example; the target is then a grade from 0.
        decimal: the decimal sign; null is the point.
        thousands: what stands between thousands; null is nothing.
    """
    files = [named_file(path, "dataset.path", SUFFIXES)]
    if test is not None:
        files.append(named_file(test, "dataset.test", SUFFIXES))
        if split is not None:
            raise UserError("dataset.test: dataset.split gives the test rows; give one of them.")
    point, mark = SIGNS[decimal or "point"], SIGNS[thousands] if thousands else ""
    if point == mark:
        raise UserError(
            f"dataset.thousands={thousands} is the decimal sign as well; give another "
            "dataset.decimal."
        )
    first, *more = map(spell, [target] if not isinstance(target, list | tuple) else target)
    wanted = Wanted(
        first,
        task,
        None if features is None else tuple(features),
        tuple(drop),
        missing == "impute",
        None if positive is None else spell(positive),
        None if order is None else tuple(map(spell, order)),
        event,
        split,
        group,
        query,
        tuple(more),
        Spelling(point, mark, MISSING if missing == "impute" else ()),
        weight,
    )
    return _read_sample(tuple(files), wanted)


@functools.lru_cache(maxsize=1)
def _read_sample(files: tuple[tuple[Path, int], ...], wanted: Wanted) -> Sample:
    """The same for every seed, so read once for each version of the files."""
    (file, _), *others = files
    table = choose_columns(file, read_table(file, wanted.spelling, "dataset.path"), wanted)
    if not others:
        return sample_of(file, table, wanted)
    other, _ = others[0]
    rows = read_table(other, wanted.spelling, "dataset.test")
    both = _append(file, table, other, rows)
    parts = np.where(np.arange(len(both)) < len(table), TRAIN, TEST)
    return sample_of(Path(f"{file} + {other.name}"), both, wanted, parts)


def sample_of(file: Path, table: Table, wanted: Wanted, parts: np.ndarray | None = None) -> Sample:
    """The examples of a table of features and of columns with roles; parts: (N,) the given ones.

    file: what messages name.
    """
    weights = None
    if wanted.weight is not None:
        weights = read_weights(file, wanted.weight, table[wanted.weight])
        if not (counts := weights > 0).all():
            parts = None if parts is None else parts[counts]
            sample = sample_of(file, table.where(counts), wanted, parts)
            note = f"{file.name}: {np.count_nonzero(~counts)} rows of weight 0 are left out."
            return replace(sample, notes=(note, *sample.notes))
    columns = table.only(name for name in table if name not in wanted.roles)
    if len(table) < 10 or not columns.names:
        raise UserError(
            f"{file}: {len(table)} rows and {len(table.names)} columns; "
            "give at least 10 rows, and a feature next to the target."
        )
    parts = _read_parts(file, table, wanted) if parts is None else parts
    groups = None if wanted.group is None else table[wanted.group].astype(str).to_numpy()
    notes = list[str]()
    if wanted.impute:
        columns, notes = _read_gaps(file, columns)
    faults = Faults()
    with faults.gathered():
        _refuse_missing(file, table, columns, wanted)
    with faults.gathered():
        inputs, fill, code = encode_features(file, columns)
    faults.tell()
    targets, kind, classes = _read_roles(file, table, wanted)
    notes += _note_suspects(file, columns, targets, kind)
    if not wanted.more:
        notes += _note_target(file, table[wanted.target], kind, targets, classes, wanted)
    said = note_rare(targets, classes, parts)
    if wanted.query is None:  # an item may be in many lists
        same = hash_columns(table[name] for name in (*columns, *wanted.targets))
        said += note_repeated(same, parts, groups)
    notes += [f"{file.name}: {note}" for note in said]
    sample = Sample(
        inputs,
        targets,
        kind,
        notes=tuple(notes),
        fill=fill,
        split=parts,
        groups=groups,
        weights=weights,
    )
    if wanted.query is None:
        return replace(sample, code=code)
    return as_lists(file, sample, table[wanted.query], torn=wanted.split is None)


def _read_roles(file: Path, table: Table, wanted: Wanted) -> tuple[np.ndarray, str, list[Any]]:
    """The targets, the task that they pose and, of classes, their levels."""
    if wanted.more:
        several = [table[name] for name in wanted.targets]
        return *read_several(file, several, wanted.task), []
    target = table[wanted.target]
    if wanted.task == "survival":
        event = None if wanted.event is None else table[wanted.event]
        return read_durations(file, target, event), "survival", []
    if wanted.event:
        raise UserError(f"dataset.event={wanted.event}: it needs dataset.task=survival.")
    if wanted.query and wanted.weight:
        raise UserError("dataset.weight: rows are items of lists (dataset.query); leave it out.")
    if (wanted.task == "list_ranking") != (wanted.query is not None):
        raise UserError(
            "dataset.task=list_ranking and dataset.query, the column that says which list a row is "
            "an item of, need each other; give both or neither."
        )
    return read_targets(file, target, wanted.task, wanted.positive, wanted.order)


def _append(file: Path, table: Table, other: Path, rows: Table) -> Table:
    """The table with the rows of another that has its columns."""
    if lacking := [name for name in table if name not in rows.names]:
        raise UserError(
            f"dataset.test={other}: it has no column {listed(map(repr, lacking))}, as {file} has; "
            "give a file of the same columns, or leave them out."
        )

    def read(name: str) -> pd.Series:
        return pd.concat([table[name], rows[name]], ignore_index=True)

    return Table(table.names, len(table) + len(rows), read)


def _read_parts(file: Path, table: Table, wanted: Wanted) -> np.ndarray | None:
    """(N,) the part of each row as the column says it, or None where no column does."""
    if wanted.split is None:
        return None
    words = table[wanted.split].fillna("").astype(str).str.strip().str.lower()
    if unknown := sorted(set(words) - set(SPLITS)):
        raise UserError(
            f"{file}: column {wanted.split!r} holds {listed(map(repr, unknown))}; dataset.split "
            f"takes {listed(SPLITS)}."
        )
    parts = words.map(SPLITS).to_numpy()
    if not {TRAIN} < set(parts):
        raise UserError(
            f"{file}: column {wanted.split!r} holds {listed(sorted(set(words)))} only; "
            "dataset.split needs rows of train and of another part."
        )
    return parts


# --- notes --------------------------------------------------------------------------------------


def _note_suspects(file: Path, columns: Table, targets: np.ndarray, kind: str) -> list[str]:
    """A line for each column that had better not be a feature."""
    first = targets[:, 0] if targets.ndim > 1 else targets
    suspicious = find_suspects(columns, first, kind not in (*NUMBERS, *CONTINUED))
    notes = [
        f"{file.name}: column {name!r} {what}, and is a feature; {_use(name, what)}"
        f"dataset.drop=[{quote(name)}] leaves it out."
        for name, what in suspicious.items()
    ]
    more = len(notes) - MOST_NOTES
    return notes[:MOST_NOTES] + ([f"{file.name}: and {more} more such columns."] * (more > 0))


def _use(name: str, what: str) -> str:
    """What a column is good for instead, in words, or nothing."""
    if what.startswith(SAYS_SPLIT):
        return f"dataset.split={quote(name)} splits by it, "
    return f"dataset.group={quote(name)} keeps its rows together, " if what == REPEATED_ID else ""


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
            f"{where} holds {levels} whole numbers, read as classes; dataset.task=ordinal reads "
            "them as classes in order, dataset.task=regression as numbers."
        ]
    if kind == "regression" and (levels == 2 or (whole and levels <= MOST_CLASSES)):
        other = "binary" if levels == 2 else "multiclass"
        return [
            f"{where} holds {levels} distinct numbers, read as a regression; "
            f"dataset.task={other} reads them as classes."
        ]
    return []


# --- gaps ---------------------------------------------------------------------------------------


def _read_gaps(file: Path, columns: Table) -> tuple[Table, list[str]]:
    """The columns, with "NA", "?" and the like in numbers read as gaps, and what to say of gaps."""
    notes, numbers, gaps = [], dict[str, pd.Series](), dict[str, int]()
    for name in columns:
        column = columns[name]
        marks = (
            column[column.str.strip().str.lower().isin(MISSING)] if is_text(column) else column[:0]
        )
        if len(marks) and not is_text(known := read_numbers(column, ".", "", MISSING)):
            numbers[name] = column = known
            notes.append(
                f"{file.name}: column {name!r}: {listed(map(repr, marks.unique()))} in "
                f"{len(marks)} rows read as missing."
            )
        if count := int(column.isna().sum()):
            gaps[name] = count
    if gaps:
        notes.append(
            f"{file.name}: {sum(gaps.values())} missing values in {listed(gaps)}: filled "
            "with the median or most frequent level of each training split, and marked."
        )

    def read(name: str) -> pd.Series:
        return numbers[name] if name in numbers else columns[name]

    return replace(columns, read=read), notes


def _may_be_unknown(target: pd.Series, task: str | None) -> bool:
    """Whether rows without it may be left out: where it is a number, and sure to be read as one."""
    if task is not None or not types.is_float_dtype(target):
        return task == "regression"
    known = target.dropna()
    return bool((known != np.floor(known)).any())


def _way_out(column: pd.Series, role: str, task: str | None) -> str:
    """What else may be done about missing targets, or nothing."""
    numbers = role == "target" and task is None and types.is_numeric_dtype(column)
    return ", or give dataset.task=regression, which leaves them out" if numbers else ""


def _refuse_missing(file: Path, table: Table, columns: Table, wanted: Wanted) -> None:
    for name, role in wanted.roles.items():
        count = int((missing := table[name].isna()).sum())
        unknown = role == "target" and (wanted.more or _may_be_unknown(table[name], wanted.task))
        if count and not unknown:
            raise UserError(
                f"{file}: {role} {name!r} is missing in {count} of {len(table)} "
                f"rows, the first in data row {int(missing.to_numpy().argmax()) + 1}; remove those "
                f"rows{_way_out(table[name], role, wanted.task)}."
            )
    if wanted.impute:
        return
    worst, rows, first = dict[str, int](), np.zeros(len(table), bool), 0
    for name in columns:
        gaps = columns[name].isna().to_numpy()
        if gaps.any():
            first = first or int(gaps.argmax()) + 1
            worst[name], rows = int(gaps.sum()), rows | gaps
    if worst:
        raise UserError(
            f"{file}: missing values in {listed(f'{n} ({c})' for n, c in worst.items())}, "
            f"{rows.sum()} of {len(rows)} rows, the first in data row {first}; "
            "dataset.missing=impute fills them, dataset.drop=[…] leaves columns out."
        )
