"""The columns of a table as numbers: how they are read, and what is refused with a way out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.impute import SimpleImputer

from lossbench.contract import UserError
from lossbench.datasets.coding import Coding
from lossbench.datasets.table import Table
from lossbench.registry.schema import Faults

SMALL = ("float32", "float16", "int8", "int16", "uint8", "uint16", "bool")  # float32 holds them
# Tasks whose targets are numbers.
NUMBERS = ("regression", "counts", "distributional", "list_ranking")
MOST_LEVELS = 50
MOST_CLASSES = 20
FEWEST = 5  # rows of a class
# What stands for a missing value in a column of numbers, in lower case.
MISSING = ("na", "n/a", "#n/a", "nan", "-nan", "none", "null", "<na>", "?", "-", ".")
SIGNS = {"point": ".", "comma": ",", "space": " ", "apostrophe": "'"}
DATE = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(\D.*)?"
SIGNED = r"[-+]?[$€£¥]?\s?[-+]?"
SPACE = "[ '_\u2019\u00a0\u202f]"  # what separates thousands where it is neither comma nor point
# How numbers are written that are not read as such, and what to do about it.
WRITTEN = {
    "a comma between thousands": rf"{SIGNED}\d{{1,3}}(,\d{{3}})+(\.\d+)?",
    "a decimal comma": rf"{SIGNED}(\d{{1,3}}((\.|{SPACE})\d{{3}})+|\d*),\d+",
    "points between thousands": rf"{SIGNED}\d{{1,3}}(\.\d{{3}}){{2,}}",
    "a mark between thousands": rf"{SIGNED}\d{{1,3}}({SPACE}\d{{3}})+(\.\d+)?",
    "a unit": r"[-+]?[$€£¥]\s?\d+(\.\d+)?|[-+]?\d+(\.\d+)?\s?[%€$£¥]",
}
SPELT = "|".join(pattern for how, pattern in WRITTEN.items() if how != "a unit")


def quote(name: object) -> str:
    """A column's name or a cell as the command line takes it."""
    return str(name) if str(name).isidentifier() else repr(str(name))


def listed(names: Iterable[object], most: int = 20) -> str:
    """The first names, and how many more there are."""
    words = [str(name)[:60] for name in names]
    more = f", … ({len(words) - most} more)" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def is_text(column: pd.Series) -> bool:
    """Whether a column holds text, be it with gaps."""
    return bool(types.is_string_dtype(column.dropna()))


# --- how numbers are written --------------------------------------------------------------------


def read_numbers(text: pd.Series, decimal: str, thousands: str, gaps: Sequence[str]) -> pd.Series:
    """Text as numbers where every cell is one in this spelling, or a gap; else as it was."""
    point, mark = re.escape(decimal), re.escape(thousands)
    whole = rf"(\d{{1,3}}({mark}\d{{3}})+|\d+)" if thousands else r"\d+"
    cells = text.str.strip()
    number = cells.str.fullmatch(rf"[-+]?({whole}({point}\d*)?|{point}\d+)([eE][-+]?\d+)?")
    number = number.fillna(False).astype(bool)
    if not (number | text.isna() | cells.str.lower().isin(gaps)).all() or not number.any():
        return text
    if thousands:
        cells = cells.str.replace(thousands, "", regex=False)
    return pd.to_numeric(cells.where(number).str.replace(decimal, ".", regex=False))


def _describe_spelling(cells: pd.Series) -> str:
    """How these cells write numbers, where all of them do, and what to do."""
    fits = pd.DataFrame({how: cells.str.strip().str.fullmatch(p) for how, p in WRITTEN.items()})
    if cells.empty or not fits.any(axis=1).all():
        return ""
    how = str(fits.sum().idxmax())  # of equals the first
    first = str(cells[fits[how]].iloc[0])
    digits = re.sub(r"[^\d.,+-]", "", first)
    advice = f"write {digits.replace(',', '')}"
    if how == "a decimal comma":
        advice = f"write a point, {digits.replace('.', '').replace(',', '.')}"
    elif how == "points between thousands":
        advice = f"write {digits.replace('.', '')}"
    elif how == "a comma between thousands" and digits.count(",") == 1 and "." not in digits:
        advice += f" (or {digits.replace(',', '.')}, if it is a decimal comma)"
    return f"holds numbers with {how} ({first!r}); {_find_signs(how, cells)}{advice}."


