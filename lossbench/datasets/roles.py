"""What the columns of a table are for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lossbench.contract import UserError
from lossbench.datasets.reading import PLAIN, Spelling
from lossbench.datasets.table import Table
from lossbench.registry.hints import choices


@dataclass(frozen=True)
class Wanted:
    """What of a table is wanted, and how: the parameters of `csv`; more: its further targets."""

    target: str
    task: str | None = None
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    impute: bool = False
    positive: str | None = None
    order: tuple[str, ...] | None = None
    event: str | None = None
    split: str | None = None
    group: str | None = None
    query: str | None = None
    more: tuple[str, ...] = ()
    spelling: Spelling = PLAIN
    weight: str | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.target, *self.more)

    @property
    def roles(self) -> dict[str, str]:
        """The columns that are no features, with what they are; of equals the first counts."""
        named = {self.weight: "weight", self.group: "group", self.split: "split"}
        named[self.event] = "event"
        named |= {self.query: "query"} | dict.fromkeys(self.targets, "target")
        return {name: role for name, role in named.items() if name is not None}


def choose_columns(file: Path, table: Table, wanted: Wanted) -> Table:
    """The columns that have a role and those that are to be features, in the order of the file."""
    roles: list[tuple[str | None, str]] = [(name, "target") for name in wanted.targets]
    roles += [(wanted.event, "event")]
    roles += [(wanted.split, "split"), (wanted.group, "group"), (wanted.query, "query")]
    roles += [(wanted.weight, "weight")]
    named = [(name, role) for name, role in roles if name is not None]
    named += [(name, "drop") for name in wanted.drop]
    named += [(name, "features") for name in wanted.features or ()]
    for name, key in named:
        if name not in table.names:
            raise UserError(
                f"dataset.{key}={name}: no column of {file}. {choices(name, table.names)}"
            )
        if wanted.roles.get(name, key) != key:
            raise UserError(
                f"dataset.{key}={name} is the {wanted.roles[name]} of {file}; give another column."
            )
    if wanted.features is not None and wanted.drop:
        raise UserError("dataset.drop: dataset.features names all that are used; give one of them.")
    features = [name for name in table if name not in wanted.drop]
    if wanted.features is not None:
        features = list(wanted.features)
    return table.only(name for name in table if name in features or name in wanted.roles)
