"""`compare`: tables, conclusions and verdicts from what was trained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lossbench.commands import completion
from lossbench.commands.options import OneOf, command, results_option
from lossbench.commands.terminal import (
    a_console,
    complain,
    decisions_on,
    say,
    show_claims,
    show_comparisons,
)
from lossbench.contract import UserError

if TYPE_CHECKING:
    from lossbench.comparison import Comparison
    from lossbench.experiments import Experiment
    from lossbench.results import Result
    from lossbench.verdicts import Decision


@command()
@click.argument("experiment", required=False, shell_complete=completion.experiments)
@results_option
@click.option("--baseline", help="The loss to compare with. Default: the experiment's, or another.")
@click.option("--metric", help="Default: the task's primary metric.")
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only these, such as dataset=digits,wine or corruption.ratio=0.2; repeatable.",
)
@click.option("--by", metavar="KEY", help="A line for each value of dataset, corruption.ratio, …")
@click.option(
    "--same-within",
    type=float,
    metavar="DIFFERENCE",
    help="A difference that does not matter: what is shown to be less is called the same.",
)
@click.option(
    "--mixed-budgets", is_flag=True, help="Rank losses that were tuned with different budgets."
)
@click.option("--check", is_flag=True, help="Exit with 3 where a claim is not as on record.")
@click.option(
    "--format",
    "form",
    type=OneOf("format", ["table", "markdown", "latex", "csv", "json"]),
    default="table",
    metavar="FORMAT",
    help="table (default), markdown, latex, csv or json.",
)
@click.option("--html", metavar="FILE", help="Write it all as one page, with pictures.")
def compare(
    experiment: str | None,
    results: str,
    baseline: str | None,
    metric: str | None,
    where: tuple[str, ...],
    by: str | None,
    same_within: float | None,
    mixed_budgets: bool,
    check: bool,
    form: str,
    html: str | None,
) -> int:
    """Print tables and conclusions from results.

    Those of an EXPERIMENT, or of all runs in the results folder.
    """
    from lossbench.comparison import compare as compare_results
    from lossbench.comparison import where as those_where

    folder = Path(results).absolute()
    stored, question = _stored(experiment, results, folder)
    comparisons = compare_results(
        those_where(stored, where),
        baseline=baseline or (question.baseline if question else None),
        metric=metric,
        same_within=same_within,
        mixed_budgets=mixed_budgets,
    )
    decisions = decisions_on(question, stored)
    _print(comparisons, question, decisions, folder, by, form)
    if html:
        _write_page(Path(html), comparisons, question, decisions, folder)
    _draw(comparisons, folder, experiment or "latest")
    return _changed(decisions) if check else 0


def _print(
    comparisons: list[Comparison],
    experiment: Experiment | None,
    decisions: list[Decision],
    folder: Path,
    by: str | None,
    form: str,
) -> None:
    """Print the comparisons for people, or in a format for machines."""
    from lossbench.report import tables

    if form in tables.FORMATS:
        say(tables.FORMATS[form](comparisons, by).removesuffix("\n"))
        return
    show_comparisons(comparisons, experiment, a_console(), by)
    name = experiment.name if experiment else "latest"
    show_claims(decisions, folder / "figures" / f"{name}-claims.png")


def _write_page(
    file: Path,
    comparisons: list[Comparison],
    experiment: Experiment | None,
    decisions: list[Decision],
    folder: Path,
) -> None:
    from lossbench.publish import without_result, write_report

    lost = without_result(experiment, folder) if experiment else []
    place = write_report(file, comparisons, experiment, lost, decisions)
    print(f"Report    {place}", file=sys.stderr)


def _draw(comparisons: list[Comparison], folder: Path, name: str) -> None:
    """Draw what several settings allow, and say where; a folder that is read-only has no figure."""
    from lossbench.comparison import datasets, robustness

    if not robustness(comparisons) and not datasets(comparisons):
        return
    from lossbench.report import across  # matplotlib: slow to import

    try:
        for place in across.draw(comparisons, folder / "figures", name):
            print(f"Figure    {place}", file=sys.stderr)
    except OSError as error:
        complain(f"no figure was drawn: {error.strerror}.")


def _stored(name: str | None, given: str, folder: Path) -> tuple[list[Result], Experiment | None]:
    """The results that `compare` is asked for."""
    from lossbench import results

    if "=" in (name or ""):
        raise UserError(f"{name}: a filter needs its own --where in front.")
    if not folder.is_dir():
        raise UserError(
            f"--results {given}: there is no folder {folder}. Train something first, or name the "
            "folder of another sweep."
        )
    stored, experiment = (
        _of_experiment(name, folder) if name else (results.everything(folder), None)
    )
    if not stored:
        raise UserError(f"{folder} holds no results of this. Train some with: lossbench run …")
    return stored, experiment


def _changed(decisions: list[Decision]) -> int:
    """3 where a claim is not as on record, which is said."""
    if not decisions:
        raise UserError("--check: name an experiment whose experiment.yaml has claims.")
    from lossbench.report.decisions import changed

    changes = changed(decisions)
    for line in changes:
        complain(line)
    return 3 if changes else 0


def _of_experiment(name: str, folder: Path) -> tuple[list[Result], Experiment | None]:
    """The stored results of an experiment's runs; those that are missing are named."""
    from lossbench import results
    from lossbench.experiments import configurations

    configs, experiment = configurations([f"experiment={name}"], sweep=True)
    stored = []
    for config in configs:
        result = results.stored(config, folder)
        if result is not None:
            held = set(result.seeds.seed)
            stored.append(results.of_seeds(result, [s for s in config.seeds if s in held]))
    if len(stored) < len(configs):
        complain(
            f"{len(configs) - len(stored)} of {len(configs)} runs are missing; train them with: "
            f"lossbench run experiment={name}"
        )
    return stored, experiment