def _find_signs(how: str, cells: pd.Series) -> str:
    """The parameters by which cells written like this are read, or nothing."""
    marks = set("".join(cells.str.strip())) - set("0123456789+-")
    names = {sign: name for name, sign in SIGNS.items()}
    decimal = "," if how == "a decimal comma" else "."
    thousands = marks - {decimal}
    if how == "a unit" or len(thousands) > 1 or not thousands <= set(names):
        return ""
    given = ["dataset.decimal=comma"] * (decimal == ",")
    given += [f"dataset.thousands={names[mark]}" for mark in thousands]
    return f"give {' '.join(given)}, or "


# --- features -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filler:
    """What stands in for gaps: a number's median, a text's most frequent level.

    numbers: columns of numbers with gaps; levels: the columns of each text with gaps.
    """

    numbers: tuple[int, ...]
    levels: tuple[slice, ...]

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        values = np.zeros(inputs.shape[1])
        if numbers := list(self.numbers):
            imputer = SimpleImputer(strategy="median", keep_empty_features=True)
            values[numbers] = imputer.fit(inputs[:, numbers]).statistics_
        for columns in self.levels:
            counts = np.nansum(inputs[:, columns], axis=0)
            values[columns] = np.arange(len(counts)) == counts.argmax()
        return values


@dataclass(frozen=True)
class _Form:
    """A column as features: numbers, or text as the index of each level, -1 where missing."""

    dtype: np.dtype
    gaps: bool
    levels: tuple[str, ...] = ()
    indices: np.ndarray | None = None

    @property
    def width(self) -> int:
        return max(1, len(self.levels))


def encode_features(file: Path, table: Table) -> tuple[np.ndarray, Filler | None, Coding]:
    """Every column as numbers (N, features), NaN where missing, what fills the gaps, and the code.

    A column with gaps is followed, after all features, by one that says where they are.
    """
    forms = _find_forms(file, table)
    width, gaps = sum(form.width for form in forms.values()), [n for n in table if forms[n].gaps]
    dtype = np.result_type(np.float32, *(form.dtype for form in forms.values()))
    inputs = np.empty((len(table), width + len(gaps)), dtype)
    numbers, levels, start = list[int](), list[slice](), 0
    for name, form in forms.items():
        place = slice(start, start + form.width)
        inputs[:, place] = np.nan if form.gaps else 0
        if form.indices is None:
            column = table[name]
            known = column.notna().to_numpy()
            inputs[known, start] = _to_numbers(file, column[known].infer_objects())
        else:
            known = form.indices >= 0
            inputs[known, place] = 0
            inputs[np.flatnonzero(known), start + form.indices[known]] = 1
        if form.gaps:
            inputs[:, width + gaps.index(name)] = ~known
            if form.width > 1:
                levels.append(place)
            else:
                numbers.append(start)
        start = place.stop
    filler = Filler(tuple(numbers), tuple(levels)) if gaps else None
    return inputs, filler, Coding({n: form.levels for n, form in forms.items()}, tuple(gaps))


def _find_forms(file: Path, table: Table) -> dict[str, _Form]:
    """How each column becomes features; UserError with all that cannot."""
    faults, refused, forms = Faults(), [], {}
    for name in table:
        try:
            forms[name] = _find_form(file, table[name])
        except UserError as error:
            faults.add(error)
            refused.append(quote(name))
    if len(refused) > 1:
        faults.add(UserError(f"dataset.drop=[{','.join(refused)}] leaves all of them out."))
    faults.tell()
    return forms


