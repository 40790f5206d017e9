"""Claims and results -> SUPPORTED, REFUTED, OPEN or NOT APPLICABLE, with the numbers they rest on.

All tests of an experiment's claims are one family for Holm's correction; a p value counts as many
times as there were looks at growing numbers of seeds. Verdicts are on new data. A claim holds where
each of its tests does, and is refuted where one is.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lossbench import registry, statistics
from lossbench.claims import Claim, Difference, Equivalence, Filters, Identity, Requirement, matches
from lossbench.comparison import ALPHA, PLACES
from lossbench.comparison.contests import score_of_failure
from lossbench.comparison.evidence import variance_beyond
from lossbench.comparison.sentences import same_numbers
from lossbench.configuration import Choice, Configuration
from lossbench.contract import UserError
from lossbench.equations import measure_gap
from lossbench.registry.hints import choices
from lossbench.results import Result, looks_of
from lossbench.statistics import Array, Interval

SUPPORTED, REFUTED, OPEN, NOT_APPLICABLE = "SUPPORTED", "REFUTED", "OPEN", "NOT APPLICABLE"


@dataclass(frozen=True)
class Finding:
    """What became of one test, or of one requirement.

    difference: the first side less the second, in the metric's unit, on the seeds where both
    finished, with an interval on new data that holds for all tests of the experiment at once; of a
    requirement the value itself, with its own interval. p: Holm-corrected over the experiment; None
    where nothing was tested. seeds_needed: for 80 % power at the effect seen, where it is open.
    """

    text: str
    verdict: str
    difference: Interval | None = None
    p: float | None = None
    seeds: int = 0
    diverged: int = 0
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Decision:
    """A claim, what was found of each requirement and test, and the verdict."""

    claim: Claim
    verdict: str
    requirements: tuple[Finding, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Measured:
    """A finding to be, its p before correction, and by how much each seed clears the bound.

    holds: what the claim says of the sign of the mean of `cleared`. hidden: variance of that mean
    on new data that seeds do not show. identical: whether both sides
    are the very same results, in every metric, so that no seed will ever tell them apart.
    """

    finding: Finding
    p: float = float("nan")
    cleared: Array | None = None
    holds: bool = False
    hidden: float = 0.0
    raw: Array = field(default_factory=lambda: np.empty(0))
    looks: int = 1
    identical: bool = False


@dataclass(frozen=True)
class _Runs:
    """The experiment's configurations, and the results that there are, by key."""

    configs: Sequence[Configuration]
    results: dict[str, Result]

    def config(self, filters: dict[str, Any], place: str) -> Configuration:
        """The one run that the filters single out."""
        matching = {c.key: c for c in self.configs if matches(c.mapping, filters)}
        if len(matching) != 1:
            words = ", ".join(f"{key}={value}" for key, value in filters.items())
            raise UserError(
                f"{place}: {words}: expected one run of the experiment, {len(matching)} are."
            )
        return matching.popitem()[1]

    def of(self, filters: dict[str, Any], place: str) -> Result | None:
        """The result of that run; None where it is not trained."""
        return self.results.get(self.config(filters, place).key)


def decide(
    claims: Sequence[Claim], configs: Sequence[Configuration], results: Sequence[Result]
) -> list[Decision]:
    """The decision on each claim; UserError names a claim that asks for what there is not."""
    runs = _Runs(configs, {result.key: result for result in results})
    measured = [
        [
            _measure(test, runs, f"claim {claim.id}.tests[{i}]", _common(claim))
            for i, test in enumerate(claim.tests)
        ]
        for claim in claims
    ]
    measured = [
        [replace(m, looks=max(m.looks, claim.looks)) for m in each]
        for claim, each in zip(claims, measured, strict=True)
    ]
    p = [np.minimum(1.0, m.looks * m.p) for each in measured for m in each]
    corrected = iter(statistics.holm(p))
    family = int(np.sum([np.isfinite(m.p) for each in measured for m in each]))
    decisions = []
    for claim, each in zip(claims, measured, strict=True):
        findings = tuple(_corrected(m, float(next(corrected)), family) for m in each)
        required = tuple(_required(r, runs, f"claim {claim.id}") for r in claim.requires)
        verdict = _verdict([f.verdict for f in required], [f.verdict for f in findings])
        decisions.append(Decision(claim, verdict, required, findings))
    return decisions


def refuse_unknown_metrics(claims: Sequence[Claim], configs: Sequence[Configuration]) -> None:
    """UserError names a metric of a claim that the runs it is about will not have."""
    runs = _Runs(configs, {})
    for claim in claims:
        parts: list[tuple[str, Any]] = [(f"requires[{i}]", r) for i, r in enumerate(claim.requires)]
        parts += [(f"tests[{i}]", test) for i, test in enumerate(claim.tests)]
        for place, part in parts:
            if not isinstance(part, Identity):
                side = part.of if isinstance(part, Requirement) else part.first
                place = f"claim {claim.id}.{place}"
                known = _metrics_of(runs.config(side, place))
                if part.metric not in known:
                    raise UserError(
                        f"{place}.metric={part.metric}: there will be no such metric. "
                        f"{choices(part.metric, known)}"
                    )


