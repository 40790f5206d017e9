"""What a check says: passed, failed or skipped, and why."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Literal

NARROW = 80  # columns, below which a sentence continues further left
Verdict = Literal["passed", "failed", "skipped", "hint"]


class NotPassed(Exception):  # noqa: N818 (a verdict, not an error)
    """How a check ends otherwise; the message says where, what or why."""

    verdict: Verdict


class Failed(NotPassed):
    """The loss breaks the rule that the check states."""

    verdict = "failed"


class Hint(NotPassed):
    """The rule is kept, and the loss still does what is seldom meant."""

    verdict = "hint"


class Skipped(NotPassed):
    """The check has nothing to look at, or cannot look."""

    verdict = "skipped"


@dataclass(frozen=True)
class CheckOutcome:
    """One check of one loss; sentence is what the check demands, reason why it did not pass."""

    check: str
    sentence: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class TaskPart:
    """Every outcome of a loss on one task; origin is the package and object that was checked.

    notes: what was found out and not asked for, such as the task.
    cost: how replicas are stacked, and the time next to a usual loss, never twice the same.
    """

    task: str
    origin: str
    outcomes: tuple[CheckOutcome, ...]
    notes: tuple[str, ...] = ()
    cost: str = field(default="", compare=False)


@dataclass(frozen=True)
class CheckReport:
    """What `lossbench check` found: a part for each task that the loss is for."""

    loss: str
    parts: tuple[TaskPart, ...]

    @property
    def outcomes(self) -> tuple[CheckOutcome, ...]:
        """The outcomes of all parts."""
        return tuple(outcome for part in self.parts for outcome in part.outcomes)

    @property
    def failed(self) -> tuple[CheckOutcome, ...]:
        """The outcomes that speak against the loss."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict == "failed")

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


def render(report: CheckReport, columns: int = 100, *, everything: bool = False) -> str:
    """What failed and what is hinted at, as text that fits so many columns; the counts last.

    everything: what passed and what was skipped, too.
    """
    lines = []
    for part in report.parts:
        shown = [o for o in part.outcomes if everything or o.verdict in ("failed", "hint")]
        for heading in (f"{report.loss} for {part.task}", part.origin, *part.notes, part.cost):
            lines += textwrap.wrap(heading, columns)
        lines += ["", *(line for each in shown for line in _lines(each, columns))]
        lines += [""] if shown else []
    return "\n".join([*lines, *textwrap.wrap(_counts(report), columns)])


def _lines(outcome: CheckOutcome, columns: int) -> list[str]:
    verdict = outcome.verdict.upper() if outcome.verdict == "failed" else outcome.verdict
    indent = 11 if columns < NARROW else 39
    texts = [(outcome.sentence, f"  {verdict:8} {outcome.check:28}", indent)]
    texts += [(outcome.reason, f"{'':11}-> ", 14)] if outcome.reason else []
    return [
        line
        for text, head, rest in texts
        for line in textwrap.wrap(text, columns, initial_indent=head, subsequent_indent=" " * rest)
    ]


def _counts(report: CheckReport) -> str:
    verdicts = [outcome.verdict for outcome in report.outcomes]
    skipped, *counts = (verdicts.count(v) for v in ("skipped", "passed", "failed", "hint"))
    passed, failed, hints = counts
    with_hint = f"{hints} with a hint, " if hints else ""
    return (
        f"{len(verdicts)} checks: {sum(counts)} ran, {passed} passed, {with_hint}{failed} failed, "
        f"{skipped} skipped."
    )
