"""A results folder -> the stores that its results name: what a sweep could not deliver."""

from __future__ import annotations

from pathlib import Path

from lossbench import results
from lossbench.configuration import Configuration, names
from lossbench.contract import UserError
from lossbench.tracking.connection import FAILURES, unusable
from lossbench.tracking.store import Store


def sync(folder: Path, uri: str | None = None, *, trust: bool = False) -> int:
    """Deliver what a results folder holds to its own store, or all to another; count what was new.

    UserError where results name a store elsewhere and none is given, unless they are trusted to
    say what is written where.
    """
    wanted: dict[tuple[str, str], list[tuple[list[Path], Configuration]]] = {}
    for places in results.by_configuration(folder):
        configs = [results.described(place)[0] for place in places]
        tracked = {c.tracking: c for c in configs if c.tracking.uri is not None}
        for tracking, config in tracked.items():
            address = uri or (_named_store if trust else _own_store)(config, folder)
            wanted.setdefault((address, tracking.experiment), []).append((places, config))
    count = 0
    for (address, experiment), runs in wanted.items():
        store = Store(address, experiment)
        try:
            labels = names([config for _, config in runs])
            count += sum(
                store.deliver(p, label) for (p, _), label in zip(runs, labels, strict=True)
            )
        except FAILURES as error:
            raise unusable(address, error) from error
    return count


def _own_store(config: Configuration, folder: Path) -> str:
    """The address of a results folder's own store, which its result must name."""
    if config.tracking.uri != f"sqlite:///{config.results.dir}/mlflow.db":
        raise UserError(
            f"{folder}: its results name the store {config.tracking.uri}. To deliver "
            "there, add --trust; to deliver elsewhere, add --uri URI."
        )
    return f"sqlite:///{folder.absolute() / 'mlflow.db'}"


def _named_store(config: Configuration, folder: Path) -> str:
    """The address that a result names, which must not have been written without credentials."""
    uri = config.tracking.uri or ""
    if "://***@" in uri or "=***" in uri:
        raise UserError(
            f"{folder}: {uri}: results do not keep credentials. Give the address in full: "
            "lossbench sync --uri URI"
        )
    return uri
