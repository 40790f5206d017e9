"""`ui`, `sync` and `doctor`: commands about the results folder and its MLflow store."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from lossbench import registry
from lossbench.commands.installed import fault_lines
from lossbench.commands.options import command, format_option, results_option, uri_option
from lossbench.commands.terminal import say
from lossbench.configuration.settings import masked
from lossbench.contract import UnusableError, UserError
from lossbench.registry.entry_points import malformed, refuse_unreadable
from lossbench.registry.hints import choices
from lossbench.registry.kinds import KINDS

LAST_PORT = 65535


@command()
@results_option
@uri_option
@click.option("--experiment", help="The experiment to open.  [default: the latest]")
@click.option("--port", type=int, default=5000, show_default=True)
def ui(results: str, uri: str | None, experiment: str | None, port: int) -> int:
    """Serve the reports, and MLflow's interface at the view of the losses.

    Reports are on the port after MLflow's.
    """
    from lossbench.tracking.connection import experiments
    from lossbench.tracking.store import Store
    from lossbench.tracking.view import pages_served, refuse_taken, serve

    if not 1 <= port <= LAST_PORT:
        raise UserError(f"--port {port}: expected 1 to {LAST_PORT}.")
    address = uri or f"sqlite:///{Path(results).absolute() / 'mlflow.db'}"
    file = address.removeprefix("sqlite:///")
    if file != address and not Path(file).exists():
        given = f"--uri {uri}" if uri else f"--results {results}"
        raise UnusableError(
            f"{given}: there is no store {file}. Train something first, or give another --uri."
        )
    known = experiments(address)
    if not known:
        raise UnusableError(f"{masked(address)}: the store has no experiment yet. Train something.")
    name = experiment or known[0]
    if name not in known:
        raise UserError(
            f"--experiment {name}: the store has no such experiment. {choices(name, known)}"
        )
    pages = Path(results).absolute() / "figures"
    has_pages = (pages / "index.html").is_file() and port < LAST_PORT
    for each in [port, port + 1][: 1 + has_pages]:
        refuse_taken(each)
    store = Store(address, name)
    lines = [f"Reports   http://127.0.0.1:{port + 1}/"] if has_pages else []
    lines += [f"MLflow    http://127.0.0.1:{port}/{store.page}", "End it with Ctrl-C."]
    with pages_served(pages, port + 1) if has_pages else contextlib.nullcontext():
        return serve(store.uri, port, lambda: say(*lines))


@command()
@results_option
@click.option("--uri", help="The address of another store than the folder's own.")
@click.option("--trust", is_flag=True, help="Write to stores elsewhere that the results name.")
@format_option
def sync(results: str, uri: str | None, trust: bool, form: str) -> int:
    """Deliver to MLflow the results that it missed."""
    from lossbench.tracking.syncing import sync as deliver

    folder = Path(results).absolute()
    if not folder.is_dir():
        raise UserError(f"--results {results}: there is no folder {folder}.")
    count = deliver(folder, uri, trust=trust)
    say(json.dumps({"delivered": count}) if form == "json" else f"{count} results delivered.")
    return 0


@command()
@results_option
@format_option
def doctor(results: str, form: str) -> int:
    """Check plugins, results and store; repair what is damaged.

    Exits with 3 where a plugin is broken.
    """
    from lossbench.doctor import broken, engines, machine, stored, versions

    folder = Path(results).absolute()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--results {results}: not a folder.")
    lines: list[str] = []

    def note(*more: str) -> None:
        lines.extend(more)
        if form == "text":
            say(*more)

    note(versions())
    refuse_unreadable()
    note(machine(), *engines())
    plugins = [p for kind in KINDS for p in registry.installed(kind)]
    faults = [*fault_lines(broken(plugins)), *malformed()]
    count = f"{len(plugins)} found, {len(faults)} broken"
    note(f"plugins   {count}", *(f"  broken: {fault}" for fault in faults))
    for line in stored(folder):
        note(line)
    if form == "json":
        say(json.dumps({"ok": not faults, "findings": as_records(lines)}, indent=1))
    return 3 if faults else 0


def as_records(lines: Iterable[str]) -> list[dict[str, Any]]:
    """What each line is about and says, with the lines below it that belong to it."""
    records: list[dict[str, Any]] = []
    for line in lines:
        if line.startswith(" "):
            records[-1]["more"].append(line.strip())
        else:
            about, _, text = line.partition(" ")
            records.append({"about": about, "text": text.strip(), "more": []})
    return records
