"""Anyone's arrays: .npz files, or pairs of .npy files, which may be larger than memory."""

from __future__ import annotations

import functools
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from lossbench.contract import File, Sample, UserError
from lossbench.datasets.columns import listed
from lossbench.datasets.reading import named_file
from lossbench.datasets.splitting import TRAIN
from lossbench.datasets.suspects import SPLITS, hash_rows, note_rare, note_repeated
from lossbench.datasets.weighing import read_weights
from lossbench.registry.hints import choices
from lossbench.registry.schema import reason_of
from lossbench.tasks import task_class

BROKEN = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
INPUTS = ("x", "inputs", "images", "data", "features", "embeddings")
TARGETS = ("y", "targets", "target", "labels", "label", "masks", "identity", "identities")
CHANNELS = (1, 3, 4)
MOST_CLASSES = 1000
Names = dict[int | None, str]  # of arrays, by the part of their examples
HASHED = 2**30  # bytes of inputs in which repeated examples are looked for


def arrays(
    rng: np.random.Generator,
    /,
    *,
    path: File,
    target_path: File | None = None,
    inputs: str | None = None,
    target: str | None = None,
    weight: str | None = None,
    task: str | None = None,
    channels: Literal["first", "last"] | None = None,
) -> Sample:
    """Arrays of numbers: a .npz file of inputs and targets, or a .npy file of each.

    An .npz file holds x and y (or inputs, images, data, features; targets, labels, masks), or those
    of given splits: x_train, y_train, x_test, y_test, also train_images or val_labels. Inputs are
    (N, features), images (N, H, W) or (N, H, W, C) or (N, C, H, W), which stay uint8 and are
    standardised by channel, or of any other shape. Whole numbers or text as targets (N,) are
    classes, other numbers a regression, 0 and 1 for each label (N, L) a multilabel task, one for
    each pixel a segmentation. Of a regression or labels NaN is a target that is not known. Lists of
    items (N, L, features) have grades (N, L), -1 where there is no item, and task=list_ranking;
    their features are taken as they are. A .npy file is read from the disk as training needs it.

    Args:
        path: the .npz file, or the .npy file of inputs.
        target_path: the .npy file of targets.
        inputs, target: the names of other arrays of an .npz file.
        weight: the name of an array of an .npz file, of what each example counts, in losses,
            metrics and standardising; of given splits NAME_train and NAME_test. 0 leaves one out.
        task: how targets are read, as binary, multiclass, ordinal, multilabel, distribution,
            regression, counts, distributional, survival, embedding, segmentation,
            semantic_segmentation or list_ranking; null decides by what they are.
        channels: which axis of an image are its colours; null finds 1, 3 or 4 of them.
    """
    files = [named_file(path, "dataset.path", ".npz or .npy")]
    if target_path is not None:
        files.append(named_file(target_path, "dataset.target_path", ".npy"))
    return _read_sample(tuple(files), inputs, target, weight, task, channels)


@functools.lru_cache(maxsize=1)
def _read_sample(
    files: tuple[tuple[Path, int], ...],
    inputs: str | None,
    target: str | None,
    weight: str | None,
    task: str | None,
    channels: str | None,
) -> Sample:
    """The same for every seed, so read once for each version of the files."""
    file = files[0][0]
    loaded = [_load(each) for each, _ in files]
    split = weights = None
    if isinstance(loaded[0], np.ndarray):
        if len(loaded) < 2 or not isinstance(loaded[1], np.ndarray):
            raise UserError(f"{file}: give its targets as dataset.target_path=FILE.npy.")
        x, y = loaded[0], loaded[1]
        if weight is not None:
            raise UserError(f"dataset.weight={weight}: an array of an .npz file; {file} is none.")
    else:
        names = _find_arrays(file, loaded[0], inputs, target)
        x, y = (_joined(file, loaded[0], each) for each in names)
        split = _parts(loaded[0], names[0])
        weights = _find_weights(file, loaded[0], weight, names[0]) if weight else None
    _refuse_arrays(file, x, y)
    x = with_channels(file, x, channels)
    targets, kind, classes = read_labels(file, y, x, task)
    if kind == "embedding" and split is not None:
        targets = _learnt_first(targets, split)
    notes = note_rare(targets, classes, split)
    if x.nbytes <= HASHED:
        notes += note_repeated(hash_rows(x, targets), split)
    if kind == "multiclass" and task is None and y.dtype.kind in "iu":
        notes.append(f"{len(classes)} whole numbers as targets are read as classes.")
    return Sample(
        x,
        targets,
        kind,
        standardise="channels" if x.ndim == 4 else kind != "list_ranking",
        notes=tuple(f"{file.name}: {note}" for note in notes),
        split=split,
        weights=weights,
    )