def _find_form(file: Path, column: pd.Series) -> _Form:
    known = column.notna().to_numpy()
    if not known.any():
        raise UserError(
            f"{file}: column {column.name!r} is empty; leave it out with "
            f"dataset.drop=[{quote(column.name)}]."
        )
    values, gaps = column[known].infer_objects(), not known.all()
    if types.is_bool_dtype(values) or types.is_numeric_dtype(values):
        return _Form(_to_numbers(file, values).dtype, gaps)
    text = _to_text(file, values)
    levels = sorted(text.unique())
    if len(levels) > MOST_LEVELS:
        raise UserError(
            f"{file}: column {column.name!r} is text with {len(levels)} distinct values, more than "
            f"{MOST_LEVELS} (an identifier?); leave it out with "
            f"dataset.drop=[{quote(column.name)}], or make it numbers."
        )
    indices = np.full(len(column), -1, np.int8)
    indices[known] = pd.Categorical(text, levels).codes
    return _Form(np.dtype(np.float32), gaps, tuple(levels), indices)


def _to_numbers(file: Path, column: pd.Series) -> np.ndarray:
    if types.is_complex_dtype(column):
        raise UserError(f"{file}: column {column.name!r} is complex; give real numbers.")
    values = column.to_numpy(dtype=np.float32 if str(column.dtype) in SMALL else np.float64)
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
            f"{where} holds dates ({column.iloc[0]}); make it a number of days, or leave it out "
            f"with dataset.drop=[{quote(column.name)}]."
        )
    numeric = pd.to_numeric(column, errors="coerce").notna()
    rest = column[~numeric]
    gaps = rest.str.strip().str.lower().isin(MISSING)
    if written := _describe_spelling(rest[~gaps]):
        raise UserError(f"{where} {written}")
    odd = rest[~rest.str.strip().str.fullmatch(SPELT)]
    if len(odd) and (len(odd) <= len(column) / 2 or (gaps.all() and numeric.any())):
        way_out = "dataset.missing=impute fills them" if gaps.all() else "replace them"
        raise UserError(
            f"{where} is numbers except {listed(map(repr, odd.unique()))} in {len(odd)} rows; "
            f"{way_out}, or remove the rows."
        )
    return column


def _describe_foreign(column: pd.Series) -> str:
    """What a column holds that is neither numbers nor text, and what to do."""
    if all(isinstance(value, int) for value in column):
        most = max(len(str(abs(value))) for value in column)
        return (
            f"holds whole numbers of up to {most} digits, more than a number keeps (an "
            f"identifier?); leave it out with dataset.drop=[{quote(column.name)}]."
        )
    kinds = sorted({type(value).__name__ for value in column})
    what = f"is {column.dtype}" if len(kinds) == 1 else f"mixes {listed(kinds)}"
    return (
        f"{what}, neither numbers, true/false nor text; convert it (a date: to a number of days), "
        f"or leave it out with dataset.drop=[{quote(column.name)}]."
    )


# --- the target ---------------------------------------------------------------------------------


def read_targets(
    file: Path,
    column: pd.Series,
    task: str | None,
    positive: Any,
    order: tuple[str, ...] | None = None,
) -> tuple[np.ndarray, str, list[Any]]:
    """Class indices or numbers, the name of the task that they pose, and what each class holds.

    order: the cells of an ordinal target, from the lowest.
    """
    truth = types.is_bool_dtype(column)
    numeric = types.is_numeric_dtype(column) and not truth
    read = _to_numbers if numeric or truth else _to_text
    known = column.notna().to_numpy()
    values = pd.Series(read(file, column[known]), column.index[known]).reindex(column.index)
    levels = sorted(values.dropna().unique())
    few = not numeric or (types.is_integer_dtype(column) and len(levels) <= MOST_CLASSES)
    kind = task or ("regression" if not few else "binary" if len(levels) == 2 else "multiclass")
    where = f"{file}: target {column.name!r}"
    counted = numeric or (truth and kind == "list_ranking")  # clicks
    _refuse_target(where, column, kind, task, len(levels), counted)
    if kind == "ordinal" and (order or not numeric):
        levels = _in_order(where, levels, order)
    elif order:
        raise UserError(f"dataset.order: {where} is read as {kind}; give dataset.task=ordinal.")
    if positive is not None and kind != "binary":
        raise UserError(
            f"dataset.positive={positive}: {where} has {len(levels)} distinct values and is read "
            f"as {kind}; positive is for a binary target, of two."
        )
    if kind in NUMBERS:
        return values.to_numpy(), kind, []
    counts = values.value_counts()
    if counts.min() < FEWEST:
        raise UserError(
            f"{where}: class {column[values == counts.idxmin()].iloc[0]} has {counts.min()} rows; "
            f"give at least {FEWEST}, merge it or remove it"
            + ("; or dataset.task=regression, if these are numbers." if numeric else ".")
        )
    indices = values.map({level: k for k, level in enumerate(levels)}).to_numpy(np.int64)
    classes = column.iloc[np.unique(indices, return_index=True)[1]].tolist()
    if positive is not None and _choose(where, classes, positive) == 0:
        return 1 - indices, kind, classes[::-1]
    return indices, kind, classes


