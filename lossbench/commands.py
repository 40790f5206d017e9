"""What each command does. Heavy imports stay inside the functions that need them."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.contract import UnusableError, UserError
from lossbench.settings import masked

if TYPE_CHECKING:
    from rich.console import Console

    from lossbench.comparison import Comparison
    from lossbench.config import Config, Experiment
    from lossbench.results import Result
    from lossbench.sweep import Job

KINDS = {
    "losses": "loss",
    "datasets": "dataset",
    "corruptions": "corruption",
    "models": "model",
    "regularizers": "regularizer",
    "optimizers": "optimizer",
    "tasks": "task",
    "configs": "config",
}
MOST_UNASKED = 1000  # runs that are not begun without --yes


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal or console.width > 100:
        console = Console(highlight=False, width=100)
    return console


def run(options: argparse.Namespace) -> int:
    from lossbench.config import configurations

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

        print(masked("---\n".join(yaml.safe_dump(c, sort_keys=False) for c in configs)), end="")
        return 0
    from lossbench import sweep
    from lossbench.comparison import compare as compare_results

    console = _console()
    _warn_of_few_seeds(configs, console)
    if options.dry_run:
        from lossbench.forecast import forecast

        forecast(configs, console, rerun=options.rerun)
        return 0
    jobs = sweep.execute(configs, console, rerun=options.rerun)
    found = sweep.outcome(jobs)
    if found:
        comparisons = compare_results(found, baseline=experiment.baseline if experiment else None)
        _show(comparisons, experiment, console)
        _where(jobs, found, comparisons, experiment, console)
    return _exit_code(jobs, found, console)


def info(options: argparse.Namespace) -> int:
    from hydra.core.global_hydra import GlobalHydra

    from lossbench.config import hydra

    with hydra(options.config_dir):
        composer = GlobalHydra.instance().hydra
        assert composer
        composer.show_info("all", "config", options.overrides)
    return 0


def _warn_of_few_seeds(configs: list[Config], console: Console) -> None:
    """Say before training what the seeds cannot show."""
    from lossbench.comparison import ALPHA, few_seeds, setting_of
    from lossbench.results import budget
    from lossbench.statistics import seeds_needed_for

    settings = {(setting_of(config), budget(config)) for config in configs}
    comparisons = len(configs) - len(settings)
    seeds = min(len(config["seeds"]) for config in configs)
    needed = seeds_needed_for(ALPHA, comparisons) if comparisons else 0
    if seeds < needed:
        console.print(few_seeds(seeds, comparisons, needed))


def _show(
    comparisons: list[Comparison],
    experiment: Experiment | None,
    console: Console,
    by: str | None = None,
) -> None:
    from lossbench.report import tables

    if experiment and experiment.question:
        console.print(experiment.question.strip(), markup=False)
    tables.print_table(comparisons, by, console)


def _where(
    jobs: list[Job],
    found: list[Result],
    comparisons: list[Comparison],
    experiment: Experiment | None,
    console: Console,
) -> None:
    """Where everything is, and what to do next."""
    from lossbench.publish import publish, write_report
    from lossbench.report import across, figures
    from lossbench.sweep import failures

    lost = failures(jobs)
    folder, name = jobs[0].folder, experiment.name if experiment else "latest"
    lines = [
        f"{result.config['loss']['name']} was run replica by replica: "
        f"{result.summary['unmapped_because']}"
        for result in found
        if not result.summary["mapped"]
    ]
    lines.append(f"Results   {folder}")
    drawn = across.draw(comparisons, folder / "figures", name)
    for number, comparison in enumerate(comparisons):
        suffix = f"-{number}" if number else ""
        place = folder / "figures" / f"{name}{suffix}.png"
        figures.comparison(comparison.results, place)
        drawn.append(place)
    lines += [f"Figure    {place}" for place in drawn]
    report = write_report(folder / "figures" / f"{name}.html", comparisons, experiment, lost)
    lines.append(f"Report    {report}")
    if any(job.seeds for job in jobs):
        trouble = publish(report, comparisons, experiment, jobs[0].config["tracking"])
        lines += [trouble] if trouble else []
    uri = jobs[0].config["tracking"]["uri"]
    if uri is not None:
        file = uri.removeprefix("sqlite:///")
        lines.append(f"MLflow    {Path(file).absolute() if file != uri else masked(uri)}")
    where = "" if jobs[0].config["results"]["dir"] == "results" else f" --results {folder}"
    script = Path(sys.argv[0])
    hidden = script.name == "lossbench" and not shutil.which("lossbench")  # not on the PATH
    us = os.path.relpath(script) if hidden else "lossbench"
    lines += [
        f"Next      {us} ui{where}",
        f"          {us} compare{' ' + name if experiment else ''}{where}",
        f"          {us} run loss=focal loss.gamma=1 dataset=blobs corruption=label_noise",
    ]
    console.print("\n".join(lines), soft_wrap=True, markup=False)


def _exit_code(jobs: list[Job], found: list[Result], console: Console) -> int:
    """0 all well, the request's own code where its only run was refused, 3 where some failed."""
    from lossbench.sweep import failures

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


