"""`compare`: tables, conclusions and verdicts from what was trained."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossbench.commands import completion
from lossbench.commands.closing import page_name
from lossbench.commands.options import OneOf, command, config_dir_option, results_option
from lossbench.commands.terminal import (
    a_console,
    complain,
    decisions_on,
    say,
    short_path,
    show_claims,
)
from lossbench.contract import UnusableError, UserError

if TYPE_CHECKING:
    from lossbench.comparison import Comparison
    from lossbench.configuration.experiments import Experiment
    from lossbench.results import Result
    from lossbench.verdicts import Decision

PICTURES = ("pdf", "svg")  # formats of figures, the default first


@command()
@click.argument("experiment", required=False, shell_complete=completion.experiments)
@results_option
@config_dir_option
@click.option("--baseline", help="The loss to compare with. Default: the experiment's, or another.")
@click.option("--metric", help="Default: the task's primary metric.")
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only runs with this, such as dataset=digits,wine or corruption.ratio=0.2; repeatable.",
)
@click.option("--by", metavar="KEY", help="A line for each value of dataset, corruption.ratio, …")
@click.option(
    "--same-within",
    type=float,
    metavar="DIFFERENCE",
    help="Call losses the same if their difference is shown to be less than this.",
)
@click.option(
    "--mixed-budgets", is_flag=True, help="Rank losses that were tuned with different budgets."
)
@click.option(
    "--at",
    type=OneOf("at", ["last", "best"]),
    default="last",
    metavar="EPOCH",
    help="last (default), or best on validation data: the epoch whose models are compared.",
)
@click.option(
    "--peek",
    is_flag=True,
    help="What papers that choose the best test epoch, … would have said; needs runs with "
    "trainer.peek=true.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Every metric, every pair of losses, every sentence."
)
@click.option(
    "--check", is_flag=True, help="Exit with 3 if a verdict differs from the one on record."
)
@click.option(
    "--format",
    "form",
    type=OneOf("format", ["table", "markdown", "latex", "csv", "json", *PICTURES]),
    default="table",
    metavar="FORMAT",
    help="table (default), markdown, latex, csv or json; with --figures also pdf or svg.",
)
@click.option("--html", metavar="FILE", help="Write it all as one page, with pictures.")
@click.option(
    "--figures",
    metavar="DIR",
    help="Write each picture for a paper, as wide as a column and as a page, as pdf (default) or "
    "svg (--format).",
)
def compare(
    experiment: str | None,
    results: str,
    config_dir: str | None,
    baseline: str | None,
    metric: str | None,
    where: tuple[str, ...],
    by: str | None,
    same_within: float | None,
    mixed_budgets: bool,
    at: str,
    peek: bool,
    everything: bool,
    check: bool,
    form: str,
    html: str | None,
    figures: str | None,
) -> int:
    """Print tables and conclusions from results.

    Those of an EXPERIMENT, or of all runs in the results folder.
    """
    from lossbench.comparison import YARDSTICKS, count_comparisons
    from lossbench.comparison import compare as compare_results
    from lossbench.comparison import where as those_where

    if form in PICTURES and not figures:
        raise UserError(f"--format {form} is of pictures: say where with --figures DIR.")
    folder = Path(results).absolute()
    stored, question = _stored(experiment, results, folder, config_dir)
    if question and not question.trains:
        given = click.get_current_context().params
        return _say_computed(question, {k: v for k, v in given.items() if v}, folder)
    kept = those_where(stored, where)
    declared = question.baseline if question else None
    by_hand = baseline not in (None, declared, *(() if declared else YARDSTICKS))
    counted = count_comparisons(stored, any_baseline=by_hand)
    comparisons = compare_results(
        kept,
        baseline=baseline or declared,
        metric=metric,
        same_within=same_within,
        mixed_budgets=mixed_budgets,
        at=at,
        counted=counted,
    )
    decisions = decisions_on(question, stored)
    notes = []
    if len(kept) < len(stored):
        of = f"{len(stored) - len(kept)} of {len(stored)} results"
        notes.append(f"--where leaves out {of}: p is corrected over them too.")
    if by_hand and counted > count_comparisons(stored, any_baseline=False):
        notes.append(f"--baseline {baseline}: p is corrected over each loss against each.")
    noted = [replace(c, notes=(*c.notes, *notes)) for c in comparisons]
    answer = Answer(folder, question, noted, decisions)
    if peek:
        _name_missing_for_peek(answer, results, metric, form)
    _print(answer, by, "table" if form in PICTURES else form, peek, everything)
    if html:
        _write_page(answer, Path(html))
    if figures:
        _write_figures(answer, Path(figures), form if form in PICTURES else PICTURES[0])
    _draw(answer)
    return _changed(decisions) if check else 0


def _say_computed(experiment: Experiment, given: dict[str, Any], folder: Path) -> int:
    """Print the verdicts on claims that need no run; what is of runs is refused."""
    form = given["form"]
    for name, usual in (("form", ("table", "json")), ("at", ("last",))):
        if given[name] in usual:
            del given[name]
    known = ("experiment", "results", "config_dir", "everything", "check")
    if others := [{"form": "format"}.get(name, name) for name in given if name not in known]:
        raise UserError(
            f"--{others[0].replace('_', '-')} is of runs, and experiment={experiment.name} has "
            "none: its claims are computed. Leave it out."
        )
    decisions = decisions_on(experiment, [])
    if form == "json":
        from lossbench.report.export import as_json

        say(as_json([], decisions=decisions).removesuffix("\n"))
    else:
        say(experiment.question)
        show_claims(decisions, folder / f"{experiment.name}.png", everything="everything" in given)
    return _changed(decisions) if "check" in given else 0


@dataclass(frozen=True)
class Answer:
    """What `compare` found; experiment is None where all of the folder's results were asked for."""

    folder: Path
    experiment: Experiment | None
    comparisons: list[Comparison]
    decisions: list[Decision]

    @property
    def name(self) -> str:
        """What its figures are named after."""
        return page_name(self.experiment, self.results)

    @property
    def results(self) -> list[Result]:
        """What is compared."""
        return [result for c in self.comparisons for result in c.results.values()]


