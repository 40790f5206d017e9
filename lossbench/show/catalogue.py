"""The whole catalogue as a static site: one page to choose on, one for each name."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from lossbench import registry
from lossbench.contract import UnusableError, UserError
from lossbench.registry import Plugin
from lossbench.report.pages import render
from lossbench.show.anatomy import Entry, list_parameters, list_properties, load_entry
from lossbench.show.curves import Panel, draw_panels
from lossbench.show.families import draw_families
from lossbench.show.formulas import typeset, typeset_words
from lossbench.show.pictures import draw_both
from lossbench.show.traps import measure_traps

ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class CatalogueRow:
    """A loss for one task, ready to be shown; error is set, and the rest empty, where it is broken.

    file: of its page, which it shares with the other tasks of its name and package.
    """

    plugin: Plugin
    file: str
    place: str
    entry: Entry | None = None
    error: str = ""


def write_catalogue(folder: Path) -> int:
    """Write the site and say how many losses it shows; regularizers come on top.

    The folder is created where there is none; files of the same names are replaced. A plugin that
    cannot be loaded is shown with the reason.
    """
    rows = [_row(plugin) for kind in ("loss", "regularizer") for plugin in registry.installed(kind)]
    pages: dict[str, list[CatalogueRow]] = defaultdict(list)
    by_task: dict[str, list[CatalogueRow]] = defaultdict(list)
    for row in rows:
        pages[row.file].append(row)
        by_task[row.place].append(row)
    places = sorted(by_task, key=[*registry.names("task"), *by_task].index)
    count = len({row.file for row in rows if row.plugin.kind == "loss"})
    site = {"count": count, "tasks": [(place, by_task[place]) for place in places]}
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        _write(Path(folder) / "index.html", "index.html", **site, comparisons=_compared())
        for file, same in pages.items():
            _write(Path(folder) / file, "loss.html", rows=same, sheets=[_sheet(r) for r in same])
    except OSError as error:
        raise UnusableError(
            f"{folder} cannot be written: {error.strerror}. Name another."
        ) from error
    return count


def _row(plugin: Plugin) -> CatalogueRow:
    place = "regularizer" if plugin.kind == "regularizer" else plugin.task or "any task"
    owners = {p.package for p in registry.installed(plugin.kind) if p.name == plugin.name}
    name = plugin.name if len(owners) == 1 else f"{plugin.package}-{plugin.name}"
    kind = "" if plugin.kind == "loss" else f"{plugin.kind}-"
    file = re.sub(r"[^\w.-]", "_", f"{kind}{name}") + ".html"
    try:
        return CatalogueRow(plugin, file, place, load_entry(plugin, plugin.task))
    except UserError as error:
        return CatalogueRow(plugin, file, place, error=str(error))


def _sheet(row: CatalogueRow) -> dict[str, Any]:
    """What the page says of a loss for one task."""
    if row.entry is None:
        return {}
    drawn = draw_panels(row.entry)
    return {
        "docstring": row.entry.docstring,
        "formula": typeset(row.entry.docstring.formula, _names(row.entry)),
        "symbols": typeset_words(row.entry.symbols),
        "parameters": list_parameters(row.entry),
        "facts": registry.facts(row.plugin),
        "properties": list_properties(row.entry),
        "traps": measure_traps(row.entry, drawn),
        "reason": drawn.reason,
        "pictures": [(p.title, _both(p, f"{row.place}: {p.title}")) for p in drawn.panels],
    }


def _names(entry: Entry) -> list[str]:
    """What formulas may name: the hyper-parameters and all losses."""
    return [*(p.name for p in entry.parameters), *registry.names("loss")]


def _both(panel: Panel, name: str) -> list[Markup]:
    return [Markup(picture) for picture in draw_both(panel, name)]


def _compared() -> list[tuple[str, str, list[Markup]]]:
    return [(c.title, c.words, _both(c.panel, c.title) if c.panel else []) for c in draw_families()]


def _linked(text: str) -> Markup:
    """The text with its arXiv numbers as links."""
    link = r'<a href="https://arxiv.org/abs/\1">arXiv \1</a>'
    return Markup(ARXIV.sub(link, str(escape(text))))


def _write(path: Path, template: str, **values: Any) -> None:
    folder = Path(__file__).parent / "templates"
    path.write_text(render(template, values, folder, {"linked": _linked}), encoding="utf-8")
