"""A comparison -> sentences that say no more than the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from lossbench import statistics
from lossbench.comparison.scales import scale_of

if TYPE_CHECKING:
    import pandas as pd

    from lossbench.comparison.structure import Comparison, Row
    from lossbench.results import Result

ALPHA = 0.05
WORDS = {
    "open": "not settled",
    "better here": "better on these data only",
    "worse here": "worse on these data only",
    "same": "practically the same",
    "same here": "practically the same on these data only",
}


RULES = {"last": "after the last epoch", "best": "at the epoch chosen on validation data"}
ROUNDING = 1e-6  # of metrics, which are computed in single precision
RARE = 5  # times the usual difference, beyond which one seed's is named


def conclude(comparison: Comparison) -> list[str]:
    """Where the rules for the epoch disagree, a sentence for each loss, then what to mind."""
    rows = [row for row in comparison.rows if row.verdict != "baseline"]
    sentences = [
        *_disagreements(comparison, rows),
        *(describe_row(comparison, row) for row in rows),
    ]
    if comparison.family > len(rows):
        sentences.append(
            f"p and intervals of differences are corrected over all {comparison.family} "
            "comparisons that were asked for, or could have been."
        )
    return [
        *sentences,
        *_twins(comparison),
        *seeds_too_few(comparison),
        *_leading(comparison),
        *_rerun(comparison),
        *_unseen(rows),
        *_looks(comparison, rows),
        *comparison.notes,
    ]


def mind(comparison: Comparison) -> list[str]:
    """What must be known with any answer: failures, rare seeds, looks, how results were chosen."""
    rows = [row for row in comparison.rows if row.verdict not in ("baseline", "undefined")]
    each = [(row, f"{_lost(comparison, row)}{_collapse(comparison, row)}") for row in rows]
    return [
        *(f"{row.label}:{words}" for row, words in each if words),
        *_twins(comparison),
        *seeds_too_few(comparison),
        *_looks(comparison, rows),
        *comparison.notes,
    ]


def explain_question(comparison: Comparison, *, counted: bool = True) -> str:
    """What p and the verdicts are about: new data, or the data that there are.

    counted: whether the number of examples is said, which settings may differ in.
    """
    if comparison.origin.get("drawn") not in ("split", "held out"):
        return explain_verdicts(comparison)
    here = f"on these {count_examples(comparison)}" if counted else "on the examples there are"
    new = "new data" if comparison.origin["drawn"] == "split" else "new ones"
    return f"p here is {here}, p new and the verdict on {new} like them"


def explain_verdicts(comparison: Comparison) -> str:
    """What the verdicts are about, where p has no columns."""
    drawn = comparison.origin.get("drawn")
    if drawn == "anew":
        return "each seed draws new data, so that verdicts hold for new data like these"
    if drawn not in ("split", "held out"):
        return "verdicts are on these data only: where they come from was not recorded"
    new = "new data" if drawn == "split" else "new ones"
    return f"verdicts are on {new} like these {count_examples(comparison)}"


def count_examples(comparison: Comparison) -> str:
    """The examples that a conclusion on new data rests on, in words."""
    origin = comparison.origin
    if origin["drawn"] == "held out":
        return f"{origin['test']:,} test examples"
    return f"{origin['test'] + origin['learnt']:,} examples"


def kind_of_examples(comparison: Comparison) -> str:
    """What has to be more, to conclude more on new data."""
    return "test examples" if comparison.origin.get("drawn") == "held out" else "examples"


def why_unjudged(comparison: Comparison) -> str:
    """Why nothing can be said of new data, where that is so."""
    if comparison.origin.get("drawn") == "held out":
        return (
            "all seeds share one test split, which cannot be resampled: its predictions were not "
            "kept, or the metric compares its examples with each other"
        )
    return "their origin was not recorded"


def explain_few_seeds(seeds: int, comparisons: int, needed: int, times: int = 1) -> str:
    """Why these seeds cannot show anything; times: what p is multiplied by for other reasons."""
    asked = f"{comparisons} comparison" + "s" * (comparisons > 1)
    asked += f" with p multiplied by {times}" if times > 1 else ""
    held = f"{seeds} seed" + "s" * (seeds > 1)
    return f"{held} can never reach p = .05 in {asked}: {needed} are needed (seeds={needed})."


def write_p(p: float | None) -> str:
    """A p value as it is printed."""
    return "?" if p is None else f"{p:.4f}" if p >= 0.0001 else f"{p:.1e}"


def describe_row(comparison: Comparison, row: Row) -> str:
    """What is shown of a loss against the baseline."""
    versus = f"{comparison.baseline} in {comparison.metric} {RULES[comparison.at]}"
    word, _, here = row.verdict.partition(" ")
    match word:
        case "identical":
            return f"{row.label} gave the results of {comparison.baseline}, seed for seed."
        case "undefined":
            return f"{row.label} against {versus}: {comparison.metric} is undefined on these data."
        case "open":
            return f"{row.label} against {versus}: not settled{_open(comparison, row)}"
        case "same":
            p = row.same_p_here if here else row.same_p
            only = " on these data only" if here else ""
            return (
                f"{row.label} and {versus} are practically the same{only}: within "
                f"{_margin(comparison)}{_by(comparison, row, ', difference')}; equivalence test p "
                f"= {write_p(p)}.{_beyond(comparison, row) if here else ''}"
            )
    close = ""
    if row.same_p is not None and row.same_p <= ALPHA:
        close = f" The difference is real but within {_margin(comparison)}: practically the same."
    only = " on these data only" if here else ""
    by = "" if _turned(comparison, row) else _by(comparison, row, " by")
    p = row.p_here if here else row.p
    return (
        f"{row.label} is {word} than {versus}{only}{by}; p = {write_p(p)}, "
        f"better on {count_gains(row)}.{_lost(comparison, row)}{_collapse(comparison, row)}{close}"
        f"{_beyond(comparison, row) if here else ''}"
    )


def _exact(comparison: Comparison, value: float, sign: str = "") -> str:
    """A value of the compared metric, with its unit."""
    scale = scale_of(comparison)
    return f"{scale.write_exactly(value, sign)} {scale.unit}".rstrip()


def _margin(comparison: Comparison) -> str:
    return scale_of(comparison).name(comparison.margin or 0.0)


def count_gains(row: Row) -> str:
    """Seeds that gained, of all; ties, which are neither better nor worse, are counted apart."""
    ties = f", {row.ties} tie" + "s" * (row.ties > 1) if row.ties else ""
    return f"{row.gained} of {row.seeds} seeds{ties}"


def _by(comparison: Comparison, row: Row, lead: str) -> str:
    d = row.difference
    if d is None:
        return ""
    known = np.isfinite(d.low)  # neither where seeds are few nor where they all agree
    on = "" if row.p is not None else " on these data"
    kind = "simultaneous 95 % interval" if comparison.family > 1 else "95 % interval"
    scale = scale_of(comparison)
    low, high = (scale.write_exactly(x, "+") for x in (d.low, d.high))
    ends = f" ({kind}{on} {low} to {high})" if known else ""
    return f"{lead} {_exact(comparison, d.estimate, '+')}{ends}"


def _turned(comparison: Comparison, row: Row) -> bool:
    """Whether failed seeds decide against what the seeds say on which both finished."""
    gained = 1 if row.verdict.startswith("better") else -1
    return (
        row.difference is not None and row.difference.estimate * comparison.direction * gained < 0
    )


def _beyond(comparison: Comparison, row: Row) -> str:
    """Why what holds on these data is not shown on new ones, and what would show it."""
    if row.p is None:
        return f" Whether on new data like them cannot be judged: {why_unjudged(comparison)}."
    p = row.same_p if row.verdict == "same here" else row.p
    said = f" Whether on new data like them cannot be told from {count_examples(comparison)} (p = "
    said += f"{write_p(p)})"
    if row.settled_on_new_by and row.settled_on_new_by > row.seeds:
        return f"{said}: if the difference is as seen, {row.settled_on_new_by:,} seeds would."
    if row.examples_needed:
        needed = f"{row.examples_needed:,} {kind_of_examples(comparison)}"
        return f"{said}, and more seeds do not help: about {needed} would."
    return f"{said}, and more seeds do not help."


def _lost(comparison: Comparison, row: Row) -> str:
    """Where a seed diverged: what it counts as, and what the difference was taken over."""
    base = comparison.row(comparison.baseline)
    lost = [f"{x.diverged} of {x.seeds} seeds of {x.label}" for x in (row, base) if x.diverged]
    worst = "the worst outcome"
    scale = scale_of(comparison)
    if comparison.failed is not None:
        value = f"{scale.factor * comparison.failed:.4g}{scale.percent}"
        worst = f"{comparison.metric} {value}, or as the worst seen if that is worse"
    diverged = f" Diverged: {' and '.join(lost)}; each counts as {worst}." if lost else ""
    both = int(np.isfinite(row.differences).sum())
    if both == len(row.differences):
        return diverged
    if not both:
        return f"{diverged} There is no seed on which both finished."
    turned = ""
    if row.verdict != "open" and row.difference and _turned(comparison, row):
        turned = f", {_exact(comparison, row.difference.estimate, '+')}, which is the other way"
    over = f"{both} seeds on which both finished" if both > 1 else "seed on which both finished"
    return f"{diverged} The difference is over the {over}{turned}."


def _collapse(comparison: Comparison, row: Row) -> str:
    """A rare seed on which all turns round, far beyond the usual difference."""
    differences = np.array(row.differences)
    finished = np.flatnonzero(np.isfinite(differences))
    if len(finished) < 3:
        return ""
    sizes = np.abs(differences[finished])
    usual, place = float(np.median(sizes)), finished[sizes.argmax()]
    against = differences[place] * np.median(differences[finished]) < 0
    if not usual or not against or sizes.max() <= RARE * usual:
        return ""
    difference = _exact(comparison, differences[place], "+")
    return (
        f" On one seed the difference is {difference}, against most others and "
        f"{sizes.max() / usual:.0f} times their usual size."
    )


def _open(comparison: Comparison, row: Row) -> str:
    """What these seeds could have shown, and how many would show what was seen."""
    p = row.p_here if row.p is None else row.p
    seen = f"{_by(comparison, row, '; difference')}, p = {write_p(p)}.{_lost(comparison, row)}"
    seen += _collapse(comparison, row)
    if row.detectable is not None and np.isfinite(row.detectable):
        seen += (
            f" With {row.seeds} seeds the smallest true difference found 4 times in 5 is "
            f"{_exact(comparison, row.detectable)}."
        )
    return f"{seen}{_settling(comparison, row)}"


def _settling(comparison: Comparison, row: Row) -> str:
    """How many seeds or examples would settle what is open, were the difference as seen."""
    here, new = row.settled_by or 0, row.settled_on_new_by or 0
    ways = []
    if new > row.seeds:
        ways.append(f"{new:,} seeds would settle it 4 times in 5")
    elif here > row.seeds:
        ways.append(f"{here:,} seeds would settle it 4 times in 5 on these data only")
    if row.examples_needed and not new:
        needed = f"{row.examples_needed:,} {kind_of_examples(comparison)}"
        ways.append(f"about {needed} would on new data like them")
    return f" If the difference is as seen, {', '.join(ways)}." if ways else ""


def _disagreements(comparison: Comparison, rows: list[Row]) -> Iterator[str]:
    """Where the other rule for the epoch gives another verdict on a loss."""
    (other,) = RULES.keys() - {comparison.at}
    for row in rows:
        if row.other_verdict and row.verdict != row.other_verdict:
            here, there = (WORDS.get(word, word) for word in (row.verdict, row.other_verdict))
            yield (
                f"The choice of the epoch decides on {row.label} against {comparison.baseline} in "
                f"{comparison.metric}: {here} {RULES[comparison.at]}, {there} {RULES[other]}."
            )


def _leading(comparison: Comparison) -> Iterator[str]:
    """Which losses may be the best, and how stable the first place is; of three and more."""
    if len(comparison.rows) < 3 or not comparison.leading or comparison.seeds < 6:
        return
    best, *others = comparison.leading
    stays = f"the first on half of the seeds is first on the other half in {comparison.stays:.0%}"
    if not others:
        yield f"{best} is told apart from all others; {stays}."
        return
    all_others = len(comparison.leading) == len(comparison.rows)
    listed = "any of the others" if all_others else ", ".join(others)
    yield f"{best} has the best mean and is not told apart from {listed}; {stays}."


def _rerun(comparison: Comparison) -> Iterator[str]:
    margins = [row.rerun for row in comparison.rows if row.rerun]
    if margins:
        margin = _exact(comparison, max(margins))
        yield f"A rerun with as many other seeds should give each mean within ±{margin}."


def _looks(comparison: Comparison, rows: list[Row]) -> Iterator[str]:
    """How often losses were compared as seeds were added, or could have been."""
    looks = max((row.looks for row in rows), default=1)
    if looks == 1:
        return
    times = " or ".join(map(str, sorted({row.looks for row in rows if row.looks > 1})))
    which = [row.label for row in rows if row.looks > 1]
    about = "" if len(which) == len(rows) else f" of {', '.join(which)}"
    multiplied = f"p{about} is multiplied by {times}"
    summaries = [comparison.results[label].summary for label in (*which, comparison.baseline)]
    planned = next((n for s in summaries if (n := s.get("planned_looks", 1)) > 1), 1)
    added = looks - planned
    several = f"{added} time{'s' * (added > 1)}"
    if planned == 1:
        yield (
            f"Seeds were added {several}, and each time is one more look at whether there is a "
            f"difference: {multiplied}."
        )
        return
    trained = max(s.get("parts", 1) for s in summaries if s.get("planned_looks") == planned)
    besides = f"; besides, there were seeds {several}" if added else ""
    yield (
        f"{planned} looks at whether there is a difference were planned, and for {trained} of them "
        f"seeds were trained{besides}: {multiplied}."
    )


def _unseen(rows: list[Row]) -> Iterator[str]:
    """How rare a failure may be that these seeds did not meet, where a loss is found better."""
    if seeds := [r.seeds for r in rows if r.verdict.startswith("better") and not r.diverged]:
        share = 1 - ALPHA ** (1 / min(seeds))
        yield (
            f"A failure on fewer than 1 seed in {int(1 / share)} may not have been met in "
            f"{min(seeds)} seeds."
        )


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
            yield f"{', '.join([first, *same])} gave the same results, seed for seed."


def same_numbers(first: Result, second: Result) -> bool:
    """Whether two results, not wholly diverged, agree in every number of every seed, to rounding.

    Two ways to write one loss part in the last bits of single precision.
    """
    one, other = first.seeds, second.seeds
    if first.diverged == len(one) or [*one] != [*other]:
        return False
    return all(_agree(one[name], other[name]) for name in one)


def _agree(one: pd.Series[Any], other: pd.Series[Any]) -> bool:
    """In every number, to rounding relative to the largest, whatever the unit."""
    if one.dtype.kind != "f":
        return one.equals(other)
    margin = ROUNDING * one.abs().max(skipna=True)
    return bool(np.isclose(one, other, rtol=0, atol=np.nan_to_num(margin), equal_nan=True).all())


def seeds_too_few(comparison: Comparison) -> Iterator[str]:
    """That these seeds cannot show anything in so many comparisons, where that is so."""
    rows = [row for row in comparison.rows if row.verdict != "baseline"]
    if not rows:
        return
    seeds, looks = min((row.seeds, row.looks) for row in rows)
    times, family = looks * comparison.tried, comparison.family
    if times * family * statistics.smallest_p(seeds) > ALPHA:
        looked = seeds >= statistics.seeds_needed_for(ALPHA)  # so that more are another look
        counted = (looks + looked) * comparison.tried * family
        needed = statistics.seeds_needed_for(ALPHA, counted)
        yield explain_few_seeds(seeds, family, needed, times)
