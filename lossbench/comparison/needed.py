"""A comparison -> what would settle what is open, seeds or examples, for all losses at once."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from lossbench.comparison.answers import join_names
from lossbench.comparison.scales import scale_of
from lossbench.comparison.sentences import count_examples, kind_of_examples, why_unjudged
from lossbench.comparison.structure import Comparison, Row

MOST_NAMED = 6  # losses in a sentence; more are counted
SEEN = "4 times in 5, were the differences as seen"


def seeds_on_new_data(row: Row) -> int | None:
    """The seeds, more than there are, that would settle a loss on new data; None: none would."""
    number = row.settled_on_new_by
    return number if row.p is not None and number and number > row.seeds else None


def seeds_on_these(row: Row) -> int | None:
    """The seeds, more than there are, that would settle a loss on these very data."""
    return row.settled_by if row.settled_by and row.settled_by > row.seeds else None


def explain_needed(comparison: Comparison) -> list[str]:
    """What would settle each loss that is open on new data or on these, and what seeds can show."""
    rows = [r for r in comparison.rows if r.verdict == "open" or r.verdict.endswith(" here")]
    finite = comparison.origin.get("drawn") != "anew"
    new = {row.label: n for row in rows if (n := seeds_on_new_data(row))}
    left = [row for row in rows if row.label not in new]
    here = {r.label: n for r in left if r.verdict == "open" and (n := seeds_on_these(r))}
    examples = {r.label: r.examples_needed for r in left if r.p is not None and r.examples_needed}
    sentences = [*_needing(new, "seeds", SEEN)]
    judged = [row.label for row in left if row.p is not None]
    if finite and judged:
        whose = "" if len(judged) + 1 == len(comparison.rows) else f"of {_named(judged)} "
        sentences.append(
            f"What holds {whose}on new data cannot be told from {count_examples(comparison)}, and "
            f"more seeds do not help{'' if examples else ', nor is it known what would'}."
        )
    sentences += _needing(examples, kind_of_examples(comparison), SEEN, about="about ")
    sentences += _needing(here, "seeds", "on these data only" if finite else SEEN)
    return [*sentences, *_unjudged(comparison, rows), *_detectable(comparison, rows)]


def _needing(needed: dict[str, int], what: str, when: str, about: str = "") -> Iterator[str]:
    """How many would settle each of the losses, in one sentence."""
    if not needed:
        return
    alike = len({*needed.values()}) == 1
    counts = join_names([f"{n:,}" for n in needed.values()][: 1 if alike else None])
    if len(needed) > MOST_NAMED and not alike:
        counts = f"{min(needed.values()):,} or more"
    sentence = f"{about}{counts} {what} would settle {_named(needed)} {when}."
    yield f"{sentence[0].upper()}{sentence[1:]}"


def _named(losses: Collection[str]) -> str:
    return join_names(losses) if len(losses) <= MOST_NAMED else f"{len(losses)} losses"


def _unjudged(comparison: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    """Why nothing is said of new data, where that is so."""
    if any(row.p is None for row in rows):
        yield f"Whether it holds on new data cannot be judged: {why_unjudged(comparison)}."


def _detectable(comparison: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    """The true difference that these seeds would have found of every loss that is open."""
    differences = [r.detectable for r in rows if r.verdict == "open" and r.detectable]
    if differences and math.isfinite(max(differences)):
        least = scale_of(comparison).write_with_unit(max(differences))
        yield f"{comparison.seeds} seeds find a true difference of {least} 4 times in 5."
