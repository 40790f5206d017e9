"""A test of a claim on its results -> what was found, before it is corrected for the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lossbench import statistics
from lossbench.comparison.contests import score_of_failure
from lossbench.comparison.evidence import Part, variance_beyond
from lossbench.configuration.claims import (
    Correlation,
    Difference,
    Equivalence,
    Filters,
    Identity,
    Measured,
    Ratio,
    Test,
    Trend,
    split_of,
)
from lossbench.contract import UserError
from lossbench.results import Result, looks_of
from lossbench.statistics import Array, Interval
from lossbench.verdicts.contrasts import Columns, Runs, columns_of, correlations, describe
from lossbench.verdicts.equations import measure_gap

SUPPORTED, REFUTED, OPEN, NOT_APPLICABLE = "SUPPORTED", "REFUTED", "OPEN", "NOT APPLICABLE"


@dataclass(frozen=True)
class Finding:
    """What became of one test, or of one requirement.

    difference: the first side less the second, in the metric's unit, on the seeds where both
    finished, with an interval on new data that holds for all tests of the experiment at once; of a
    ratio or a correlation that; of a requirement the value itself, with its own interval.
    p: Holm-corrected over the experiment; None where nothing was tested. unreached: seeds of a side
    that never reached what was asked for. seeds_needed: for 80 % power at the effect seen, where it
    is open.
    """

    text: str
    verdict: str
    difference: Interval | None = None
    p: float | None = None
    seeds: int = 0
    diverged: int = 0
    unreached: int = 0
    seeds_needed: int | None = None


@dataclass(frozen=True)
class Uncorrected:
    """A finding to be, its p before correction, and by how much each seed clears the bound.

    holds: what the claim says of the sign of the mean of `cleared`. hidden: variance of that mean
    on new data that seeds do not show. interval: of what is shown, at a level. identical: whether
    both sides are the very same results, in every metric, so that no seed will ever tell them
    apart. barred: verdicts that numbers of epochs which were not reached might overturn. settles:
    whether more seeds may bring a verdict.
    """

    finding: Finding
    p: float = float("nan")
    cleared: Array | None = None
    holds: bool = False
    hidden: float = 0.0
    interval: Callable[[float], Interval] | None = None
    looks: int = 1
    identical: bool = False
    barred: frozenset[str] = frozenset()
    settles: bool = True


def measure(test: Test, runs: Runs, place: str, common: Filters) -> Uncorrected:
    """What a test finds; UserError where it asks for what there is not."""
    if isinstance(test, Identity):
        return Uncorrected(_identity(test, place))
    finding, groups = Finding(describe(test, common), OPEN), columns_of(test, runs, place)
    if groups is None:
        return Uncorrected(replace(finding, text=f"{finding.text}: not trained"))
    if not all(group.values.shape[1] for group in groups):
        return Uncorrected(replace(finding, text=f"{finding.text}: no seed in common"))
    finding = replace(
        finding,
        seeds=groups[0].values.shape[1],
        diverged=max(group.diverged for group in groups),
        unreached=max(int(group.late.sum(axis=1).max()) for group in groups),
    )
    looks = max(looks_of(result) for group in groups for result in group.results)
    if isinstance(test, Difference | Equivalence):
        return replace(_compared(test, finding, groups, place), looks=looks)
    finished = groups[0].only_finished
    if not finished.values.shape[1]:
        return Uncorrected(finding)
    if isinstance(test, Ratio):
        return replace(_ratio(test, finding, finished), looks=looks)
    of_each = _trend if isinstance(test, Trend) else _correlation
    return replace(of_each(test, finding, finished), looks=looks)


def _compared(
    test: Difference | Equivalence, finding: Finding, groups: list[Columns], place: str
) -> Uncorrected:
    """Two sides against each other, of each value of `over`."""
    direction = _direction(test, groups[0].results[0], place)
    gains = [group.gains(direction, _failure(test, group, direction)) for group in groups]
    kept = [group.only_finished for group in groups]
    shown = [group.weights @ group.values - group.offset for group in kept]
    barred = _barred(test, groups, direction)
    if test.over:
        return replace(_over(test, finding, gains, shown), barred=barred)
    hidden = _hidden(test, groups[0], gains[0])
    if isinstance(test, Equivalence):
        measured = _equivalent(finding, gains[0], test.within, hidden)
    else:
        measured = _tested(finding, gains[0] - _bound(test), hidden)
    if len(shown[0]):
        interval = partial(statistics.t_interval, shown[0], extra=hidden)
        measured = replace(measured, interval=interval)
    asks = isinstance(test, Difference) and test.how != "not_worse" and test.reaches is None
    return replace(measured, identical=asks and groups[0].twins, barred=barred)


def _failure(test: Difference | Equivalence, columns: Columns, direction: int) -> float | None:
    """What a replica that failed counts as.

    In a claim of the other direction a failure counts against it too: as the worst of all.
    """
    summary = columns.results[0].summary
    name = split_of(test.metric)[1]
    if direction != summary["directions"][name] or test.spread or test.reaches is not None:
        return None
    return score_of_failure(summary, name, direction)


def _barred(test: Test, groups: Sequence[Columns], direction: int) -> frozenset[str]:
    """Verdicts against which longer training might speak, where epochs were not reached."""
    barred = set()
    for group in groups:
        late = group.late.any(axis=1)
        if isinstance(test, Equivalence) and late.any():
            barred |= {SUPPORTED, REFUTED}
        barred |= {REFUTED} if (late & (direction * group.weights > 0)).any() else set()
        barred |= {SUPPORTED} if (late & (direction * group.weights < 0)).any() else set()
    return frozenset(barred)


def _hidden(test: Measured, columns: Columns, gains: Array) -> float:
    """What `variance_beyond` gives for a weighted sum of the columns."""
    of_rows = not test.spread and test.reaches is None
    parts = [
        Part(result, side.metric, side.at if of_rows and "/" not in side.metric else None, weight)
        for result, side, weight in zip(
            columns.results, columns.sides, columns.weights.tolist(), strict=True
        )
    ]
    return variance_beyond(parts, gains)


def _tested(finding: Finding, cleared: Array, hidden: float) -> Uncorrected:
    """Whether the mean of `cleared` is above 0 on new data.

    hidden: what `variance_beyond` gives; NaN where nothing is known of new data, which leaves the
    claim open.
    """
    if np.isnan(hidden):
        text = f"{finding.text}: nothing is known of new data, for want of predictions or origin"
        return Uncorrected(replace(finding, text=text))
    p = statistics.new_data_test(cleared, hidden)
    return Uncorrected(finding, p, cleared, bool(cleared.mean() > 0), hidden)


def _equivalent(finding: Finding, gains: Array, within: float, hidden: float) -> Uncorrected:
    """Whether the mean gain is inside or outside of `within`."""
    outside = _tested(finding, np.sign(gains.mean()) * gains - within, hidden)
    if outside.cleared is not None and outside.cleared.mean() < 0:
        p = statistics.equivalence_test(gains, within, extra=hidden)
        return replace(outside, p=p, holds=True)
    return replace(outside, holds=False)


def _bound(test: Difference) -> float:
    """What a gain must exceed."""
    return -test.by if test.how == "not_worse" else test.by


def _over(
    test: Difference | Equivalence, finding: Finding, gains: list[Array], shown: list[Array]
) -> Uncorrected:
    """Wilcoxon's test on one value for each value of `over`; none below six of them."""
    values = np.array([each.mean() for each in gains])
    finding = replace(finding, text=f"{finding.text}, {len(values)} of them")
    if len(values) < 6:
        return Uncorrected(replace(finding, text=f"{finding.text}: fewer than six are not tested"))
    inside = isinstance(test, Equivalence) and abs(values.mean()) < test.within
    if isinstance(test, Difference):
        cleared = values - _bound(test)
        p, holds = statistics.signed_rank_test(cleared), cleared.mean() > 0
    elif inside:
        p = max(statistics.signed_rank_test(test.within + sign * values) for sign in (1, -1)) / 2
        cleared, holds = values, True
    else:
        cleared = np.sign(values.mean()) * values - test.within
        p, holds = statistics.signed_rank_test(cleared), False
    means = np.array([each.mean() for each in shown if len(each)])
    interval = partial(statistics.t_interval, means) if len(means) else None
    return Uncorrected(finding, p, cleared, bool(holds), interval=interval, settles=False)


def _ratio(test: Ratio, finding: Finding, columns: Columns) -> Uncorrected:
    """Whether each bound is kept: the first side less the bound times the second."""
    bounds = [(1.0, test.at_least), (-1.0, test.at_most)]
    tried, barred = [], set[str]()
    for sign, bound in ((sign, bound) for sign, bound in bounds if bound is not None):
        weighed = replace(columns, weights=sign * np.array([1.0, -bound]))
        cleared = weighed.weights @ weighed.values
        hidden = _hidden(test, weighed, cleared)
        tried.append(_tested(finding, cleared, hidden))
        barred |= _barred(test, [weighed], 1)
    violated = [each for each in tried if each.cleared is not None and not each.holds]
    worst = (min if violated else max)(violated or tried, key=lambda each: each.p)
    over, under = columns.values
    share = 0.0 if worst.cleared is None else statistics.share_unseen(worst.cleared, worst.hidden)
    interval = partial(statistics.ratio_interval, over, under, correlation=share)
    return replace(worst, interval=interval, barred=frozenset(barred))


def _trend(test: Trend | Correlation, finding: Finding, columns: Columns) -> Uncorrected:
    """The slope of each seed over the ranks of the runs."""
    slopes = columns.weights @ columns.values
    hidden = _hidden(test, columns, slopes)
    measured = _signed(test, finding, slopes, hidden)
    barred = frozenset({SUPPORTED, REFUTED} if columns.late.any() else ())
    return replace(measured, barred=barred)


def _correlation(test: Trend | Correlation, finding: Finding, columns: Columns) -> Uncorrected:
    """Spearman's correlation over the runs, a number for each seed."""
    values = correlations(columns)
    hidden = variance_beyond([Part(r, test.metric, None) for r in columns.results], values)
    return _signed(test, finding, values, hidden)


def _signed(
    test: Trend | Correlation, finding: Finding, values: Array, hidden: float
) -> Uncorrected:
    """Whether the mean of a number of each seed has the sign that is claimed."""
    claimed = test.trend if isinstance(test, Trend) else test.correlation
    sign = 1.0 if claimed in ("rising", "positive") else -1.0
    interval = partial(statistics.t_interval, values, extra=hidden)
    return replace(_tested(finding, sign * values - test.by, hidden), interval=interval)


def _direction(test: Difference | Equivalence, result: Result, place: str) -> int:
    """+1 where more of the metric is what the first side is claimed to have, else -1."""
    if isinstance(test, Difference) and test.how in ("less", "more"):
        return 1 if test.how == "more" else -1
    direction: int = result.summary["directions"][split_of(test.metric)[1]]
    if test.spread or test.reaches is not None:
        return -1  # steadier, or sooner
    if isinstance(test, Difference) and not direction:
        raise UserError(
            f"{place}.{test.how}: neither more nor less {test.metric} is better; claim less or "
            "more."
        )
    return direction or 1


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
    weighted = "" if test.weights is None else f", weights {test.weights}"
    place = f"at {test.prediction}, target {test.target}{weighted}"
    text = f"{test.of} of {test.loss} {place} {how} {expected}"
    return Finding(f"{text}: off by {gap:.2g}", verdict)
