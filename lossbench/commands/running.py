"""`run` and `reproduce`: commands that train."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossbench.commands import completion
from lossbench.commands.closing import Outcome, Request, as_record, report
from lossbench.commands.options import (
    command,
    config_dir_option,
    format_option,
    results_option,
    uri_option,
)
from lossbench.commands.terminal import a_console, complain, decisions_on, divert_notes, say
from lossbench.configuration.settings import masked
from lossbench.contract import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from lossbench.comparison import Comparison
    from lossbench.configuration import Configuration
    from lossbench.configuration.experiments import Experiment
    from lossbench.results import Result
    from lossbench.sweep.execution import Job

MOST_UNASKED = 1000  # runs that are not begun without --yes


@command()
@completion.words_argument("overrides")
@click.option("-m", "--multirun", is_flag=True, help="Sweep over values with commas.")
@config_dir_option
@click.option("--cfg", is_flag=True, help="Print the resolved configuration and stop.")
@click.option("--info", is_flag=True, help="Print how Hydra composes it and stop.")
@click.option("--dry-run", is_flag=True, help="List the runs and what they will cost.")
@click.option("--yes", is_flag=True, help="Train them even if there are more than 1000.")
@click.option("--no-wait", is_flag=True, help="Leave runs that another command is training.")
@click.option("--rerun", is_flag=True, help="Train again what is done already.")
@format_option
def run(
    overrides: tuple[str, ...],
    multirun: bool,
    config_dir: str | None,
    cfg: bool,
    info: bool,
    dry_run: bool,
    yes: bool,
    no_wait: bool,
    rerun: bool,
    form: str,
) -> int:
    """Train what is missing, and compare it.

    One run, or several with -m and commas, or those of experiment=NAME. KEY=VALUE
    follows Hydra's override grammar and may stand before or after options; loss.focal.gamma=1,2 is
    for the runs of focal alone. Besides what is installed, dataset, loss, model and the others
    take a function in a file, dataset=mine.py:my_data, or in a module, loss=torch.nn:SmoothL1Loss.
    """
    from lossbench.configuration.experiments import configurations

    if info and form == "json":
        raise UserError("run: --info is text for people; --cfg has --format json.")
    if info:
        return _print_info(overrides, config_dir)
    configs, experiment = configurations(
        overrides,
        sweep=multirun,
        config_dir=config_dir,
        most=None if yes or dry_run else MOST_UNASKED,
    )
    if experiment and not experiment.trains:
        raise UserError(
            f"experiment={experiment.name} trains nothing, its claims are computed: lossbench "
            f"compare {experiment.name}"
        )
    if cfg:
        return _print_configurations(configs, form)
    code, record = 0, dict[str, Any]()
    with divert_notes(form == "json"):
        decisions_on(experiment, [])  # a claim's mistake is reported before hours of training
        console = a_console()
        most = _with_most_seeds(configs, console, rerun=rerun)
        _warn_of_few_seeds(most, console)
        if dry_run:
            from lossbench.sweep.forecast import forecast

            record = forecast(most, console, rerun=rerun)
        else:
            request = Request(overrides, multirun, config_dir)
            outcome = _train_and_compare(
                configs, experiment, request, console, rerun=rerun, wait=not no_wait
            )
            code = exit_code(outcome.jobs, outcome.results, console)
            if form == "json":
                record = as_record(outcome, code)
    if form == "json":
        say(json.dumps(record, indent=1, allow_nan=False))
    return code


def _print_configurations(configs: list[Configuration], form: str) -> int:
    import yaml

    mappings = [config.mapping for config in configs]
    if form == "json":
        text = json.dumps(mappings, indent=1)
    else:
        text = "---\n".join(yaml.safe_dump(mapping, sort_keys=False) for mapping in mappings)
    say(masked(text).removesuffix("\n"))
    return 0


def _print_info(overrides: Sequence[str], config_dir: str | None) -> int:
    from lossbench.configuration.composition import show_info
    from lossbench.configuration.experiments import configurations

    if any(word.startswith("experiment=") for word in overrides):
        raise UserError("--info is of one run, an experiment has many: --cfg prints them.")
    configurations(overrides, config_dir=config_dir)  # reports what is wrong
    show_info(overrides, config_dir)
    return 0


def _with_most_seeds(
    configs: list[Configuration], console: Console, *, rerun: bool
) -> list[Configuration]:
    """The runs with the most seeds that they may get, which is said where seeds=auto decides."""
    if all(config.seeds for config in configs):
        return configs
    from lossbench.sweep.settling import looks_of_sweep, with_seeds

    looks = looks_of_sweep(configs)
    if rerun:
        raise UserError("--rerun: with seeds=auto nothing says which seeds; give their count.")
    console.print(
        f"seeds=auto: losses are compared at {', '.join(map(str, looks))} seeds, until it is "
        f"settled; p is multiplied by {len(looks)}."
    )
    return with_seeds(configs, looks[-1])


def _train_and_compare(
    configs: list[Configuration],
    experiment: Experiment | None,
    request: Request,
    console: Console,
    *,
    rerun: bool,
    wait: bool,
) -> Outcome:
    """Train what is missing, print and draw what all of it shows."""
    from lossbench.comparison import compare as compare_results
    from lossbench.report.printed import print_comparisons
    from lossbench.sweep import execution

    baseline = experiment.baseline if experiment else None
    if all(config.seeds for config in configs):
        jobs = execution.execute(configs, console, rerun=rerun, wait=wait)
        results = execution.results_of(jobs)
    else:
        from lossbench.sweep.settling import settle

        jobs, results = settle(configs, baseline, console, wait=wait)
    comparisons = compare_results(results, baseline=baseline) if results else []
    if not experiment:
        comparisons = _note_others(comparisons, jobs[0].folder)
    decisions = decisions_on(experiment, results) if results else []
    outcome = Outcome(request, jobs, results, comparisons, experiment, decisions)
    if results:
        print_comparisons(comparisons, console, question=experiment.question if experiment else "")
        report(outcome, console)
    return outcome


def _note_others(comparisons: list[Comparison], folder: Path) -> list[Comparison]:
    """The comparisons, which say so where the folder has more of their setting, by any metric."""
    from lossbench import results
    from lossbench.configuration import digest, setting_of

    def alike(numbers: dict[str, Any]) -> str:
        return digest({**setting_of(numbers), "metric": None})

    compared = {result.key for each in comparisons for result in each.results.values()}
    others: Counter[tuple[str, str]] = Counter()
    with contextlib.suppress(UserError):  # a damaged result that was not asked for
        for config, summary in (results.described(p[-1]) for p in results.by_configuration(folder)):
            setting = alike(summary["numbers"]), config.tune.budget
            others[setting] += summary["key"] not in compared
    noted = []
    for comparison in comparisons:
        runs = comparison.results.values()
        settings = {(alike(run.summary["numbers"]), run.config.tune.budget) for run in runs}
        count = sum(others[setting] for setting in settings)
        are = "runs of this setting are" if count > 1 else "run of this setting is"
        note = (
            f"{count} other {are} stored: p is corrected over what this command named, "
            "by `lossbench compare` over all."
        )
        noted.append(replace(comparison, notes=(*comparison.notes, note)) if count else comparison)
    return noted


def _warn_of_few_seeds(configs: list[Configuration], console: Console) -> None:
    """Say before training what the seeds cannot show."""
    from lossbench.comparison import ALPHA, explain_few_seeds
    from lossbench.configuration import digest
    from lossbench.statistics import seeds_needed_for

    settings = {(digest(config.setting), config.tune.budget) for config in configs}
    comparisons = len(configs) - len(settings)
    seeds = min(len(config.seeds) for config in configs)
    needed = seeds_needed_for(ALPHA, comparisons) if comparisons else 0
    if seeds < needed:
        console.print(explain_few_seeds(seeds, comparisons, needed))


def exit_code(jobs: list[Job], results: list[Result], console: Console) -> int:
    """0 all well, the request's own code where its only run was refused, 3 where some failed."""
    from lossbench.sweep.execution import failures

    failed = [job for job in jobs if job.error]
    if failed and len(failed) == len(jobs) and all(isinstance(j.error, UserError) for j in failed):
        complain(f"error: {failed[0].error}")
        return failed[0].error.exit_code  # type: ignore[union-attr]
    if failed:
        complain("\n".join([f"{len(failed)} of {len(jobs)} runs failed:", *failures(jobs)]))
        return 3
    if len(results) < len(jobs) and jobs[0].config.launcher.values.get("detach"):
        return 0  # what was left to Slurm was said
    if len(results) < len(jobs):
        complain(
            f"{len(jobs) - len(results)} of {len(jobs)} runs have no result yet: they are being "
            "trained by another command, or a plugin was changed meanwhile. Run this again."
        )
        return 3
    diverged = sum(result.diverged for result in results)
    if diverged:
        which = "replicas diverged; each counts" if diverged > 1 else "replica diverged; it counts"
        console.print(f"{diverged} {which} against its loss.")
        return 3
    return 0


@command()
@click.argument("run_name", metavar="RUN", shell_complete=completion.results)
@results_option
@uri_option
@click.option("--trust", is_flag=True, help="Use code and files that the result names.")
@format_option
def reproduce(run_name: str, results: str, uri: str | None, trust: bool, form: str) -> int:
    """Run a result again and say whether it is the same.

    RUN is a folder in the results, or an MLflow run id.
    """
    from lossbench import reproduce as reproduction
    from lossbench.report.tables import wrap
    from lossbench.sweep.execution import reason

    folder = Path(results).absolute()
    old = reproduction.find(run_name, folder, uri)
    if not trust:
        reproduction.refuse_places(old, run_name, folder)
    with divert_notes(form == "json"):
        console = a_console()
        job, new = reproduction.again(old, console)
        if new:
            record = reproduction.as_record(old, new[0])
            console.print(wrap([*record["changes"], record["verdict"]], console.width))
            code = 0 if record["same"] else 3
        else:
            code = exit_code([job], new, console)
            record = {"key": old.key, "same": None, "error": reason(job.error)}
    if form == "json":
        say(json.dumps(record, indent=1))
    return code