def read_durations(file: Path, time: pd.Series, event: pd.Series | None) -> np.ndarray:
    """(N, 2): times, and 1 where an event came then."""
    if event is None:
        raise UserError(
            "dataset.task=survival: give dataset.event too, the column that holds 1 where "
            f"{time.name!r} is the time of an event, and 0 where it is censored."
        )
    for column, valid, good in (
        (time, "times above 0", lambda cells: cells > 0),
        (event, "1 for an event and 0 for censored", lambda cells: cells.isin([0, 1])),
    ):
        where = f"{file}: column {column.name!r}"
        if not types.is_numeric_dtype(column):
            raise UserError(f"{where} is text ({column.iloc[0]}); give {valid}.")
        if len(odd := column[~good(column)]):
            count = f"{len(odd)} of {len(column)} rows"
            raise UserError(f"{where} holds {odd.iloc[0]} ({count}); give {valid}.")
    return np.stack([_to_numbers(file, time), event.to_numpy(np.float64)], axis=1)


def _in_order(where: str, levels: list[Any], order: tuple[str, ...] | None) -> list[Any]:
    """The levels of an ordinal target, from the lowest."""
    cells = {spell(level): level for level in levels}
    if order is None:
        raise UserError(
            f"{where} is text, whose order is not known; give dataset.order="
            f"[{','.join(map(quote, levels[:20]))}] with the lowest first."
        )
    if sorted(order) != sorted(cells):
        raise UserError(
            f"dataset.order=[{','.join(order)}]: {where} holds {listed(cells)}; give each once, "
            "the lowest first."
        )
    return [cells[cell] for cell in order]


def _choose(where: str, classes: list[Any], positive: Any) -> int:
    """The index of the class that `positive` means."""
    names = [spell(each) for each in classes]
    if spell(positive) not in names:
        raise UserError(f"dataset.positive={positive}: {where} holds {' and '.join(names)}.")
    return names.index(spell(positive))


def spell(value: Any) -> str:
    """A cell as people write it: 1 for 1.0, true for True."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)


def _refuse_target(
    where: str, column: pd.Series, kind: str, task: str | None, levels: int, numeric: bool
) -> None:
    if levels < 2:
        raise UserError(f"{where} has one value only, {column.iloc[0]}; there is nothing to learn.")
    if kind == "multilabel":
        raise UserError(
            f"{where} is one label; give dataset.target=[a,b,…], a column of 0 and 1 for each."
        )
    if kind in NUMBERS and not numeric:
        raise UserError(f"{where} is not numbers; give dataset.task=multiclass, or another target.")
    if kind == "binary" and levels != 2:
        raise UserError(
            f"{where} has {levels} distinct values; binary needs two "
            "(dataset.task=multiclass takes more)."
        )
    if task is None and kind == "multiclass" and levels > MOST_CLASSES:
        raise UserError(
            f"{where} is text with {levels} distinct values, more than {MOST_CLASSES}; "
            "give dataset.task=multiclass if these are classes, or another target."
        )
