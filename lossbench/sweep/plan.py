"""Configurations -> jobs: what each is called, and which of its seeds are still to be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lossbench import results
from lossbench.nested import leaves
from lossbench.paths import expanded
from lossbench.results import Config

SILENT = ("seeds", "loss", "tracking", "results", "launcher")  # sections that name no run


@dataclass
class Job:
    """A run, the seeds of it that are missing, and what became of it."""

    config: Config
    key: str
    name: str
    folder: Path
    seeds: list[int]
    place: Path | None = None
    error: BaseException | None = None
    begun: bool = False
    cut_off: bool = False
    run_id: str | None = None


def plan(configs: Sequence[Config], *, rerun: bool = False, dry: bool = False) -> list[Job]:
    """A job for each configuration; its folder is created and tried, unless dry."""
    folders: dict[str, Path] = {}
    jobs = []
    for config, name in zip(configs, names(configs), strict=True):
        key, directory = results.key_of(config), config["results"]["dir"]
        if directory not in folders:
            place = expanded(directory).absolute()
            folders[directory] = place if dry else results.open_folder(directory)
        folder = folders[directory]
        seeds = config["seeds"] if rerun else results.missing_seeds(config, folder)
        jobs.append(Job(config, key, name, folder, seeds))
    return jobs


def names(configs: Sequence[Config]) -> list[str]:
    """A name for each configuration: its loss, its dataset and all in which they differ.

    >>> [names([{"loss": {"name": "focal", "gamma": g}, "dataset": {"name": "wine"},
    ...          "optimizer": {"lr": lr}} for g in (1, 2) for lr in (0.1, 0.2)])[i] for i in (0, 3)]
    ['focal gamma=1 on wine, lr=0.1', 'focal gamma=2 on wine, lr=0.2']
    """
    losses: dict[str, list[Config]] = {}
    for config in configs:
        losses.setdefault(config["loss"]["name"], []).append(config["loss"])
    own = {name: _varying(found) for name, found in losses.items()}
    flat = [dict(leaves({k: v for k, v in c.items() if k not in SILENT})) for c in configs]
    shared = [key for key in _varying(flat) if key != "dataset.name"]
    said = []
    for config, values in zip(configs, flat, strict=True):
        loss = config["loss"]
        words = [loss["name"], *(f"{key}={loss[key]}" for key in own[loss["name"]])]
        others = [f"{_short(key)}={values[key]}" for key in shared if key in values]
        said.append(", ".join([f"{' '.join(words)} on {config['dataset']['name']}", *others]))
    return said


def _varying(found: Sequence[Config]) -> list[str]:
    """The keys whose values are not the same in all that have them."""
    values: dict[str, set[str]] = {}
    for config in found:
        for key, value in config.items():
            values.setdefault(key, set()).add(str(value))
    return [key for key, distinct in values.items() if len(distinct) > 1]


def _short(key: str) -> str:
    """optimizer.lr -> lr; model.name -> model."""
    section, _, name = key.rpartition(".")
    return section if name == "name" else name
