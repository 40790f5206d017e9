"""Comparisons -> one page that needs nothing else: conclusion, tables, pictures, configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import yaml
from markupsafe import Markup

from lossbench.comparison import Comparison, value_at
from lossbench.comparison.answers import answer
from lossbench.drawing import render_inline
from lossbench.nested import dotted_keys
from lossbench.report import figures
from lossbench.report.ledger import list_tuning_notes
from lossbench.report.pages import render
from lossbench.report.tables import Block, list_blocks, peeking_blocks
from lossbench.results import Result


@dataclass(frozen=True)
class Words:
    """What a page says next to its comparisons.

    command: trains all of it again. missing: the runs that were asked for and have no result.
    claims: of each the verdict, the claim, and what was tested.
    """

    title: str
    question: str = ""
    command: str = ""
    missing: Sequence[str] = ()
    claims: Sequence[Sequence[str]] = ()


def render_page(comparisons: Sequence[Comparison], words: Words) -> str:
    """The report as one file, for light and dark, wide and narrow windows."""
    looks = figures.assign_looks(comparisons)
    sections, together = [], []
    for block in list_blocks(comparisons):
        if isinstance(block.shown, Comparison):
            section = _section(_name(block.shown, comparisons), block, looks)
            sections.append(section | {"peeking": [*peeking_blocks(block.shown, comparisons)]})
        else:
            together.append(_section(block.title, block, looks))
    values = {
        "words": words,
        "answer": answer(comparisons),
        "conclusions": list_conclusions(comparisons),
        "together": together,
        "sections": sorted(sections, key=lambda section: str(section["name"])),
    }
    return render("report.html", values)


def list_conclusions(comparisons: Sequence[Comparison]) -> list[tuple[str, list[str]]]:
    """What is concluded, under titles: of the only comparison, or of all together, then of each."""
    if len(comparisons) == 1:
        return [("", comparisons[0].conclusion)]
    answers = {_name(c, comparisons): answer([c]) for c in comparisons}
    each = [f"{name}. {a.headline}. {' '.join(a.details)}" for name, a in sorted(answers.items())]
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


def _name(comparison: Comparison, among: Sequence[Comparison]) -> str:
    """The dataset, and what else tells a comparison from the others."""
    setting = comparison.setting
    words = [value_at(setting, "dataset")]
    for key in dotted_keys(setting):
        section, _, name = key.partition(".")
        alike = [c for c in among if value_at(c.setting, section) == value_at(setting, section)]
        value, peers = value_at(setting, key), alike if name else among
        if key != "dataset" and len({value_at(c.setting, key) for c in peers}) > 1:
            words.append(f"{name} {value}" if name else f"no {key}" if value == "none" else value)
    return " · ".join(words)


def _section(name: str, block: Block, looks: figures.Looks) -> dict[str, Any]:
    """What the page shows of a block; of a comparison its runs, too."""
    shown = block.shown
    results = shown.results if isinstance(shown, Comparison) else {}
    return {
        "name": name,
        "block": block,
        "pictures": [
            (
                picture,
                [
                    Markup(render_inline(d, f"{picture.title}, {name} {d.title}"))
                    for d in picture.drawings
                ],
            )
            for picture in figures.draw_pictures(shown, looks)
        ],
        "notes": list_tuning_notes(shown) if isinstance(shown, Comparison) else [],
        "diverged": [line for label, r in results.items() for line in _diverged(label, r)],
        "unmapped": {
            label: r.summary.get("unmapped_because")
            for label, r in results.items()
            if not r.summary.get("mapped", True)
        },
        "setting": _yaml(shown.setting) if isinstance(shown, Comparison) else "",
        "runs": [_run(label, r) for label, r in results.items()],
    }


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
