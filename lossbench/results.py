"""The results folder: the truth, readable without us. A result is written whole or not at all.

`results/<key>/` holds `seeds.parquet` (a row per seed), `curves.parquet` (seed, epoch, metric,
value), `config.yaml`, `summary.yaml`, `versions.yaml` and `curves.png`. Seeds added later stand
beside it as `<key>-1`, `<key>-2`; a folder once written never changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lossbench import registry
from lossbench.contract import UnusableError, UserError
from lossbench.statistics import t_interval

Config = dict[str, Any]
NUMERIC_VERSION = 2  # raised when a change of ours changes a result's numbers or adds some
PLUGGED = ("dataset", "corruption", "model", "loss", "regularizer", "optimizer")
# What trains: the rest (seeds, places, machines) does not change a seed's numbers.
NUMERIC_TRAINER = ("max_epochs", "batch_size", "precision")


@dataclass(frozen=True)
class Result:
    """One configuration, trained on its seeds.

    seeds: a row per seed (seed, status, best_epoch, diverged_epoch, metrics; a diverged seed has
    no metrics). curves: seed, epoch (0 is before training), metric, value.
    summary: task, primary metric, directions, seconds, how replicas were mapped.
    """

    key: str
    config: Config
    seeds: pd.DataFrame
    curves: pd.DataFrame
    summary: dict[str, Any]
    versions: dict[str, Any]

    @property
    def diverged(self) -> int:
        return int((self.seeds.status == "diverged").sum())


def key_of(config: Config) -> str:
    """Twelve hexadecimal digits of what a configuration says about a seed's numbers.

    What the code of its plugins says is kept with each result, as `sources`.
    """
    parts = {
        "numeric_version": NUMERIC_VERSION,
        "choices": {kind: config[kind] for kind in PLUGGED},
        "trainer": {name: config["trainer"][name] for name in NUMERIC_TRAINER},
        "data": _file_digest(config["dataset"]),
    }
    return _digest(json.dumps(parts, sort_keys=True))


def sources(config: Config, task: str) -> dict[str, str]:
    """Of each plugin in use its package, version and the digest of its code, as one text."""
    found = {}
    for kind in PLUGGED:
        name = config[kind]["name"]
        plugins = registry.find(kind, name)
        plugin = registry.find_for_task(name, task) if kind == "loss" else plugins[0]
        code = _digest(registry.source(plugin))
        found[kind] = f"{plugin.package} {plugin.version} {code}"
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _file_digest(dataset: Config) -> str | None:
    """Digest of the user's file, where the dataset has one."""
    path = dataset.get("path")
    if path is None:
        return None
    try:
        return hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"dataset.path={path}: cannot be read: {error.strerror}.") from error


def open_folder(directory: str) -> Path:
    """The absolute results folder, created and tried; UnusableError where that fails."""
    folder = Path(directory).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UnusableError(
            f"results.dir={directory}: {folder} cannot be written: {error.strerror}. "
            "Give results.dir=FOLDER that can."
        ) from error
    return folder


