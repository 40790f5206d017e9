"""What a test of a claim compares: a number of each side for each seed, and their weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from lossbench import statistics
from lossbench.comparison.contests import PLACES
from lossbench.comparison.sentences import same_numbers
from lossbench.configuration import Configuration
from lossbench.configuration.claims import (
    Claim,
    Correlation,
    Difference,
    Equivalence,
    Filters,
    Identity,
    Measured,
    Ratio,
    Requirement,
    Side,
    Trend,
    matches,
    split_of,
)
from lossbench.contract import UserError
from lossbench.nested import dotted_keys, value_under
from lossbench.registry.hints import choices
from lossbench.results import Result
from lossbench.statistics import Array

Known = Callable[[Configuration], set[str]]  # a run's metrics
Compared = Difference | Equivalence | Ratio | Trend | Correlation
FEWEST_RUNS = 3  # of a trend, or of a rank correlation


@dataclass(frozen=True)
class Runs:
    """The experiment's configurations, and the results that there are, by key."""

    configs: Sequence[Configuration]
    results: dict[str, Result]

    def matching(self, filters: Filters) -> list[Configuration]:
        """Those that have each value."""
        return [*{c.key: c for c in self.configs if matches(c.mapping, filters)}.values()]

    def config(self, filters: Filters, place: str) -> Configuration:
        """The one run that the filters single out."""
        matching = self.matching(filters)
        if len(matching) != 1:
            words = ", ".join(f"{key}={value}" for key, value in filters.items())
            raise UserError(
                f"{place}: {words}: expected one run of the experiment, {len(matching)} are."
            )
        return matching[0]

    def several(self, filters: Filters, place: str) -> list[Configuration]:
        """At least three."""
        matching = self.matching(filters)
        if len(matching) < FEWEST_RUNS:
            words = ", ".join(f"{key}={value}" for key, value in filters.items())
            raise UserError(
                f"{place}: {words}: expected at least {FEWEST_RUNS} runs of the experiment, "
                f"{len(matching)} are."
            )
        return matching


@dataclass(frozen=True)
class Columns:
    """The numbers of the sides of a test, on the seeds that all of them have.

    values (S, n): not finite where a replica failed. weights (S,): of each side in what is tested;
    offset: a number in place of a second side. late (S, n): where a number of epochs was not
    reached in training, of which the value is the least that it can be.
    """

    sides: tuple[Side, ...]
    results: tuple[Result, ...]
    weights: Array
    values: Array
    late: NDArray[np.bool_]
    offset: float = 0.0

    @property
    def only_finished(self) -> Columns:
        """On the seeds on which every side has its number."""
        rows = np.isfinite(self.values).all(axis=0)
        return replace(self, values=self.values[:, rows], late=self.late[:, rows])

    @property
    def diverged(self) -> int:
        """The most seeds that failed on any side."""
        return int((~np.isfinite(self.values)).sum(axis=1).max())

    @property
    def twins(self) -> bool:
        """Whether the two sides are the same number of the very same results."""
        if len(self.sides) != 2:
            return False
        one, other = self.sides
        return (one.metric, one.at) == (other.metric, other.at) and same_numbers(*self.results)

    def gains(self, direction: int, failed: float | None) -> Array:
        """The weighted sum of each seed, more being what is claimed; a failure counts as `failed`.

        failed: None for worse than all others.
        """
        oriented = statistics.oriented_scores(
            self.values, higher_is_better=direction > 0, failed=failed
        )
        gains: Array = self.weights @ oriented - direction * self.offset
        return gains


@dataclass(frozen=True)
class _Term:
    """A side with its run and its weight."""

    side: Side
    config: Configuration
    weight: float


def columns_of(test: Compared, runs: Runs, place: str) -> list[Columns] | None:
    """What is compared, for each value of `over`; None where a run is not trained."""
    groups = []
    for terms in _terms(test, runs, place):
        results = [runs.results.get(term.config.key) for term in terms]
        trained = [result for result in results if result is not None]
        if len(trained) < len(results):
            return None
        offset = test.than if isinstance(test, Difference) and not _other(test) else 0.0
        groups.append(_columns(test, terms, trained, float(offset), place))
    return groups


def _columns(
    test: Compared, terms: list[_Term], results: list[Result], offset: float, place: str
) -> Columns:
    sides = tuple(term.side for term in terms)
    pairs = zip(results, sides, strict=True)
    rows = [_numbers(result, side, test, place) for result, side in pairs]
    common = sorted(set.intersection(*(set(row) for row in rows)))
    values = np.array([[row[seed] for seed in common] for row in rows], dtype=np.float64)
    values = values.reshape(len(rows), len(common))
    late = np.isposinf(values) & (test.reaches is not None)
    ends = np.array([result.config.trainer.max_epochs + 1.0 for result in results])
    values = np.where(late, ends[:, None], values)
    if test.spread and len(common):
        values = np.where(np.isfinite(values), values, np.nan)
        values = np.abs(values - np.nanmedian(values, axis=1, keepdims=True))
    weights = np.array([term.weight for term in terms])
    return Columns(sides, tuple(results), weights, values, late, offset)


