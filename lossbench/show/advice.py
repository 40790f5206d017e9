"""When to use a loss and when not, from what it declares and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lossbench.show.anatomy import Entry
from lossbench.show.studied import Studied

FEW = 3  # settings that are named
ESTIMATES = {
    "probability": "the probabilities themselves are needed: it is lowest at the true ones",
    "sign": "only the side of the boundary matters",
}
UNBOUNDED = "One large mistake outweighs"  # how traps begin
SATURATED = "A large mistake hardly teaches"


def advise(
    entry: Entry,
    traps: Iterable[str],
    findings: Sequence[Studied],
    refuted: Sequence[tuple[str, str]] = (),
) -> tuple[list[str], list[str]]:
    """Use it when, and not when: conditions, of which any may be empty.

    refuted: studies with what they refuted of its probabilities.
    """
    declared, use, avoid = entry.declaration, [], []
    measures = entry.task is not None and entry.task.target_dtype.is_floating_point
    is_regression = measures and entry.place in ("regression", "distributional", "counts")
    avoid += [f"probabilities are needed as they are. Refuted ({s}): {text}" for s, text in refuted]
    if (estimate := declared.minimiser) and not (estimate == "probability" and refuted):
        use.append(ESTIMATES.get(estimate, f"the {estimate} is what should be predicted"))
    if is_regression and declared.lipschitz is not None:
        bound = f"{declared.lipschitz:.3g}"
        use.append(f"some targets are far off: no example has a slope of more than {bound}")
    for trap in traps:
        if is_regression and trap.startswith(UNBOUNDED):
            avoid.append("some targets are far off: one of them outweighs many others")
        if trap.startswith(SATURATED):
            avoid.append("training starts far from right: a large mistake hardly teaches")
        if "calibration" in trap:
            avoid.append("probabilities are needed and cannot be calibrated afterwards")
        if "whole batch" in trap:
            avoid.append("batches are small: its value depends on what else is in one")
    use += _measured(findings, "better")
    avoid += _measured(findings, "worse")
    return use, avoid


def _measured(findings: Sequence[Studied], verdict: str) -> list[str]:
    """The settings of the studies in which it was shown so."""
    return [
        f"data are like {'; '.join(settings[:FEW])}{_more(settings)}, where it was shown {verdict} "
        f"than {' and '.join(finding.against)} ({finding.study})"
        for finding in findings
        if (settings := getattr(finding, verdict))
    ]


def _more(settings: Sequence[str]) -> str:
    return f" and {len(settings) - FEW} more settings" if len(settings) > FEW else ""
