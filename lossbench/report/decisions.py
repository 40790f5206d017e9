"""The decisions on an experiment's claims: as text of at most 100 columns, and as a figure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lossbench.report.tables import WIDTH
from lossbench.verdicts import Decision, Finding

COLOURS = {"SUPPORTED": "C2", "REFUTED": "C3", "OPEN": "C7"}  # of a finding in the figure


def text(decisions: Sequence[Decision], width: int = WIDTH) -> str:
    """Each claim with its verdict, its source, and the number behind every test."""
    counts = {d.verdict: sum(e.verdict == d.verdict for e in decisions) for d in decisions}
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return "\n".join([f"{len(decisions)} claims: {said}", *(_claim(d, width) for d in decisions)])


def changed(decisions: Sequence[Decision]) -> list[str]:
    """A line for each claim whose verdict is not on record: another is, or none."""
    return [
        f"claim {d.claim.id}: the record says {d.claim.verdict}, the data say {d.verdict}"
        if d.claim.verdict
        else f"claim {d.claim.id}: no verdict is on record, so it does not count as held; the data "
        f"say {d.verdict}"
        for d in decisions
        if d.verdict != d.claim.verdict
    ]


def _claim(decision: Decision, width: int) -> str:
    verdict, claim, *findings = words(decision)
    lines = [f"\n{verdict}", _wrapped(claim, "  ", width)]
    return "\n".join([*lines, *(_wrapped(f"- {each}", "    ", width) for each in findings)])


def words(decision: Decision) -> list[str]:
    """The verdict, the claim with its source, and a line for each thing that was tested."""
    claim = decision.claim
    recorded = claim.verdict or "nothing"
    record = "" if decision.verdict == recorded else f" (on record: {recorded})"
    regime = f" In: {claim.regime}." if claim.regime else ""
    return [
        f"{decision.verdict}{record}  {claim.id}",
        f"“{claim.text}” ({claim.source}){regime}",
        *("; ".join(finding_words(f)) for f in (*decision.requirements, *decision.findings)),
    ]


def finding_words(finding: Finding) -> Iterator[str]:
    """What was tested, the effect with its interval, p, verdict, and seeds that would settle it."""
    yield finding.text
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


def draw(decisions: Sequence[Decision], path: Path) -> None:
    """The difference behind every test with its 95 % interval, a panel for each metric."""
    tested = [(d.claim.id, f) for d in decisions for f in d.findings if f.difference]
    metrics = list(dict.fromkeys(f.text.partition(":")[0] for _, f in tested))
    rows = [[t for t in tested if t[1].text.startswith(f"{metric}:")] for metric in metrics]
    figure = Figure(figsize=(10, 1 + 0.22 * len(tested) + 0.7 * len(rows)), layout="constrained")
    heights = [len(each) + 1 for each in rows]
    panels = figure.subplots(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, metric, each in zip(panels, metrics, rows, strict=True):
        for y, (_, finding) in enumerate(each):
            assert finding.difference
            d, colour = finding.difference, COLOURS[finding.verdict]
            axes.plot([d.low, d.high], [y, y], color=colour)
            axes.plot([d.estimate], [y], "o", color=colour, markersize=4)
        axes.axvline(0, color="0.7", linewidth=0.8)
        axes.set_yticks(range(len(each)), [name for name, _ in each], fontsize=7)
        axes.set_ylim(len(each) - 0.5, -0.5)
        axes.tick_params(axis="x", labelsize=7)
        axes.set_xlabel(f"difference in {metric}, first side less second", fontsize=8)
    figure.suptitle("green: supported, red: refuted, grey: open; one row for each test", fontsize=9)
    figure.savefig(path, dpi=100)


def _wrapped(line: str, indent: str, width: int) -> str:
    return textwrap.fill(line, width, initial_indent=indent, subsequent_indent=indent + "  ")
