"""Data that other libraries keep on the disk: scikit-learn those of OpenML, and Hugging Face."""

from __future__ import annotations

import contextlib
import functools
import json
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import fetch_openml, get_data_home

from lossbench.contract import File, Folder, Sample, UnusableError, UserError
from lossbench.datasets.arrays import read_labels
from lossbench.datasets.columns import listed, spell
from lossbench.datasets.files import sample_of
from lossbench.datasets.folders import read_images
from lossbench.datasets.roles import Wanted, choose_columns
from lossbench.datasets.splitting import TRAIN
from lossbench.datasets.suspects import SPLITS, hash_rows, note_rare, note_repeated
from lossbench.datasets.table import Table
from lossbench.paths import expanded
from lossbench.registry.hints import choices
from lossbench.registry.schema import reason_of

SUFFIXES = (".arrow", ".parquet")


# --- OpenML -------------------------------------------------------------------------------------


def openml(
    rng: np.random.Generator,
    /,
    *,
    id: Annotated[int, "[1, inf)"],
    target: str | None = None,
    task: Literal["binary", "multiclass", "regression"] | None = None,
    drop: tuple[str, ...] = (),
    missing: Literal["refuse", "impute"] | None = None,
    positive: str | int | float | bool | None = None,
    root: Annotated[Folder | None, "decides no numbers"] = None,
    download: Annotated[bool, "decides no numbers"] = False,
) -> Sample:
    """A table of openml.org by its number, from the cache that scikit-learn keeps.

    Columns are read like those of csv. A number means one table for ever, so where it is kept does
    not count.

    Args:
        id: the number, as in openml.org/d/31; the licence of each set is in the notes of a result.
        target: the column to predict; null is the one that OpenML says.
        task, drop, missing, positive: as in csv.
        root: scikit-learn's folder of data; null is the one of scikit-learn.
        download: whether to fetch what is not in the cache.
    """
    wanted = (task, tuple(drop), missing == "impute", None if positive is None else spell(positive))
    return _read_openml(id, target, wanted, get_data_home(root), download)


@functools.lru_cache(maxsize=1)
def _read_openml(
    number: int, target: str | None, options: tuple[Any, ...], root: str, download: bool
) -> Sample:
    bunch = _fetch(number, root, download)
    task, drop, impute, positive = options
    named = [target] if target else bunch.target_names
    if len(named) != 1:
        raise UserError(
            f"dataset.target: openml {number} says {listed(named) or 'no target'}; name one column "
            f"of {listed(bunch.frame)}."
        )
    wanted = Wanted(named[0], task, drop=drop, impute=impute, positive=positive)
    file = Path(f"openml {number}")
    sample = sample_of(file, choose_columns(file, Table.of(bunch.frame), wanted), wanted)
    details = bunch.details
    said = f"{details.get('name')}, version {details.get('version')}"
    note = f"openml {number}: {said}; licence: {details.get('licence', 'none stated')}."
    return Sample(**{**vars(sample), "notes": (*sample.notes, note)})


