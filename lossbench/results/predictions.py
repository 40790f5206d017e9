"""What models made of their validation and test examples, kept with a result where it fits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lossbench.contract import UserError
from lossbench.paths import sha256

Arrays = dict[str, np.ndarray]
FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """Of some seeds.

    load: -> `validation`, `validation_best`, `test`, `test_best`, estimates (R, N, ...) after the
    last and after the best epoch, and `validation_target`, `test_target`, in the order of seeds;
    of a regression in the target's unit, and `target_scale`, the deviation of training targets;
    `class_counts` and `cuts` of training where the task has them; `validation_weight` and
    `test_weight` (R, N) where examples have weights.
    """

    seeds: tuple[int, ...]
    load: Callable[[], Arrays]


def set_aside(array: np.ndarray) -> np.ndarray:
    """The array in a file that goes with it, and no longer in memory, where there is room."""
    try:
        with tempfile.TemporaryFile() as file:
            array.tofile(file)
            return np.memmap(file, array.dtype, "r", shape=array.shape)
    except OSError:
        return array


def of_seeds(parts: Sequence[Predictions], seeds: Iterable[int]) -> Arrays | None:
    """The predictions of these seeds in order; None where one has none, the first part counts."""
    rows: dict[int, Arrays] = {}
    for part in parts:
        arrays = part.load()
        for place, seed in enumerate(part.seeds):
            rows.setdefault(seed, {name: values[place] for name, values in arrays.items()})
    wanted = list(seeds)
    if not rows or not all(seed in rows for seed in wanted):
        return None
    names = [n for n in rows[wanted[0]] if all(n in rows[seed] for seed in wanted)]
    return {name: np.stack([rows[seed][name] for seed in wanted]) for name in names}


def write(parts: Sequence[Predictions], seeds: Iterable[int], folder: Path) -> None:
    """Write the file of a result, if all its seeds have predictions."""
    if arrays := of_seeds(parts, seeds):
        np.savez(folder / FILE, **arrays)  # type: ignore[arg-type]


def stored(
    folder: Path, seeds: tuple[int, ...], digests: Mapping[str, str]
) -> tuple[Predictions, ...]:
    """Those that a result's folder holds, read and checked when they are wanted."""
    if not (folder / FILE).is_file():
        return ()
    return (Predictions(seeds, partial(_load, folder / FILE, digests.get(FILE))),)


def _load(file: Path, digest: str | None) -> Arrays:
    if sha256(file) != digest:
        raise UserError(f"{file} is not as it was written. Move it away; nothing else needs it.")
    with np.load(file) as arrays:
        return dict(arrays)
