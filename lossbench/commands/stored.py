"""`compare`, `ui`, `sync` and `doctor`: commands that look at what was trained."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lossbench.commands.terminal import a_console, decisions_on, show_claims, show_comparisons
from lossbench.contract import UnusableError, UserError
from lossbench.schema import choices

if TYPE_CHECKING:
    from lossbench.comparison import Comparison
    from lossbench.experiments import Experiment
    from lossbench.results import Result
    from lossbench.verdicts import Decision


def compare(options: argparse.Namespace) -> int:
    from lossbench.comparison import compare as compare_results
    from lossbench.comparison import where
    from lossbench.report import tables

    console = a_console()
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
    decisions = decisions_on(experiment, found)
    if machine:
        print(machine(comparisons, options.by), end="")
    else:
        show_comparisons(comparisons, experiment, console, options.by)
        show_claims(decisions, folder / "figures" / f"{options.experiment}-claims.png")
    if options.html:
        from lossbench.publish import without_result, write_report

        lost = without_result(experiment, folder) if experiment else []
        place = write_report(Path(options.html), comparisons, experiment, lost, decisions)
        print(f"Report    {place}", file=sys.stderr)
    _draw(comparisons, folder, options.experiment or "latest")
    return _changed(decisions) if options.check else 0


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
        raise UserError(
            f"--results {options.results}: there is no folder {folder}. Train something first, "
            "or name the folder of another sweep."
        )
    if options.experiment:
        found, experiment = _of_experiment(options.experiment, folder)
    else:
        found = results.everything(folder)
    if not found:
        raise UserError(f"{folder} holds no results of this. Train some with: lossbench run …")
    return found, experiment


def _changed(decisions: list[Decision]) -> int:
    """3 where a claim is not as on record, which is said."""
    if not decisions:
        raise UserError("--check: name an experiment whose experiment.yaml has claims.")
    from lossbench.report import decisions as claims

    changed = claims.changed(decisions)
    for line in changed:
        print(f"lossbench: {line}", file=sys.stderr)
    return 3 if changed else 0


def _of_experiment(name: str, folder: Path) -> tuple[list[Result], Experiment | None]:
    """The stored results of an experiment's runs, and a word about those that are missing."""
    from lossbench import results
    from lossbench.experiments import configurations

    configs, experiment = configurations([f"experiment={name}"], sweep=True)
    stored = [(config, results.stored(config, folder)) for config in configs]
    found = []
    for config, result in stored:
        if result is not None:
            held = set(result.seeds.seed)
            found.append(results.of_seeds(result, [s for s in config.seeds if s in held]))
    if len(found) < len(configs):
        print(
            f"{len(configs) - len(found)} of {len(configs)} runs are missing; "
            f"train them with: lossbench run experiment={name}",
            file=sys.stderr,
        )
    return found, experiment


def ui(options: argparse.Namespace) -> int:
    from lossbench.tracking import Store, experiments, refuse_taken, serve

    if not 1 <= options.port <= 65535:
        raise UserError(f"--port {options.port}: expected 1 to 65535.")
    uri = options.uri or f"sqlite:///{Path(options.results).absolute() / 'mlflow.db'}"
    file = uri.removeprefix("sqlite:///")
    if file != uri and not Path(file).exists():
        given = f"--uri {uri}" if options.uri else f"--results {options.results}"
        raise UnusableError(
            f"{given}: there is no store {file}. Train something first, or give another --uri."
        )
    known = experiments(uri)
    name = options.experiment or known[0]
    if name not in known:
        raise UserError(
            f"--experiment {name}: the store has no such experiment. {choices(name, known)}"
        )
    refuse_taken(options.port)
    store = Store(uri, name)
    print(
        f"MLflow on http://127.0.0.1:{options.port}/{store.page}\nEnd it with Ctrl-C.", flush=True
    )
    return serve(store, options.port)


def sync(options: argparse.Namespace) -> int:
    from lossbench.results import places
    from lossbench.tracking import deliver

    folder = Path(options.results).absolute()
    if not folder.is_dir():
        raise UserError(f"--results {options.results}: there is no folder {folder}.")
    print(f"{deliver(places(folder), options.uri)} results delivered.")
    return 0


def doctor(options: argparse.Namespace) -> int:
    from lossbench.doctor import diagnose

    folder = Path(options.results).absolute()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--results {options.results}: it is no folder.")
    for line in diagnose(folder):
        print(line, flush=True)
    return 0