def _terms(test: Compared, runs: Runs, place: str) -> list[list[_Term]]:
    """The sides of a test, once for each value of `over`."""
    if isinstance(test, Trend):
        return [_ascending(test, runs, place)]
    if isinstance(test, Correlation):
        configs, other = (
            runs.several(test.first.filters, place),
            replace(test.first, metric=test.to),
        )
        return [[_Term(side, config, 1.0) for side in (test.first, other) for config in configs]]
    sides = [(test.first, 1.0)]
    if other_side := _other(test):
        sides.append((other_side, -1.0))
    if isinstance(test, Difference) and test.beyond:
        sides += [(replace(side, filters={**side.filters, **test.beyond}), -w) for side, w in sides]
    return [
        [_Term(s, runs.config({**s.filters, **value}, place), w) for s, w in sides]
        for value in _values(test, runs, place)
    ]


def _values(test: Compared, runs: Runs, place: str) -> list[Filters]:
    """A filter for each value of `over` among the runs of the first side."""
    if test.over is None:
        return [{}]
    found = [
        value_under(config.mapping, test.over, None) for config in runs.matching(test.first.filters)
    ]
    values = {json.dumps(value, sort_keys=True): value for value in found if value is not None}
    if not values:
        raise _no_such_key(test, runs, place)
    if len(values) < 2:
        raise UserError(f"{place}.over={test.over}: the runs of this side do not differ in it.")
    return [{test.over: value} for value in values.values()]


def _no_such_key(test: Compared, runs: Runs, place: str) -> UserError:
    keys = {key for c in runs.matching(test.first.filters) for key in dotted_keys(c.mapping)}
    words = f"{place}.over={test.over}: these runs have no such key."
    return UserError(f"{words} {choices(test.over, keys)}")


def _ascending(test: Trend, runs: Runs, place: str) -> list[_Term]:
    """The runs by the number that rises, and the weights of the slope on its ranks."""
    numbered = {}
    configs = runs.several(test.first.filters, place)
    for config in configs:
        number = value_under(config.mapping, str(test.over), None)
        if number is None:
            raise _no_such_key(test, runs, place)
        if not isinstance(number, int | float):
            raise UserError(f"{place}.over={test.over}: expected a number, {number} is not.")
        numbered[number] = config
    if len(numbered) < len(configs):
        raise UserError(f"{place}.over={test.over}: several runs have the same number.")
    ranks = np.arange(len(configs)) - (len(configs) - 1) / 2
    weights = (ranks / np.square(ranks).sum()).tolist()
    ordered = [numbered[number] for number in sorted(numbered)]
    return [_Term(test.first, c, w) for c, w in zip(ordered, weights, strict=True)]


def _other(test: Compared) -> Side | None:
    """The second side; None where that is a number, or there is none."""
    other = test.than if isinstance(test, Difference) else getattr(test, "to", None)
    return other if isinstance(other, Side) else None


def _numbers(result: Result, side: Side, test: Measured, place: str) -> dict[int, float]:
    """The number of each seed; infinite where a curve never reached what is asked for."""
    split, name = split_of(side.metric)
    if name not in (directions := result.summary["directions"]):
        task = result.summary["task"]
        raise UserError(
            f"{place}.metric={side.metric}: the task {task} has no such metric. "
            f"{choices(name, directions)}"
        )
    rows = result.seeds.set_index("seed")
    if test.reaches is None and split != "train":
        column = PLACES[side.at].replace("test", split)
        return dict(zip(result.seeds.seed, rows[f"{column}/{name}"], strict=True))
    table = result.test_curves if split == "train" else result.curves
    curve = table[table.metric == side.metric]
    if curve.empty and (rows.status == "finished").any():
        raise UserError(
            f"{place}.metric={side.metric}: the results have no such curves. Train them again with "
            "trainer.peek=true."
        )
    if test.reaches is None:
        return _at_epoch(curve, rows, side.at)
    direction = directions[name] or 1
    reached = curve[curve.value * direction >= test.reaches * direction]
    first = reached.groupby("seed").epoch.min().to_dict()
    return {seed: float(first.get(seed, np.inf)) for seed in rows.index}


def _at_epoch(curve: pd.DataFrame, rows: pd.DataFrame, at: str) -> dict[int, float]:
    """The value of each seed's curve at its last epoch or its best one; NaN where it diverged."""
    epochs = curve.groupby("seed").epoch.max() if at == "last" else rows.best_epoch
    values = curve.set_index(["seed", "epoch"]).value.to_dict()
    finished = rows.index[rows.status == "finished"]
    known = {seed: values.get((seed, epochs.get(seed)), np.nan) for seed in finished}
    return {seed: known.get(seed, np.nan) for seed in rows.index}


def values_of(requirement: Requirement, runs: Runs, place: str) -> Array | None:
    """The number of each seed that a requirement is about; None where it is not trained."""
    result = runs.results.get(runs.config(requirement.of.filters, place).key)
    if result is None:
        return None
    reading = Measured(metric=requirement.of.metric)
    return np.array([*_numbers(result, requirement.of, reading, place).values()], dtype=np.float64)


