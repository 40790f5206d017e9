"""What tuning tried, and what its trials can say: edges, flat ranges, budgets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, groupby

import numpy as np
from scipy import stats

from lossbench.comparison import Comparison
from lossbench.comparison.sentences import RULES
from lossbench.results import Result
from lossbench.statistics import Array, expected_best

FEWEST_TRIALS = 8  # below which ranges say nothing
FEWEST_SEEDS = 3
FEWEST_FITTED = 6  # trials
MOST_FITS = 32
UNEXPLAINED = 0.5  # of the variance between trials, by a fit without the trial, at most
DECADE = 10.0  # a range of which, or more, is looked at by its logarithm
MOST_AXES = 3
PLACES = np.linspace(0, 1, 41)  # along a hyper-parameter's range
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
    epochs = {r.config.tune.at or "last" for r in tuned.values()}
    if epochs - {comparison.at}:
        value = "best" if comparison.at == "best" else "null"
        notes.append(
            f"Tuning judged {' and '.join(RULES[at] for at in sorted(epochs))}, this comparison "
            f"{RULES[comparison.at]}; tune.at={value} would tune for it."
        )
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
    """Where each hyper-parameter hardly matters; None where the trials cannot show it.

    Flat is within one standard error of the best, the rule of Breiman, Friedman, Olshen and Stone
    (1984), by a quadratic through as many of the best trials as it predicts within that error:
    those beyond a cliff, such as too large a learning rate, say nothing of the hill before it.
    """
    if result.tuning is None:
        return None
    scores, values = _trials(result)
    whole = np.isfinite(scores).all(1) & np.isfinite(values).all(1)
    scores, values = scores[whole], values[whole]
    if len(scores) < FEWEST_TRIALS or scores.shape[1] < FEWEST_SEEDS:
        return None
    error = float(stats.sem(scores[scores.mean(1).argmax()]))
    best_first = np.argsort(-scores.mean(1), kind="stable")
    for count in range(len(scores), FEWEST_FITTED - 1, -max(1, len(scores) // MOST_FITS)):
        kept = best_first[:count]
        if ranges := _flat_ranges(values[kept], scores[kept].mean(1), error):
            break
    else:
        return None
    keys, trials = list_tuned_keys(result), result.tuning.trial.nunique()
    through = "all" if len(kept) == trials else f"the best {len(kept)} of"
    listed = (f"{k} from {a:.2g} to {b:.2g}" for k, (a, b) in zip(keys, ranges, strict=True))
    best = ", each with the rest at its best" if len(keys) > 1 else ""
    return (
        f"flat for {' and '.join(listed)}{best}: within {error:.2g}, a standard error over "
        f"{scores.shape[1]} tuning seeds, of the best {judged_metric(result)}, by a quadratic "
        f"through {through} {trials} trials."
    )


def _flat_ranges(values: Array, means: Array, error: float) -> list[tuple[float, float]] | None:
    """Of each hyper-parameter the values next to the best one that lose less than the error.

    None where the trials bear no quadratic, or their best is not where the quadratic's is.
    """
    low, high = values.min(0), values.max(0)
    logs = (low > 0) & (high >= DECADE * low)
    scaled, low, high = (
        np.where(logs, np.log(np.where(logs, v, 1)), v) for v in (values, low, high)
    )
    if (low == high).any() or low.size > MOST_AXES or not error:
        return None
    scaled = (scaled - low) / (high - low)
    profiles = _fitted_profiles(scaled, means, error)
    if profiles is None:
        return None
    ranges = []
    for axis, profile in enumerate(profiles):
        below, top = np.flatnonzero(profile < profile.max() - error), profile.argmax()
        first = below[below < top].max(initial=-1) + 1
        last = below[below > top].min(initial=len(PLACES)) - 1
        if not first - 1 <= scaled[means.argmax(), axis] * (len(PLACES) - 1) <= last + 1:
            return None
        ends = low[axis] + PLACES[[first, last]] * (high[axis] - low[axis])
        start, stop = np.exp(ends) if logs[axis] else ends
        ranges.append((float(start), float(stop)))
    return ranges


def _fitted_profiles(x: Array, y: Array, error: float) -> list[Array] | None:
    """Along each column of x, the best of the fit to y whatever the other columns are.

    None where trials are too few, or predicted too badly by a fit without them.
    """
    terms = _quadratic(x)
    if 2 * len(terms) < 3 * terms.shape[1]:
        return None
    inverse = np.linalg.pinv(terms)
    leverage = (terms * inverse.T).sum(1)
    if (leverage > 1 - 1e-9).any():  # a trial that the fit goes through whatever it scored
        return None
    residuals = (y - terms @ (inverse @ y)) / (1 - leverage)
    missed = float((residuals**2).mean())
    if not missed <= min(UNEXPLAINED * y.var(), error**2):
        return None
    axes = range(x.shape[1])
    grid = np.stack(np.meshgrid(*[PLACES for _ in axes], indexing="ij"), -1)
    fitted = (_quadratic(grid.reshape(-1, len(axes))) @ (inverse @ y)).reshape(grid.shape[:-1])
    return [np.moveaxis(fitted, i, 0).reshape(len(PLACES), -1).max(1) for i in axes]


def _quadratic(x: Array) -> Array:
    """The terms of a quadratic in the columns of x: 1, each, and each product of two."""
    pairs = combinations_with_replacement(range(x.shape[1]), 2)
    return np.column_stack([np.ones(len(x)), x, *(x[:, i] * x[:, j] for i, j in pairs)])


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
