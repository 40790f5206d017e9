"""Results -> which loss is better, by how much, and whether that is real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossbench import statistics
from lossbench.contract import UserError
from lossbench.results import Config, Result, budget, of_seeds
from lossbench.schema import choices
from lossbench.statistics import Interval

ALPHA = 0.05


@dataclass(frozen=True)
class Row:
    """One loss against the baseline, on the seeds that both have.

    metrics: each test metric's mean and 95 % interval over the seeds that did not diverge.
    difference: of the compared metric, this less the baseline, on the seeds where both finished.
    p: exact sign-flip p, Holm-corrected over the table. improvement: share of seeds that gained.
    verdict: "baseline", "better", "worse", "identical" or "open".
    """

    label: str
    seeds: int
    diverged: int
    seconds: float
    metrics: dict[str, Interval | None]
    difference: Interval | None = None
    p: float | None = None
    improvement: float | None = None
    detectable: float | None = None
    verdict: str = "baseline"


@dataclass(frozen=True)
class Comparison:
    """Losses that met the same data, model and training; rows best first."""

    setting: dict[str, Any]
    metric: str
    direction: int
    baseline: str
    seeds: int
    rows: tuple[Row, ...]
    results: dict[str, Result]

    @property
    def conclusion(self) -> list[str]:
        """What can and what cannot be concluded, in words."""
        return [line for row in self.rows for line in self._said(row)] + self._warnings()

    def _said(self, row: Row) -> list[str]:
        if row.verdict == "baseline":
            return []
        versus = f"{self.baseline} in {self.metric}"
        if row.verdict == "identical":
            return [f"{row.label} gave exactly the results of {self.baseline}, seed for seed."]
        if row.verdict == "open":
            seen = ""
            if row.detectable is not None and np.isfinite(row.detectable):
                seen = f" A true difference of {row.detectable:.4f} would be found 4 times in 5."
            return [
                f"{row.label} against {versus}: nothing can be concluded (p = {_p(row.p)}).{seen}"
            ]
        by = ""
        if row.difference:
            d = row.difference
            by = f" by {d.estimate:+.4f} (95 % interval {d.low:+.4f} to {d.high:+.4f})"
        lost = f" {row.diverged} seeds diverged and count as lost." if row.diverged else ""
        return [
            f"{row.label} is {row.verdict} than {versus}{by}; p = {_p(row.p)}, "
            f"better on {row.improvement:.0%} of {self.seeds} seeds.{lost}"
        ]

    def _warnings(self) -> list[str]:
        others = len(self.rows) - 1
        if not others or others * statistics.smallest_p(self.seeds) <= ALPHA:
            return []
        needed = statistics.seeds_needed_for(ALPHA, others)
        return [few_seeds(self.seeds, others, needed)]


def few_seeds(seeds: int, comparisons: int, needed: int) -> str:
    """Why these seeds cannot show anything."""
    return (
        f"{seeds} seeds can never reach p = .05 in {comparisons} comparisons: {needed} are needed "
        f"(seeds={needed})."
    )


def _p(p: float | None) -> str:
    return "?" if p is None else f"{p:.4f}" if p >= 0.0001 else f"{p:.1e}"


def setting_of(config: Config) -> str:
    """What runs must share to be compared: all that shapes training, but for the loss."""
    shared = ("dataset", "corruption", "model", "regularizer", "optimizer", "trainer")
    return json.dumps({name: config[name] for name in shared}, sort_keys=True)


def compare(
    results: Sequence[Result], *, baseline: str | None = None, metric: str | None = None
) -> list[Comparison]:
    """One comparison for each setting; UserError names a metric or baseline that is not there."""
    settings: dict[str, list[Result]] = {}
    for result in results:
        settings.setdefault(setting_of(result.config), []).append(result)
    return [_comparison(found, baseline, metric) for found in settings.values()]


def labels(results: Sequence[Result]) -> list[str]:
    """The loss of each result, with the hyper-parameters in which namesakes differ.

    "tuned" is said where others are not, with the budget's settings in which tuned ones differ.
    """
    said = []
    budgets = [r.config["tune"] for r in results if budget(r.config)]
    for result in results:
        name, *_ = result.config["loss"].values()
        namesakes = [r.config["loss"] for r in results if r.config["loss"]["name"] == name]
        words = [name, *_differing(result.config["loss"], namesakes)]
        if budget(result.config):
            words += ["tuned"] if len(budgets) < len(results) else []
            words += _differing(result.config["tune"], budgets)
        said.append(" ".join(words))
    return said


def _differing(values: Config, others: Sequence[Config]) -> list[str]:
    """The values that are not the same in all others."""
    return [f"{k}={v}" for k, v in values.items() if len({str(o.get(k)) for o in others}) > 1]


def _comparison(results: list[Result], baseline: str | None, metric: str | None) -> Comparison:
    labelled = dict(zip(labels(results), results, strict=True))
    summary = results[0].summary
    metric = metric or summary["primary"]
    if metric not in summary["directions"]:
        raise UserError(
            f"--metric {metric}: the task {summary['task']} has no such metric. "
            f"{choices(metric, summary['directions'])}"
        )
    if not summary["directions"][metric]:
        raise UserError(
            f"--metric {metric}: neither more nor less of it is better, so it is shown beside the "
            f"metric that is compared. Compare by {summary['primary']}, for example."
        )
    base = baseline or ("cross_entropy" if "cross_entropy" in labelled else next(iter(labelled)))
    if base not in labelled:
        raise UserError(
            f"--baseline {base}: it is not among the losses compared. {choices(base, labelled)}"
        )
    common = set.intersection(*(set(r.seeds.seed) for r in results))
    if not common:
        raise UserError("the runs have no seed in common, so nothing can be paired.")
    labelled = {label: of_seeds(r, sorted(common)) for label, r in labelled.items()}
    direction = summary["directions"][metric]
    rows = _rows(labelled, base, metric, direction)
    order = sorted(rows, key=lambda row: _rank(row, metric, direction))
    shared = json.loads(setting_of(results[0].config))
    return Comparison(shared, metric, direction, base, len(common), tuple(order), labelled)


def _rank(row: Row, metric: str, direction: int) -> float:
    """Best mean first; a loss that diverged everywhere last."""
    interval = row.metrics[metric]
    return -direction * interval.estimate if interval else np.inf


def _rows(labelled: dict[str, Result], base: str, metric: str, direction: int) -> list[Row]:
    columns = {label: r.seeds[f"test/{metric}"].to_numpy() for label, r in labelled.items()}
    others = [label for label in labelled if label != base]
    gains = {
        label: statistics.paired_differences(
            columns[label], columns[base], higher_is_better=direction > 0
        )
        for label in others
    }
    corrected = statistics.holm([statistics.sign_flip_test(g) for g in gains.values()])
    rows = [_row(base, labelled[base])]
    for label, p in zip(others, corrected, strict=True):
        gain, plain = gains[label], _row(label, labelled[label])
        measured = columns[label] - columns[base]
        measured = measured[np.isfinite(measured)]
        deviation = float(np.std(measured, ddof=1)) if len(measured) > 1 else float("nan")
        rows.append(
            replace(
                plain,
                difference=statistics.t_interval(measured) if len(measured) else None,
                p=float(p),
                improvement=statistics.probability_of_improvement(gain),
                detectable=_detectable(deviation, len(gain), len(others)),
                verdict=_verdict(labelled[label], labelled[base], float(gain.mean()), float(p)),
            )
        )
    return rows


def _row(label: str, result: Result) -> Row:
    tests = [c for c in result.seeds.columns if c.startswith("test/")]
    values = {c.removeprefix("test/"): result.seeds[c].dropna().to_numpy() for c in tests}
    metrics = {n: statistics.t_interval(v) if len(v) else None for n, v in values.items()}
    return Row(label, len(result.seeds), result.diverged, result.summary["seconds"], metrics)


def _detectable(deviation: float, seeds: int, comparisons: int) -> float | None:
    if seeds < 2 or not deviation > 0:
        return None
    return statistics.smallest_detectable_difference(deviation, seeds, comparisons=comparisons)


def _verdict(result: Result, base: Result, gain: float, p: float) -> str:
    metrics = [c for c in result.seeds.columns if c not in ("status",)]
    if result.seeds[metrics].equals(base.seeds[metrics]):
        return "identical"
    if p > ALPHA:
        return "open"
    return "better" if gain > 0 else "worse"
