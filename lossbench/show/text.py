"""A loss in a terminal: all that is known of it, within 100 columns."""

from __future__ import annotations

import itertools
import sys
import textwrap
import unicodedata
from collections.abc import Iterable

from lossbench import registry
from lossbench.show.anatomy import Entry, entries_of, parameter_rows, properties
from lossbench.show.canvas import plotted
from lossbench.show.curves import drawn
from lossbench.show.traps import traps

COLUMNS = 100
WIDEST = 40  # of a column of a table but the last
HEADINGS = ("name", "type", "range", "default", "tuned in")


def describe(name: str, *, task: str | None = None) -> str:
    """The text on a loss or a regularizer, for its first task or the one asked for.

    name: as in `loss=name`. Characters that the standard output cannot write are replaced by ASCII.
    UserError where there is no such loss.
    """
    first, *others = entries_of(name, task)
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    if task:
        others = [e for e in entries_of(name) if e.place != task]
    return writable("\n".join(_lines(first, others, _can_write("⣿│", encoding))) + "\n", encoding)


def _can_write(characters: str, encoding: str) -> bool:
    try:
        characters.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def writable(text: str, encoding: str) -> str:
    """The text in characters that the encoding has.

    >>> writable("½ θ", "ascii")
    '1/2 ?'
    """
    if _can_write(text, encoding):
        return text
    plain = unicodedata.normalize("NFKD", text).replace("\u2044", "/").replace("…", "...")
    return plain.encode("ascii", "replace").decode()


def _lines(entry: Entry, others: list[Entry], braille: bool) -> Iterable[str]:
    said, found = entry.docstring, drawn(entry)
    yield entry.plugin.name
    yield from _wrapped(f"for {_tasks(entry, others)}", "  ")
    yield from _wrapped(f"from {entry.plugin.origin}", "  ")
    yield ""
    yield from _wrapped(said.summary or "It has no docstring.", "  ")
    yield from _block("Formula", said.formula)
    yield from _block("Arguments and result", said.arguments)
    yield from _parameters(entry)
    yield "\nProperties" + (", at the default hyper-parameters" if entry.parameters else "")
    yield from _table([(name, words) for name, words in properties(entry)])
    yield from _block("Neighbours, limits and traps", said.notes)
    yield from _block("Measured traps", "\n".join(traps(entry, found)))
    yield from _block("Source", said.source or entry.declaration.source or "None is given.")
    yield from _others(said.formula, others)
    if found.panels:
        panel = found.panels[0]
        yield "\nPicture"
        known = f" ({panel.title})" if panel.title else ""
        yield from _wrapped(f"value against {panel.axis}{known}", "  ")
        yield from plotted(panel, braille=braille)
    else:
        yield from _block("Picture", found.reason)


def _tasks(entry: Entry, others: list[Entry]) -> str:
    if not others:
        return entry.place
    return f"{entry.place} (shown here), {', '.join(other.place for other in others)}"


def _block(title: str, text: str) -> Iterable[str]:
    """A heading and the lines of a text as they are; nothing where there is no text."""
    if text:
        yield f"\n{title}"
        for line in text.splitlines():
            yield from _wrapped(line, "  ")


def _wrapped(text: str, indent: str) -> list[str]:
    rest = " " * len(indent)
    return textwrap.wrap(text, COLUMNS, initial_indent=indent, subsequent_indent=rest)


def _parameters(entry: Entry) -> Iterable[str]:
    supplied = registry.facts(entry.plugin)
    yield "\nParameters"
    if entry.parameters:
        yield from _table([HEADINGS, *parameter_rows(entry)])
    elif not supplied:
        yield "  none"
    if supplied:
        yield f"  supplied by the task: {', '.join(supplied)}"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns as wide as they must be; a cell that is too long goes on below itself."""
    widths = [min(WIDEST, max(map(len, column))) for column in zip(*rows, strict=True)]
    widths[-1] = max(WIDEST // 4, COLUMNS - 2 - sum(width + 2 for width in widths[:-1]))
    lines = []
    for row in rows:
        cells = [textwrap.wrap(c, w) for c, w in zip(row, widths, strict=True)]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            padded = (f"{part:{width}}" for part, width in zip(parts, widths, strict=True))
            lines.append(f"  {'  '.join(padded)}".rstrip())
    return lines


def _others(formula: str, others: list[Entry]) -> Iterable[str]:
    """The formulas of the other tasks, where they differ."""
    if others:
        yield "\nOther tasks"
    for other in others:
        own, start = other.docstring.formula, f"  {other.place:14}"
        for line in own.splitlines() if own != formula else ["the same formula"]:
            yield from _wrapped(line, start)
            start = " " * len(start)
