"""What is the matter? Versions, devices, plugins, results and store, a line for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lossbench import registry
from lossbench.contract import UserError
from lossbench.launcher import launch
from lossbench.registry import Plugin

VERIFY_SECONDS = 20
PACKAGES = ("lossbench", "torch", "lightning", "hydra-core", "mlflow", "scikit-learn")


def broken(plugins: Sequence[Plugin]) -> dict[Plugin, str]:
    """Import each plugin in a process of its own, with a limit; what is wrong with the broken."""
    faults = {}
    for event in launch(_try_to_load, [(plugin,) for plugin in plugins], timeout=VERIFY_SECONDS):
        wrong = event.value if event.what == "finished" else str(event.value)
        if wrong:
            faults[plugins[event.job]] = wrong
    return faults


def _try_to_load(plugin: Plugin, report: object) -> str:
    """In a worker: why the plugin cannot be used, or nothing."""
    try:
        registry.load(plugin)
    except UserError as error:
        return str(error).partition(" could not be loaded: ")[2]
    return ""


def diagnose(folder: Path) -> Iterator[str]:
    """The lines of `lossbench doctor`; nothing is changed."""
    yield "versions  " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    yield _machine()
    plugins = [p for kind in registry.KINDS if kind != "config" for p in registry.installed(kind)]
    faults = broken(plugins)
    yield f"plugins   {len(plugins)} found, {len(faults)} broken"
    for plugin, reason in faults.items():
        yield f"          {plugin.kind}={plugin.name} of {plugin.origin}: {reason}"
    yield from _results(folder)
    yield _store(folder / "mlflow.db")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _machine() -> str:
    import torch  # slow to import, and this is the only line that needs it

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    return f"machine   {os.cpu_count()} cores, one thread for each worker, {device}"


def _results(folder: Path) -> Iterator[str]:
    from lossbench import results

    damaged = []
    places = sorted(file.parent for file in folder.glob("[!.]*/seeds.parquet"))
    for place in places:
        try:
            results.read(place)
        except UserError as error:
            damaged.append(str(error))
    yield f"results   {folder}: {len(places)} results, {len(damaged)} damaged"
    yield from (f"          {line}" for line in damaged)


def _store(file: Path) -> str:
    if not file.exists():
        return f"store     {file}: not there yet"
    from lossbench.tracking import Store, latest_experiment

    try:
        uri = f"sqlite:///{file}"
        Store(uri, latest_experiment(uri))
    except Exception as error:  # whatever a damaged database makes MLflow raise
        return f"store     {file}: {' '.join(str(error).split())[:150]}"
    return f"store     {file}: opens"
