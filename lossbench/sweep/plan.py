"""Configurations -> jobs: what each is called, and which of its seeds are still to be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lossbench import results
from lossbench.configuration import Configuration, names
from lossbench.configuration.settings import masked
from lossbench.contract import UserError

SHARED = ("tracking", "launcher", "settle")  # sections of all runs of a command


@dataclass(eq=False)
class Job:
    """A run, the seeds of it that are missing, and what became of it.

    points are of its curves, as many as were sent to MLflow are `sent`; shown is whether MLflow got
    something new. runs: how many its command is for, done or not.
    """

    config: Configuration
    key: str
    name: str
    folder: Path
    seeds: list[int]
    place: Path | None = None
    error: BaseException | None = None
    begun: bool = False
    points: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    progress: str = ""
    sent: int = 0
    shown: bool = False
    runs: int = 1

    @property
    def target(self) -> Path:
        """Where the first of its results is, or is to be."""
        return self.folder / self.key


def plan(configs: Sequence[Configuration], *, rerun: bool = False, dry: bool = False) -> list[Job]:
    """A job for each configuration; its folder is created and tried, if dry only looked for.

    UserError where configurations disagree on what is one for all that a command trains.
    """
    _refuse_several(configs)
    folders: dict[str, Path] = {}
    jobs = []
    for config, name in zip(configs, names(configs), strict=True):
        directory = config.results.dir
        if directory not in folders:
            opened = results.find_folder if dry else results.open_folder
            folders[directory] = opened(directory)
        folder = folders[directory]
        seeds = list(config.seeds) if rerun else results.missing_seeds(config, folder)
        jobs.append(Job(config, config.key, name, folder, seeds, runs=len(configs)))
    return jobs


def _refuse_several(configs: Sequence[Configuration]) -> None:
    """UserError where the runs of one command have several stores, folders or launchers."""
    shared = [
        {
            "results.dir": c.results.dir,
            **{k: v for section in SHARED for k, v in _under(section, c).items()},
        }
        for c in configs
    ]
    for key in shared[0] if shared else ():
        values = dict.fromkeys(masked(str(each[key])) for each in shared)
        if len(values) > 1:
            raise UserError(
                f"{key}={','.join(values)}: the runs of one command share it. Give one value, or "
                "one command for each."
            )


def _under(section: str, config: Configuration) -> dict[str, Any]:
    return {f"{section}.{key}": value for key, value in config.section(section).items()}
