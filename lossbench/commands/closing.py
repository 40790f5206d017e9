"""What `run` says when everything is trained: notices, places, and what to do next."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossbench import registry
from lossbench.commands.terminal import short_path, show_claims
from lossbench.configuration.settings import masked
from lossbench.contract import UnusableError

if TYPE_CHECKING:
    from rich.console import Console

    from lossbench.comparison import Comparison, Row
    from lossbench.configuration.experiments import Experiment
    from lossbench.configuration.settings import Tracking
    from lossbench.results import Result
    from lossbench.sweep.execution import Job
    from lossbench.verdicts import Decision

MOST_PROPOSED = 1000  # seeds; a command that asks for more is not proposed


@dataclass(frozen=True)
class Request:
    """The words and flags of a `run` that decide what is trained."""

    overrides: tuple[str, ...]
    multirun: bool
    config_dir: str | None

    def command(self, **changed: object) -> str:
        """The line for a shell that asks for the same, with some keys changed; without secrets."""
        changes = {key: f"{key}={value}" for key, value in changed.items()}
        words = [w for w in self.overrides if w.partition("=")[0].partition(".")[0] not in changes]
        folder = ["--config-dir", self.config_dir] if self.config_dir else []
        flags = [*folder, *(["-m"] if self.multirun else [])]
        return masked(shlex.join([own_name(), "run", *flags, *words, *changes.values()]))


@dataclass(frozen=True)
class Outcome:
    """What became of a request; experiment is None where words alone asked for it."""

    request: Request
    jobs: list[Job]
    results: list[Result]
    comparisons: list[Comparison]
    experiment: Experiment | None
    decisions: list[Decision]

    @property
    def folder(self) -> Path:
        """The results folder."""
        return self.jobs[0].folder

    @property
    def page(self) -> Path:
        """The report, which is written where there are results."""
        return self.folder / "figures" / f"{page_name(self.experiment, self.jobs)}.html"

    @property
    def tracking(self) -> Tracking:
        """The MLflow store."""
        return self.jobs[0].config.tracking


def page_name(experiment: Experiment | None, runs: Sequence[Job | Result]) -> str:
    """The name of an experiment's page and figures, or one for these runs and no others."""
    from lossbench.configuration import digest

    if experiment:
        return experiment.name
    losses, data = (
        _short_list(sorted({run.config.choice(kind).name for run in runs}), plural)
        for kind, plural in (("loss", "losses"), ("dataset", "datasets"))
    )
    return f"{losses}-on-{data}-{digest(sorted({run.key for run in runs}), 6)}"


def _short_list(names: Sequence[str], plural: str) -> str:
    """The names as a part of a file's name, or how many they are."""
    if len(names) > 3:
        return f"{len(names)}-{plural}"
    return "-".join(re.sub(r"\W+", "_", name.rpartition(":")[2])[:40] for name in names)


def report(outcome: Outcome, console: Console) -> None:
    """Draw and write the report, and say where everything is and what to do next."""
    from lossbench.publish import publish, write_index, write_report
    from lossbench.report.notices import list_notices
    from lossbench.report.printed import write
    from lossbench.sweep.execution import failures

    page, experiment = outcome.page, outcome.experiment
    folder, name = page.parent, page.stem
    show_claims(outcome.decisions, folder / f"{name}-claims.png")
    drawn = _draw(outcome.comparisons, folder, name)
    write_report(
        page,
        outcome.comparisons,
        experiment,
        failures(outcome.jobs),
        outcome.decisions,
    )
    write(console, *list_notices(outcome.results))
    lines = [
        f"Results   {short_path(outcome.folder)}",
        *(f"Figure    {short_path(place)}" for place in drawn),
        f"Report    {short_path(page)}",
        f"Reports   {short_path(write_index(folder))}",
    ]
    if any(job.shown for job in outcome.jobs):
        trouble = publish(page, outcome.comparisons, experiment, outcome.tracking)
        lines += [trouble] if trouble else []
    if uri := outcome.tracking.uri:
        file = uri.removeprefix("sqlite:///")
        place = short_path(Path(file)) if file != uri else masked(file)
        lines.append(f"MLflow    {place}")
    for number, line in enumerate(next_steps(outcome)):
        whole = f"{'' if number else 'Next':10}{line}"
        lines.append(_fold(whole, console.width) if line.endswith(":") else whole)
    console.print("\n".join(lines), soft_wrap=True)


def _draw(comparisons: list[Comparison], folder: Path, name: str) -> list[Path]:
    """Draw the figures into the folder and give their files."""
    from lossbench.report.figures import write_figures

    try:
        return write_figures(comparisons, folder, name)
    except OSError as error:
        raise UnusableError(
            f"{folder} cannot be written: {error.strerror}. The results are safe; make room, and "
            "the same command draws their figures."
        ) from error


# ---- for programs ------------------------------------------------------------------------------
def as_record(outcome: Outcome, code: int) -> dict[str, Any]:
    """What became of each run, where it all is, and the records of `compare`."""
    from lossbench.report.export import as_content

    shown = {c.results[row.label].key: (c, row) for c in outcome.comparisons for row in c.rows}
    return {
        "exit_code": code,
        "runs": [_run_record(job, *shown.get(job.key, ())) for job in outcome.jobs],
        "results": str(outcome.folder),
        "report": str(outcome.page) if outcome.results else None,
        "tracking": masked(outcome.tracking.uri or "") or None,
        **as_content(outcome.comparisons, decisions=outcome.decisions),
    }


