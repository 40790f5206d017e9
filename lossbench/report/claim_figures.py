"""Decisions on claims -> the differences behind them, in the colours and shapes of the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lossbench.configuration.claims import Correlation, Difference, Equivalence, Ratio, Test, Trend
from lossbench.drawing import LETTER, WIDTH, Estimate, Forest, save
from lossbench.looks import COLOURS, Look
from lossbench.verdicts import NOT_APPLICABLE, OPEN, REFUTED, SUPPORTED, Decision

WIDE = 9.0  # inches of a figure with a test in words above each row
VERDICTS = {
    SUPPORTED: Look(COLOURS[0]),
    REFUTED: Look(COLOURS[4], shape="v"),
    OPEN: Look(COLOURS[6], shape="D"),
    NOT_APPLICABLE: Look(COLOURS[3], shape="s"),
}


def write_decisions(decisions: Sequence[Decision], path: Path) -> Path | None:
    """Draw the difference behind every test; None where no test measured one."""
    forests = draw_claims(decisions, in_words=True)
    if not forests:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    title = (
        "Differences behind the claims, with simultaneous 95 % intervals; shaded, less than a "
        "claim asks for"
    )
    save(forests, path, title=title, columns=1)
    return path


def draw_claims(decisions: Sequence[Decision], *, in_words: bool = False) -> list[Forest]:
    """For each metric a row for each difference or slope in it, in the colour of its verdict.

    in_words: with verdict and test above each row, not the number by which a page names the test.
    """
    rows: dict[str, list[Estimate]] = {}
    for decision in decisions:
        required = {finding.verdict for finding in decision.requirements}
        for number, (test, finding) in enumerate(
            zip(decision.claim.tests, decision.findings, strict=True),
            start=len(decision.requirements) + 1,
        ):
            if finding.difference and not isinstance(test, Ratio | Correlation):
                metric, _, tested = finding.text.partition(": ")
                # a test says nothing where what the claim rests on is refuted or open
                verdict = finding.verdict if required <= {SUPPORTED} else decision.verdict
                label = name_test(decision, number)
                if in_words:
                    label = f"{verdict}  {decision.claim.id}: {tested}"
                row = Estimate(label, finding.difference, (), VERDICTS[verdict], _margin(test))
                rows.setdefault(metric, []).append(row)
    longest = max((len(row.label) for each in rows.values() for row in each), default=0)
    width = max(WIDE, LETTER * longest) if in_words else WIDTH
    return [
        Forest(metric, _axis_of(metric), tuple(each), width=width) for metric, each in rows.items()
    ]


def name_test(decision: Decision, number: int) -> str:
    """A claim's test as a page names it, by its number in the list of what was tested."""
    several = len(decision.requirements) + len(decision.findings) > 1
    return f"{decision.claim.id} ({number})" if several else decision.claim.id


def _axis_of(metric: str) -> str:
    if metric.startswith("slope of "):
        return f"{metric}, from one run to the next"
    return f"difference in {metric}, first side less second"


def _margin(test: Test) -> float:
    """The difference that a test asks for, or allows."""
    if isinstance(test, Difference | Trend):
        return test.by
    return test.within if isinstance(test, Equivalence) else 0.0