def _name_missing_for_peek(answer: Answer, given: str, metric: str | None, form: str) -> None:
    """Say which command adds what --peek lacks; UserError where nothing is left to show."""
    from lossbench.comparison import has_test_curves, missing_budget

    if form == "csv":
        raise UserError("--peek: CSV has a row for each loss and metric; use another --format.")
    bare = [
        result
        for c in answer.comparisons
        for result in c.results.values()
        if not has_test_curves([result], c.metric)
    ]
    if bare:
        later = metric and all(len(result.test_curves) for result in bare)
        words = ["trainer.peek=true", *([f"metrics=[{metric}]", "--rerun"] if later else [])]
        line = (
            f"{len(bare)} of {len(answer.results)} runs have no test curves; train them with: "
            f"{_command(answer, bare, given, words)}"
        )
        ready = [c for c in answer.comparisons if has_test_curves([*c.results.values()], c.metric)]
        if not ready:
            raise UserError(f"--peek: {line}")
        complain(line)
    elif budget := missing_budget(answer.comparisons):
        command = _command(answer, answer.results, given, [budget, "trainer.peek=true"])
        need = "untuned" if budget == "tune.trials=0" else "tuned"
        then = ", to be compared without a name" if answer.experiment else ""
        complain(f"papers that tune only their own loss need {need} runs{then}: {command}")


def _command(answer: Answer, runs: list[Result], given: str, words: list[str]) -> str:
    """What trains an experiment again, or the first of some runs, with some words changed."""
    from lossbench.configuration.experiments import short_words

    experiment = answer.experiment
    if experiment:
        asked = experiment.words
    else:
        keys = {word.partition("=")[0] for word in words}
        asked = [w for w in short_words(runs[0].config) if w.partition("=")[0] not in keys]
    place = [] if given == "results" else [f"results.dir={given}"]
    likewise = f" (and {len(runs) - 1} more likewise)" if len(runs) > 1 and not experiment else ""
    return shlex.join(["lossbench", "run", *asked, *place, *words]) + likewise


def _print(answer: Answer, by: str | None, form: str, peek: bool, everything: bool) -> None:
    """Print the comparisons for people, or in a format for machines."""
    from lossbench.report import tables
    from lossbench.report.notices import list_notices
    from lossbench.report.printed import print_comparisons, write

    if form in tables.FORMATS:
        text = tables.FORMATS[form](answer.comparisons, by, peek, answer.decisions)
        say(text.removesuffix("\n"))
        return
    console = a_console()
    question = answer.experiment.question if answer.experiment else ""
    print_comparisons(
        answer.comparisons, console, question=question, by=by, peek=peek, everything=everything
    )
    write(console, *list_notices(answer.results))
    figure = answer.folder / "figures" / f"{answer.name}-claims.png"
    show_claims(answer.decisions, figure, everything=everything)