def write(result: Result, folder: Path, draw: Callable[[Result, Path], None]) -> Path:
    """Write the result under a temporary name and rename it into place."""
    temporary = folder / f".writing-{uuid.uuid4().hex}"
    try:
        temporary.mkdir()
        result.seeds.to_parquet(temporary / "seeds.parquet", index=False)
        result.curves.to_parquet(temporary / "curves.parquet", index=False)
        for name in ("config", "summary", "versions"):
            text = yaml.safe_dump(getattr(result, name), sort_keys=False, allow_unicode=True)
            (temporary / f"{name}.yaml").write_text(text, encoding="utf-8")
        draw(result, temporary / "curves.png")
        return _into_place(temporary, folder, result.key)
    except OSError as error:
        raise UnusableError(
            f"results.dir={folder}: the result of {result.key} could not be written: "
            f"{error.strerror}. Make room or choose another folder, and run the command again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _into_place(temporary: Path, folder: Path, key: str) -> Path:
    """Rename to the key's first free name; renaming onto a full folder fails, so none is lost."""
    for name in _names(key):
        try:
            os.rename(temporary, folder / name)
            return folder / name
        except OSError:
            if not (folder / name).exists():
                raise
    raise AssertionError("names never end")


def _names(key: str) -> Iterator[str]:
    yield key
    number = 0
    while True:
        number += 1
        yield f"{key}-{number}"


def parts(folder: Path, key: str) -> list[Path]:
    """The folders of a key, in the order in which they were written."""
    found: list[Path] = []
    for name in _names(key):
        if not (folder / name / "seeds.parquet").exists():
            return found
        found.append(folder / name)
    raise AssertionError("names never end")


def read(place: Path) -> Result:
    """The result in one folder; UserError names a damaged file."""
    try:
        texts = {
            name: yaml.safe_load((place / f"{name}.yaml").read_text(encoding="utf-8"))
            for name in ("config", "summary", "versions")
        }
        seeds, curves = (pd.read_parquet(place / f"{n}.parquet") for n in ("seeds", "curves"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{place} is damaged ({reason}). Move it away and run again.") from error
    config, summary, versions = (texts[name] for name in ("config", "summary", "versions"))
    return Result(summary["key"], config, seeds, curves, summary, versions)


def merged(results: Sequence[Result]) -> Result:
    """Several parts of one key as one; a seed's first row counts."""
    first = results[0]
    seeds = pd.concat([r.seeds for r in results]).drop_duplicates("seed").sort_values("seed")
    curves = pd.concat([r.curves for r in results]).drop_duplicates(["seed", "epoch", "metric"])
    seconds = sum(r.summary["seconds"] for r in results)
    config = {**first.config, "seeds": seeds.seed.tolist()}
    summary = {**first.summary, "seconds": seconds}
    return replace(first, config=config, seeds=seeds, curves=curves, summary=summary)


def stored(config: Config, folder: Path) -> Result | None:
    """What the folder holds of a configuration as its plugins stand now, whatever the seeds."""
    found = [read(place) for place in parts(folder, key_of(config))]
    current = [r for r in found if r.summary["sources"] == sources(config, r.summary["task"])]
    return merged(current) if current else None


def changed(config: Config, folder: Path) -> list[str]:
    """The kinds of plugin whose code is another than when the last result was written."""
    places = parts(folder, key_of(config))
    if not places:
        return []
    summary = read(places[-1]).summary
    now = sources(config, summary["task"])
    return [kind for kind, code in summary["sources"].items() if code != now[kind]]


def missing_seeds(config: Config, folder: Path) -> list[int]:
    """The seeds that the folder does not hold yet."""
    held = stored(config, folder)
    done = set(held.seeds.seed) if held is not None else set()
    return [seed for seed in config["seeds"] if seed not in done]


def of_seeds(result: Result, seeds: Sequence[int]) -> Result:
    """The result with only these seeds, in ascending order."""
    return replace(
        result,
        config={**result.config, "seeds": list(seeds)},
        seeds=result.seeds[result.seeds.seed.isin(seeds)].sort_values("seed", ignore_index=True),
        curves=result.curves[result.curves.seed.isin(seeds)].reset_index(drop=True),
    )


def everything(folder: Path) -> list[Result]:
    """Every result in a folder, its parts merged; of changed code only what was written last."""
    keys = {file.parent.name.partition("-")[0] for file in folder.glob("[!.]*/seeds.parquet")}
    found = []
    for key in sorted(keys):
        same = [read(place) for place in parts(folder, key)]
        last = same[-1].summary["sources"]
        found.append(merged([r for r in same if r.summary["sources"] == last]))
    return found


def bands(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds and its 95 % t interval: metric, epoch, mean, low, high, seeds."""
    rows = []
    for (metric, epoch), values in curves.dropna().groupby(["metric", "epoch"], sort=False).value:
        interval = t_interval(values)
        rows.append((metric, epoch, interval.estimate, interval.low, interval.high, len(values)))
    return pd.DataFrame(rows, columns=["metric", "epoch", "mean", "low", "high", "seeds"])
