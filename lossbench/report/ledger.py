"""What tuning tried, and what its trials can say: edges, flat ranges, budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy import stats

from lossbench.comparison import Comparison
from lossbench.results import Result
from lossbench.statistics import Array, expected_best

FEWEST_TRIALS = 8  # below which ranges say nothing
FEWEST_SEEDS = 3
FEWEST_GOOD = 3  # trials that span a range
RATE = "optimizer.lr="


def list_tuning_notes(comparison: Comparison) -> list[str]:
    """What must be known of how hyper-parameters were chosen."""
    tuned = {n: r for n, r in comparison.results.items() if "tuning" in r.summary}
    notes = [note for label, result in tuned.items() for note in _notes(label, result)]
    shares = [share for r in tuned.values() if (share := r.summary["tuning"].get("seen"))]
    if shares:
        notes.append(
            f"Tuning judged candidates on {max(shares):.0%} of the examples that these seeds are "
            "tested on, since its own seeds split the same data: tuned results may look better "
            "here than they would on new data."
        )
    metrics = {judged_metric(r) for r in tuned.values()}
    if metrics - {comparison.metric}:
        notes.append(f"Tuning judged by {' and '.join(sorted(metrics))}, not {comparison.metric}.")
    return [*notes, *_leaders(expected_budgets(comparison))]


def judged_metric(result: Result) -> str:
    """The metric that its tuning judged by, on validation data."""
    return str(result.summary["tuning"]["metric"]).removeprefix("val/")


def _notes(label: str, result: Result) -> Iterator[str]:
    """Where one loss's tuning may have stopped short, where it is flat, how it was trained."""
    tuning = result.summary["tuning"]
    for edge in tuning["edges"]:
        rate = edge.partition(" ")[0] if edge.startswith(RATE) else ""
        around = f": {rate} searches around it" if rate else ""
        yield (
            f"{label}: the best trial has {edge}, at the edge of what was searched; better values "
            f"may lie beyond{around}."
        )
    if tuning["one_by_one"]:
        yield f"{label}: candidates were trained one by one ({tuning['one_by_one']})."
    if flat := describe_flat(result):
        yield f"{label}: {flat}"


# --- sensitivity ----------------------------------------------------------------------------


def describe_flat(result: Result) -> str | None:
    """The ranges in which trials are as good as the best; None where they cannot show it.

    As good is within one standard error of the best mean over the tuning seeds, as in the rule of
    Breiman, Friedman, Olshen and Stone (1984).
    """
    if result.tuning is None:
        return None
    scores, values = _trials(result)
    finished = np.isfinite(scores).all(1)
    scores, values = scores[finished], values[finished]
    if len(scores) < FEWEST_TRIALS or scores.shape[1] < FEWEST_SEEDS:
        return None
    means = scores.mean(1)
    error = stats.sem(scores[means.argmax()])
    good = means >= means.max() - error
    low, high = values[good].min(0), values[good].max(0)
    inside = ((values >= low) & (values <= high)).all(1)
    worse = int((inside & ~good).sum())
    if good.all() or good.sum() < FEWEST_GOOD or worse >= good.sum():
        return None
    keys = list_tuned_keys(result)
    ranges = (f"{k} from {a:.3g} to {b:.3g}" for k, a, b in zip(keys, low, high, strict=True))
    but = f"; {worse} more there did worse" if worse else ""
    return (
        f"flat for {' and '.join(ranges)} ({good.sum()} trials within one standard error, "
        f"{error:.2g}, of the best {result.summary['tuning']['metric']}{but})."
    )


def list_tuned_keys(result: Result) -> list[str]:
    """The hyper-parameters that were tuned, as on the command line."""
    assert result.tuning is not None
    return [str(key) for key in result.tuning if key not in ("trial", "seed", "value")]


def _trials(result: Result) -> tuple[Array, Array]:
    """Scores (trials, seeds), higher better, and values (trials, hyper-parameters)."""
    table = result.tuning
    assert table is not None
    scores = table.pivot(index="trial", columns="seed", values="value").to_numpy(float)
    values = table.groupby("trial")[list_tuned_keys(result)].first().to_numpy(float)
    return scores * result.summary["directions"][judged_metric(result)], values


# --- budgets --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Budgets:
    """The expected best of k trials, for k = 1 .. n, of each loss; in the metric's own direction.

    A trial that diverged counts as the worst of its loss. Trials that were chosen in the light of
    earlier ones are no sample of what a budget gives, and have no curve.
    """

    metric: str
    direction: int
    curves: dict[str, Array]


def expected_budgets(comparison: Comparison) -> Budgets | None:
    """What each budget can be expected to give; None where nothing was tuned."""
    tuned = {n: r for n, r in comparison.results.items() if r.tuning is not None}
    sampled = {n: r for n, r in tuned.items() if r.config.tune.sampler == "sobol"}
    if not sampled or len({judged_metric(r) for r in sampled.values()}) > 1:
        return None
    first = next(iter(sampled.values()))
    metric, curves = judged_metric(first), {}
    direction = first.summary["directions"][metric]
    for label, result in sampled.items():
        means = _trials(result)[0].mean(1)  # NaN where a seed diverged
        if np.isfinite(means).any():
            means = np.where(np.isfinite(means), means, np.nanmin(means))
            curves[label] = direction * expected_best(means)
    return Budgets(metric, direction, curves)


def _leaders(budgets: Budgets | None) -> Iterator[str]:
    """Which loss leads at which budget, where several were tuned with the same."""
    curves = budgets.curves if budgets else {}
    if not budgets or len(curves) < 2 or len({len(curve) for curve in curves.values()}) > 1:
        return
    labels, table = list(curves), budgets.direction * np.array(list(curves.values()))
    first = [(labels[row], k) for k, row in enumerate(table.argmax(0), 1)]
    spans = [(label, [k for _, k in ks]) for label, ks in groupby(first, key=lambda pair: pair[0])]
    metric = f"in the expected best {budgets.metric} on validation data, which no test has judged"
    if len(spans) == 1:
        yield f"{spans[0][0]} leads at every budget from 1 to {len(first)} trials {metric}."
    else:
        listed = ", ".join(f"{label} from {ks[0]}" for label, ks in spans)
        yield f"Which loss leads {metric}, depends on the trials of its budget: {listed}."
