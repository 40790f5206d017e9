"""Results -> contests: who is compared with whom, on which seeds, and a value for each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossbench import registry, statistics
from lossbench.comparison.caveats import list_infinite, list_metrics, list_versions, write_counts
from lossbench.configuration import budget_words, digest, labels, loss_labels
from lossbench.configuration.labels import natural_order
from lossbench.contract import UserError
from lossbench.registry.hints import choices
from lossbench.results import Result, duplicates, looks_of, of_seeds
from lossbench.results.sources import metrics_to_compute

Array = NDArray[np.float64]
YARDSTICKS = ("cross_entropy", "squared_error", "poisson", "gaussian_nll", "cox", "info_nce", "dpo")
PLACES = {"last": "test", "best": "test_best"}  # the epoch whose weights are compared


@dataclass(frozen=True)
class Contest:
    """The losses of one setting, and of the compared metric a value for each seed.

    results: each loss on the seeds that it shares with the baseline, or on as many where there are
    none; the baseline on those of all of them. paired: whether each loss shares seeds with it.
    at: "last" epoch, or "best" on validation data. failed: what a replica that diverged counts as;
    None: as worse than all others. tried: what p is multiplied by, for what else was tried or could
    have been. defined: false where the metric has no value on any seed.
    """

    results: dict[str, Result]
    metric: str
    direction: int
    baseline: str
    paired: bool
    notes: tuple[str, ...]
    failed: float | None
    defined: bool
    at: str = "last"
    tried: int = 1

    @property
    def others(self) -> list[str]:
        return [label for label in self.results if label != self.baseline]

    def looks(self, label: str) -> int:
        """How often the two could have been compared before, this time included.

        Where both have planned looks, those of the baseline at other losses are none at this one.
        """
        own, base = looks_of(self.results[label]), looks_of(self.results[self.baseline])
        planned = [r.summary.get("planned_looks", 1) for r in self.pairs[label]]
        return own if min(planned) > 1 and own == planned[0] else max(own, base)

    def has(self, at: str) -> bool:
        """Whether every loss was scored at this epoch."""
        return all(f"{PLACES[at]}/{self.metric}" in r.seeds for r in self.results.values())

    @property
    def origin(self) -> dict[str, Any]:
        """Where the examples come from, as `datasets.Origin`; empty where that is not known."""
        origin: dict[str, Any] = next(iter(self.results.values())).summary.get("examples", {})
        return origin

    @cached_property
    def pairs(self) -> dict[str, list[Result]]:
        """Each other loss and the baseline, on the same seeds where they share any."""
        base = self.results[self.baseline]
        return {x: on_common_seeds([self.results[x], base]) for x in self.others}

    def values(self, results: Sequence[Result]) -> list[Array]:
        """The metric on the test split, seed by seed; not finite where the replica failed."""
        column = f"{PLACES[self.at]}/{self.metric}"
        return [result.seeds[column].to_numpy(dtype=np.float64) for result in results]

    def scores(self) -> Array:
        """Seeds that all share x losses, higher better, failed replicas the worst."""
        values = np.stack(self.values(on_common_seeds([*self.results.values()])), axis=1)
        return statistics.oriented_scores(
            values, higher_is_better=self.direction > 0, failed=self.failed
        )

    def differences(self, label: str) -> Array:
        """The loss less the baseline; NaN where one of the two failed."""
        values, base = self.values(self.pairs[label])
        both = np.isfinite(values) & np.isfinite(base)
        values, base = (np.where(both, side, 0.0) for side in (values, base))
        return np.where(both, statistics.difference(values, base), np.nan)

    def gains(self, label: str) -> Array:
        """The differences, positive where the loss is better, failed replicas the worst."""
        return statistics.paired_differences(
            *self.values(self.pairs[label]),
            higher_is_better=self.direction > 0,
            failed=self.failed,
        )


def contests_of(
    results: Sequence[Result], baseline: str | None, metric: str | None, mixed: bool
) -> list[Contest]:
    """The contests of each setting and tuning budget.

    UserError names a metric or baseline that no setting has, and budgets that leave no ranking.
    """
    results = _of_same_metrics(results, metric)
    plugin = bool(metric) and (":" in str(metric) or metric in registry.names("metric"))
    metric = metric and metric.rpartition(":")[2]
    named = dict(zip(map(id, results), loss_labels([r.config for r in results]), strict=True))
    settings: dict[str, list[Result]] = {}
    for result in results:
        settings.setdefault(digest(result.setting), []).append(result)
    groups = [
        _having(*group, metric)
        for alike in settings.values()
        for group in _of_one_budget(alike, mixed)
    ]
    if settings and all(len(alike) == 1 for alike, _ in groups):
        _refuse_mixed_budgets(list(settings.values()))
    _check_metric([alike for alike, _ in groups], metric, plugin)
    labelled = [_labelled(alike, named) for alike, _ in groups]
    if baseline and not any(_named(baseline, held) for held in labelled):
        known = {label for held in labelled for label in held}
        raise UserError(
            f"--baseline {baseline}: it is not among the losses compared. "
            f"{choices(baseline, known)}"
        )
    return [
        _contest(held, notes, [baseline] if baseline else _baselines(labelled, held), metric)
        for held, (_, notes) in zip(labelled, groups, strict=True)
    ]


def _of_same_metrics(results: Sequence[Result], metric: str | None) -> list[Result]:
    """The results with the metrics that others of their task have, where these can be computed."""
    held: dict[str, set[str]] = {}
    for result in results:
        held.setdefault(result.summary["task"], set()).update(result.summary["directions"])
    completed = []
    for result in results:
        wanted = {*held[result.summary["task"]], *([metric] if metric else [])}
        others = sorted(wanted - {result.summary["primary"]})
        if lacking := metrics_to_compute(result.summary, others):
            from lossbench.results import rescoring  # torch: slow to import, seldom wanted

            result = rescoring.with_metrics(result, lacking)
        completed.append(result)
    return completed


def _having(
    alike: list[Result], notes: list[str], metric: str | None
) -> tuple[list[Result], list[str]]:
    """The results that have a metric, where any has it, and a note on the others."""
    have = [result for result in alike if metric in result.summary["directions"]]
    if len(have) in (0, len(alike)) or metric is None:
        return alike, notes
    names = labels([result.config for result in alike])
    others = [name for name, r in zip(names, alike, strict=True) if r not in have]
    note = f"Left out, because {metric} cannot be computed from what is kept: {', '.join(others)}"
    return have, [f"{note}; --rerun trains again.", *notes]


def _labelled(alike: list[Result], named: dict[int, str]) -> dict[str, Result]:
    """The results of a setting by the label that each has in the whole comparison."""
    seen: Counter[str] = Counter()
    labelled = {}
    budgets = budget_words([result.config for result in alike])
    for result, budget in zip(alike, budgets, strict=True):
        label = " ".join([named[id(result)], *budget])
        seen[label] += 1
        labelled[label if seen[label] == 1 else f"{label} #{seen[label]}"] = result
    return labelled


def _baselines(settings: list[dict[str, Result]], one: dict[str, Result]) -> list[str]:
    """The labels in the order in which they serve as the baseline of all settings of one's task.

    Yardsticks first in their order, then what most settings have, then by name and value.
    """
    task = _task(one)
    alike = [results for results in settings if _task(results) == task]
    held = Counter(label for results in alike for label in results)
    names = {label: r.config.loss.name for results in alike for label, r in results.items()}

    def order(label: str) -> tuple[Any, ...]:
        return [names[label] != name for name in YARDSTICKS], -held[label], natural_order(label)

    return sorted(held, key=order)


def _task(labelled: dict[str, Result]) -> str:
    task: str = next(iter(labelled.values())).summary["task"]
    return task


def _of_one_budget(results: list[Result], mixed: bool) -> list[tuple[list[Result], list[str]]]:
    """The results of a setting apart by tuning budget, or together with a word of warning."""
    budgets: dict[str, list[Result]] = {}
    for result in results:
        budgets.setdefault(result.config.tune.budget, []).append(result)
    if len(budgets) == 1:
        return [(results, [])]
    listed = "; ".join(
        f"{words}: {', '.join(labels([r.config for r in group]))}"
        for words, group in budgets.items()
    )
    if mixed:
        return [(results, [f"The tuning budgets differ, so the ranking is not fair. {listed}."])]
    note = f"Runs of different tuning budgets are not ranked against each other. {listed}."
    return [(group, [note]) for group in budgets.values()]


def _refuse_mixed_budgets(settings: list[list[Result]]) -> None:
    """UserError where budgets that differ keep different losses apart and leave none to rank."""
    for results in settings:
        configs = [result.config for result in results]
        budgets = {label: c.tune.budget for label, c in zip(labels(configs), configs, strict=True)}
        losses = {digest(config.loss.mapping) for config in configs}
        if len(losses) > 1 and len(set(budgets.values())) > 1:
            listed = "; ".join(f"{label}: {words}" for label, words in budgets.items())
            raise UserError(
                f"the tuning budgets differ, and a ranking would not be fair ({listed}). "
                "Tune all losses alike, or rank them all the same with --mixed-budgets."
            )


def _check_metric(groups: list[list[Result]], metric: str | None, plugin: bool) -> None:
    """UserError for a metric that no setting has, or that is not better in either direction."""
    summaries = [results[0].summary for results in groups]
    held = [s for s in summaries if metric in s["directions"]]
    if metric is None or any(s["directions"][metric] for s in held):
        return
    if held:
        raise UserError(
            f"--metric {metric}: neither more nor less of it is better, so it is shown next to the "
            f"metric that is compared. Compare by {held[0]['primary']}, for example."
        )
    tasks = ", ".join(sorted({s["task"] for s in summaries}))
    known = {name for s in summaries for name, direction in s["directions"].items() if direction}
    hint = ""
    if plugin:
        hint = (
            "\nA metric added later needs predictions, which these results do not keep: train "
            f"them with metrics=[{metric}] --rerun."
        )
    raise UserError(
        f"--metric {metric}: {tasks} has no such metric. {choices(metric, known)}{hint}"
    )


def _contest(
    labelled: dict[str, Result], notes: list[str], baselines: list[str], metric: str | None
) -> Contest:
    """One setting, against the first of the baselines that it has."""
    summary, notes = next(iter(labelled.values())).summary, list(notes)
    if metric and not summary["directions"].get(metric):
        notes.append(f"{summary['task']} is compared by {summary['primary']}: it has no {metric}.")
        metric = None
    metric = metric or summary["primary"]
    tried = 1
    if metric != summary["primary"]:
        tried = _count_metrics(labelled)
        counted = f": p is multiplied by {tried}, for so many metrics could have been chosen"
        notes.append(
            f"Compared by {metric}, while {summary['primary']} is what these runs are judged by"
            f"{counted if tried > 1 else ''}."
        )
    here = [name for each in baselines if (name := _named(each, labelled))]
    base = here[0] if here else _baselines([labelled], labelled)[0]
    if not _named(baselines[0], labelled):
        notes.append(f"{baselines[0]} was not trained here, so the baseline is {base}.")
    notes += list_versions(labelled)
    notes += list_metrics(labelled)
    labelled, paired, seed_notes = _on_shared_seeds(labelled, base)
    direction = summary["directions"][metric]
    labelled, defined, undefined_notes = _where_defined(labelled, metric)
    notes += [*seed_notes, *undefined_notes, *list_infinite(labelled, metric)]
    failed = score_of_failure(summary, metric, direction)
    known = (labelled, metric, direction, base, paired, tuple(notes), failed, defined)
    return Contest(*known, tried=tried)


def _count_metrics(labelled: dict[str, Result]) -> int:
    """The metrics that losses can be compared by, without those that say the same as another."""
    summary, results = next(iter(labelled.values())).summary, labelled.values()
    directed = {name for name, direction in summary["directions"].items() if direction}
    return len(directed - duplicates(results, summary["primary"]).keys())


def score_of_failure(summary: dict[str, Any], metric: str, direction: int) -> float | None:
    """What a diverged replica counts as: chance where the task knows it, else the bound."""
    chance: float | None = summary.get("chance")
    if metric == summary["primary"] and chance is not None:
        return chance
    low, high = bounds_of(summary, metric)
    bound = low if direction > 0 else high
    return bound if np.isfinite(bound) else None


def bounds_of(summary: dict[str, Any], metric: str) -> tuple[float, float]:
    """Between which values the metric lies; infinite where it has no bound or none is known."""
    low, high = summary.get("bounds", {}).get(metric, (None, None))
    return -np.inf if low is None else low, np.inf if high is None else high


def _where_defined(
    labelled: dict[str, Result], metric: str
) -> tuple[dict[str, Result], bool, list[str]]:
    """The results without seeds on which the metric has no value whatever the loss.

    A value that only some losses lack is their own failure: left out, it would favour them. Where a
    loss has no value at all, results stay as they are, and the metric is not defined.
    """
    lacks = pd.DataFrame({x: _lacks(result, metric) for x, result in labelled.items()})
    missing = lacks.index[lacks.eq(True).any(axis=1) & ~lacks.eq(False).any(axis=1)]
    seeds = {seed for result in labelled.values() for seed in result.seeds.seed}
    note = f"{metric} is undefined on {len(missing)} of {len(seeds)} seeds: their test examples, "
    note += "such as those of a single class, give it no value."
    if any(lacks[x].eq(True).sum() == len(result.seeds) for x, result in labelled.items()):
        why = note if len(missing) else f"{metric} has no value for some losses."
        return labelled, False, [why]
    notes = [f"{note} They are left out."] if len(missing) else []
    own = lacks.drop(missing)
    if listed := write_counts({x: int(own[x].eq(True).sum()) for x in labelled}):
        notes.append(f"No {metric}, where others have one, counts like divergence: {listed}.")
    kept = {x: r.seeds.seed[~r.seeds.seed.isin(missing)].tolist() for x, r in labelled.items()}
    return {x: of_seeds(r, kept[x]) for x, r in labelled.items()}, True, notes


def _lacks(result: Result, metric: str) -> pd.Series[bool]:
    """Whether the metric has no value at either epoch, by the seed, of those that finished."""
    rows = result.seeds[result.seeds.status != "diverged"].set_index("seed")
    return rows.filter([f"{place}/{metric}" for place in PLACES.values()]).isna().any(axis=1)


def _named(name: str, labelled: dict[str, Result]) -> str | None:
    """The label of this name, or the one loss of this name, whatever its hyper-parameters."""
    same = [label for label, r in labelled.items() if r.config.loss.name == name]
    return name if name in labelled else same[0] if len(same) == 1 else None


def on_common_seeds(results: Sequence[Result]) -> list[Result]:
    """The results on the seeds that all have, or on as many seeds each where none is shared."""
    held = [sorted(result.seeds.seed) for result in results]
    common = sorted(set.intersection(*map(set, held)))
    fewest = min(map(len, held))
    pairs = zip(results, held, strict=True)
    return [of_seeds(result, common or seeds[:fewest]) for result, seeds in pairs]


def _on_shared_seeds(
    labelled: dict[str, Result], baseline: str
) -> tuple[dict[str, Result], bool, list[str]]:
    """Each result on the seeds that are compared with the baseline's, and the baseline on these."""
    held = {label: set(result.seeds.seed) for label, result in labelled.items()}
    pairs = {
        label: [set(r.seeds.seed) for r in on_common_seeds([result, labelled[baseline]])]
        for label, result in labelled.items()
        if label != baseline
    }
    used = {label: mine for label, (mine, _) in pairs.items()}
    used[baseline] = set.union(*(base for _, base in pairs.values())) if pairs else held[baseline]
    paired = all(mine == base for mine, base in pairs.values())
    notes = []
    if not paired:
        notes.append(
            f"Some losses share no seed with {baseline}, so their seeds are compared unpaired; "
            "with the same seeds smaller differences would be found."
        )
    asked = {x: r.summary.get("held", 0) - len(r.seeds) for x, r in labelled.items()}
    if listed := write_counts(asked):
        notes.append(f"Seeds left out, which are stored and were not asked for: {listed}.")
    dropped = {label: len(seeds - used[label]) for label, seeds in held.items()}
    if listed := write_counts(dropped):
        notes.append(f"Seeds left out, which {baseline} and the others do not share: {listed}.")
    if len({frozenset(seeds) for seeds in used.values()}) > 1:
        counts = ", ".join(f"{label} {len(used[label])}" for label in labelled)
        notes.append(
            f"Seeds by loss: {counts}; each is compared with {baseline} on the seeds of both, and "
            "the order of the losses is by the seeds that all have."
        )
    return {k: of_seeds(r, sorted(used[k])) for k, r in labelled.items()}, paired, notes
