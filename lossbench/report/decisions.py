"""The decisions on an experiment's claims, as text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from lossbench.configuration.claims import Claim
from lossbench.verdicts import OPEN, Decision, Finding


def render_text(decisions: Sequence[Decision], width: int, *, everything: bool = False) -> str:
    """Each claim with its verdict; everything: its source and the number behind every test, too."""
    claims = [line for d in decisions for line in _claim(d, width, everything)]
    return "\n".join([count_verdicts(decisions), *claims])


def count_verdicts(decisions: Sequence[Decision]) -> str:
    """How many claims there are, and how many of each verdict."""
    counts = Counter(decision.verdict for decision in decisions)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return f"{len(decisions)} claim{'s' * (len(decisions) > 1)}: {verdicts}"


def list_changes(decisions: Sequence[Decision]) -> list[str]:
    """A line for each claim whose verdict is not on record: another is, or none."""
    return [
        f"claim {d.claim.id}: the record says {d.claim.verdict}, the data say {d.verdict}"
        if d.claim.verdict
        else f"claim {d.claim.id}: no verdict is on record, so it does not count as held; the data "
        f"say {d.verdict}"
        for d in decisions
        if d.verdict != d.claim.verdict
    ]


def _claim(decision: Decision, width: int, everything: bool) -> Iterator[str]:
    claim = decision.claim
    recorded = claim.verdict or "nothing"
    record = "" if decision.verdict == recorded else f" (on record: {recorded})"
    if everything:
        yield ""
    yield f"{decision.verdict}{record}  {claim.id}"
    words = quote_claim(claim) if everything else f"{claim.text}{_regime(claim)}"
    yield _wrapped(words, "  ", width)
    for finding in (*decision.requirements, *decision.findings):
        if everything or (finding.seeds_needed and decision.verdict == OPEN):
            yield _wrapped(f"- {'; '.join(describe_finding(finding))}", "    ", width)


def quote_claim(claim: Claim) -> str:
    """The claim with its source, and where it is made."""
    return f"“{claim.text}” ({claim.source}){_regime(claim)}"


def _regime(claim: Claim) -> str:
    return f" In: {claim.regime}." if claim.regime else ""


def list_tests(decision: Decision) -> list[str]:
    """A line for each thing that was required or tested."""
    return ["; ".join(describe_finding(f)) for f in (*decision.requirements, *decision.findings)]


def describe_finding(finding: Finding) -> Iterator[str]:
    """What was tested, the effect with its interval, p, verdict, and seeds that would settle it."""
    yield finding.text
    if finding.difference:
        d = finding.difference
        of_itself = finding.text.startswith(("ratio of ", "rank correlation of "))
        what = "difference " if finding.p is not None and not of_itself else ""
        kind = "simultaneous 95 % interval" if finding.p is not None else "95 % interval"
        ends = f" ({kind} {d.low:.4g} to {d.high:.4g})" if d.low <= d.high else ""
        yield f"{what}{d.estimate:.4g}{ends}"
    if finding.p is not None:
        yield f"p = {finding.p:.2g}, {finding.seeds} seeds"
    if finding.diverged:
        counted = "count as lost" if finding.p is not None else "are left out"
        yield f"{finding.diverged} diverged and {counted}"
    if finding.unreached:
        yield f"{finding.unreached} of a side did not get there"
    yield finding.verdict.lower()
    if finding.seeds_needed:
        yield f"{finding.seeds_needed} seeds would settle it 4 times in 5 at this effect"


def _wrapped(line: str, indent: str, width: int) -> str:
    return textwrap.fill(line, width, initial_indent=indent, subsequent_indent=indent + "  ")
