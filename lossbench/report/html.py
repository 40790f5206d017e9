"""Comparisons -> one page that needs nothing else: conclusion, tables, pictures, configuration."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import yaml
from markupsafe import Markup

from lossbench.comparison import Comparison, split_numbers, tell_apart
from lossbench.comparison.answers import answer
from lossbench.comparison.scales import scale_of
from lossbench.comparison.sentences import explain_verdicts
from lossbench.drawing import Drawing, render_inline
from lossbench.looks import COLOURS, INK
from lossbench.report import figures
from lossbench.report.claim_figures import VERDICTS, draw_claims
from lossbench.report.decisions import count_verdicts, list_tests, quote_claim
from lossbench.report.methods import list_references
from lossbench.report.notices import list_notices
from lossbench.report.pages import TEMPLATES, render
from lossbench.report.picked import title_metrics
from lossbench.report.screen import build_matrix, list_lines, list_numbers
from lossbench.report.sheets import render_latex
from lossbench.report.tables import (
    BOLD,
    Block,
    describe_columns,
    describe_together,
    list_blocks,
    peeking_blocks,
)
from lossbench.results import Result
from lossbench.verdicts import Decision

FEWEST_IN_MATRIX = 3  # settings


@dataclass(frozen=True)
class Words:
    """What a page says next to its comparisons.

    command: trains all of it again. missing: the runs that were asked for and have no result.
    """

    title: str
    question: str = ""
    command: str = ""
    missing: Sequence[str] = ()


def render_page(
    comparisons: Sequence[Comparison], words: Words, decisions: Sequence[Decision] = ()
) -> str:
    """The report as one file, for light and dark, wide and narrow windows."""
    looks = figures.assign_looks(comparisons)
    sections, together = [], []
    for block in list_blocks(comparisons):
        if isinstance(block.shown, Comparison):
            sections.append(
                _setting(tell_apart(block.shown, comparisons), block, looks, comparisons)
            )
        else:
            together.append(_section(block.title, block, looks))
    sections.sort(key=lambda section: split_numbers(str(section["name"])))
    named = [(section["name"], section["lines"]) for section in sections]
    methods = describe_together(comparisons)
    values = {
        "words": words,
        "methods": methods,
        "references": "\n".join(list_references(methods)),
        "script": Markup(_script()),
        "answer": answer(comparisons),
        "claims": _claims(decisions) if decisions else None,
        "looks": looks,
        "matrix": build_matrix(named, looks) if len(named) >= FEWEST_IN_MATRIX else None,
        "notices": list_notices(r for c in comparisons for r in c.results.values()),
        "together": together,
        "sections": sections,
    }
    return render("report.html", values, filters={"css": _css})


def _script() -> str:
    """The page's script without comments and indentation."""
    return re.sub(r"^\s*(//.*)?\n?", "", (TEMPLATES / "report.js").read_text("utf-8"), flags=re.M)


def _css(colour: str) -> str:
    """A colour of a look as the page sets it, for light and dark."""
    return "currentColor" if colour == INK else f"var(--c{COLOURS.index(colour)}, {colour})"


def _claims(decisions: Sequence[Decision]) -> dict[str, Any]:
    """The scoreboard, a row for each claim, and the differences behind them."""
    counts = Counter(decision.verdict for decision in decisions)
    drawn = draw_claims(decisions)
    words = (
        "First side less second, with simultaneous 95 % intervals, in the colour and shape of the "
        "verdict; in the shade is less than the claim asks for."
    )
    picture = figures.Picture("Differences behind the claims", words, tuple(drawn))
    return {
        "looks": VERDICTS,
        "headline": count_verdicts(decisions),
        "counts": {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]},
        "rows": [(d, quote_claim(d.claim), list_tests(d)) for d in decisions],
        "picture": (picture, [_drawn(picture, each, "claims") for each in drawn])
        if drawn
        else None,
    }