def correlations(columns: Columns) -> Array:
    """Spearman's correlation of the two metrics over the runs, seed by seed; 0 where one ties."""
    first, second = np.split(columns.values, 2)
    ranks = [stats.rankdata(half, axis=0) for half in (first, second)]
    one, other = (each - each.mean(axis=0) for each in ranks)
    scale = np.sqrt(np.square(one).sum(axis=0) * np.square(other).sum(axis=0))
    return np.asarray((one * other).sum(axis=0) / np.where(scale > 0, scale, np.inf))


def common_filters(claim: Claim) -> Filters:
    """The filters that every side of a claim shares, which its regime says in words."""
    measured = [test for test in claim.tests if not isinstance(test, Identity)]
    sides = [s.filters for test in measured for s in (test.first, _other(test)) if s]
    return {
        k: v for k, v in (sides[0] if sides else {}).items() if all(s.get(k) == v for s in sides)
    }


# --- in words -----------------------------------------------------------------------------------


def describe(test: Compared, common: Filters) -> str:
    """The test in words, without what all tests of the claim share, and the rest of that once."""
    first, other = test.first.filters, _other(test)
    second = other.filters if other else {}
    runs = isinstance(test, Trend | Correlation)
    shared = {k: v for k, v in first.items() if runs or (k in second and second[k] == v)}
    given = [f"{k}={v}" for k, v in shared.items() if (k, v) not in common.items()]
    if test.over and not isinstance(test, Trend):
        given.append(f"each {test.over} counts once")
    tail = f" ({', '.join(given)})" if given else ""
    if isinstance(test, Trend):
        by = f" by {test.by:g} each time" if test.by else ""
        words = f"slope of {_quantity(test)}: {test.trend}{by} as {test.over} rises"
        return f"{words}{tail}{_epoch(test)}"
    if isinstance(test, Correlation):
        by = f" beyond {test.by:g}" if test.by else ""
        words = f"rank correlation of {test.metric} and {test.to}: {test.correlation}{by}"
        return f"{words} over runs{tail}{_epoch(test)}"
    names = [_name(test.first, other, shared), _name(other, test.first, shared) if other else ""]
    if isinstance(test, Equivalence):
        compared = f"{names[0]} the same as {names[1]} within {test.within:g}"
    elif isinstance(test, Ratio):
        compared = f"{names[0]} over {names[1]} {_bounds(test)}"
        return f"ratio of {_quantity(test)}: {compared}{tail}{_epoch(test)}"
    else:
        how = {"better": "better than", "less": "below", "more": "above"}.get(test.how)
        margin = f" by {test.by:g}" if test.by else ""
        than = names[1] if other else test.than
        compared = f"{names[0]} {how or 'not worse than'} {than}{margin}"
        if test.beyond:
            compared += " more than at " + ", ".join(f"{k}={v}" for k, v in test.beyond.items())
    return f"{_quantity(test)}: {compared}{tail}{_epoch(test)}"


def _name(side: Side, other: Side | None, shared: Filters) -> str:
    """What the other side does not have, or its loss."""
    words = [
        str(v) if k == "loss" else f"{k}={v}" for k, v in side.filters.items() if k not in shared
    ] or [str(side.filters.get("loss", "the run"))]
    if other and side.metric != other.metric:
        words.append(f"in {side.metric}")
    if other and side.at != other.at:
        words.append(f"at the {side.at} epoch")
    return " ".join(words)


def _quantity(test: Measured) -> str:
    if test.reaches is not None:
        return f"epochs until {test.metric} reaches {test.reaches:g}"
    return f"spread of {test.metric}" if test.spread else test.metric


def _epoch(test: Measured) -> str:
    return " at the best epoch" if test.at == "best" else ""


def _bounds(test: Ratio | Requirement) -> str:
    low, high = test.at_least, test.at_most
    bounds = [f"at least {low:g}"] if low is not None else []
    bounds += [f"at most {high:g}"] if high is not None else []
    return " and ".join(bounds)


def describe_requirement(requirement: Requirement) -> str:
    """A requirement in words."""
    side = requirement.of
    filters = ", ".join(f"{key}={value}" for key, value in side.filters.items())
    at = " at the best epoch" if side.at == "best" else ""
    return f"requires {side.metric} of {filters} {_bounds(requirement)}{at}"


# --- what is refused ----------------------------------------------------------------------------


def refuse_metrics(test: Compared | Requirement, runs: Runs, place: str, known: Known) -> None:
    """UserError where a side is not one run, or where a run will not have a metric of a test."""
    if isinstance(test, Requirement):
        terms = [_Term(test.of, runs.config(test.of.filters, place), 1.0)]
    else:
        terms = [term for group in _terms(test, runs, place) for term in group]
    for term in terms:
        metric = term.side.metric
        split, name = split_of(metric)
        if name not in (names := known(term.config)):
            raise UserError(
                f"{place}.metric={metric}: there will be no such metric. {choices(name, names)}"
            )
        if split == "train" and not term.config.trainer.peek:
            raise UserError(
                f"{place}.metric={metric}: the training split is scored with trainer.peek: true; "
                "put that into the experiment's overrides."
            )
