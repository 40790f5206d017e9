"""`list`, `show`, `check`, `new` and `completion`: commands about what is installed."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from lossbench import registry
from lossbench.contract import UserError
from lossbench.registry import PLURALS

KINDS = {plural: kind for kind, plural in PLURALS.items()}


def list_plugins(options: argparse.Namespace) -> int:
    if options.kind == "experiments":
        return _list_experiments()
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


def _list_experiments() -> int:
    from lossbench.experiments import experiment_files, read_experiment

    for name in sorted(experiment_files()):
        try:
            said = textwrap.shorten(read_experiment(name).question, 75, placeholder=" …")
        except UserError as error:
            said = f"broken: {str(error).splitlines()[0]}"
        print(f"{name:24} {said}")
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
        f"  pip install -e '{folder.name}[test]'\n"
        f"  lossbench list losses\n"
        f"  pytest {folder.name}"
    )
    return 0


def completion(options: argparse.Namespace) -> int:
    from lossbench.completion import SCRIPTS

    print(SCRIPTS[options.shell], end="")
    return 0