def _run_record(
    job: Job, comparison: Comparison | None = None, row: Row | None = None
) -> dict[str, Any]:
    """What became of a run; a result of it that is stored is in a comparison."""
    from lossbench.report.export import as_interval, finite
    from lossbench.results import parts
    from lossbench.sweep.execution import reason

    status = "failed" if job.error else "trained" if job.place else "read" if row else "missing"
    record: dict[str, Any] = {
        "key": job.key,
        "name": job.name,
        "status": status,
        "error": reason(job.error) if job.error else None,
        "folders": [str(place) for place in parts(job.folder, job.key)],
    }
    if comparison and row:
        record |= {"seeds": row.seeds, "diverged": row.diverged, "metric": comparison.metric}
        means = as_interval("", row.metrics[comparison.metric])
        record |= {name: finite(value) for name, value in means.items()}
    return record


# ---- what to do next ---------------------------------------------------------------------------
def _fold(line: str, columns: int) -> str:
    """A sentence on several lines below its beginning; commands are left whole, to be copied."""
    return textwrap.fill(line, columns, subsequent_indent=" " * 10, break_on_hyphens=False)


def next_steps(outcome: Outcome) -> list[str]:
    """What settles what is open, each with its command, and where to look."""
    request, lines = outcome.request, []
    if len(outcome.results) < len(outcome.jobs):
        lines.append(f"What has no result yet is trained by the same command: {request.command()}")
    if seeds := _settling_seeds(outcome):
        number, names = seeds
        lines += [_proposal(outcome, number, names)]
        lines += [f"  {request.command(seeds=number)}"]
    elif other := _another_loss(outcome.comparisons):
        lines += ["Another loss to compare it with, and the comparison:"]
        lines += [f"  {request.command(loss=other)}"]
        lines += [f"  {own_name()} compare{_results_flag(outcome)}"]
    if outcome.tracking.uri:
        lines.append(f"{own_name()} ui{_results_flag(outcome)}")
    return lines


def _proposal(outcome: Outcome, number: int, names: str) -> str:
    """Why this number of seeds is proposed."""
    from lossbench.comparison import ALPHA
    from lossbench.statistics import seeds_needed_for

    if max(len(job.config.seeds) for job in outcome.jobs) < seeds_needed_for(ALPHA):
        return f"{number} seeds are the fewest that can show anything about {names}:"
    return f"{number} seeds would settle {names} 4 times in 5, if the differences are as seen:"


def _settling_seeds(outcome: Outcome) -> tuple[int, str] | None:
    """The least number of seeds that settles something open, and what; None where none does."""
    if outcome.decisions:
        needed = [
            (finding.seeds_needed, f"claim {decision.claim.id}")
            for decision in outcome.decisions
            for finding in decision.findings
            if finding.seeds_needed
        ]
    else:
        needed = [
            (_needed(comparison, _settled_by(row)), row.label)
            for comparison in outcome.comparisons
            for row in comparison.rows
            if row.verdict == "open" or (row.settled_on_new_by and row.verdict.endswith(" here"))
        ]
    held = max(len(job.config.seeds) for job in outcome.jobs)
    possible = [number for number, _ in needed if held < number <= MOST_PROPOSED]
    if not possible:
        return None
    least = min(possible)
    settled = dict.fromkeys(name for number, name in needed if held < number <= least)
    return least, ", ".join(settled)


def _settled_by(row: Row) -> int | None:
    """The seeds that would settle the verdict, which is on new data where these can be judged."""
    return row.settled_by if row.p is None else row.settled_on_new_by


def _needed(comparison: Comparison, settled_by: int | None) -> int:
    """The seeds that a comparison needs: the fewest for any verdict, then those that settle it."""
    from lossbench.comparison import ALPHA
    from lossbench.statistics import seeds_needed_for

    few = comparison.seeds < seeds_needed_for(ALPHA)
    return seeds_needed_for(ALPHA, comparison.family) if few else settled_by or 0


def _another_loss(comparisons: list[Comparison]) -> str | None:
    """A loss to compare with, where there is only one for all data."""
    from lossbench.comparison import YARDSTICKS

    if any(len(comparison.rows) > 1 for comparison in comparisons):
        return None
    (result,) = comparisons[0].results.values()
    task, name = result.summary["task"], result.config.loss.name
    known = [p.name for p in registry.installed("loss") if p.task == task and p.name != name]
    return next((name for name in (*YARDSTICKS, *known) if name in known), None)


def _results_flag(outcome: Outcome) -> str:
    """The flag that names the results folder, where it is not the default one."""
    given = outcome.jobs[0].config.results.dir
    return "" if given == "results" else f" --results {shlex.quote(given)}"


def own_name() -> str:
    """How this command line is called from here, also where it is not on the PATH."""
    script = Path(sys.argv[0])
    hidden = script.name == "lossbench" and not shutil.which("lossbench")
    return os.path.relpath(script) if hidden else "lossbench"
