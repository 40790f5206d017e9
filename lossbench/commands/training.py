"""`run` and `reproduce`: commands that train."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.commands.terminal import a_console, decisions_on, show_claims, show_comparisons
from lossbench.contract import UnusableError, UserError
from lossbench.settings import masked

if TYPE_CHECKING:
    from rich.console import Console

    from lossbench.comparison import Comparison
    from lossbench.configuration import Configuration
    from lossbench.experiments import Experiment
    from lossbench.results import Result
    from lossbench.sweep.execution import Job
    from lossbench.verdicts import Decision

MOST_UNASKED = 1000  # runs that are not begun without --yes


def run(options: argparse.Namespace) -> int:
    from lossbench.experiments import configurations

    if options.info:
        return info(options)
    configs, experiment = configurations(
        options.overrides,
        sweep=options.multirun,
        config_dir=options.config_dir,
        most=None if options.yes or options.dry_run else MOST_UNASKED,
    )
    if options.cfg:
        import yaml

        print(
            masked("---\n".join(yaml.safe_dump(c.mapping, sort_keys=False) for c in configs)),
            end="",
        )
        return 0
    from lossbench.comparison import compare as compare_results
    from lossbench.sweep import execution

    console = a_console()
    _warn_of_few_seeds(configs, console)
    if options.dry_run:
        from lossbench.sweep.forecast import forecast

        forecast(configs, console, rerun=options.rerun)
        return 0
    decisions_on(experiment, [])  # a claim's mistake is told before hours of training
    jobs = execution.execute(configs, console, rerun=options.rerun)
    found = execution.results_of(jobs)
    if found:
        comparisons = compare_results(found, baseline=experiment.baseline if experiment else None)
        show_comparisons(comparisons, experiment, console)
        decisions = decisions_on(experiment, found)
        name = experiment.name if experiment else "latest"
        show_claims(decisions, jobs[0].folder / "figures" / f"{name}-claims.png")
        _say_where(jobs, found, comparisons, experiment, decisions, console)
    return exit_code(jobs, found, console)


def info(options: argparse.Namespace) -> int:
    from lossbench.composition import show_info
    from lossbench.experiments import configurations

    if any(word.startswith("experiment=") for word in options.overrides):
        raise UserError("--info is of one run, an experiment has many: --cfg prints them.")
    configurations(options.overrides, config_dir=options.config_dir)  # tells what is wrong
    show_info(options.overrides, options.config_dir)
    return 0


def _warn_of_few_seeds(configs: list[Configuration], console: Console) -> None:
    """Say before training what the seeds cannot show."""
    from lossbench.comparison import ALPHA, few_seeds
    from lossbench.configuration import digest
    from lossbench.statistics import seeds_needed_for

    settings = {(digest(config.setting), config.tune.budget) for config in configs}
    comparisons = len(configs) - len(settings)
    seeds = min(len(config.seeds) for config in configs)
    needed = seeds_needed_for(ALPHA, comparisons) if comparisons else 0
    if seeds < needed:
        console.print(few_seeds(seeds, comparisons, needed))


def _say_where(
    jobs: list[Job],
    found: list[Result],
    comparisons: list[Comparison],
    experiment: Experiment | None,
    decisions: list[Decision],
    console: Console,
) -> None:
    """Draw and write the report, and say where everything is and what to do next."""
    from lossbench.publish import publish, write_report
    from lossbench.sweep.execution import failures

    folder, name = jobs[0].folder, experiment.name if experiment else "latest"
    drawn = _drawn(comparisons, folder / "figures", name)
    place = folder / "figures" / f"{name}.html"
    report = write_report(place, comparisons, experiment, failures(jobs), decisions)
    lines = [
        *_notices(found),
        f"Results   {folder}",
        *(f"Figure    {place}" for place in drawn),
        f"Report    {report}",
    ]
    tracking = jobs[0].config.tracking
    if any(job.seeds for job in jobs):
        trouble = publish(report, comparisons, experiment, tracking)
        lines += [trouble] if trouble else []
    if tracking.uri is not None:
        file = tracking.uri.removeprefix("sqlite:///")
        is_file = file != tracking.uri
        lines.append(f"MLflow    {Path(file).absolute() if is_file else masked(file)}")
    where = "" if jobs[0].config.results.dir == "results" else f" --results {folder}"
    us = _own_name()
    lines += [
        f"Next      {us} ui{where}",
        f"          {us} compare{' ' + name if experiment else ''}{where}",
        f"          {us} run loss=focal loss.gamma=1 dataset=blobs corruption=label_noise",
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _notices(found: list[Result]) -> list[str]:
    """What a reader must know of how losses and plugins behaved in training."""
    notes = dict.fromkeys(note for r in found for note in r.summary.get("notes", []))
    meddled = {who: what for r in found for who, what in r.summary.get("meddled", {}).items()}
    return [
        *notes,
        *(
            f"{result.config.loss.name} was run replica by replica: "
            f"{result.summary['unmapped_because']}"
            for result in found
            if not result.summary["mapped"]
        ),
        *(
            f"{who} changed {', '.join(what)} when it was imported; "
            "put back before anything trained"
            for who, what in meddled.items()
        ),
    ]


def _drawn(comparisons: list[Comparison], folder: Path, name: str) -> list[Path]:
    """The files of the figures, which are drawn into the folder."""
    from lossbench.report import across, figures

    try:
        drawn = across.draw(comparisons, folder, name)
        for number, comparison in enumerate(comparisons):
            suffix = f"-{number}" if number else ""
            drawn.append(folder / f"{name}{suffix}.png")
            figures.comparison(comparison.results, drawn[-1])
    except OSError as error:
        raise UnusableError(
            f"{folder} cannot be written: {error.strerror}. The results are safe; make room, and "
            "the same command draws their figures."
        ) from error
    return drawn


def _own_name() -> str:
    """How this command line is called from here, also where it is not on the PATH."""
    script = Path(sys.argv[0])
    hidden = script.name == "lossbench" and not shutil.which("lossbench")
    return os.path.relpath(script) if hidden else "lossbench"


def exit_code(jobs: list[Job], found: list[Result], console: Console) -> int:
    """0 all well, the request's own code where its only run was refused, 3 where some failed."""
    from lossbench.sweep.execution import failures

    failed = [job for job in jobs if job.error]
    if failed and len(failed) == len(jobs) and all(isinstance(j.error, UserError) for j in failed):
        print(f"lossbench: error: {failed[0].error}", file=sys.stderr)
        return failed[0].error.exit_code  # type: ignore[union-attr]
    if failed:
        print(f"lossbench: {len(failed)} of {len(jobs)} runs failed:", file=sys.stderr)
        print("\n".join(failures(jobs)), file=sys.stderr)
        return 3
    if len(found) < len(jobs):
        print(
            f"lossbench: {len(jobs) - len(found)} of {len(jobs)} runs have no result yet: they are "
            "being trained by another command, or a plugin was changed meanwhile. Run this again.",
            file=sys.stderr,
        )
        return 3
    diverged = sum(result.diverged for result in found)
    if diverged:
        console.print(f"{diverged} replicas diverged; each counts as its loss's worst outcome.")
        return 3
    return 0


def reproduce(options: argparse.Namespace) -> int:
    from lossbench import reproduce
    from lossbench.report.tables import wrapped

    console = a_console()
    old = reproduce.find(options.run, Path(options.results).absolute(), options.uri)
    job, found = reproduce.again(old, console)
    if not found:
        return exit_code([job], found, console)
    same, words = reproduce.verdict(old, reproduce.differences(old, found[0]))
    console.print(wrapped([*reproduce.changes(old, found[0]), words]), markup=False)
    return 0 if same else 3
