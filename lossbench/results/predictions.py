"""Arrays kept with a result: what models made of their examples, and the models themselves."""

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
NAMES = ("predictions", "models")  # of the fields of a result, and of their files


@dataclass(frozen=True)
class PerSeed:
    """Arrays of some seeds, by name, in the order of the seeds.

    load: -> of predictions `validation`, `validation_best`, `test`, `test_best`, estimates
    (R, N, ...) after the last and after the best epoch, and `validation_target`, `test_target`; of
    a regression in the target's unit, and `target_scale`, the deviation of training targets;
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


def of_seeds(parts: Sequence[PerSeed], seeds: Iterable[int]) -> Arrays | None:
    """The arrays of these seeds in order; None where one has none, the first part counts."""
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


def write(parts: Sequence[PerSeed], seeds: Iterable[int], file: Path) -> None:
    """Write them, if all these seeds have some."""
    if arrays := of_seeds(parts, seeds):
        np.savez(file, **arrays)  # type: ignore[arg-type]


def stored(file: Path, seeds: tuple[int, ...], digests: Mapping[str, str]) -> tuple[PerSeed, ...]:
    """Those that a file of a result holds, read and checked when they are wanted."""
    if not file.is_file():
        return ()
    return (PerSeed(seeds, partial(_load, file, digests.get(file.name))),)


def _load(file: Path, digest: str | None) -> Arrays:
    if sha256(file) != digest:
        raise UserError(f"{file} is not as it was written. Move it away; nothing else needs it.")
    with np.load(file) as arrays:
        return dict(arrays)
