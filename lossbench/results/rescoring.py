"""Metrics of stored results that were added after training, from the predictions that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lossbench import registry
from lossbench.contract import Metric
from lossbench.metrics import OF_TRAINING, WEIGHT, asked_of_replicas, metrics_of, score
from lossbench.results import Result
from lossbench.results.predictions import of_seeds
from lossbench.results.sources import code_of_metrics
from lossbench.tasks import Task, task_class
from lossbench.tasks.calibration import fit_temperature

RESAMPLES = 400
SPLITS = (("validation", "val"), ("test", "test"))


def task_of(result: Result) -> Task:
    """The task that a result was trained for."""
    kind = task_class(result.summary["task"])
    fields = result.summary["task_fields"]
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in fields.items()})


def with_metrics(result: Result, names: Sequence[str]) -> Result:
    """The result with the task's metrics as they are now, and those of these names.

    What it lacks, or has of other code, is computed from its predictions; where these are not
    kept, or of some seeds only, the result stays without it. Names that the task does not know are
    left out.
    """
    task = task_of(result)
    declared = {metric.name for metric in task.metrics}
    declared |= {plugin.name for plugin in registry.installed("metric") if plugin.task == task.name}
    names = [name for name in names if name in declared or ":" in name]
    metrics = metrics_of(task, names)
    known = result.summary["directions"]
    current = code_of_metrics(names, task.name)
    stale = {n for n, code in current.items() if result.summary["metric_sources"].get(n) != code}
    lacking = {n: m for n, m in metrics.items() if n not in known or n in stale}
    arrays = of_seeds(result.predictions, result.seeds.seed) if lacking else None
    if arrays is None:
        directions = {name: way for name, way in known.items() if name not in stale}
        return replace(result, summary={**result.summary, "directions": directions})
    absent = set(OF_TRAINING) - arrays.keys()  # kept only where a metric asked for it in training
    lacking = {n: m for n, m in lacking.items() if not absent & asked_of_replicas([m])}
    seeds = result.seeds.assign(**_columns(lacking, arrays, result))
    directions = known | {name: metric.direction for name, metric in lacking.items()}
    kept_sources = result.summary["metric_sources"] | current
    summary = {**result.summary, "directions": directions, "metric_sources": kept_sources}
    return replace(result, seeds=seeds, summary=summary)


def _columns(
    metrics: dict[str, Metric], arrays: dict[str, np.ndarray], result: Result
) -> dict[str, Any]:
    """The columns of the metrics, seed by seed; NaN where the replica diverged."""
    diverged = (result.seeds.status == "diverged").to_numpy()
    columns = {}
    for split, place in SPLITS:
        target, scale = torch.from_numpy(arrays[f"{split}_target"]), _scale(arrays)
        for suffix in ("", "_best"):
            estimate = torch.from_numpy(arrays[f"{split}{suffix}"])
            facts = _facts(metrics, arrays, split, suffix)
            for name, values in score(metrics, estimate, target, scale, facts).items():
                numbers = values.double().numpy()
                columns[f"{place}{suffix}/{name}"] = np.where(diverged, np.nan, numbers)
    return columns


def _scale(arrays: dict[str, np.ndarray]) -> torch.Tensor | None:
    """The deviation of each replica's training targets, where they have one."""
    return torch.from_numpy(arrays["target_scale"]) if "target_scale" in arrays else None


def _facts(
    metrics: dict[str, Metric], arrays: dict[str, np.ndarray], split: str, suffix: str
) -> dict[str, torch.Tensor]:
    """What metrics ask for of each replica, and its weights."""
    asked, facts = asked_of_replicas(metrics.values()), dict[str, torch.Tensor]()
    facts |= {name: torch.from_numpy(arrays[name]) for name in asked.intersection(OF_TRAINING)}
    weights = {
        part: torch.from_numpy(arrays[f"{part}_weight"])
        for part, _ in SPLITS
        if f"{part}_weight" in arrays
    }
    if "temperature" in asked:
        names = (f"validation{suffix}", "validation_target")
        estimate, target = (torch.from_numpy(arrays[n]) for n in names)
        facts["temperature"] = fit_temperature(estimate, target, weights.get("validation"))
    return facts | ({WEIGHT: weights[split]} if split in weights else {})


def row_variance(parts: Sequence[tuple[Result, str, str, float]]) -> float:
    """Variance of a weighted sum of results' means, over their test examples.

    parts: result, metric, "test" or "test_best", weight. NaN where predictions are not kept, or
    where a metric compares examples with each other: one that is drawn twice is its own neighbour.
    By the bootstrap over examples (the same for all seeds); where resampled examples give no value,
    they do not count.
    """
    if any(task_of(result).couples for result, *_ in parts):
        return float("nan")
    seeds, terms = parts[0][0].seeds.seed, []
    for result, metric, place, weight in parts:
        arrays = of_seeds(result.predictions, seeds)
        if arrays is None:
            return float("nan")
        terms.append((_scorer(result, metric, arrays, place), weight))
        target = torch.from_numpy(arrays["test_target"])
    generator, means = torch.Generator().manual_seed(0), []
    for _ in range(RESAMPLES):
        rows = torch.randint(target.shape[1], (target.shape[1],), generator=generator)
        values = torch.stack([weight * score_of(rows) for score_of, weight in terms])
        means.append(float(values.sum(0).nanmean()))
    finite = np.array(means)[np.isfinite(means)]
    return float(np.var(finite, ddof=1)) if len(finite) > RESAMPLES / 2 else float("nan")


def _scorer(
    result: Result, metric: str, arrays: dict[str, np.ndarray], place: str
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Rows of the test split -> the metric of each seed on them."""
    added = (*result.config.metrics, result.config.metric or "")
    names = [n for n in added if n.rpartition(":")[2] == metric]
    known = {metric: metrics_of(task_of(result), names)[metric]}
    target, estimate = torch.from_numpy(arrays["test_target"]), torch.from_numpy(arrays[place])
    facts = _facts(known, arrays, "test", place.removeprefix("test"))
    weights = facts.pop(WEIGHT, None)

    def score_of(rows: torch.Tensor) -> torch.Tensor:
        own = facts if weights is None else {**facts, WEIGHT: weights[:, rows]}
        values = score(known, estimate[:, rows], target[:, rows], _scale(arrays), own)
        return values[metric].double()

    return score_of
