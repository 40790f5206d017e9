"""Comparisons -> what a terminal shows: the answer first, one table, and what would settle more."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from lossbench.comparison import Comparison, Group, tell_apart
from lossbench.comparison.answers import answer
from lossbench.comparison.needed import explain_needed
from lossbench.comparison.sentences import explain_question, mind, seeds_too_few
from lossbench.report.grid import evidence, render_primary, render_sheet
from lossbench.report.ledger import list_tuning_notes
from lossbench.report.sheets import Sheet
from lossbench.report.tables import (
    Block,
    describe_columns,
    list_blocks,
    peeking_blocks,
    wrap,
)
from lossbench.results import duplicates

SIGNS = {
    **{"+": "+\xa0better", "-": "-\xa0worse"},
    **{"~": "~\xa0practically the same", "=": "=\xa0identical"},
}
PLAIN = str.maketrans("─●┼│±·“”", "-o+|~-''")  # for a terminal that has no such letters


def print_comparisons(
    comparisons: Sequence[Comparison],
    console: Console,
    *,
    question: str = "",
    by: str | None = None,
    peek: bool = False,
    everything: bool = False,
) -> None:
    """The answer in the first line, then a table for each setting; everything: all the rest."""
    shown, blocks = answer(comparisons), [*list_blocks(comparisons, by)]  # may be refused
    write(console, shown.headline, bold=True)
    write(console, *filter(None, [" ".join(shown.details), question.strip()]))
    once = [] if everything else _said_once(comparisons)
    feet = [*once, explain_columns(comparisons)]
    for block in blocks:
        write(console, "")
        if isinstance(block.shown, Comparison):
            _print_comparison(console, block, block.shown, comparisons, once, everything)
        else:
            legend = isinstance(block.shown, Group)
            feet += [block.subtitle] if legend and block.subtitle not in feet else []
            _print_block(console, block._replace(subtitle="") if legend else block)
    for block in (b for c in comparisons if peek for b in peeking_blocks(c, comparisons)):
        write(console, "")
        _print_block(console, block)
    write(console, "", *feet, "")


def _print_comparison(
    console: Console,
    block: Block,
    comparison: Comparison,
    among: Sequence[Comparison],
    once: Sequence[str],
    everything: bool,
) -> None:
    """A setting, its table, and what must be known with it; of several, its answer first.

    once: the sentences that are said below all settings.
    """
    write(console, block.title if len(among) == 1 or everything else tell_apart(comparison, among))
    if len(among) > 1:
        write(console, answer([comparison]).headline, bold=True)
    write(console, "", *render_primary(comparison, console.width))
    sentences = [*explain_needed(comparison), *mind(comparison), *list_tuning_notes(comparison)]
    sentences = block.sentences if everything else [s for s in sentences if s not in once]
    write(console, *([""] if sentences else []), *wrap(sentences, console.width).splitlines())
    _print_sheets(console, [s for s in block.sheets[1:] if everything or s.title == "Tuning"])
    known = duplicates(comparison.results.values(), comparison.metric).items() if everything else ()
    if same := ", ".join(f"{name} is {form}" for name, form in known):
        write(console, "", f"Not shown: {same}.")


def _said_once(comparisons: Sequence[Comparison]) -> list[str]:
    """What is so of all of several settings."""
    first, *others = [[*seeds_too_few(comparison)] for comparison in comparisons]
    return first if others and all(each == first for each in others) else []


def _print_sheets(console: Console, sheets: Iterable[Sheet]) -> None:
    """Tables below their titles, one of several alike."""
    title = ""
    for sheet in sheets:
        write(console, "", *([] if sheet.title == title else [sheet.title]))
        write(console, *render_sheet(sheet, console.width))
        title = sheet.title


def _print_block(console: Console, block: Block) -> None:
    """What several comparisons show together."""
    write(console, *filter(None, [block.title, block.subtitle]))
    for sheet in block.sheets:
        write(console, *render_sheet(sheet, console.width))
    write(console, *wrap(block.sentences, console.width).splitlines())


def write(console: Console, *lines: str, bold: bool = False) -> None:
    """Print lines, folded at spaces where they do not fit, in letters that the terminal has."""
    for line in lines:
        if not console.encoding.lower().startswith("utf"):
            line = line.translate(PLAIN)
        if len(line) > console.width:
            line = textwrap.fill(line, console.width, break_on_hyphens=False)
        line = line.replace("\xa0", " ")
        console.print(Text(line.rstrip(), style="bold" * bold), soft_wrap=True)


def explain_columns(comparisons: Sequence[Comparison]) -> str:
    """What the columns of the comparisons' tables are, and what their signs mean, said once."""
    counted = len(comparisons) == 1
    columns = dict.fromkeys(
        describe_columns(c, explain_question(c, counted=counted)) for c in comparisons
    )
    cells = [" ".join(x for row in c.rows for x in evidence(c, row)) for c in comparisons]
    text = f" {' '.join(cells)} "
    signs = [words for sign, words in SIGNS.items() if f" {sign} " in text]
    if "seeds" in text or "ex." in text:
        signs.append("seeds or examples (ex.) in place of p: so many would settle it")
    for family in sorted({c.family for c in comparisons if c.family > 1 and len(c.rows) > 1}):
        signs.append(f"p and intervals of differences hold for {family} at once")
    return f"{'. '.join(columns)}. {'; '.join(signs)}".rstrip(". ") + "."
