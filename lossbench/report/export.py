"""Comparisons -> flat rows of numbers: the one source of every table, for people and machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from lossbench.comparison import (
    Comparison,
    Row,
    datasets,
    explain_papers,
    explain_question,
    peeking_tax,
    rank_losses,
    value_at,
)
from lossbench.nested import dotted_keys
from lossbench.statistics import Interval
from lossbench.verdicts import Decision, Finding

Record = dict[str, Any]
ALWAYS = ("dataset", "corruption", "model")


def list_records(comparisons: Sequence[Comparison]) -> list[Record]:
    """A row for each comparison, loss and test metric, best loss first, the compared metric first.

    What settings differ in (`corruption.ratio`, …) has columns; what only the compared metric has
    is None for the others.
    """
    settings = [comparison.setting for comparison in comparisons]
    known = dict.fromkeys(key for setting in settings for key in dotted_keys(setting))
    differing = [k for k in known if len({value_at(setting, k) for setting in settings}) > 1]
    # a section is known by its plugin's name, so its name needs no column
    more = [k for k in differing if k not in ALWAYS and not k.endswith(".name")]
    keys = [*ALWAYS, *more]
    return [
        {**{key: value_at(comparison.setting, key) for key in keys}, **record}
        for comparison in comparisons
        for row in comparison.rows
        for record in _of_row(comparison, row)
    ]


def _of_row(comparison: Comparison, row: Row) -> Iterator[Record]:
    others = [name for name in row.metrics if name != comparison.metric]
    for metric in (comparison.metric, *others):
        compared = metric == comparison.metric
        versus = compared and row.verdict != "baseline"
        yield {
            "loss": row.label,
            "tuning": row.budget,
            "seeds": row.seeds,
            "diverged": row.diverged,
            "metric": metric,
            **as_interval("", row.metrics[metric]),
            **as_interval("best_epoch_", row.best_epoch.get(metric)),
            "baseline": comparison.baseline if compared else None,
            **as_interval("difference_", row.difference if compared else None),
            "difference_seeds": int(np.isfinite(row.differences).sum()) if versus else None,
            "p_holm": row.p if compared else None,
            "p_these_data": row.p_here if compared else None,
            "comparisons": comparison.family if compared else None,
            "looks": row.looks if versus else None,
            "tried": comparison.tried if versus else None,
            "probability_of_improvement": row.improvement if compared else None,
            "effect_size": row.effect if compared else None,
            "leads": row.leads if compared else None,
            "not_told_from_best": row.label in comparison.leading if compared else None,
            "rerun_within": row.rerun if compared else None,
            "detectable_difference": row.detectable if compared else None,
            "seeds_to_settle": row.settled_by if compared else None,
            "seeds_to_settle_on_new_data": row.settled_on_new_by if compared else None,
            "examples_needed": row.examples_needed if compared else None,
            "p_equivalence": row.same_p if compared else None,
            "seconds": row.seconds if compared else None,
            "at": comparison.at,
            "verdict": row.verdict if compared else None,
            "verdict_other_epoch": row.other_verdict if compared else None,
        }


def as_interval(prefix: str, interval: Interval | None) -> Record:
    """The mean and both ends."""
    ends = (interval.estimate, interval.low, interval.high) if interval else (None, None, None)
    return dict(zip((f"{prefix}mean", f"{prefix}low", f"{prefix}high"), ends, strict=True))


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """The records as CSV; no text in it starts a spreadsheet's formula."""
    table = pd.DataFrame(list_records(comparisons), dtype=object).map(_csv_cell)
    return str(table.to_csv(index=False, lineterminator="\n"))


def _csv_cell(value: Any) -> Any:
    if isinstance(value, str) and not _is_number(value) and value[:1] in ("=", "+", "-", "@", "\t"):
        return f"'{value}" if len(value) > 1 else value
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_json(
    comparisons: Sequence[Comparison], peek: bool = False, decisions: Sequence[Decision] = ()
) -> str:
    """What `as_content` gives, in JSON."""
    content = as_content(comparisons, peek, decisions)
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def as_content(
    comparisons: Sequence[Comparison], peek: bool = False, decisions: Sequence[Decision] = ()
) -> dict[str, Any]:
    """The records, the sentences and the rankings over datasets; what is not finite is null.

    peek: what papers would have said of each comparison, too. decisions: on an experiment's claims.
    """
    groups = datasets(comparisons) if comparisons else []
    rankings = [ranked for group in groups if (ranked := rank_losses(group))]
    content: dict[str, Any] = {
        "rows": [{k: finite(v) for k, v in row.items()} for row in list_records(comparisons)],
        "conclusions": [
            {
                "setting": c.setting,
                "metric": c.metric,
                "at": c.at,
                "question": explain_question(c),
                "conclusion": c.conclusion,
                "better_shares": c.better_shares,
            }
            for c in comparisons
        ],
        "rankings": [
            {
                "fixed": ranked.group.fixed,
                "datasets": list(ranked.group.comparisons),
                "average_ranks": ranked.ranks,
                "p_friedman": ranked.p,
                "critical_difference": ranked.critical_difference,
                "conclusion": ranked.conclusion,
            }
            for ranked in rankings
        ],
    }
    if decisions:
        content["claims"] = [_of_decision(decision) for decision in decisions]
    if peek:
        content["peek"] = [part for c in comparisons for part in _of_peeking(c, comparisons)]
    return content


def _of_decision(decision: Decision) -> Record:
    """A claim with the verdict, the one on record, and the number behind each test."""
    claim = decision.claim
    return {
        "id": claim.id,
        "text": claim.text,
        "source": claim.source,
        "regime": claim.regime,
        "verdict": decision.verdict,
        "on_record": claim.verdict,
        "requirements": [_of_finding(finding) for finding in decision.requirements],
        "tests": [_of_finding(finding) for finding in decision.findings],
    }


def _of_finding(finding: Finding) -> Record:
    record = {**asdict(finding), **as_interval("difference_", finding.difference)}
    del record["difference"]
    return {name: finite(value) for name, value in record.items()}


def _of_peeking(comparison: Comparison, among: Sequence[Comparison]) -> Iterator[Record]:
    """Each paper's rule and loss, and the inflation; nothing without test curves."""
    if tax := peeking_tax(comparison, among):
        yield {
            "setting": comparison.setting,
            "metric": comparison.metric,
            "baseline": comparison.baseline,
            "at": comparison.at,
            "paper": explain_papers(comparison),
            "papers": [
                {**asdict(p), "flips": p.flips, "t_flips": p.t_flips, "reversed": p.reversed}
                for p in tax.papers
            ],
            "inflation": [
                {"label": label, "over": epoch}
                | {name: finite(value) for name, value in asdict(interval).items()}
                for label, by in tax.inflation.items()
                for epoch, interval in by.items()
            ],
        }


def finite(value: Any) -> Any:
    """The value, or None where JSON has no name for it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
