"""The results folder: the truth, readable without us. A result is written whole or not at all.

`results/<key>/` holds `seeds.parquet` (a row per seed), `curves.parquet` (seed, epoch, metric,
value), `config.yaml`, `summary.yaml`, `versions.yaml` and, where there are some,
`details.parquet` (seed, name, values: what figures show next to curves), `tuning.parquet` (trial,
seed, parameters, value), `test_curves.parquet` (as curves), `predictions.npz` and `models.npz`.
Seeds added later stand next to it as `<key>-1`, `<key>-2`; a folder once written never changes.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml

from lossbench.configuration import Configuration, setting_of
from lossbench.configuration.settings import masked
from lossbench.contract import UnusableError, UserError
from lossbench.paths import expanded, sha256
from lossbench.registry.kinds import CHOICES, LATER
from lossbench.results import predictions
from lossbench.results.naming import into_place, names_of
from lossbench.results.predictions import PerSeed
from lossbench.results.sources import code_of_run
from lossbench.statistics import seeds_needed_for

ROOM = 2**20  # bytes that must be free
STALE_SECONDS = 3600  # what is being written for longer was killed
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
NO_DETAILS = pd.DataFrame({"seed": [], "name": [], "values": []})
NO_CURVES = pd.DataFrame({"seed": [0], "epoch": [0], "metric": [""], "value": [0.0]})[:0]

TABLES = ("seeds", "curves", "details", "tuning", "test_curves")
# What each file of a result must hold to be one.
EXPECTED = {
    "config": ("seeds", "trainer", *(set(CHOICES) - set(LATER))),
    "summary": ("key", "numbers", "task", "primary", "directions", "sources", "seconds", "sha256"),
    "versions": ("lossbench",),
    "seeds": ("seed", "status"),
    "curves": ("seed", "epoch", "metric", "value"),
}


@dataclass(frozen=True)
class Result:
    """One configuration, trained on its seeds.

    seeds: a row per seed (seed, status, best_epoch, diverged_epoch, metrics; a diverged seed has
    no metrics). curves: seed, epoch (0 is before training), metric, value.
    summary: task, primary metric, directions, seconds, how replicas were mapped; `tuning`, where
    there was some, is its ledger, and the table of that name has a row per trial and tuning seed.
    details: seed, name, values (a list); empty where the task has none, or no seed finished.
    predictions: of the seeds of which they are kept; of a seed the first that has it counts.
    models: likewise, with what `training.keeping.keep_models` keeps.
    test_curves: of the seeds that were trained with `trainer.peek`, of the test split for
    `comparison.peeking`, of the training split as it is trained on for claims.
    """

    key: str
    config: Configuration
    seeds: pd.DataFrame
    curves: pd.DataFrame
    summary: dict[str, Any]
    versions: dict[str, Any]
    tuning: pd.DataFrame | None = None
    details: pd.DataFrame = field(default_factory=NO_DETAILS.copy)
    predictions: tuple[PerSeed, ...] = ()
    models: tuple[PerSeed, ...] = ()
    test_curves: pd.DataFrame = field(default_factory=NO_CURVES.copy)

    @property
    def setting(self) -> dict[str, Any]:
        """What results must share to be compared."""
        return setting_of(self.summary["numbers"])

    @property
    def diverged(self) -> int:
        return int((self.seeds.status == "diverged").sum())


def open_folder(directory: str) -> Path:
    """The absolute results folder, created and tried; UnusableError where that fails."""
    folder = expanded(directory).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{uuid.uuid4().hex}"
        try:
            probe.write_bytes(bytes(ROOM))
        finally:
            probe.unlink(missing_ok=True)
        for left in folder.glob(".writing-*"):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise _unwritable(directory, folder, str(error.strerror)) from error
    return folder


def find_folder(directory: str) -> Path:
    """The same, but nothing is written; UnusableError where it is plain that it would fail."""
    folder = expanded(directory).absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = os.strerror(errno.EACCES if there.is_dir() else errno.ENOTDIR)
        raise _unwritable(directory, folder, reason)
    return folder


def _unwritable(directory: str, folder: Path, reason: str) -> UnusableError:
    return UnusableError(
        f"results.dir={directory}: {folder} cannot be written: {reason}. "
        "Give results.dir=FOLDER that can."
    )


def write(result: Result, folder: Path) -> Path:
    """Write the result under a temporary name and rename it into place."""
    temporary = folder / f".writing-{uuid.uuid4().hex}"
    try:
        temporary.mkdir()
        result.seeds.to_parquet(temporary / "seeds.parquet", index=False)
        result.curves.to_parquet(temporary / "curves.parquet", index=False)
        if result.tuning is not None:
            result.tuning.to_parquet(temporary / "tuning.parquet", index=False)
        if len(result.details):
            result.details.to_parquet(temporary / "details.parquet", index=False)
        if result.config.trainer.peek:
            result.test_curves.to_parquet(temporary / "test_curves.parquet", index=False)
        for name in predictions.NAMES:
            predictions.write(getattr(result, name), result.seeds.seed, temporary / f"{name}.npz")
        written = {f.name: sha256(f) for f in sorted(temporary.iterdir())}
        texts = {
            "config": result.config.mapping,
            "versions": result.versions,
            "summary": {**result.summary, "sha256": written},
        }
        for name, content in texts.items():
            text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
            text = masked(text) if name == "config" else text
            (temporary / f"{name}.yaml").write_text(text, encoding="utf-8")
            written[f"{name}.yaml"] = sha256(temporary / f"{name}.yaml")
        return into_place(temporary, folder, result.key)
    except OSError as error:
        raise UnusableError(
            f"results.dir={folder}: the result of {result.key} could not be written: "
            f"{error.strerror}. Make room or choose another folder, and run the command again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def parts(folder: Path, key: str) -> list[Path]:
    """The folders of a key, in the order in which they were written."""
    named = (folder / name for name in names_of(key))
    return [*itertools.takewhile(lambda place: (place / "seeds.parquet").exists(), named)]


def read(place: Path) -> Result:
    """The result in one folder; UserError names a file that is damaged or was changed."""
    try:
        texts = {name: _load(place / f"{name}.yaml") for name in ("config", "summary", "versions")}
        _refuse_incomplete(texts)
        _refuse_changed(place, texts["summary"])
        written: dict[str, str] = texts["summary"]["sha256"]
        tables: dict[str, Any] = {}
        for name in TABLES:
            if f"{name}.parquet" in written:
                if sha256(place / f"{name}.parquet") != written[f"{name}.parquet"]:
                    raise ValueError(f"{name}.parquet is not as it was written")
                tables[name] = pd.read_parquet(place / f"{name}.parquet")
        _refuse_incomplete({"seeds": (), "curves": (), **tables})
        config = Configuration.read(texts.pop("config"))
        seeds = tuple(tables["seeds"].seed)
        for name in predictions.NAMES:
            tables[name] = predictions.stored(place / f"{name}.npz", seeds, written)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise _damaged(place, error) from error
    return Result(texts["summary"]["key"], config, **texts, **tables)


def _refuse_incomplete(contents: dict[str, Any]) -> None:
    """ValueError where a part lacks something that every result has."""
    for name, content in contents.items():
        keys = content if isinstance(content, dict | pd.DataFrame) else ()
        if lacking := [key for key in EXPECTED.get(name, ()) if key not in keys]:
            raise ValueError(f"{name} lacks {', '.join(lacking)}")


def _refuse_changed(place: Path, summary: Mapping[str, Any]) -> None:
    """ValueError where a result is configured as another."""
    file = place / "config.yaml"
    if "config.yaml" in summary["sha256"] and sha256(file) != summary["sha256"]["config.yaml"]:
        raise ValueError("config.yaml is not as it was written")


def refuse_renamed(place: Path, key: str) -> None:
    """UserError where the folder of a result has the name of another."""
    if place.name.partition("-")[0] != key:
        raise _damaged(place, ValueError(f"it is a result of {key}, whose name it does not have"))


def described(place: Path) -> tuple[Configuration, dict[str, Any]]:
    """A result's configuration and summary, without its numbers; UserError names a damaged file."""
    try:
        texts = {name: _load(place / f"{name}.yaml") for name in ("config", "summary")}
        _refuse_incomplete(texts)
        _refuse_changed(place, texts["summary"])
        return Configuration.read(texts["config"]), texts["summary"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise _damaged(place, error) from error


def _damaged(place: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:120]
    return UserError(
        f"{place} is damaged ({reason}). Move it away, as `lossbench doctor` does, and run again."
    )


def _load(file: Path) -> Any:
    return yaml.load(file.read_text(encoding="utf-8"), Loader)


def merged(results: Sequence[Result]) -> Result:
    """Several parts of one key as one; of a seed that was trained again the last counts."""
    last, *before = reversed(results)
    kept, known = [last], set(last.seeds.seed)
    for result in before:
        if new := [seed for seed in result.seeds.seed if seed not in known]:
            kept.insert(0, of_seeds(result, new))
            known.update(new)
    tables: dict[str, Any] = {
        name: pd.concat([getattr(r, name) for r in kept], ignore_index=True)
        for name in ("seeds", "curves", "details", "test_curves")
    }
    seeds = tables["seeds"] = tables["seeds"].sort_values("seed", ignore_index=True)
    config = replace(last.config, seeds=tuple(seeds.seed.tolist()))
    summary = {**last.summary, **_directions(kept), **_remarks(kept), **_looks(results)}
    for name in predictions.NAMES:
        tables[name] = tuple(each for result in reversed(kept) for each in getattr(result, name))
    return replace(last, config=config, summary=summary, **tables)


def _directions(results: Sequence[Result]) -> dict[str, Any]:
    """The metrics that all of the parts have, of the same code."""
    parts = [(r.summary["directions"], r.summary.get("metric_sources", {})) for r in results]
    directions, sources = parts[-1]
    shared = {
        name: way
        for name, way in directions.items()
        if all(name in known and code.get(name) == sources.get(name) for known, code in parts)
    }
    return {"directions": shared}


def _remarks(results: Sequence[Result]) -> dict[str, Any]:
    """What must be known of any of the parts, once, and the seconds of all."""
    summaries = [result.summary for result in results]
    reasons = dict.fromkeys(filter(None, (s.get("unmapped_because") for s in summaries)))
    notes = dict.fromkeys(note for s in summaries for note in s.get("notes", []))
    mapped = {"mapped": not reasons, "unmapped_because": "; ".join(reasons) or None}
    return {**mapped, "notes": [*notes], "seconds": sum(s["seconds"] for s in summaries)}


def _looks(results: Sequence[Result]) -> dict[str, int | list[int]]:
    """How many seeds there are, and how often parts that brought some to enough were compared."""
    plans, known = Counter[int](), set[int]()
    for result in results:
        brought = not known.issuperset(result.seeds.seed)
        known.update(result.seeds.seed)
        if brought and len(known) >= seeds_needed_for():
            plans[result.summary.get("planned_looks", 1)] += 1
    looks = sum(max(plan, parts) if plan > 1 else parts for plan, parts in plans.items())
    planned = max(plans, default=1)
    counts = {"looks": max(1, looks), "planned_looks": planned, "parts": plans[planned]}
    return {**counts, "plans": sorted(plans), "held": len(known)}


def looks_of(result: Result) -> int:
    """How often its seeds could have been compared: in each part that was added, and as planned."""
    return max(result.summary.get("looks", 1), result.summary.get("planned_looks", 1))


def stored(config: Configuration, folder: Path) -> Result | None:
    """What the folder holds of a configuration as its plugins stand now, whatever the seeds."""
    held = [read(place) for place in parts(folder, config.key)]
    current = [r for r in held if r.summary["sources"] == code_of_run(config, r.summary["task"])]
    if not current:
        return None
    result = merged(current)  # trained from files that may have had other names or places
    return replace(result, config=replace(config, seeds=result.config.seeds))


def missing_seeds(config: Configuration, folder: Path) -> list[int]:
    """The seeds that the folder does not hold yet, with all that is to be kept of them."""
    wanted = {"test_curves.parquet": config.trainer.peek, "models.npz": config.results.models}
    done: set[int] = set()
    for summary, seeds in map(head, parts(folder, config.key)):
        if summary["sources"] == code_of_run(config, summary["task"]):
            bare = any(asked and file not in summary["sha256"] for file, asked in wanted.items())
            done = done - seeds if bare else done | seeds
    return [seed for seed in config.seeds if seed not in done]


def head(place: Path) -> tuple[dict[str, Any], set[int]]:
    """A result's summary and seeds, without its numbers; UserError names a damaged file."""
    try:
        seeds = pq.read_table(place / "seeds.parquet", columns=["seed"])
        summary = _load(place / "summary.yaml")
        _refuse_incomplete({"summary": summary})
        refuse_renamed(place, summary["key"])
        return summary, set(seeds["seed"].to_pylist())
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        raise _damaged(place, error) from error


def of_seeds(result: Result, seeds: Sequence[int]) -> Result:
    """The result with only these seeds, in ascending order."""
    if [*seeds] == sorted(seeds) == result.seeds.seed.tolist():
        return result
    return replace(
        result,
        config=replace(result.config, seeds=tuple(seeds)),
        seeds=result.seeds[result.seeds.seed.isin(seeds)].sort_values("seed", ignore_index=True),
        curves=result.curves[result.curves.seed.isin(seeds)].reset_index(drop=True),
        details=result.details[result.details.seed.isin(seeds)].reset_index(drop=True),
        test_curves=result.test_curves[result.test_curves.seed.isin(seeds)],
    )
