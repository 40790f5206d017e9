"""Comparisons -> the answer in a line, and in a few more what must be known with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lossbench.comparison.scales import scale_of
from lossbench.comparison.sentences import ALPHA, RULES, WORDS, count_gains
from lossbench.comparison.structure import Comparison, Row

SETTLED = ("better", "worse", *(word for word in WORDS if word != "open"), "identical", "undefined")


@dataclass(frozen=True)
class ShortAnswer:
    """A headline and the sentences below it; verdicts are those of the comparison."""

    headline: str
    details: tuple[str, ...] = ()


def answer(comparisons: Sequence[Comparison]) -> ShortAnswer:
    """What all of them show together."""
    return _answer_one(comparisons[0]) if len(comparisons) == 1 else _answer_all(comparisons)


def _answer_one(comparison: Comparison) -> ShortAnswer:
    others = [row for row in comparison.rows if row.verdict != "baseline"]
    if not others:
        (row,) = comparison.rows
        interval = comparison.shown(row).get(comparison.metric)
        scale = scale_of(comparison)
        value = f"{scale.write(interval.estimate)}{scale.percent}" if interval else "no value"
        alone = "There is one loss: run another on the same data to compare it with."
        return ShortAnswer(f"{row.label}: {comparison.metric} {value}", (alone,))
    top = next((r for r in others if r.verdict == "better"), None) or next(
        (r for r in others if r.verdict == "better here"), None
    )
    rest = [] if _is_one_open(others) else _rest(others, top)  # which the headline says
    details = [*_disagreement(comparison, others), *_evidence(comparison, top), *rest]
    if diverged := [row.label for row in comparison.rows if row.diverged]:
        details.append(f"Seeds diverged: {join_names(diverged)}.")
    return ShortAnswer(_headline(comparison, others, top), tuple(details))


def _disagreement(comparison: Comparison, others: list[Row]) -> Iterator[str]:
    """The losses on which the choice of the epoch decides: said before all else."""
    turned = [r.label for r in others if r.other_verdict and r.other_verdict != r.verdict]
    if turned:
        (other,) = RULES.keys() - {comparison.at}
        get = "gets" if len(turned) == 1 else "get"
        yield (
            f"This is {RULES[comparison.at]}; {RULES[other]}, {join_names(turned)} {get} "
            "another verdict."
        )


def _headline(comparison: Comparison, others: list[Row], top: Row | None) -> str:
    base, metric = comparison.baseline, comparison.metric
    verdicts = {row.verdict for row in others}
    if top and top.same_p is not None and top.same_p <= ALPHA:
        margin = scale_of(comparison).name(comparison.margin or 0.0)
        return f"No difference in {metric} that matters: {top.label} leads by less than {margin}"
    if top and top.verdict == "better":
        if not _rivals(comparison, top):
            return f"{top.label} wins{_by(comparison, top)}"
        better = sum(row.verdict == "better" for row in others)
        if better == 1:
            return f"{top.label} beats {base}{_by(comparison, top, versus=False)}"
        return f"{better} losses beat {base}, first {top.label}{_by(comparison, top, versus=False)}"
    if verdicts == {"worse"}:
        return f"{base} wins{_by(comparison, others[0], reverse=True)}"
    if top:
        return (
            f"No winner yet: {top.label} leads on these data only"
            f"{_by(comparison, top).replace(':', ',')}"
        )
    if verdicts == {"identical"}:
        return f"No difference: each loss gave the results of {base}, seed for seed"
    if verdicts <= {"identical", "same"}:
        return f"No difference in {metric} that matters: all are practically the same as {base}"
    if verdicts == {"undefined"}:
        return f"No answer: {metric} is undefined on these data"
    if _is_one_open(others):
        return f"Not settled: {others[0].label} or {base} in {metric}"
    return f"No winner yet: no loss is shown to beat {base} in {metric}"


def _is_one_open(others: list[Row]) -> bool:
    return len(others) == 1 and others[0].verdict == "open"


def _by(comparison: Comparison, row: Row, versus: bool = True, reverse: bool = False) -> str:
    """By how much, where the mean difference is known and says what the verdict says."""
    first, second = row.label, comparison.baseline
    difference = row.difference.estimate if row.difference else 0.0
    if reverse:
        first, second, difference = second, first, -difference
    if difference * comparison.direction <= 0:
        return f" over {second} in {comparison.metric}: seeds diverged" if versus else ""
    scale = scale_of(comparison)
    if comparison.direction > 0:
        of = f"{scale.unit} of" if scale.unit else "in"
        over = f" over {second}" if versus else ""
        return f": {scale.write(difference, '+')} {of} {comparison.metric}{over}"
    than = f" than {second}" if versus else ""
    return f": {scale.write_with_unit(-difference)} less {comparison.metric}{than}"


def _evidence(comparison: Comparison, top: Row | None) -> Iterator[str]:
    if top is None:
        return
    if top.difference and np.isfinite(top.difference.low):
        kind = "Simultaneous 95 % interval" if comparison.family > 1 else "95 % interval"
        scale = scale_of(comparison)
        ends = (scale.write(x, "+") for x in (top.difference.low, top.difference.high))
        new = " on new data" if comparison.origin.get("drawn") == "split" else ""
        yield f"{kind}{new} {' to '.join(ends)}, better on {count_gains(top)}."
    if top.verdict == "better" and (rivals := _rivals(comparison, top)):
        yield f"Not told apart from {join_names(rivals)}."


def _rivals(comparison: Comparison, top: Row) -> list[str]:
    """The losses but the baseline that may be as good as this one, or better."""
    return [x for x in comparison.leading if x not in (top.label, comparison.baseline)]


def _rest(others: list[Row], top: Row | None) -> Iterator[str]:
    """The other losses by their verdicts."""
    for verdict in dict.fromkeys(row.verdict for row in others):
        labels = [row.label for row in others if row.verdict == verdict and row is not top]
        if labels:
            words = WORDS.get(verdict, verdict)
            start = f"Also {words}" if top and verdict == top.verdict else words.capitalize()
            yield f"{start}: {join_names(labels)}."


def _answer_all(comparisons: Sequence[Comparison]) -> ShortAnswer:
    """Of each loss the settings in which it is better, and worse."""
    counts: dict[str, Counter[str]] = {}
    for comparison in comparisons:
        for row in comparison.rows:
            if row.verdict != "baseline":
                counts.setdefault(row.label, Counter())[row.verdict] += 1
    bases = {comparison.baseline for comparison in comparisons}
    base = bases.pop() if len(bases) == 1 else "the baseline of each setting"
    if not counts:
        return ShortAnswer(f"{len(comparisons)} settings, one loss in each: nothing to compare")
    order = sorted(counts, key=lambda label: counts[label]["worse"] - counts[label]["better"])
    best = max(order, key=lambda label: counts[label]["better"])
    tallies: dict[str, list[str]] = {}
    for label in order:
        if label != best or not counts[best]["better"]:  # which the headline names
            tallies.setdefault(_tally(counts[label]), []).append(label)
    details = tuple(f"{join_names(labels)}: {words}." for words, labels in tallies.items())
    if not counts[best]["better"]:
        settings = f"any of {len(comparisons)} settings"
        return ShortAnswer(f"No loss is shown to beat {base} in {settings}", details)
    of = counts[best]
    but = f", and is worse in {of['worse']}" if of["worse"] else ""
    return ShortAnswer(
        f"{best} beats {base} in {of['better']} of {of.total()} settings{but}", details
    )


def _tally(of: Counter[str]) -> str:
    parts = [f"{WORDS.get(word, word)} in {of[word]}" for word in SETTLED if of[word]]
    if not parts:
        return f"not settled in {'any of ' * (of.total() > 1)}{of.total()}"
    return f"{join_names(parts)} of {of.total()}"


def join_names(names: Iterable[str]) -> str:
    """a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
