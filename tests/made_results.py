"""Results with the numbers that a test wants, as training would have written them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossbench import results
from lossbench.configuration import Configuration
from lossbench.results import Result

KINDS = ("dataset", "corruption", "model", "regularizer", "optimizer")
UNTUNED = {"trials": 0, "seeds": 3, "sampler": "sobol"}
CURVES = pd.DataFrame({"seed": [], "epoch": [], "metric": [], "value": []})
RNG = np.random.default_rng(0)
BASE = 0.8 + 0.01 * RNG.standard_normal(20)
BETTER = BASE + 0.02 + 0.005 * RNG.standard_normal(20)
SAME = BASE + 0.005 * RNG.standard_normal(20)


def result(
    loss: str, values, seeds=None, diverged=(), sections=None, trials: int | None = None, **hyper
) -> Result:
    """A loss's accuracy on each seed; sections replace parts of the configuration."""
    values = np.array(values, dtype=float)
    seeds = list(range(len(values))) if seeds is None else seeds
    ill = np.isin(seeds, diverged)
    rows = pd.DataFrame({"seed": seeds, "status": np.where(ill, "diverged", "finished")})
    for place, shift in (("test", 0), ("test_best", 0.001)):
        rows[f"{place}/accuracy"] = np.where(ill, np.nan, values + shift)
        rows[f"{place}/log_loss"] = np.where(ill, np.nan, 1 - values - shift)
    mapping: dict[str, Any] = {kind: {"name": kind} for kind in KINDS} | (sections or {})
    mapping |= {"loss": {"name": loss, **hyper}, "seeds": seeds, "tune": UNTUNED}
    summary: dict[str, Any] = {
        "task": "multiclass",
        "primary": "accuracy",
        "directions": {"accuracy": 1, "log_loss": -1},
        "task_fields": {"input_shape": [2], "num_classes": 3},
        "metric_sources": {},
        "examples": {"drawn": "anew", "learnt": 80, "test": 20},
        "seconds": 1.0,
    }
    if trials:
        mapping["tune"] = {"trials": trials, "seeds": 3, "sampler": "sobol"}
        ledger = {"metric": "accuracy", "value": 0.9, "configured_value": 0.8, "edges": []}
        chosen = {"chosen": {"optimizer.lr": 0.002}, "one_by_one": None}
        summary["tuning"] = {"trials": trials, "seeds": 3, **ledger, **chosen}
    config = Configuration.read(mapping)
    summary["numbers"] = config.numbers
    return Result(loss, config, rows, CURVES, summary, {"lossbench": "0"})


def on(dataset: str, rate: float | None = None) -> dict[str, Any]:
    """The sections of a dataset, clean or with label noise."""
    noise = {"name": "none"} if rate is None else {"name": "label_noise", "rate": rate}
    return {"dataset": {"name": dataset}, "corruption": noise}


def written(
    config: Configuration,
    seeds: Iterable[int],
    epochs: int = 4,
    sources: Mapping[str, str] | None = None,
) -> Path:
    """Where a result of these seeds is, written to the folder `results`."""
    Path("results").mkdir(exist_ok=True)
    seeds = list(seeds)
    rows = pd.DataFrame({"seed": seeds, "status": "finished"})
    rows["test/accuracy"] = [0.8 + seed / 1000 for seed in seeds]
    names = ("train/loss", "val/x")
    curves = [(s, e, name, e + s / 100) for s in seeds for e in range(epochs) for name in names]
    summary = {
        **{"key": config.key, "numbers": config.numbers, "task": "multiclass"},
        "sources": dict(sources or {}),
        **{"primary": "accuracy", "directions": {"accuracy": 1}, "seconds": 3.0},
        "examples": {"drawn": "anew", "learnt": 80, "test": 20},
    }
    made = Result(
        config.key,
        replace(config, seeds=tuple(seeds)),
        rows,
        pd.DataFrame(curves, columns=["seed", "epoch", "metric", "value"]),
        summary,
        {"lossbench": "0"},
    )
    return results.write(made, Path("results"))