def _fetch(number: int, root: str, download: bool) -> Any:
    """What scikit-learn knows of a table; UserError where it is not there."""
    call = f"sklearn.datasets.fetch_openml(data_id={number})"
    try:
        with contextlib.nullcontext() if download else _offline(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fetch_openml(data_id=number, data_home=root, as_frame=True, n_retries=1)
    except OSError as error:
        if download:
            raise UnusableError(
                f"dataset.id={number}: openml.org cannot be asked: {error}."
            ) from error
        raise UserError(
            f"dataset.id={number}: it is not in scikit-learn's cache, {root}. Give "
            f"dataset.download=true, or call {call} once."
        ) from error
    except (ValueError, LookupError) as error:
        reason = reason_of(error)
        raise UserError(f"dataset.id={number}: scikit-learn cannot read it: {reason}") from error


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Without a network for urllib, by which scikit-learn downloads."""
    nothing = urllib.request.OpenerDirector()
    nothing.add_handler(urllib.request.UnknownHandler())
    urllib.request.install_opener(nothing)
    try:
        yield
    finally:
        urllib.request.install_opener(urllib.request.build_opener())


# --- Hugging Face -------------------------------------------------------------------------------


def hub(
    rng: np.random.Generator,
    /,
    *,
    path: File | Folder,
    target: str = "label",
    inputs: str | None = None,
    task: str | None = None,
    drop: tuple[str, ...] = (),
    missing: Literal["refuse", "impute"] | None = None,
    positive: str | int | float | bool | None = None,
    size: Annotated[int, "[4, 4096]"] | None = None,
) -> Sample:
    """What `datasets` saved with save_to_disk, or Parquet as the Hugging Face hub has it.

    A folder of .arrow or .parquet files; train, validation and test are read off the folders' or
    files' names (train/data-00000-of-00001.arrow, train-00000-of-00001.parquet) and are then the
    splits. A column of images, or of lists of numbers such as embeddings, is the input where there
    is one; else all columns are features, read like those of csv. The licence that the data name
    is in the notes of a result.

    Args:
        path: the folder, or a file.
        target: the column to predict.
        inputs: the column of images or of lists, where there are several.
        task, drop, missing, positive: as in csv.
        size: the pixels of a side that images are scaled to; null takes images of one size.
    """
    root = expanded(path)
    if not root.exists():
        raise UserError(f"dataset.path={path}: there is no such file or folder.")
    files = [root] if root.is_file() else sorted(f for f in root.rglob("*") if f.suffix in SUFFIXES)
    if not files:
        raise UserError(f"dataset.path={path}: no {listed(SUFFIXES)} file is in it.")
    wanted = Wanted(
        target,
        task,
        drop=tuple(drop),
        impute=missing == "impute",
        positive=None if positive is None else spell(positive),
    )
    versions = tuple((file, file.stat().st_mtime_ns) for file in files)
    return _read_hub(root, versions, wanted, inputs, size)


@functools.lru_cache(maxsize=1)
def _read_hub(
    root: Path,
    files: tuple[tuple[Path, int], ...],
    wanted: Wanted,
    inputs: str | None,
    size: int | None,
) -> Sample:
    """The same for every seed, so read once for each version of the files."""
    tables = [_read_arrow(file) for file, _ in files]
    try:
        table = pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        raise UserError(f"{root}: its files do not have the same columns: {error}.") from error
    said = [_part_of(root, file) for file, _ in files]
    parts = None
    if len(set(said)) > 1:
        if None in said or TRAIN not in said:
            raise UserError(f"{root}: name each file or its folder train, validation or test.")
        parts = np.repeat(np.array(said), [len(each) for each in tables])
    notes = _note_licence(root, table)
    single = _find_input(root, table, wanted, inputs)
    if single is None:
        frame = Table.of(table.to_pandas())
        sample = sample_of(root, choose_columns(root, frame, wanted), wanted, parts)
        return Sample(**{**vars(sample), "notes": (*sample.notes, *notes)})
    x = _read_input(root, table.column(single), size)
    y = np.asarray(table.column(wanted.target).to_pandas())
    y = y.astype(str) if y.dtype == object else y
    targets, kind, classes = read_labels(root, y, x, wanted.task)
    notes += [f"{root.name}: {note}" for note in note_rare(targets, classes, parts)]
    notes += [f"{root.name}: {note}" for note in note_repeated(hash_rows(x, targets), parts)]
    standardise: Any = "channels" if x.ndim == 4 else True
    return Sample(x, targets, kind, standardise=standardise, notes=tuple(notes), split=parts)


def _read_arrow(file: Path) -> pa.Table:
    """The columns of a file; UserError where it cannot be read."""
    try:
        if file.suffix == ".parquet":
            return pq.read_table(file)
        with pa.memory_map(str(file)) as source:
            return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = reason_of(error)
        raise UserError(f"{file}: it cannot be read: {reason}.") from error


def _part_of(root: Path, file: Path) -> int | None:
    """The part that the names of a file and of its folders say, or nothing."""
    words = [*file.relative_to(root).parts[:-1], file.name.partition("-")[0].partition(".")[0]]
    said = [SPLITS[word.lower()] for word in words if word.lower() in SPLITS]
    return said[0] if said else None


def _find_input(root: Path, table: pa.Table, wanted: Wanted, inputs: str | None) -> str | None:
    """The one column of images or lists that is the input; None where all columns are features."""
    names = table.column_names
    for key, name in (("inputs", inputs), ("target", wanted.target)):
        if name is not None and name not in names:
            raise UserError(f"dataset.{key}={name}: no column of {root}. {choices(name, names)}")
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    nested = [name for name in nested if name not in (wanted.target, *wanted.drop)]
    if inputs is None and len(nested) > 1:
        raise UserError(f"{root}: {listed(nested)} may be the input; give dataset.inputs=….")
    return inputs or (nested[0] if nested else None)


def _read_input(root: Path, column: pa.ChunkedArray, size: int | None) -> np.ndarray:
    """Images of uint8 (N, C, H, W), or lists of one length as (N, length)."""
    if column.null_count:
        raise UserError(f"{root}: {column.null_count} inputs are missing; remove those rows.")
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        contents = pa.compute.struct_field(column, "bytes")
        if contents.null_count:
            raise UserError(
                f"{root}: {contents.null_count} images are paths, not contents; save them with "
                "their bytes (datasets' embed_external_files)."
            )
        return read_images(contents.to_pylist(), size, None)
    try:
        return np.stack([np.asarray(row) for row in column.to_pylist()])
    except ValueError as error:
        raise UserError(f"{root}: the lists of the input differ in length.") from error


def _note_licence(root: Path, table: pa.Table) -> list[str]:
    """The licence that the data name, in a line; nothing where they name none."""
    described = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    files = sorted(root.rglob("dataset_info.json")) if root.is_dir() else []
    infos = [described.get("info", {}), *(json.loads(file.read_text()) for file in files)]
    licences = sorted({info["license"] for info in infos if info.get("license")})
    return [f"{root.name}: licence: {listed(licences)}."] if licences else []