def compare(options: argparse.Namespace) -> int:
    from lossbench.comparison import compare as compare_results
    from lossbench.comparison import where
    from lossbench.report import tables

    console = _console()
    machine = tables.FORMATS.get(options.format)
    folder = Path(options.results).absolute()
    found, experiment = _stored(options, folder)
    comparisons = compare_results(
        where(found, options.where),
        baseline=options.baseline or (experiment.baseline if experiment else None),
        metric=options.metric,
        same_within=options.same_within,
        mixed_budgets=options.mixed_budgets,
    )
    if machine:
        print(machine(comparisons, options.by), end="")
    else:
        _show(comparisons, experiment, console, options.by)
    if options.html:
        from lossbench.publish import without_result, write_report

        lost = without_result(experiment, folder) if experiment else []
        place = write_report(Path(options.html), comparisons, experiment, lost)
        print(f"Report    {place}", file=sys.stderr)
    _draw(comparisons, folder, options.experiment or "latest")
    return _claims(found, experiment, options)


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
        print(f"lossbench: no figure was drawn: {error.strerror}.", file=sys.stderr)


def _stored(options: argparse.Namespace, folder: Path) -> tuple[list[Result], Experiment | None]:
    """The results that `compare` is asked for."""
    from lossbench import results

    experiment = None
    if "=" in (options.experiment or ""):
        raise UserError(f"{options.experiment}: a filter needs its own --where in front.")
    if not folder.is_dir():
        raise UserError(f"--results {options.results}: there is no folder {folder}.")
    if options.experiment:
        found, experiment = _of_experiment(options.experiment, folder)
    else:
        found = results.everything(folder)
    if not found:
        raise UserError(f"{folder} holds no results of this. Train some with: lossbench run …")
    return found, experiment


def _claims(found: list[Result], experiment: Experiment | None, options: argparse.Namespace) -> int:
    """Decide the experiment's claims; 3 where --check finds one that is not as on record."""
    if not experiment or not experiment.claims:
        if options.check:
            raise UserError("--check: name an experiment whose experiment.yaml has claims.")
        return 0
    from lossbench.config import configurations
    from lossbench.report import claims
    from lossbench.verdicts import decide

    configs = configurations([f"experiment={experiment.name}"])[0]
    decisions = decide(experiment.claims, configs, found)
    if options.format == "table":
        print(claims.text(decisions))
        place = Path(options.results).absolute() / "figures" / f"{experiment.name}-claims.png"
        with contextlib.suppress(OSError):  # a folder that is read-only has no figure
            place.parent.mkdir(exist_ok=True)
            claims.draw(decisions, place)
            print(f"\nFigure    {place}")
    changed = claims.changed(decisions) if options.check else []
    for line in changed:
        print(f"lossbench: {line}", file=sys.stderr)
    return 3 if changed else 0


def _of_experiment(name: str, folder: Path) -> tuple[list[Result], Experiment | None]:
    """The stored results of an experiment's runs, and a word about those that are missing."""
    from lossbench import results
    from lossbench.config import configurations

    configs, experiment = configurations([f"experiment={name}"], sweep=True)
    stored = [(config, results.stored(config, folder)) for config in configs]
    found = []
    for config, result in stored:
        if result is not None:
            held = set(result.seeds.seed)
            found.append(results.of_seeds(result, [s for s in config["seeds"] if s in held]))
    if len(found) < len(configs):
        print(
            f"{len(configs) - len(found)} of {len(configs)} runs are missing; "
            f"train them with: lossbench run experiment={name}",
            file=sys.stderr,
        )
    return found, experiment