def _metrics_of(config: Configuration) -> set[str]:
    """The names of the metrics that a run will have, found by drawing its data once."""
    added = {name.rpartition(":")[2] for name in (*config.metrics, config.metric or "") if name}
    return added | _metrics_of_dataset(config.dataset.name, json.dumps(config.dataset.values))


@functools.cache
def _metrics_of_dataset(name: str, values: str) -> set[str]:
    from lossbench.tasks import task_class

    return {metric.name for metric in task_class(_task(name, values)).metrics}


def task_of_dataset(dataset: Choice) -> str:
    """The name of the task that a dataset poses, found by drawing its data once."""
    return _task(dataset.name, json.dumps(dataset.values))


@functools.cache
def _task(name: str, values: str) -> str:
    dataset = registry.load(registry.find("dataset", name)[0])
    task: str = dataset(np.random.default_rng(0), **json.loads(values)).task
    return task


def _verdict(required: list[str], verdicts: list[str]) -> str:
    if REFUTED in required:
        return NOT_APPLICABLE
    if OPEN in required:
        return OPEN
    if REFUTED in verdicts:
        return REFUTED
    return OPEN if OPEN in verdicts else SUPPORTED


def _corrected(measured: _Measured, p: float, family: int) -> Finding:
    """The finding with its corrected p, and the verdict or the seeds that would bring one."""
    cleared = measured.cleared
    if cleared is None:
        return measured.finding
    level = 1 - ALPHA / family / measured.looks
    if len(measured.raw):
        interval = statistics.t_interval(measured.raw, level, extra=measured.hidden)
        measured = replace(measured, finding=replace(measured.finding, difference=interval))
    if measured.identical:
        return replace(measured.finding, p=p, verdict=REFUTED)
    if p > ALPHA:
        comparisons = family * (measured.looks + 1)  # more seeds are one more look
        share = statistics.share_unseen(cleared, measured.hidden)
        needed = statistics.seeds_to_settle(
            cleared, alpha=ALPHA, comparisons=comparisons, correlation=share
        )
        return replace(measured.finding, p=p, verdict=OPEN, seeds_needed=needed)
    return replace(measured.finding, p=p, verdict=SUPPORTED if measured.holds else REFUTED)


def _common(claim: Claim) -> Filters:
    """The filters that every side of a claim shares, which its regime says in words."""
    measured = [test for test in claim.tests if not isinstance(test, Identity)]
    sides = [side for test in measured for side in (test.first, _other(test)) if side]
    return {
        k: v for k, v in (sides[0] if sides else {}).items() if all(s.get(k) == v for s in sides)
    }


def _other(test: Difference | Equivalence) -> Filters:
    """The second side, empty where that is a number."""
    other = test.than if isinstance(test, Difference) else test.to
    return other if isinstance(other, dict) else {}


def _measure(
    test: Difference | Equivalence | Identity, runs: _Runs, place: str, common: Filters
) -> _Measured:
    if isinstance(test, Identity):
        return _Measured(_identity(test, place))
    sides = [runs.of(side, place) for side in (test.first, _other(test)) if side]
    finding = Finding(_said(test, common), OPEN)
    if None in sides:
        return _Measured(replace(finding, text=f"{finding.text}: not trained"))
    trained = [side for side in sides if side is not None]
    direction = _direction(test, trained[0], place)
    first, *others = _columns(trained, test.metric, test.at)
    second = others[0] if others else np.full(len(first), float(test.than))  # type: ignore
    if not len(first):
        return _Measured(replace(finding, text=f"{finding.text}: no seed in common"))
    raw = (first - second)[np.isfinite(first - second)]
    finding = replace(
        finding,
        seeds=len(first),
        diverged=int(max(np.sum(~np.isfinite(column)) for column in (first, second))),
    )
    summary, own = trained[0].summary, trained[0].summary["directions"][test.metric]
    # in a claim of the other direction a failure counts against it too: as the worst of all
    failed = score_of_failure(summary, test.metric, own) if direction == own else None
    gains = statistics.paired_differences(
        first, second, higher_is_better=direction > 0, failed=failed
    )
    hidden = variance_beyond(trained, gains, test.metric, test.at)
    measured = _tested(test, finding, gains, hidden)
    twins = isinstance(test, Difference) and bool(others) and same_numbers(*trained)
    return replace(measured, raw=raw, identical=twins, looks=max(map(looks_of, trained)))


