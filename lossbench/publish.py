"""The report: written to a file, and shown by MLflow with the conclusion above its runs."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from lossbench import results
from lossbench.comparison import Comparison, Row
from lossbench.comparison.sentences import describe_row
from lossbench.configuration.experiments import Experiment
from lossbench.configuration.settings import Tracking, cause
from lossbench.contract import UnusableError
from lossbench.looks import shade_repeated
from lossbench.report.figures import assign_looks
from lossbench.report.html import Words, read_heading, render_description, render_page
from lossbench.report.pages import render
from lossbench.report.tables import describe_setting
from lossbench.verdicts import Decision

MOST_NAMED = 6  # losses in a title
DATE = "%Y-%m-%d %H:%M"


def write_report(
    path: Path,
    comparisons: Sequence[Comparison],
    experiment: Experiment | None,
    lost: list[str],
    decisions: Sequence[Decision] = (),
) -> Path:
    """Write the page and give its place; lost are the runs without result, and why."""
    if experiment:
        title, question = experiment.name, experiment.question.strip()
        again = shlex.join(["lossbench", "run", *experiment.words])
    else:
        title, question, again = _title(comparisons), "", ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = render_page(
            comparisons,
            Words(title, question, again, lost),
            decisions,
        )
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UnusableError(
            f"{path} cannot be written: {error.strerror}. Make room, or write the report "
            "elsewhere: lossbench compare --html FILE"
        ) from error
    return path.absolute()


def _title(comparisons: Sequence[Comparison]) -> str:
    """The losses and the data that are compared, in the order of the comparisons."""
    labels = dict.fromkeys(row.label for c in comparisons for row in c.rows)
    results = [result for c in comparisons for result in c.results.values()]
    datasets = dict.fromkeys(result.config.dataset.name for result in results)
    losses = ", ".join(labels) if len(labels) <= MOST_NAMED else f"{len(labels)} losses"
    return f"{losses} on {', '.join(datasets)}"


def write_index(folder: Path) -> Path:
    """Write the page that lists the reports of a folder, the newest first, and give its place."""
    index = folder / "index.html"
    pages = sorted(folder.glob("*.html"), key=lambda render_page: -render_page.stat().st_mtime)
    reports = [
        {
            "file": page.name,
            "written": time.strftime(DATE, time.localtime(page.stat().st_mtime)),
            "answer": read_heading(page.read_text(encoding="utf-8")),
        }
        for page in pages
        if page != index
    ]
    index.write_text(render("index.html", {"reports": reports}), encoding="utf-8")
    return index


def without_result(experiment: Experiment, folder: Path) -> list[str]:
    """The commands of an experiment's runs that the folder holds nothing of."""
    lost = [c for c in experiment.configurations() if not results.parts(folder, c.key)]
    whole = f"lossbench run experiment={experiment.name}"  # seeds=auto is of no run alone
    return list(dict.fromkeys(c.command if c.seeds else whole for c in lost))


def describe_run(comparison: Comparison, row: Row) -> str:
    """What is concluded of a run, and where it was trained."""
    words = f"{row.label} is the baseline."
    if row.verdict != "baseline":
        words = describe_row(comparison, row)
    seeds = f"{row.seeds} seed{'s' * (row.seeds != 1)}"
    return f"{words} {describe_setting(comparison.setting)}, {seeds}, {row.budget}."


def publish(
    report: Path,
    comparisons: Sequence[Comparison],
    experiment: Experiment | None,
    tracking: Tracking,
) -> str | None:
    """Show the report in the MLflow store; a word about it where that fails."""
    if tracking.uri is None:
        return None
    try:
        from lossbench.tracking.store import Store  # MLflow: slow to import, not always wanted

        text = render_description(comparisons, experiment.question if experiment else "")
        looks = assign_looks(comparisons)
        colours = shade_repeated({label: look.colour for label, look in looks.items()})
        shown = {
            c.results[row.label].key: (colours[row.label], describe_run(c, row))
            for c in comparisons
            for row in c.rows
        }
        Store(tracking.uri, tracking.experiment).publish(report, text, shown)
    except Exception as error:  # whatever MLflow, its database or its server may raise
        return f"MLflow does not show the report ({cause(error)}); it is in {report}."
    return None
