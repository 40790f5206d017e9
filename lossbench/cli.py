"""The command line. Heavy imports stay inside the commands that need them."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lossbench.contract import UnusableError, UserError

if TYPE_CHECKING:
    from rich.console import Console

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
}
EXAMPLES = """\
examples:
  lossbench run experiment=quickstart
  lossbench run loss=focal loss.gamma=1 dataset=blobs corruption=label_noise seeds=20
  lossbench run -m loss=cross_entropy,focal,poly dataset=digits corruption=imbalance
  lossbench compare quickstart
  lossbench list losses
"""


class Interrupted(BaseException):
    """A signal asked for an end."""

    def __init__(self, number: int) -> None:
        self.number = number


def main(arguments: list[str] | None = None) -> int:
    """Run a command and give its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    options = _parser().parse_args(words)
    try:
        return options.command(options)
    except UserError as error:
        print(f"lossbench: error: {error}", file=sys.stderr)
        if options.debug:
            traceback.print_exc()
        return error.exit_code
    except Interrupted as stop:
        print(
            "lossbench: interrupted; the same command goes on with what is missing.",
            file=sys.stderr,
        )
        return 128 + stop.number
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug:
            raise
        print(
            f"lossbench: a bug of ours: {type(error).__name__}: {error}\n"
            "Run it again with --debug for the traceback, and report it please.",
            file=sys.stderr,
        )
        return 1


