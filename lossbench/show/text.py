"""A loss in a terminal: all that is known of it, within its columns."""

from __future__ import annotations

import io
import sys
import unicodedata
from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lossbench import registry
from lossbench.show.anatomy import Entry, find_entries, list_parameters, list_properties
from lossbench.show.canvas import plot
from lossbench.show.curves import draw_panels
from lossbench.show.elsewhere import list_counterparts
from lossbench.show.families import PACKAGE
from lossbench.show.traps import measure_traps

HEADINGS = ("name", "type", "range", "default", "tuned in")


def describe(name: str, *, task: str | None = None, columns: int = 100) -> str:
    """The text on a loss or a regularizer, for its first task or the one asked for.

    name: as in `loss=name`. It fits so many columns, from 60. Characters that the standard output
    cannot write are replaced by ASCII. UserError where there is no such loss.
    """
    first, *others = find_entries(name, task)
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    if task:
        others = [e for e in find_entries(name) if e.place != task]
    printed = io.StringIO()
    console = Console(file=printed, width=columns)
    for part in _parts(first, others, _can_write("⣿│", encoding), columns):
        console.print(part)
    text = "\n".join(line.rstrip() for line in printed.getvalue().splitlines())
    return make_writable(f"{text}\n", encoding)


def _can_write(characters: str, encoding: str) -> bool:
    try:
        characters.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def make_writable(text: str, encoding: str) -> str:
    """The text in characters that the encoding has.

    >>> make_writable("½ θ", "ascii")
    '1/2 ?'
    """
    if _can_write(text, encoding):
        return text
    plain = unicodedata.normalize("NFKD", text).replace("\u2044", "/").replace("…", "...")
    return plain.encode("ascii", "replace").decode()


def _parts(
    entry: Entry, others: list[Entry], braille: bool, columns: int
) -> Iterator[RenderableType]:
    """What is printed, from the top."""
    docstring, drawn = entry.docstring, draw_panels(entry)
    places = ", ".join(other.place for other in others)
    tasks = f"{entry.place} (shown here), {places}" if others else entry.place
    if entry.plugin.parts and not entry.plugin.task:
        tasks = f"every task, shown for {entry.place}"
    yield Text(entry.plugin.name)
    yield indented(f"for {tasks}\nfrom {entry.plugin.origin}\n")
    yield indented(docstring.summary or "It has no docstring.")
    yield from block("Formula", docstring.formula)
    yield from block("Symbols", entry.symbols)
    yield from block("Arguments and result", docstring.arguments)
    yield from _parameters(entry)
    parts = [f"{part.path}={part.weight:g}*{part.plugin.name}" for part in entry.plugin.parts]
    yield from block("Shown with", "\n".join(parts))
    yield Text("\nProperties" + (", at the default hyper-parameters" if entry.parameters else ""))
    yield table(list_properties(entry))
    yield from block("Neighbours, limits and traps", docstring.notes)
    if entry.plugin.package == PACKAGE:
        found = list_counterparts(entry.plugin.name, entry.place)
        lines = [f"{library}: {'; '.join(names)}" for library, names in found.items()]
        yield from block("The same function, and what it becomes", "\n".join(lines))
    yield from block("Measured traps", "\n".join(measure_traps(entry, drawn)))
    yield from block("Source", docstring.source or entry.declaration.source or "None is given.")
    if others:
        formulas = [(other.place, other.docstring.formula) for other in others]
        same = docstring.formula
        yield Text("\nOther tasks")
        yield table([(p, "the same formula" if f == same else f) for p, f in formulas])
    yield from block("Picture", drawn.reason)
    for panel in drawn.panels[:1]:
        title = f" ({panel.title})" if panel.title else ""
        yield from block("Picture", f"value against {panel.axis}{title}")
        yield Text("\n".join(plot(panel, columns, braille=braille)))


def block(title: str, text: str) -> Iterator[RenderableType]:
    """A heading and its text; nothing where the text is empty."""
    if text:
        yield Text(f"\n{title}")
        yield indented(text)


def _parameters(entry: Entry) -> Iterator[RenderableType]:
    facts = registry.facts(entry.plugin)
    yield Text("\nParameters")
    if entry.parameters:
        yield table([HEADINGS, *list_parameters(entry)])
    elif not facts:
        yield indented("none")
    if facts:
        yield indented(f"supplied by the task: {', '.join(facts)}")


def indented(text: str) -> Padding:
    """A text, two columns to the right."""
    return Padding(Text(text), (0, 0, 0, 2))


def table(rows: Sequence[tuple[str, ...]]) -> Padding:
    """Rows of cells, each column as wide as it needs."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*(Text(cell, overflow="fold") for cell in row))
    return Padding(grid, (0, 0, 0, 2))