def _write_page(answer: Answer, file: Path) -> None:
    from lossbench.publish import without_result, write_report

    experiment = answer.experiment
    lost = without_result(experiment, answer.folder) if experiment else []
    page = write_report(file, answer.comparisons, experiment, lost, answer.decisions)
    print(f"Report    {short_path(page)}", file=sys.stderr)


def _write_figures(answer: Answer, folder: Path, form: str) -> None:
    from lossbench.report.paper import write_for_paper  # matplotlib: slow to import

    try:
        files = write_for_paper(answer.comparisons, answer.decisions, folder, answer.name, form)
    except OSError as error:
        raise UnusableError(
            f"--figures {folder} cannot be written: {error.strerror}. Name another folder."
        ) from error
    print(f"Figures   {short_path(folder.absolute())} ({len(files)} files)", file=sys.stderr)


def _draw(answer: Answer) -> None:
    """Draw what several settings allow, and say where; a folder that is read-only has no figure."""
    if len(answer.comparisons) < 2:
        return
    from lossbench.report.figures import write_figures  # matplotlib: slow to import

    try:
        for place in write_figures(answer.comparisons, answer.folder / "figures", answer.name):
            print(f"Figure    {short_path(place)}", file=sys.stderr)
    except OSError as error:
        complain(f"no figure was drawn: {error.strerror}.")


def _stored(
    name: str | None, given: str, folder: Path, config_dir: str | None
) -> tuple[list[Result], Experiment | None]:
    """The results that `compare` is asked for."""
    from lossbench import results

    if "=" in (name or ""):
        raise UserError(f"{name}: a filter needs its own --where in front.")
    stored: list[Result] = []
    question = None
    if folder.is_dir():
        if name:
            stored, question = _of_experiment(name, folder, config_dir)
        else:
            stored = results.everything(folder)
            _warn_of_changed_code(stored)
    elif name:
        from lossbench.configuration.experiments import read_experiment  # Hydra: slow to import

        question = read_experiment(name)
    if question and not question.trains:
        return [], question  # its claims are computed
    if not folder.is_dir():
        raise UserError(
            f"--results {given}: there is no folder {folder}. Train something first, or name the "
            "folder of another sweep."
        )
    if not stored:
        raise UserError(f"{folder} holds no results of this. Train some with: lossbench run …")
    return stored, question


def _warn_of_changed_code(stored: list[Result]) -> None:
    """Say which results are of code that is another now; of what is gone nothing is known."""
    from lossbench import results

    changed: Counter[str] = Counter()
    for result in stored:
        with contextlib.suppress(UserError):
            kinds = results.changed_kinds(result.config, result.summary)
            changed.update(result.config.named(kind) for kind in kinds)
    for plugin, count in changed.items():
        complain(
            f"{count} of {len(stored)} results: the code of {plugin} has changed since they were "
            "trained; the command that trained them trains them again."
        )


def _changed(decisions: list[Decision]) -> int:
    """3 where a claim is not as on record, which is said."""
    if not decisions:
        raise UserError("--check: name an experiment whose experiment.yaml has claims.")
    from lossbench.report.decisions import list_changes

    changes = list_changes(decisions)
    for line in changes:
        complain(line)
    return 3 if changes else 0


def _of_experiment(
    name: str, folder: Path, config_dir: str | None
) -> tuple[list[Result], Experiment | None]:
    """The stored results of an experiment's runs; those that are missing are named."""
    from lossbench import results
    from lossbench.configuration.experiments import configurations

    configs, experiment = configurations([f"experiment={name}"], sweep=True, config_dir=config_dir)
    stored = []
    for config in configs:
        result = results.stored(config, folder)
        if result is not None:
            held = set(result.seeds.seed)
            asked = config.seeds or sorted(held)
            result = results.of_seeds(result, [s for s in asked if s in held])
            stored.append(results.with_asked(result))
    if len(stored) < len(configs):
        complain(
            f"{len(configs) - len(stored)} of {len(configs)} runs are missing; train them with: "
            f"lossbench run experiment={name}"
        )
    return stored, experiment