def reproduce(options: argparse.Namespace) -> int:
    from lossbench import reproduce
    from lossbench.report.tables import wrapped

    console = _console()
    old = reproduce.find(options.run, Path(options.results).absolute(), options.uri)
    job, found = reproduce.again(old, console)
    if not found:
        return _exit_code([job], found, console)
    same, words = reproduce.verdict(old, reproduce.differences(old, found[0]))
    console.print(wrapped([*reproduce.changes(old, found[0]), words]), markup=False)
    return 0 if same else 3


def list_plugins(options: argparse.Namespace) -> int:
    from lossbench import registry

    if options.kind == "experiments":
        from lossbench.config import read_experiment
        from lossbench.settings import experiment_files

        for name in sorted(experiment_files()):
            print(f"{name:24} {' '.join(read_experiment(name).question.split())[:75]}")
        return 0
    plugins = registry.installed(KINDS[options.kind])
    if options.verify:
        from lossbench.doctor import broken

        faults = broken(plugins)
    else:
        faults = registry.missing_modules(plugins)
    for name in registry.names(KINDS[options.kind]):
        same = [p for p in plugins if p.name == name]
        tasks = ", ".join(p.task for p in same if p.task)
        packages = ", ".join(sorted({f"{p.package} {p.version}" for p in same}))
        print(f"{name:30} {tasks:34} {packages}".rstrip())
        for plugin in same:
            if plugin in faults:
                print(f"    broken: {plugin.origin}: {faults[plugin]}")
    return 0


def doctor(options: argparse.Namespace) -> int:
    from lossbench.doctor import diagnose

    for line in diagnose(Path(options.results).absolute()):
        print(line, flush=True)
    return 0


def show(options: argparse.Namespace) -> int:
    from lossbench.show import catalogue, describe, draw

    if options.all:
        print(f"{catalogue(Path(options.all))} losses in {Path(options.all) / 'index.html'}")
    elif not options.loss:
        raise UserError("show: name a loss, or give --all DIR. Names: lossbench list losses")
    elif options.picture:
        print(draw(options.loss, Path(options.picture), task=options.task))
    else:
        print(describe(options.loss, task=options.task), end="")
    return 0


def check(options: argparse.Namespace) -> int:
    from lossbench.check import check_loss, render

    report = check_loss(options.loss, options.task)
    print(render(report))
    return 0 if report.ok else 3


def new_package(options: argparse.Namespace) -> int:
    from lossbench.new import new

    folder = new(options.name, Path.cwd())
    print(
        f"{folder.name}/ is a package with one loss. Try it:\n"
        f"  pip install -e {folder.name}\n"
        f"  lossbench list losses\n"
        f"  pytest {folder.name}"
    )
    return 0


def completion(options: argparse.Namespace) -> int:
    from lossbench.completion import SCRIPTS

    print(SCRIPTS[options.shell], end="")
    return 0


def ui(options: argparse.Namespace) -> int:
    from lossbench.tracking import Store, latest_experiment, serve

    uri = options.uri or f"sqlite:///{Path(options.results).absolute() / 'mlflow.db'}"
    if not options.uri and not (Path(options.results) / "mlflow.db").exists():
        raise UnusableError(
            f"--results {options.results}: there is no store {uri.removeprefix('sqlite:///')}. "
            "Train something first, or give --uri."
        )
    store = Store(uri, options.experiment or latest_experiment(uri))
    print(
        f"MLflow on http://127.0.0.1:{options.port}/{store.page}\nEnd it with Ctrl-C.", flush=True
    )
    return serve(store, options.port)


def sync(options: argparse.Namespace) -> int:
    from lossbench.results import places
    from lossbench.tracking import deliver

    folder = Path(options.results).absolute()
    print(f"{deliver(places(folder), options.uri)} results delivered.")
    return 0
