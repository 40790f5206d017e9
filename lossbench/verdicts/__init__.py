"""Claims and results -> SUPPORTED, REFUTED, OPEN or NOT APPLICABLE, with the numbers they rest on.

All tests of an experiment's claims are one family for Holm's correction; a p value counts as many
times as there were looks at growing numbers of seeds. Verdicts are on new data. A claim holds where
each of its tests does, and is refuted where one is.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossbench import registry, statistics
from lossbench.comparison import ALPHA
from lossbench.configuration import Choice, Configuration
from lossbench.configuration.claims import Claim, Identity, Requirement, Test
from lossbench.results import Result
from lossbench.verdicts.contrasts import (
    Runs,
    common_filters,
    describe_requirement,
    refuse_metrics,
    values_of,
)
from lossbench.verdicts.measuring import (
    NOT_APPLICABLE,
    OPEN,
    REFUTED,
    SUPPORTED,
    Finding,
    Uncorrected,
    measure,
)

__all__ = ["NOT_APPLICABLE", "Decision", "Finding", "decide", "refuse_unknown_metrics"]


@dataclass(frozen=True)
class Decision:
    """A claim, what was found of each requirement and test, and the verdict."""

    claim: Claim
    verdict: str
    requirements: tuple[Finding, ...]
    findings: tuple[Finding, ...]


def decide(
    claims: Sequence[Claim], configs: Sequence[Configuration], results: Sequence[Result]
) -> list[Decision]:
    """The decision on each claim; UserError names a claim that asks for what there is not."""
    runs = Runs(configs, {result.key: result for result in results})
    measured = [
        [
            measure(test, runs, f"claim {claim.id}.tests[{i}]", common_filters(claim))
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
        required = tuple(
            _required(needed, runs, f"claim {claim.id}.requires[{i}]")
            for i, needed in enumerate(claim.requires)
        )
        verdict = _verdict([f.verdict for f in required], [f.verdict for f in findings])
        decisions.append(Decision(claim, verdict, required, findings))
    return decisions


def refuse_unknown_metrics(claims: Sequence[Claim], configs: Sequence[Configuration]) -> None:
    """UserError names a metric of a claim that the runs it is about will not have."""
    runs = Runs(configs, {})
    for claim in claims:
        parts: list[tuple[str, Any]] = [(f"requires[{i}]", r) for i, r in enumerate(claim.requires)]
        parts += [(f"tests[{i}]", test) for i, test in enumerate(claim.tests)]
        for place, part in parts:
            if not isinstance(part, Identity):
                refuse_metrics(part, runs, f"claim {claim.id}.{place}", _metrics_of)


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


def _corrected(measured: Uncorrected, p: float, family: int) -> Finding:
    """The finding with its corrected p, and the verdict or the seeds that would bring one."""
    cleared, finding = measured.cleared, measured.finding
    if cleared is None:
        return finding
    if measured.interval:
        interval = measured.interval(1 - ALPHA / family / measured.looks)
        finding = replace(finding, difference=interval)
    if measured.identical:
        return replace(finding, p=p, verdict=REFUTED)
    verdict = SUPPORTED if measured.holds else REFUTED
    if p <= ALPHA:
        return replace(finding, p=p, verdict=OPEN if verdict in measured.barred else verdict)
    if not measured.settles or not np.isfinite(p):
        return replace(finding, p=p if np.isfinite(p) else None)
    comparisons = family * (measured.looks + 1)  # more seeds are one more look
    share = statistics.share_unseen(cleared, measured.hidden)
    needed = statistics.seeds_to_settle(
        cleared, alpha=ALPHA, comparisons=comparisons, correlation=share
    )
    return replace(finding, p=p, verdict=OPEN, seeds_needed=needed)


def _required(needed: Requirement | Test, runs: Runs, place: str) -> Finding:
    """Whether a requirement was measured to hold: the whole interval must be beyond the bound."""
    if not isinstance(needed, Requirement):
        measured = measure(needed, runs, place, {})
        finding = _corrected(measured, min(1.0, measured.looks * measured.p), 1)
        return replace(finding, text=f"requires {finding.text}", seeds_needed=None)
    finding, values = Finding(describe_requirement(needed), OPEN), values_of(needed, runs, place)
    if values is None:
        return replace(finding, text=f"{finding.text}: not trained")
    finished = values[np.isfinite(values)]
    finding = replace(finding, seeds=len(values), diverged=len(values) - len(finished))
    if not len(finished):
        return finding
    interval = statistics.t_interval(finished)
    low, high = needed.at_least, needed.at_most
    below, above = -np.inf if low is None else low, np.inf if high is None else high
    verdict = OPEN
    if interval.low >= below and interval.high <= above:
        verdict = SUPPORTED
    elif interval.high < below or interval.low > above:
        verdict = REFUTED
    return replace(finding, verdict=verdict, difference=interval)