def _learnt_first(identities: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Identities numbered anew: those of the training split, then those that it never sees."""
    unseen = ~np.isin(np.arange(identities.max() + 1), identities[split == TRAIN])
    return np.argsort(np.argsort(unseen, kind="stable"))[identities]


def _load(file: Path) -> np.ndarray | dict[str, np.ndarray]:
    """What a file holds; UserError where it cannot be read."""
    try:
        content: Any = np.load(file, mmap_mode="r")
        if isinstance(content, np.ndarray):
            return content
        with content:
            return {name: content[name] for name in content.files}
    except BROKEN as error:
        reason = reason_of(error)
        if "pickle" in reason:
            reason = "it holds Python objects; save arrays of numbers (allow_pickle=False)"
        raise UserError(f"{file}: it cannot be read: {reason}.") from error


def _find_arrays(
    file: Path, content: Mapping[str, np.ndarray], inputs: str | None, target: str | None
) -> tuple[Names, Names]:
    """The names of the arrays of inputs and of targets."""
    for key, name in (("inputs", inputs), ("target", target)):
        if name is not None and name not in content:
            raise UserError(
                f"dataset.{key}={name}: no array of {file}. {choices(name, content.keys())}"
            )
    x: Names = {None: inputs} if inputs else _named(content, INPUTS)
    y: Names = {None: target} if target else _named(content, TARGETS)
    if set(x) != set(y) or not {None, TRAIN} & set(x):
        raise UserError(
            f"{file} holds {listed(content)}; name its arrays x and y, or x_train, y_train, x_test "
            "and y_test, or give dataset.inputs=… dataset.target=…."
        )
    return x, y


def _find_weights(file: Path, content: Mapping[str, np.ndarray], name: str, x: Names) -> np.ndarray:
    """(N,) what each example of inputs of these names counts."""
    named = _named(content, (re.escape(name.lower()),))
    if set(named) != set(x):
        forms = name if None in x else f"{name}_train, {name}_test and the like"
        raise UserError(f"dataset.weight={name}: {file} holds {listed(content)}; give it {forms}.")
    weights = _joined(file, content, named)
    if weights.ndim != 1 or len(weights) != (count := sum(len(content[n]) for n in x.values())):
        raise UserError(
            f"{file}: weights {name!r} have shape {weights.shape}; give one for each of {count} "
            "inputs."
        )
    return read_weights(file, name, pd.Series(weights))


def _joined(file: Path, content: Mapping[str, np.ndarray], names: Names) -> np.ndarray:
    """The arrays of all parts one after the other."""
    try:
        return np.concatenate([content[names[part]] for part in _in_order(names)])
    except ValueError as error:
        raise UserError(f"{file}: its arrays do not fit together: {error}.") from error


def _in_order(names: Names) -> list[int | None]:
    return sorted(names, key=lambda part: -1 if part is None else part)


def _parts(content: Mapping[str, np.ndarray], names: Names) -> np.ndarray | None:
    """(N,) the part of each example, None where names say none."""
    if len(names) < 2:
        return None
    parts = _in_order(names)
    return np.repeat(np.array(parts), [len(content[names[part]]) for part in parts])


def _named(content: Mapping[str, Any], words: tuple[str, ...]) -> Names:
    """The arrays that are named by one of the words, by the part that the name says."""
    part, word = "|".join(SPLITS), "|".join(words)
    named: Names = {}
    for name in content:
        if said := re.fullmatch(rf"(?:({part})_)?(?:{word})(?:_({part}))?", name.lower()):
            named[SPLITS.get(said[1] or said[2])] = name
    return named if None not in named or len(named) == 1 else {}


def _refuse_arrays(file: Path, x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim < 2 or x.dtype.kind not in "fiub":
        raise UserError(
            f"{file}: inputs are {x.dtype} of shape {x.shape}; give numbers (N, …), two axes or "
            "more."
        )
    if not y.ndim or len(x) != len(y):
        raise UserError(f"{file}: {len(x)} inputs and targets of shape {y.shape}; give as many.")


def with_channels(file: Path, x: np.ndarray, channels: str | None = None) -> np.ndarray:
    """Images as (N, C, H, W); anything else as it is. It stays a view of the same memory."""
    if x.ndim == 3 and x.dtype == np.uint8:
        return x[:, None]
    if x.ndim != 4:
        return x
    last, first = x.shape[3] in CHANNELS, x.shape[1] in CHANNELS
    if channels is None and last == first:
        raise UserError(
            f"{file}: inputs of shape {x.shape} may be images with their colours first or last; "
            "give dataset.channels=first or last."
        )
    return np.moveaxis(x, 3, 1) if (channels or ("last" if last else "first")) == "last" else x


def read_labels(
    file: Path, y: np.ndarray, x: np.ndarray, task: str | None
) -> tuple[np.ndarray, str, list[Any]]:
    """Targets as a task takes them, its name, and what each class holds."""
    if y.ndim > 1 and y.shape[-1] == 1:
        y = y[..., 0]
    elif y.ndim == 4 and y.shape[1] == 1:
        y = y[:, 0]
    kind = task or _guess_task(file, y, x)
    if y.dtype.kind == "f" and (gaps := int(np.isnan(y).sum())):
        if not task_class(kind).stand_ins:
            raise UserError(
                f"{file}: {gaps} of {y.size} targets are NaN, and {kind} takes none that are not "
                "known; remove those rows."
            )
        return y, kind, []
    if kind == "segmentation":
        return (y > 0 if set(np.unique(y)) <= {0, 255} else y).astype(np.uint8), kind, []
    if kind not in ("binary", "multiclass", "embedding") or y.ndim != 1:
        if y.dtype.kind not in "fiub":
            raise UserError(f"{file}: targets are {y.dtype}; {kind} takes numbers.")
        return (y.astype(np.int64) if y.dtype.kind in "iub" else y), kind, []
    classes, indices = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"{file}: targets have one value only; there is nothing to learn.")
    return indices, kind, classes.tolist() if kind != "embedding" else []


def _guess_task(file: Path, y: np.ndarray, x: np.ndarray) -> str:
    """The task that targets pose by their shape and type."""
    if y.ndim == 1 and y.dtype.kind in "iubU":
        count = len(np.unique(y))
        if count <= MOST_CLASSES:
            return "binary" if count == 2 else "multiclass"
    if x.ndim == 4 and y.shape[1:] == x.shape[2:]:
        return "segmentation"
    gaps = np.isnan(y) if y.dtype.kind == "f" else np.zeros(y.shape, bool)
    if y.ndim == 2 and (gaps.any() or y.dtype.kind in "iub") and set(np.unique(y[~gaps])) <= {0, 1}:
        return "multilabel"
    if y.ndim <= 2 and y.dtype.kind == "f":
        return "regression"
    raise UserError(
        f"{file}: what targets {y.dtype} of shape {y.shape} pose is not clear; give dataset.task."
    )
