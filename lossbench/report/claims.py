"""The decisions on an experiment's claims as text, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from lossbench.report.tables import WIDTH
from lossbench.verdicts import Decision, Finding


def text(decisions: Sequence[Decision]) -> str:
    """Each claim with its verdict, its source, and the number behind every test."""
    counts = {d.verdict: sum(e.verdict == d.verdict for e in decisions) for d in decisions}
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return "\n".join([f"{len(decisions)} claims: {said}", *(_claim(d) for d in decisions)])


def changed(decisions: Sequence[Decision]) -> list[str]:
    """A line for each claim whose verdict is no longer the one on record."""
    return [
        f"claim {d.claim.id}: the record says {d.claim.verdict}, the data say {d.verdict}"
        for d in decisions
        if not d.agrees
    ]


def _claim(decision: Decision) -> str:
    claim = decision.claim
    record = "" if decision.agrees else f" (on record: {claim.verdict})"
    lines = [f"\n{decision.verdict}{record}  {claim.id}"]
    regime = f" In: {claim.regime}." if claim.regime else ""
    lines.append(_wrapped(f"“{claim.text}” ({claim.source}){regime}", "  "))
    for finding in (*decision.requirements, *decision.findings):
        lines.append(_wrapped(f"- {'; '.join(finding_words(finding))}", "    "))
    return "\n".join(lines)


def finding_words(finding: Finding) -> Iterator[str]:
    """What was tested, the effect with its interval, p, verdict, and seeds that would settle it."""
    yield finding.said
    if finding.difference:
        d = finding.difference
        what = "difference " if finding.p is not None else ""
        yield f"{what}{d.estimate:.4g} (95 % interval {d.low:.4g} to {d.high:.4g})"
    if finding.p is not None:
        yield f"p = {finding.p:.2g}, {finding.seeds} seeds"
    if finding.diverged:
        yield f"{finding.diverged} diverged and count as lost"
    yield finding.verdict.lower()
    if finding.seeds_needed:
        yield f"{finding.seeds_needed} seeds would settle it at this effect"


def _wrapped(line: str, indent: str) -> str:
    return textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
