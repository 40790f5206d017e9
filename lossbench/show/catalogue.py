"""The whole catalogue as a static site: one page to choose on, one for each name."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from lossbench import registry
from lossbench.configuration.claims import Claim
from lossbench.contract import UnusableError, UserError
from lossbench.registry import Plugin
from lossbench.report.pages import render
from lossbench.show.anatomy import Entry, load_entry
from lossbench.show.curves import Panel, draw_panels
from lossbench.show.families import PACKAGE as OURS
from lossbench.show.families import draw_families
from lossbench.show.formulas import typeset, typeset_words
from lossbench.show.pictures import draw_both
from lossbench.show.records import describe_entry
from lossbench.show.slider import draw_thumbnail, make_slider
from lossbench.show.studied import find_claims, names_of_studies, read_study

ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


SHARED = ("symbols", "arguments", "parameters", "facts", "properties", "notes", "source")


@dataclass(frozen=True)
class CatalogueRow:
    """A loss for one task, ready to be shown; error is set, and the rest empty, where it is broken.

    file: of its page, which it shares with the other tasks of its name. sheet: what the page says
    of it.
    """

    plugin: Plugin
    file: str
    place: str
    entry: Entry | None = None
    error: str = ""
    sheet: dict[str, Any] = field(default_factory=dict)


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
        studies = [(name, read_study(name)) for name in names_of_studies()]
        _write(Path(folder) / "studies.html", "studies.html", studies=studies)
        for file, same in pages.items():
            _write(Path(folder) / file, "loss.html", rows=same, claims=_claims(same))
    except OSError as error:
        raise UnusableError(
            f"{folder} cannot be written: {error.strerror}. Name another."
        ) from error
    return count


def _row(plugin: Plugin) -> CatalogueRow:
    place = "regularizer" if plugin.kind == "regularizer" else plugin.task or "any task"
    same = [p.task for p in registry.installed(plugin.kind) if p.name == plugin.name]
    unclear = len({*same}) < len(same)  # two packages have it for one task
    name = f"{plugin.package}-{plugin.name}" if unclear else plugin.name
    kind = "" if plugin.kind == "loss" else f"{plugin.kind}-"
    file = re.sub(r"[^\w.-]", "_", f"{kind}{name}") + ".html"
    try:
        entry = load_entry(plugin, plugin.task)
    except UserError as error:
        return CatalogueRow(plugin, file, place, error=str(error))
    return CatalogueRow(plugin, file, place, entry, sheet=_sheet(entry))


def _sheet(entry: Entry) -> dict[str, Any]:
    """What the page says of a loss for one task."""
    drawn = draw_panels(entry)
    known = describe_entry(entry, drawn)
    return {
        **known,
        "formula": typeset(known["formula"], _names(entry)),
        "symbols": typeset_words(known["symbols"]),
        "notes": _linked(known["notes"]),
        "source": _linked(known["source"]),
        "reason": drawn.reason,
        "thumbnail": draw_thumbnail(drawn.panels[0]) if drawn.panels else "",
        "slider": make_slider(entry) if drawn.panels else None,
        "pictures": [(p.title, _both(p, f"{entry.place}: {p.title}")) for p in drawn.panels],
    }


def _without(sheet: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """A sheet less what stands in the first one already, and the names of these parts."""
    same = [part for part in SHARED if sheet and first and sheet[part] == first[part]]
    return {**sheet, **dict.fromkeys(same), "same": [part for part in same if first[part]]}


def _claims(rows: list[CatalogueRow]) -> list[tuple[str, Claim]]:
    ours = [row.plugin for row in rows if (row.plugin.package, row.plugin.kind) == (OURS, "loss")]
    return find_claims(ours[0].name) if ours else []


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
    page = render(template, values, folder, {"without": _without})
    path.write_text(page, encoding="utf-8")