def list_conclusions(comparisons: Sequence[Comparison]) -> list[tuple[str, list[str]]]:
    """What is concluded, under titles: of the only comparison, or of all together, then of each."""
    if len(comparisons) == 1:
        return [("", comparisons[0].conclusion)]
    answers = {tell_apart(c, comparisons): answer([c]) for c in comparisons}
    each = [
        f"{name}. {answers[name].headline}. {' '.join(answers[name].details)}"
        for name in sorted(answers, key=split_numbers)
    ]
    return [*_together(comparisons), ("Each", each)]


def render_description(comparisons: Sequence[Comparison], question: str) -> str:
    """A description: the answer in a line, then question and conclusions."""
    shown = answer(comparisons)
    lines = [f"**{shown.headline}**", "", " ".join(shown.details), "", question.strip(), ""]
    for title, sentences in list_conclusions(comparisons):
        heading = [f"**{title}**", ""] if title else []
        lines += [*heading, *(f"- {line}" for line in sentences), ""]
    return re.sub(r"([<>`\\|])", r"\\\1", "\n".join(lines)).strip()


def read_heading(page: str) -> str:
    """The answer that a page gives."""
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    return unescape(title[1]) if title else ""


def _together(comparisons: Sequence[Comparison]) -> list[tuple[str, list[str]]]:
    """What several comparisons show that differ in one thing, under the titles of the page."""
    blocks = list_blocks(comparisons)
    return [(b.title, b.sentences) for b in blocks if not isinstance(b.shown, Comparison)]


def _section(name: str, block: Block, looks: figures.Looks) -> dict[str, Any]:
    """What the page shows of a block."""
    first, further = (
        [
            (picture, [_drawn(picture, drawing, name) for drawing in picture.drawings])
            for picture in draw(block.shown, looks)
        ]
        for draw in (figures.draw_pictures, figures.draw_further)
    )
    return {"name": name, "block": block, "pictures": first, "further": further}


def _drawn(picture: figures.Picture, drawing: Drawing, name: str) -> dict[str, Any]:
    words = f"{picture.title}, {name} {drawing.title}"
    numbers = list_numbers(drawing)
    return {
        "title": drawing.title,
        "svg": Markup(render_inline(drawing, words)),
        "numbers": numbers,
    }


def _setting(
    name: str, block: Block, looks: figures.Looks, among: Sequence[Comparison]
) -> dict[str, Any]:
    """What the page shows of a comparison, with its runs."""
    shown = block.shown
    assert isinstance(shown, Comparison)
    return _section(name, block, looks) | {
        "answer": answer([shown]),
        "lines": list_lines(shown, looks),
        "latex": render_latex(
            block.sheets[0], f"{block.title}. {block.subtitle}. {BOLD}.", "tab:lossbench"
        ),
        "caption": describe_columns(shown, _explain(shown)),
        "unit": scale_of(shown).percent,
        "metrics": title_metrics(shown),
        "peeking": [*peeking_blocks(shown, among)],
        "diverged": [line for label, r in shown.results.items() for line in _diverged(label, r)],
        "setting": _yaml(shown.setting),
        "runs": [_run(label, r) for label, r in shown.results.items()],
    }


def _explain(comparison: Comparison) -> str:
    """What the verdicts are about, and hollow ones, where there are some."""
    here = any(row.verdict.endswith(" here") for row in comparison.rows)
    return explain_verdicts(comparison) + ", hollow ones on these alone" * here


def _diverged(label: str, result: Result) -> list[str]:
    rows = result.seeds[result.seeds.status == "diverged"]
    if not len(rows):
        return []
    epochs = zip(rows.seed, rows.diverged_epoch, strict=True)
    where = ", ".join(f"seed {seed} in epoch {epoch}" for seed, epoch in epochs)
    return [f"{label}: {len(rows)} of {len(result.seeds)} seeds diverged ({where})."]


def _run(label: str, result: Result) -> dict[str, str]:
    return {
        "label": label,
        "key": result.key,
        "seconds": f"{result.summary['seconds']:.1f}",
        "loss": _yaml(result.config.loss.mapping),
        "versions": ", ".join(f"{name} {number}" for name, number in result.versions.items()),
        "command": result.config.command,
    }


def _yaml(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip()
