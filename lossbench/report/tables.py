"""Comparisons as text, for people and for machines, from one source of rows."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from lossbench.comparison import (
    Comparison,
    DatasetRanking,
    Group,
    budgets,
    datasets,
    doses,
    explain_choices,
    explain_papers,
    explain_question,
    grouped,
    peeking_tax,
    rank_losses,
)
from lossbench.comparison.scales import scale_of
from lossbench.comparison.sentences import RULES
from lossbench.report import sheets
from lossbench.report.export import as_csv, as_json
from lossbench.report.ledger import list_tuning_notes
from lossbench.report.methods import describe_methods, list_references
from lossbench.report.sheets import Sheet

BOLD = "In bold: the best mean, and what is not told from it on new data"


class Block(NamedTuple):
    """What stands together: title and subtitle of what is shown, tables of it, and sentences."""

    shown: Comparison | Group | DatasetRanking
    title: str
    subtitle: str
    sheets: list[Sheet]
    sentences: list[str]


def describe_setting(setting: dict[str, Any]) -> str:
    """Data, corruption and model of a setting, with their parameters, as far as it holds them."""
    sections = [setting[kind] for kind in ("dataset", "corruption", "model") if kind in setting]
    return " · ".join(_named(values) for values in sections if values.get("name") != "none")


def _named(section: dict[str, Any]) -> str:
    given = {k: v for k, v in section.items() if k != "name" and v is not None and v != []}
    keywords = ", ".join(f"{key} {value}" for key, value in given.items())
    return f"{section['name']} ({keywords})" if keywords else str(section["name"])


def list_blocks(
    comparisons: Sequence[Comparison], by: str | None = None, peek: bool = False
) -> Iterator[Block]:
    """Each comparison and what several show together; or, by a key, a line for each value.

    peek: what papers would have said of each, too.
    """
    if by is None:
        yield from map(_of_comparison, comparisons)
    numbers = doses(comparisons)
    shown = [{*map(id, group.comparisons.values())} for group in numbers]
    others = [g for g in datasets(comparisons) if {*map(id, g.comparisons.values())} not in shown]
    together = [*budgets(comparisons), *numbers, *others]
    for group in together if by is None else grouped(comparisons, by):
        yield _of_group(group)
    for group in datasets(comparisons) if by in (None, "dataset") else ():
        if ranked := rank_losses(group):
            title = f"Ranks over {len(group.comparisons)} datasets"
            ranks = [sheets.build_ranks(ranked)]
            yield Block(ranked, title, describe_setting(group.fixed), ranks, ranked.conclusion)
    for comparison in comparisons if peek else ():
        yield from peeking_blocks(comparison, comparisons)


def _of_comparison(comparison: Comparison) -> Block:
    tuning = comparison.setting["tuning"]
    counts = [row.seeds for row in comparison.rows]
    seeds = " to ".join(map(str, sorted({min(counts), max(counts)})))
    title = f"{describe_setting(comparison.setting)} · {_count(seeds)} · {tuning}"
    subtitle = describe_columns(comparison, explain_question(comparison))
    if comparison.family > 1 and len(comparison.rows) > 1:
        subtitle += f"; p is corrected over {comparison.family} comparisons"
    tables = [
        sheets.build_primary(comparison),
        *sheets.build_metrics(comparison),
        *sheets.build_pairs(comparison),
        sheets.build_ledger(comparison),
    ]
    sentences = [*comparison.conclusion, *list_tuning_notes(comparison)]
    return Block(comparison, title, subtitle, [sheet for sheet in tables if sheet], sentences)


def describe_columns(comparison: Comparison, question: str) -> str:
    """What the columns of a table are; question: what its p and verdicts are about."""
    better = "more" if comparison.direction > 0 else "less"
    metric = f"{comparison.metric} on the test split {RULES[comparison.at]}, {better} is better"
    if len(comparison.rows) == 1:
        return metric
    paired = "paired by seed" if comparison.paired else "unpaired"
    return f"{metric}; differences are to {comparison.baseline}, {paired}; {question}"


def peeking_blocks(comparison: Comparison, among: Sequence[Comparison]) -> Iterator[Block]:
    """What papers would have said of the same trainings, where there are test curves."""
    tax = peeking_tax(comparison, among)
    if tax is None:
        return
    setting, metric = comparison.setting, comparison.metric
    title = f"Peeking tax · {describe_setting(setting)} · {setting['tuning']}"
    sentences = [explain_choices(tax)] if tax.papers else []
    sentences.append(
        f"The last table is by how much {metric} looks better at the best test epoch, as mean and "
        "half the width of its 95 % interval over seeds."
    )
    if any(paper.tuning == "own tuned" for paper in tax.papers):
        untuned = f"{comparison.baseline} is not"
        sentences.append(
            f"own tuned: the loss is, {untuned}; held against the verdict on both tuned."
        )
    tables = list(sheets.build_peeking(tax, scale_of(comparison)))
    yield Block(comparison, title, explain_papers(comparison), tables, sentences)


def _count(seeds: object) -> str:
    return "1 seed" if str(seeds) == "1" else f"{seeds} seeds"


def _of_group(group: Group) -> Block:
    comparisons = group.comparisons.values()
    bases, seeds = (
        ", ".join(sorted({str(getattr(c, name)) for c in comparisons}))
        for name in ("baseline", "seeds")
    )
    metrics = ", ".join(sorted({f"{c.metric}{scale_of(c).percent}" for c in comparisons}))
    fixed = describe_setting(group.fixed)
    title = f"{metrics} by {group.key} · {fixed} · {_count(seeds)} · baseline {bases}"
    tables = list(sheets.build_group(group))
    return Block(group, title, sheets.explain_marks(group), tables, group.conclusion)


def as_markdown(comparisons: Sequence[Comparison], by: str | None, peek: bool = False) -> str:
    """Headings, tables and lists; then what a paper says of the methods."""
    blocks: list[str] = []
    for _, title, subtitle, tables, sentences in list_blocks(comparisons, by, peek):
        blocks += map(sheets.escape_markdown, (title, subtitle))
        blocks += map(sheets.render_markdown, tables)
        blocks.append("\n".join(f"- {sheets.escape_markdown(line)}" for line in sentences))
    text = describe_together(comparisons)
    cited = "\n".join(list_references(text))
    blocks += [re.sub(r"\\(?=\[@)", "", sheets.escape_markdown(text)), f"```bibtex\n{cited}\n```"]
    return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def as_latex(comparisons: Sequence[Comparison], by: str | None, peek: bool = False) -> str:
    """Tables for booktabs and siunitx, then what a paper says of the methods.

    Sentences are comments, and so are the BibTeX entries.
    """
    blocks, number = [_comment([r"needs \usepackage{booktabs, siunitx}"])], count(1)
    for _, title, subtitle, tables, sentences in list_blocks(comparisons, by, peek):
        for sheet in tables:
            bold = BOLD if sheet.leading else ""
            parts = (sheet.title, title, sheet.caption or subtitle, bold)
            caption = ". ".join(part for part in parts if part) + "."
            blocks.append(sheets.render_latex(sheet, caption, f"tab:lossbench-{next(number)}"))
        blocks.append(_comment(sentences))
    text = describe_together(comparisons)
    cited = [line for entry in list_references(text) for line in entry.split("\n")]
    return "\n".join([*filter(None, blocks), sheets.escape_latex(text), "", _comment(cited)])


def describe_together(comparisons: Sequence[Comparison]) -> str:
    """What a paper says of the methods, of all settings at once."""
    settings = [
        f"{describe_setting(c.setting)} · {_named(c.setting['optimizer'])}" for c in comparisons
    ]
    ranked = any(rank_losses(group) for group in datasets(comparisons))
    return describe_methods(comparisons, settings, ranked=ranked)


def _comment(lines: Iterable[str]) -> str:
    return "".join(f"% {' '.join(line.split())}\n" for line in lines)


# of comparisons, by a key, with what papers would have said, and of decisions on claims
FORMATS: dict[str, Callable[..., str]] = {
    "markdown": lambda comparisons, by=None, peek=False, _=(): as_markdown(comparisons, by, peek),
    "latex": lambda comparisons, by=None, peek=False, _=(): as_latex(comparisons, by, peek),
    "csv": lambda comparisons, *_: as_csv(comparisons),
    "json": lambda comparisons, _=None, peek=False, decisions=(): as_json(
        comparisons, peek, decisions
    ),
}


def wrap(lines: Iterable[str], width: int) -> str:
    """Sentences as a list, within the width."""
    return "\n".join(
        textwrap.fill(line, width - 2, initial_indent="- ", subsequent_indent="  ")
        for line in lines
    )
