"""A result run again from what was logged, and compared with it number by number."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from rich.console import Console

from lossbench import registry, results
from lossbench.configuration import Configuration, validated
from lossbench.configuration.experiments import configurations
from lossbench.configuration.settings import Trainer, Tune
from lossbench.contract import UserError
from lossbench.paths import expanded
from lossbench.registry.digests import places_in
from lossbench.registry.kinds import CHOICES
from lossbench.results import Result
from lossbench.sweep import execution
from lossbench.sweep.execution import Job

Section = TypeVar("Section", Trainer, Tune)
TOLERANCE = 1e-3  # of a value's size, or of 1 where that is larger


def find(name: str, folder: Path, uri: str | None) -> Result:
    """The result of this name in the results folder, else of this MLflow run in its store."""
    for place in (folder / name, Path(name)):
        if (place / "seeds.parquet").exists():
            return results.read(place)
    from lossbench.tracking.connection import fetch  # MLflow: slow to import, not always wanted

    store = folder / "mlflow.db"
    if uri is None and not store.exists():
        raise UserError(
            f"{name}: no result in {folder}, which has no MLflow store either. Give --results DIR, "
            "or --uri for a store elsewhere."
        )
    with tempfile.TemporaryDirectory() as temporary:
        return results.read(fetch(uri or f"sqlite:///{store}", name, Path(temporary)))


def refuse_places(old: Result, name: str, folder: Path) -> None:
    """UserError where code or files that only the result names would be run or read.

    folder: the results folder; files in it came with the result.
    """
    chosen = [choice.name for kind in CHOICES for choice in old.config.choice(kind).all]
    names = [*chosen, *old.config.metrics, old.config.metric or ""]
    code = sorted({name for name in names if _is_code(name.rpartition(":")[0])})
    data = [] if code else sorted(_files_outside(old.config, folder.resolve()))
    if code or data:
        what = "a file outside the results folder"
        if code:
            what = f"code in a {'file' if '.py:' in code[0] else 'module'}"
        raise UserError(
            f"{name} names {what}, {' and '.join(code or data)}, which would be "
            f"{'run' if code else 'read'}. If you know where this result comes from, add --trust."
        )


def _is_code(place: str) -> bool:
    return place.endswith(".py") or registry.is_module(place)


def _files_outside(config: Configuration, folder: Path) -> Iterator[str]:
    """The files and folders among the values of plugins that are not below a folder."""
    chosen = [(kind, choice) for kind in CHOICES for choice in config.choice(kind).all]
    for kind, choice in chosen:
        parameters = registry.parameters(registry.find(kind, choice.name)[0])
        for name, paths in places_in(parameters, choice.values).items():
            for path in paths:
                if not expanded(path).resolve().is_relative_to(folder):
                    yield f"{kind}.{name}={path}"


def again(old: Result, console: Console) -> tuple[Job, list[Result]]:
    """Train the same configuration and seeds, in a folder that is then deleted."""
    with tempfile.TemporaryDirectory() as folder:
        (job,) = execution.execute([_configuration(old.config, folder)], console)
        return job, execution.results_of([job])


def _configuration(old: Configuration, folder: str) -> Configuration:
    """What was logged where it decides numbers, and the rest as it is by default now."""
    defaults = configurations([])[0][0]
    moved = replace(
        old,
        trainer=replace(_filled(old.trainer, defaults.trainer), checkpoint=None),
        tune=_filled(old.tune, defaults.tune),
        results=replace(defaults.results, dir=folder),
        tracking=replace(defaults.tracking, uri=None),
        launcher=defaults.launcher,
        settle=defaults.settle,
    )
    return validated(moved.mapping)


def _filled(section: Section, defaults: Section) -> Section:
    """The section with the defaults of now for what was not logged."""
    absent = [each.name for each in fields(section) if getattr(section, each.name) is None]
    return replace(section, **{name: getattr(defaults, name) for name in absent})


def as_record(old: Result, new: Result) -> dict[str, Any]:
    """Whether the new result is the same, in words and counts, and what has changed since."""
    pairs = differences(old, new)
    same, words = verdict(old, pairs)
    return {
        "key": old.key,
        "same": same,
        "verdict": words,
        "changes": [*changes(old, new)],
        "numbers": len(pairs),
        "different": int((pairs.difference > 0).sum()),
    }


def changes(old: Result, new: Result) -> Iterator[str]:
    """What is another than when the old result was trained, a line each."""
    for name in {**old.versions, **new.versions}:
        before, now = old.versions.get(name, "not logged"), new.versions.get(name, "not there")
        if before != now:
            yield f"Changed since: {name} {before} -> {now}"
    for kind, now in new.summary["sources"].items():
        before = old.summary["sources"].get(kind, "not logged")
        if before != now:
            yield f"Changed since: the code of {new.config.named(kind)}: {before} -> {now}"
    if old.key != new.key:
        yield f"Changed since: the key {old.key} -> {new.key}: other data, or new defaults"


def differences(old: Result, new: Result) -> pd.DataFrame:
    """A row for each number: seed, epoch, metric, old, new, difference; the first come first.

    Curves come in the order of epochs, then what was read at the end. The difference is relative
    to the value where that is larger than 1; it is infinite where only one of the two is there.
    """
    keys = ["seed", "epoch", "metric"]
    before, now = _numbers(old), _numbers(new)
    now = now[now.metric.isin(before.metric)]  # a metric added since is no difference
    before, now = before.rename(columns={"value": "old"}), now.rename(columns={"value": "new"})
    pairs = before.merge(now, "outer", keys).sort_values(["epoch", "seed", "metric"])
    a, b = pairs.old.to_numpy(), pairs.new.to_numpy()
    relative = np.abs(a - b) / np.fmax(1, np.fmax(np.abs(a), np.abs(b)))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    pairs["difference"] = np.where(same, 0, np.nan_to_num(relative, nan=np.inf))
    return pairs


def _numbers(result: Result) -> pd.DataFrame:
    """Curves and final metrics as one table, the final ones as of an epoch after the last."""
    metrics = [name for name in result.seeds.columns if "/" in name]
    final = result.seeds.melt("seed", metrics, "metric")
    final.insert(1, "epoch", result.config.trainer.max_epochs + 1)
    return pd.concat([result.curves, final])


def verdict(old: Result, pairs: pd.DataFrame) -> tuple[bool, str]:
    """Whether the result is reproduced, and in words how well."""
    if not pairs.difference.any():
        return True, f"Identical: all {len(pairs):,} numbers of {len(old.seeds)} seeds, to the bit."
    worst = pairs.nlargest(1, "difference").iloc[0]
    beyond = pairs[pairs.difference > TOLERANCE]
    if beyond.empty:
        return True, (
            f"Within tolerance: the largest difference is {worst.difference:.1e}, at "
            f"{_where(old, worst)}; {TOLERANCE:g} is allowed."
        )
    first = beyond.iloc[0]
    return False, (
        f"Differs since {_where(old, first)}; the largest difference is {worst.difference:.1e}, "
        f"at {_where(old, worst)}; {TOLERANCE:g} is allowed."
    )


def _where(old: Result, row: pd.Series) -> str:
    """A row of differences in words."""
    end = row.epoch > old.config.trainer.max_epochs
    time = "the end" if end else f"epoch {row.epoch}"
    return f"{time} of seed {row.seed} in {row.metric} ({row.old:.6g} logged, {row.new:.6g} now)"