def _interrupt(number: int, _frame: Any) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)  # the second one ends it at once
    raise Interrupted(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lossbench",
        description="Which loss should I train with? Trains many seeds as one, compares honestly.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, words: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=words, description=words)
        added.set_defaults(command=function)
        added.add_argument("--debug", action="store_true", default=argparse.SUPPRESS)
        return added

    run = command("run", _run, "train a run, or with -m or experiment=NAME many, and compare them")
    run.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra's override grammar")
    run.add_argument("-m", "--multirun", action="store_true", help="sweep over values with commas")
    run.add_argument("--config-dir", metavar="DIR", help="a folder of your own configurations")
    run.add_argument("--cfg", action="store_true", help="print the resolved configuration and stop")
    run.add_argument("--info", action="store_true", help="print how Hydra composes it and stop")

    compare = command("compare", _compare, "table and conclusions from the results")
    compare.add_argument("experiment", nargs="?", help="an experiment; default: all results")
    compare.add_argument("--results", default="results", metavar="DIR")
    compare.add_argument("--baseline", help="the loss to compare with (default cross_entropy)")
    compare.add_argument("--metric", help="default: the task's primary metric")
    compare.add_argument("--format", choices=["table", "csv"], default="table")

    listing = command("list", _list, "what is installed")
    listing.add_argument("kind", nargs="?", choices=[*KINDS, "experiments"], default="losses")

    ui = command("ui", _ui, "open MLflow's interface on the store, at the losses' view")
    ui.add_argument("--results", default="results", metavar="DIR")
    ui.add_argument("--uri", help="another store than the one in the results folder")
    ui.add_argument("--experiment", help="the experiment to open (default: the latest)")
    ui.add_argument("--port", type=int, default=5000)

    sync = command("sync", _sync, "deliver to MLflow the results that it missed")
    sync.add_argument("--results", default="results", metavar="DIR")
    return parser


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal or console.width > 100:
        console = Console(highlight=False, width=100)
    return console


def _run(options: argparse.Namespace) -> int:
    from lossbench.config import configurations

    if options.info:
        return _info(options)
    configs, experiment = configurations(
        options.overrides, sweep=options.multirun, config_dir=options.config_dir
    )
    if options.cfg:
        import yaml

        print("---\n".join(yaml.safe_dump(c, sort_keys=False) for c in configs), end="")
        return 0
    from lossbench import sweep

    console = _console()
    _warn_of_few_seeds(configs, console)
    jobs = sweep.execute(configs, console)
    found = sweep.outcome(jobs)
    if found:
        _show(found, experiment, console)
        _where(jobs, found, experiment, console)
    return _exit_code(jobs, found, console)


def _info(options: argparse.Namespace) -> int:
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
    from lossbench.statistics import seeds_needed_for

    settings = [setting_of(config) for config in configs]
    comparisons = max(settings.count(setting) for setting in settings) - 1
    seeds = min(len(config["seeds"]) for config in configs)
    needed = seeds_needed_for(ALPHA, comparisons) if comparisons else 0
    if seeds < needed:
        console.print(few_seeds(seeds, comparisons, needed))


def _show(
    found: list[Result],
    experiment: Experiment | None,
    console: Console,
    baseline: str | None = None,
    metric: str | None = None,
) -> None:
    from lossbench.comparison import compare
    from lossbench.report import tables

    if experiment and experiment.question:
        console.print(experiment.question.strip(), markup=False)
    base = baseline or (experiment.baseline if experiment else None)
    for comparison in compare(found, baseline=base, metric=metric):
        console.print(tables.heading(comparison), markup=False)
        console.print(tables.primary_table(comparison))
        for table in tables.metrics_tables(comparison):
            console.print(table)
        console.print(tables.wrapped(comparison.conclusion), markup=False)
        console.print()


def _where(
    jobs: list[Job], found: list[Result], experiment: Experiment | None, console: Console
) -> None:
    """Where everything is, and what to do next."""
    from lossbench.comparison import compare
    from lossbench.report import figures

    folder, name = jobs[0].folder, experiment.name if experiment else "latest"
    lines = [f"Results   {folder}"]
    for number, comparison in enumerate(compare(found)):
        suffix = f"-{number}" if number else ""
        place = folder / "figures" / f"{name}{suffix}.png"
        place.parent.mkdir(exist_ok=True)
        figures.comparison(comparison.results, place)
        lines.append(f"Figure    {place}")
    uri = jobs[0].config["tracking"]["uri"]
    if uri is not None:
        shown = uri.partition("@")[2] or uri
        relative = shown.removeprefix("sqlite:///")
        lines.append(f"MLflow    {Path(relative).absolute() if relative != shown else shown}")
    where = "" if jobs[0].config["results"]["dir"] == "results" else f" --results {folder}"
    us = "lossbench" if shutil.which("lossbench") else os.path.relpath(sys.argv[0])
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
    diverged = sum(result.diverged for result in found)
    if diverged:
        console.print(f"{diverged} replicas diverged; each counts as its loss's worst outcome.")
        return 3
    return 0


def _compare(options: argparse.Namespace) -> int:
    from lossbench import results

    console = _console()
    experiment = None
    folder = Path(options.results).absolute()
    if not folder.is_dir():
        raise UserError(f"--results {options.results}: there is no folder {folder}.")
    if options.experiment:
        found, experiment = _of_experiment(options.experiment, folder, console)
    else:
        found = results.everything(folder)
    if not found:
        raise UserError(f"{folder} holds no results of this. Train some with: lossbench run …")
    if options.format == "csv":
        from lossbench.comparison import compare
        from lossbench.report import tables

        base = options.baseline or (experiment.baseline if experiment else None)
        for comparison in compare(found, baseline=base, metric=options.metric):
            print(tables.as_csv(comparison), end="")
        return 0
    _show(found, experiment, console, options.baseline, options.metric)
    return 0


def _of_experiment(
    name: str, folder: Path, console: Console
) -> tuple[list[Result], Experiment | None]:
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
        console.print(
            f"{len(configs) - len(found)} of {len(configs)} runs are missing; "
            f"train them with: lossbench run experiment={name}"
        )
    return found, experiment


def _list(options: argparse.Namespace) -> int:
    from lossbench import registry

    if options.kind == "experiments":
        from lossbench.config import experiments, read_experiment

        for name in sorted(experiments()):
            print(f"{name:24} {' '.join(read_experiment(name).question.split())[:75]}")
        return 0
    plugins = registry.installed(KINDS[options.kind])
    for name in registry.names(KINDS[options.kind]):
        same = [p for p in plugins if p.name == name]
        tasks = ", ".join(p.task for p in same if p.task)
        packages = ", ".join(sorted({f"{p.package} {p.version}" for p in same}))
        print(f"{name:28} {tasks:34} {packages}".rstrip())
    return 0


def _ui(options: argparse.Namespace) -> int:
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


def _sync(options: argparse.Namespace) -> int:
    from lossbench.tracking import deliver

    folder = Path(options.results).absolute()
    print(f"{deliver(folder)} results delivered.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
