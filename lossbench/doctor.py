"""What is the matter? Versions, devices, plugins, results and store, a line for each."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lossbench import registry, results
from lossbench.contract import UserError
from lossbench.registry import Plugin
from lossbench.sweep import ray_joining, slurm_answers
from lossbench.sweep.claimed import clear_dead
from lossbench.sweep.launcher import launch

VERIFY_SECONDS = 20
PACKAGES = ("lossbench", "torch", "lightning", "hydra-core", "mlflow", "scikit-learn")


def broken(plugins: Sequence[Plugin]) -> dict[Plugin, str]:
    """Import each module in a process of its own, with a limit; what is wrong with its plugins.

    Where a process dies or takes too long, each plugin of its module gets one. Of a folder of
    configurations there is nothing to import: it has to be there.
    """
    faults = registry.missing_modules(p for p in plugins if p.kind == "config")
    modules: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        if plugin.kind != "config":
            modules.setdefault(plugin.module, []).append(plugin)
    groups = list(modules.values())
    while groups:
        single: list[list[Plugin]] = []
        for event in launch(_try_to_load, [(g,) for g in groups], timeout=VERIFY_SECONDS):
            group = groups[event.job]
            if event.what == "finished":
                faults |= {p: why for p, why in zip(group, event.value, strict=True) if why}
            elif len(group) == 1:
                faults[group[0]] = str(event.value)
            else:
                single += [[plugin] for plugin in group]
        groups = single
    return faults


def _try_to_load(plugins: Sequence[Plugin], report: object) -> list[str]:
    """In a worker: why each of the plugins cannot be used, or nothing."""
    return [registry.fault_in(plugin) for plugin in plugins]


def versions() -> str:
    """The line of versions."""
    return "versions  " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def machine() -> str:
    """The line of the machine."""
    import torch  # slow to import, and this is the only line that needs it

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"machine   {os.cpu_count()} cores, one thread for each worker, {device}"


def engines() -> Iterator[str]:
    """The lines of the clusters that a sweep may run on."""
    yield f"ray       {ray_joining.state()}"
    yield f"slurm     {slurm_answers.state()}"


def stored(folder: Path) -> Iterator[str]:
    """The lines of results and store; what is damaged is moved aside, and a store rebuilt.

    UnusableError where the results folder or the store cannot be used.
    """
    if not folder.is_dir():
        yield f"results   {folder}: not there yet"
        return
    results.open_folder(str(folder))
    yield from _results(folder)
    for claim in clear_dead(folder):
        yield f"claims    removed {claim}, which has ended"
    yield from _store(folder)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _results(folder: Path) -> Iterator[str]:
    damaged = {}
    files = [*folder.glob("[!.]*/seeds.parquet"), *folder.glob("[!.]*/summary.yaml")]
    places = sorted({file.parent for file in files})
    for place in places:
        try:
            results.refuse_renamed(place, results.read(place).key)
        except UserError as error:
            damaged[place] = str(error).partition(" Move it")[0]
    yield f"results   {folder}: {len(places)} results, {len(damaged)} damaged"
    for place, reason in reversed(damaged.items()):
        yield f"          {reason} Moved to {results.move_aside(place)}."
    if damaged:
        yield "          The commands that made them train just these again."


def _store(folder: Path) -> Iterator[str]:
    file = folder / "mlflow.db"
    if not file.exists():
        yield f"store     {file}: not there yet"
        return
    from lossbench.tracking.connection import experiments
    from lossbench.tracking.store import Store
    from lossbench.tracking.syncing import sync

    uri = f"sqlite:///{file}"
    reason = _damage(file)
    if not reason:
        for name in experiments(uri):
            Store(uri, name)
        yield f"store     {file}: opens"
        return
    for part in sorted(folder.glob("mlflow.db*")):
        if not part.name.endswith(".lock"):
            os.rename(part, results.free_name(folder, f".damaged-{part.name}"))
    yield f"store     {file}: {reason}; moved to {folder / f'.damaged-{file.name}'}"
    count = sync(folder, uri)
    yield f"          rebuilt from the results folder: {count} results delivered"


def _damage(file: Path) -> str:
    """Why a SQLite file cannot be read any more, or nothing."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            answer = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:
        return ""  # in use
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if answer == "ok" else " ".join(answer.split())