def _tested(
    test: Difference | Equivalence, finding: Finding, gains: Array, hidden: float
) -> _Measured:
    """The test on new data: beyond `by`, or inside or outside of `within`.

    hidden: what `variance_beyond` gives; NaN where nothing is known of new data, which leaves the
    claim open.
    """
    if np.isnan(hidden):
        text = f"{finding.text}: nothing is known of new data, for want of predictions or origin"
        return _Measured(replace(finding, text=text))
    if isinstance(test, Difference):
        cleared = gains - test.by
        p = statistics.new_data_test(cleared, hidden)
        return _Measured(finding, p, cleared, cleared.mean() > 0, hidden)
    cleared = np.sign(gains.mean()) * gains - test.within
    if cleared.mean() < 0:
        p = statistics.equivalence_test(gains, test.within, extra=hidden)
        return _Measured(finding, p, cleared, True, hidden)
    p = statistics.new_data_test(cleared, hidden)
    return _Measured(finding, p, cleared, False, hidden)


def _direction(test: Difference | Equivalence, result: Result, place: str) -> int:
    """+1 where more of the metric is what the first side is claimed to have, else -1."""
    directions: dict[str, int] = result.summary["directions"]
    if test.metric not in directions:
        raise UserError(
            f"{place}.metric={test.metric}: the task {result.summary['task']} has no such metric. "
            f"{choices(test.metric, directions)}"
        )
    if isinstance(test, Difference) and test.how != "better":
        return 1 if test.how == "more" else -1
    if isinstance(test, Difference) and not directions[test.metric]:
        raise UserError(
            f"{place}.better: neither more nor less {test.metric} is better; claim less or more."
        )
    return directions[test.metric] or 1


def _columns(sides: list[Result], metric: str, at: str = "last") -> list[Array]:
    """The test metric of each side on the seeds that both have, in ascending order."""
    rows = [side.seeds.set_index("seed")[f"{PLACES[at]}/{metric}"] for side in sides]
    common = sorted(set.intersection(*(set(row.index) for row in rows)))
    return [row.loc[common].to_numpy(dtype=np.float64) for row in rows]


def _said(test: Difference | Equivalence, common: Filters) -> str:
    """The test in words, without what all tests of the claim share, and the rest of that once."""
    first, other = test.first, _other(test)
    shared = {k: v for k, v in first.items() if k in other and other[k] == v}
    names = [
        " ".join(str(v) if k == "loss" else f"{k}={v}" for k, v in side.items() if k not in shared)
        for side in (first, other)
    ]
    given = ", ".join(f"{k}={v}" for k, v in shared.items() if (k, v) not in common.items())
    given = f" ({given})" if given else ""
    given += " at the best epoch" if test.at == "best" else ""
    if isinstance(test, Equivalence):
        return f"{test.metric}: {names[0]} the same as {names[1]} within {test.within:g}{given}"
    how = {"better": "better than", "less": "below", "more": "above"}[test.how]
    margin = f" by {test.by:g}" if test.by else ""
    return f"{test.metric}: {names[0]} {how} {names[1] or test.than}{margin}{given}"


def _required(requirement: Requirement, runs: _Runs, place: str) -> Finding:
    """Whether a requirement was measured to hold: the whole interval must be beyond the bound."""
    low, high = requirement.at_least, requirement.at_most
    bounds = [f"at least {low:g}"] if low is not None else []
    bounds += [f"at most {high:g}"] if high is not None else []
    sides = ", ".join(f"{key}={value}" for key, value in requirement.of.items())
    text = f"requires {requirement.metric} of {sides} {' and '.join(bounds)}"
    result = runs.of(requirement.of, f"{place}.requires")
    if result is None:
        return Finding(f"{text}: not trained", OPEN)
    if requirement.metric not in result.summary["directions"]:
        allowed = choices(requirement.metric, result.summary["directions"])
        raise UserError(f"{place}.requires: no metric {requirement.metric}. {allowed}")
    values = _columns([result], requirement.metric)[0]
    finished = values[np.isfinite(values)]
    diverged = len(values) - len(finished)
    if not len(finished):
        return Finding(text, OPEN, seeds=len(values), diverged=diverged)
    interval = statistics.t_interval(finished)
    below, above = -np.inf if low is None else low, np.inf if high is None else high
    verdict = OPEN
    if interval.low >= below and interval.high <= above:
        verdict = SUPPORTED
    elif interval.high < below or interval.low > above:
        verdict = REFUTED
    return Finding(text, verdict, interval, seeds=len(values), diverged=diverged)


def _identity(test: Identity, place: str) -> Finding:
    """Whether a loss is what the claim expects, to within its tolerance."""
    expected = test.expect if test.expect is not None else test.differs_from
    try:
        gap = measure_gap(test, expected, place)
    except UserError as error:
        raise UserError(
            f"{place}: {str(error).splitlines()[0].removeprefix(f'{place}.')}"
        ) from error
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"{place}: prediction, target and what is expected must be numbers, or lists of them "
            f"of one length: {error}."
        ) from error
    near = gap <= test.tolerance
    verdict = SUPPORTED if near == (test.expect is not None) else REFUTED
    how = "is" if test.expect is not None else "is not"
    text = f"{test.of} of {test.loss} at {test.prediction}, target {test.target} {how} {expected}"
    return Finding(f"{text}: off by {gap:.2g}", verdict)
