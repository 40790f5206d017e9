"""A comparison -> sentences that say no more than the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lossbench import statistics

if TYPE_CHECKING:
    from lossbench.comparison.structure import Comparison, Row
    from lossbench.results import Result

ALPHA = 0.05


def conclude(comparison: Comparison) -> list[str]:
    """A sentence for each loss but the baseline, then what to mind."""
    rows = [row for row in comparison.rows if row.verdict != "baseline"]
    sentences = [_sentence(comparison, row) for row in rows]
    if comparison.family > len(rows):
        sentences.append(
            f"p is corrected over all {comparison.family} comparisons that were asked for."
        )
    return [*sentences, *_twins(comparison), *_few(comparison), *comparison.notes]


def explain_few_seeds(seeds: int, comparisons: int, needed: int) -> str:
    """Why these seeds cannot show anything."""
    asked = f"{comparisons} comparison" + "s" * (comparisons > 1)
    held = f"{seeds} seed" + "s" * (seeds > 1)
    return f"{held} can never reach p = .05 in {asked}: {needed} are needed (seeds={needed})."


def write_p(p: float | None) -> str:
    """A p value as it is printed."""
    return "?" if p is None else f"{p:.4f}" if p >= 0.0001 else f"{p:.1e}"


def _sentence(comparison: Comparison, row: Row) -> str:
    versus = f"{comparison.baseline} in {comparison.metric}"
    match row.verdict:
        case "identical":
            return f"{row.label} gave exactly the results of {comparison.baseline}, seed for seed."
        case "open":
            return f"{row.label} against {versus}: nothing can be concluded{_open(comparison, row)}"
        case "same":
            return (
                f"{row.label} and {versus} are practically the same: within "
                f"{comparison.margin:g}{_by(row, ', difference')}; equivalence test p = "
                f"{write_p(row.same_p)}."
            )
    close = ""
    if row.same_p is not None and row.same_p <= ALPHA:
        close = f" The difference is real but within {comparison.margin:g}: practically the same."
    return (
        f"{row.label} is {row.verdict} than {versus}{_by(row, ' by')}; p = {write_p(row.p)}, "
        f"better on {_count_gains(comparison, row)}.{_lost(comparison, row)}{close}"
    )


def _count_gains(comparison: Comparison, row: Row) -> str:
    """Seeds that gained, of all; ties, which are neither better nor worse, are counted apart."""
    ties = f", {row.ties} tie" + "s" * (row.ties > 1) if row.ties else ""
    return f"{row.gained} of {comparison.seeds} seeds{ties}"


def _by(row: Row, lead: str) -> str:
    d = row.difference
    if d is None:
        return ""
    known = np.isfinite(d.low)  # one seed has no interval
    ends = f" (95 % interval {d.low:+.4f} to {d.high:+.4f})" if known else ""
    return f"{lead} {d.estimate:+.4f}{ends}"


def _lost(comparison: Comparison, row: Row) -> str:
    """Where a seed diverged: that it counts as lost, and what the difference was taken over."""
    base = comparison.row(comparison.baseline).diverged
    if not row.diverged and not base:
        return ""
    both = int(np.isfinite(row.differences).sum())
    over = f"the difference is over the {both} seeds on which both finished" if both else ""
    return (
        f" {row.diverged} seeds diverged and count as the worst outcome ({base} of "
        f"{comparison.baseline}){'; ' if over else ''}{over}."
    )


def _open(comparison: Comparison, row: Row) -> str:
    """What these seeds could have shown, and how many would show what was seen."""
    seen = f"{_by(row, '; difference')}, p = {write_p(row.p)}.{_lost(comparison, row)}"
    if row.detectable is not None and np.isfinite(row.detectable):
        seen += (
            f" With {comparison.seeds} seeds the smallest true difference found 4 times in 5 is "
            f"{row.detectable:.4f}."
        )
    if row.settled_by is not None and row.settled_by > comparison.seeds:
        seen += (
            f" If the difference is as seen, {row.settled_by:,} seeds would settle it 4 times in 5."
        )
    return seen


def _twins(comparison: Comparison) -> Iterator[str]:
    """Losses that gave the same numbers as each other, though not as the baseline."""
    others = [r.label for r in comparison.rows if r.verdict not in ("baseline", "identical")]
    mentioned: set[str] = set()
    for number, first in enumerate(others):
        same = [
            label
            for label in others[number + 1 :]
            if label not in mentioned
            and same_numbers(comparison.results[first], comparison.results[label])
        ]
        mentioned |= {*same}
        if same:
            yield f"{', '.join([first, *same])} gave exactly the same results, seed for seed."


def same_numbers(first: Result, second: Result) -> bool:
    """Whether two results, not wholly diverged, agree in every number of every seed."""
    one, other = (result.seeds.drop(columns="status") for result in (first, second))
    return first.diverged < len(first.seeds) and bool(one.equals(other))


def _few(comparison: Comparison) -> Iterator[str]:
    if comparison.family * statistics.smallest_p(comparison.seeds) > ALPHA:
        needed = statistics.seeds_needed_for(ALPHA, comparison.family)
        yield explain_few_seeds(comparison.seeds, comparison.family, needed)
