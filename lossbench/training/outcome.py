"""What trained stacks leave -> one result: tables, summary, versions."""

from __future__ import annotations

import contextlib
import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from lossbench import registry, results
from lossbench.check import failed_basics
from lossbench.configuration import Configuration
from lossbench.datasets import Origin
from lossbench.results import NO_CURVES, Result
from lossbench.results.predictions import PerSeed
from lossbench.results.sources import blind_spots, code_of_metrics, code_of_run, package_versions
from lossbench.tasks import Task
from lossbench.training.recipe import History, Recipe


@dataclass(frozen=True)
class Trained:
    """What is kept of a stack."""

    seeds: list[int]
    task: Task
    recipe: Recipe
    origin: Origin
    notes: tuple[str, ...]
    history: History
    unmapped: str | None


def result_of(config: Configuration, stacks: list[Trained], seconds: float) -> Result:
    """The result of a configuration from its stacks, which trained so many seconds."""
    task, recipe = stacks[0].task, stacks[0].recipe
    reasons = list(dict.fromkeys(stack.unmapped for stack in stacks if stack.unmapped))
    tables = [_tables(stack.history, stack.seeds) for stack in stacks]
    seeds, curves, test_curves = (
        pd.concat(t, ignore_index=True) for t in zip(*tables, strict=True)
    )
    order = [*seeds.seed]
    details = pd.concat([_details(s.history, s.seeds) for s in stacks], ignore_index=True)
    kept = all(stack.history.predictions for stack in stacks)
    notes = list(dict.fromkeys(note for stack in stacks for note in stack.notes))
    if not kept and config.results.predictions:
        notes.append(_not_kept(config))
    notes += [*blind_spots(config, task.name), *_broken_rules(config, task.name)]
    summary: dict[str, Any] = {
        "key": config.key,
        "numbers": config.numbers,
        "task": task.name,
        "task_fields": {n: list(v) if isinstance(v, tuple) else v for n, v in vars(task).items()},
        "primary": recipe.primary.name,
        "directions": {name: metric.direction for name, metric in recipe.metrics.items()},
        "bounds": {name: _written(metric.bounds) for name, metric in recipe.metrics.items()},
        "chance": task.chance,
        "examples": vars(stacks[0].origin),
        "metric_sources": code_of_metrics(config.metrics, task.name),
        "sources": code_of_run(config, task.name),
        "seconds": round(seconds, 3),
        "mapped": not reasons,
        "unmapped_because": "; ".join(reasons) or None,
        "notes": notes,
        "meddled": dict(registry.meddled),
        "planned_looks": config.settle.looks or 1,
    }
    return Result(
        key=summary["key"],
        config=replace(config, seeds=tuple(seed for stack in stacks for seed in stack.seeds)),
        seeds=seeds,
        curves=results.ordered(curves, ["epoch", "metric"], order),
        summary=summary,
        versions=versions(),
        details=results.ordered(details, ["name"], order),
        predictions=(_per_seed(stacks, "predictions"),) if kept else (),
        models=(_per_seed(stacks, "models"),) if config.results.models else (),
        test_curves=results.ordered(test_curves, ["epoch", "metric"], order),
    )


def _written(bounds: tuple[float, float]) -> list[float | None]:
    """Bounds as JSON has them: none where they are infinite."""
    return [bound if math.isfinite(bound) else None for bound in bounds]


def _per_seed(stacks: list[Trained], name: str) -> PerSeed:
    """What all stacks kept, as one."""
    kept = [getattr(stack.history, name) for stack in stacks]

    def load() -> dict[str, np.ndarray]:
        return {n: np.concatenate([arrays[n] for arrays in kept]) for n in kept[0]}

    return PerSeed(tuple(seed for stack in stacks for seed in stack.seeds), load)


def _not_kept(config: Configuration) -> str:
    """Why predictions were not kept."""
    return (
        f"the predictions of {len(config.seeds)} seeds take more than "
        f"results.predictions={config.results.predictions:g} MiB and are not kept; metrics that "
        "are added later need --rerun."
    )


def _broken_rules(config: Configuration, task: str) -> Iterator[str]:
    """A sentence for each loss from a file that breaks basic rules of `check`."""
    files = {c.name for c in config.loss.all if registry.find("loss", c.name)[0].package == "file"}
    for name in sorted(files):
        with contextlib.suppress(Exception):  # a remark must not cost a result
            if broken := failed_basics(name, task):
                rules = "a rule" if len(broken) == 1 else f"{len(broken)} rules"
                yield (
                    f"loss={name} breaks {rules}, {', '.join(broken)}; see lossbench check {name} "
                    f"--task {task}."
                )


def _tables(history: History, seeds: list[int]) -> list[pd.DataFrame]:
    """The row of each seed, and its curves and test curves up to where it diverged."""
    diverged = history.diverged_epoch.numpy()
    scores = [v for name, v in history.final.items() if name.startswith("test/")]
    scored = torch.stack(scores).isfinite().any(0).numpy()  # no score: estimates are not finite
    diverged = np.where((diverged < 0) & ~scored, history.curves[-1][0], diverged)
    alive = diverged < 0
    rows = pd.DataFrame({"seed": seeds, "status": np.where(alive, "finished", "diverged")})
    for name, epochs in (
        ("best_epoch", history.best_epoch),
        ("diverged_epoch", diverged),
    ):
        rows[name] = pd.array(epochs.tolist(), dtype="Int64")
        rows.loc[rows[name] < 0, name] = pd.NA
    for name, values in history.final.items():
        rows[name] = np.where(alive, values.double().numpy(), np.nan)
    end = dict(zip(seeds, np.where(alive, np.iinfo(int).max, diverged), strict=True))
    return [rows, *(_curves(each, end) for each in (history.curves, history.test_curves))]


def _curves(points: list[tuple[int, str, torch.Tensor]], end: dict[int, int]) -> pd.DataFrame:
    """A row for each seed and point before the epoch at which the seed ends."""
    tables = [
        pd.DataFrame({"seed": [*end], "epoch": epoch, "metric": name, "value": values.double()})
        for epoch, name, values in points
    ]
    table = pd.concat(tables, ignore_index=True) if tables else NO_CURVES
    return table[table.epoch < table.seed.map(end)].reset_index(drop=True)


def _details(history: History, seeds: list[int]) -> pd.DataFrame:
    """A row for each name and seed that finished, with its numbers."""
    finished = (history.diverged_epoch < 0).tolist()
    rows = [
        (seed, name, values[r].numpy())
        for name, values in history.details.items()
        for r, seed in enumerate(seeds)
        if finished[r]
    ]
    return pd.DataFrame(rows, columns=["seed", "name", "values"])


def versions() -> dict[str, Any]:
    """What the numbers depend on besides the configuration."""
    return {
        **package_versions(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }
