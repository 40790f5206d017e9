"""Results -> comparisons: the numbers of each loss, and what they show."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lossbench import statistics
from lossbench.comparison.contents import name_contents
from lossbench.comparison.contests import (
    PLACES,
    Array,
    Contest,
    bounds_of,
    contests_of,
    on_common_seeds,
)
from lossbench.comparison.evidence import (
    Evidence,
    examples_needed,
    rivals_of_best,
    simultaneous_interval,
    span_of,
    weigh,
)
from lossbench.comparison.structure import Comparison, Row
from lossbench.contract import UserError
from lossbench.results import Result
from lossbench.statistics import Interval


def compare(
    results: Sequence[Result],
    *,
    baseline: str | None = None,
    metric: str | None = None,
    same_within: float | None = None,
    mixed_budgets: bool = False,
    at: str = "last",
    tried: int = 1,
    counted: int = 0,
) -> list[Comparison]:
    """One comparison for each setting and tuning budget; p values corrected over all of them.

    same_within: a difference that does not matter; what is shown to be less is "same". None: the
        `settle.margin` that all results were asked for with.
    mixed_budgets: rank runs that were tuned with different budgets against each other.
    at: compare after the "last" epoch, or at the "best" on validation data.
    tried: p values are multiplied by it, for what else was tried and is not among the results; as
        they are by the number of metrics where one is named that results are not judged by, and
        by that of epochs at the best one, unless results were tuned at it.
    counted: comparisons that these are some of, where there are more: p is corrected over them.
    UserError names a metric or baseline that no setting has, and budgets that leave no ranking.
    """
    if same_within is not None and not (same_within > 0 and np.isfinite(same_within)):
        raise UserError(f"--same-within {same_within}: expected a number above 0, such as 0.005.")
    if at not in PLACES:
        raise UserError(f"--at {at}: expected last or best, the epoch that is compared.")
    contests = contests_of(results, baseline, metric, mixed_budgets)
    if same_within is not None:
        _refuse_wide(same_within, contests)
    margins = {result.config.settle.margin for result in results}
    if same_within is None and len(margins) == 1:
        same_within = margins.pop()
    contests = [_at_epoch(replace(s, tried=tried * s.tried), at) for s in contests]
    family = max(counted, sum(len(contest.others) for contest in contests))
    (other,) = set(PLACES) - {at}
    evidence = weigh(contests, same_within, family)
    elsewhere = weigh([replace(s, at=other) for s in contests if s.has(other)], same_within, family)
    rivals = iter(elsewhere)
    pairs = sum(math.comb(len(contest.results), 2) for contest in contests)
    return name_contents(
        [
            replace(
                _comparison(contest, shown, next(rivals) if contest.has(other) else {}, family),
                margin=same_within,
                leading=rivals_of_best(contest, shown, max(pairs, counted))
                if contest.defined
                else (),
            )
            for contest, shown in zip(contests, evidence, strict=True)
        ]
    )


def _refuse_wide(margin: float, contests: Iterable[Contest]) -> None:
    """UserError where no difference could be larger, as where points are given for a share."""
    for contest in contests:
        low, high = bounds_of(contest.results[contest.baseline].summary, contest.metric)
        if margin >= high - low:
            raise UserError(
                f"--same-within {margin:g}: {contest.metric} is between {low:g} and {high:g}, and "
                f"no difference is larger. Name a part of that, such as {(high - low) / 100:g}."
            )


def _at_epoch(contest: Contest, at: str) -> Contest:
    """The contest at an epoch, which counts as a choice where runs are judged at another."""
    tuned = {r.config.tune.at for r in contest.results.values() if r.config.tune.trials}
    if at == "last" or tuned == {at} or not contest.has("last"):
        return replace(contest, at=at)
    note = (
        "Compared at the epoch chosen on validation data, while these runs are judged after the "
        f"last one: p is multiplied by {len(PLACES)}, for either could have been chosen."
    )
    return replace(contest, at=at, tried=len(PLACES) * contest.tried, notes=(*contest.notes, note))


def _comparison(
    contest: Contest,
    evidence: dict[str, Evidence],
    elsewhere: dict[str, Evidence],
    family: int,
) -> Comparison:
    scores = contest.scores()
    leads = statistics.share_leads(scores)
    shared = set.intersection(*(set(r.summary["directions"]) for r in contest.results.values()))
    rows = {
        label: _row(contest, label, shared, float(mean), float(first))
        for label, mean, first in zip(contest.results, scores.mean(axis=0), leads, strict=True)
    }
    for label, shown in evidence.items():
        rows[label] = _against(contest, rows[label], shown, family)
        if label in elsewhere:
            rows[label] = replace(rows[label], other_verdict=elsewhere[label].verdict)
    results = list(contest.results.values())
    budgets = {row.budget for row in rows.values()}
    setting = results[0].config.shown_setting
    return Comparison(
        setting={**setting, "tuning": budgets.pop() if len(budgets) == 1 else "mixed budgets"},
        metric=contest.metric,
        direction=contest.direction,
        baseline=contest.baseline,
        at=contest.at,
        origin=contest.origin,
        failed=contest.failed,
        seeds=len(scores),
        stays=statistics.first_stays(scores) if len(scores) > 1 else None,
        paired=contest.paired,
        family=family,
        tried=contest.tried,
        better_shares=_better_shares(contest) if contest.defined else {},
        notes=contest.notes,
        rows=tuple(sorted(rows.values(), key=lambda row: -row.score)),
        results=contest.results,
    )


def _better_shares(contest: Contest) -> dict[str, dict[str, float]]:
    shares: dict[str, dict[str, float]] = {label: {} for label in contest.results}
    for first, second in itertools.permutations(contest.results, 2):
        sides = on_common_seeds([contest.results[first], contest.results[second]])
        gains = statistics.paired_differences(
            *contest.values(sides), higher_is_better=contest.direction > 0, failed=contest.failed
        )
        shares[first][second] = statistics.probability_of_improvement(gains)
    return shares


def _row(contest: Contest, label: str, metrics: set[str], score: float, leads: float) -> Row:
    result, metric, at = contest.results[label], contest.metric, contest.at
    return Row(
        label,
        len(result.seeds),
        result.diverged,
        result.summary["seconds"],
        result.config.tune.budget,
        _intervals(result, "test/", metrics),
        _intervals(result, "test_best/", metrics),
        score,
        leads,
        rerun=_rerun(result, f"{PLACES[at]}/{metric}", span_of(contest)),
    )


def _rerun(result: Result, column: str, span: float) -> float | None:
    finite = _finite(result, column)
    margin = statistics.rerun_margin(finite) if len(finite) else math.nan
    return None if math.isnan(margin) else min(margin, span)


def _intervals(result: Result, place: str, metrics: set[str]) -> dict[str, Interval | None]:
    """Each metric's mean and interval over the seeds that finished; None where none did."""
    known = [name for name in result.summary["directions"] if name in metrics]
    names = [name for name in known if f"{place}{name}" in result.seeds]
    finite = {name: _finite(result, f"{place}{name}") for name in names}
    return {
        name: statistics.t_interval(each, bounds=bounds_of(result.summary, name))
        if len(each)
        else None
        for name, each in finite.items()
    }


def _finite(result: Result, column: str) -> Array:
    values = result.seeds[column].to_numpy(dtype=np.float64)
    return values[np.isfinite(values)]


def _against(contest: Contest, row: Row, shown: Evidence, family: int) -> Row:
    gains, differences = contest.gains(row.label), contest.differences(row.label)
    row = replace(row, differences=tuple(differences.tolist()), verdict=shown.verdict)
    if not contest.defined:
        return row
    comparisons = family * contest.tried
    looks = contest.looks(row.label)
    share = statistics.share_unseen(gains, shown.hidden)
    return replace(
        row,
        difference=simultaneous_interval(contest, row.label, shown, family),
        p=None if np.isnan(shown.p) else shown.p,
        p_here=shown.p_here,
        improvement=statistics.probability_of_improvement(gains),
        gained=int(np.sum(gains > 0)),
        ties=int(np.sum(gains == 0)),
        effect=statistics.effect_size(gains),
        looks=looks,
        detectable=_detectable(contest, differences, comparisons * looks, share),
        # more seeds are one more look
        settled_by=statistics.seeds_to_settle(gains, comparisons=comparisons * (looks + 1)),
        settled_on_new_by=_seeds_on_new_data(gains, comparisons * (looks + 1), share),
        examples_needed=examples_needed(contest, row.label, shown.hidden, comparisons),
        same_p=None if np.isnan(shown.same_p) else shown.same_p,
        same_p_here=None if np.isnan(shown.same_here) else shown.same_here,
    )


def _seeds_on_new_data(gains: Array, family: int, share: float) -> int | None:
    if np.isnan(share):
        return None
    return statistics.seeds_to_settle(gains, comparisons=family, correlation=share)


def _detectable(contest: Contest, differences: Array, family: int, share: float) -> float | None:
    """On new data, where these can be judged, else on these; None where a replica failed.

    The power with failures in it is not known, nor can more be found than the metric allows.
    """
    deviation = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    if not deviation > 0:
        return None
    correlation = 0.0 if np.isnan(share) else share
    least = statistics.smallest_detectable_difference(
        deviation, len(differences), comparisons=family, correlation=correlation
    )
    return least if least <= span_of(contest) else math.inf
