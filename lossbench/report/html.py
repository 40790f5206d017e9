"""Comparisons -> one page that needs nothing else: conclusion, tables, pictures, configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import yaml

from lossbench.comparison import Comparison, DatasetRanking, Group, rank_losses, robustness
from lossbench.comparison.select import budgets, datasets
from lossbench.report import panels, sheets
from lossbench.report.pages import rendered
from lossbench.report.tables import heading, ledger_notes
from lossbench.results import Result


@dataclass(frozen=True)
class Words:
    """What a page says beside its comparisons.

    command: trains all of it again. missing: the runs that were asked for and have no result.
    claims: of each the verdict, the claim, and what was tested.
    """

    title: str
    question: str = ""
    command: str = ""
    missing: Sequence[str] = ()
    claims: Sequence[Sequence[str]] = ()


def page(comparisons: Sequence[Comparison], words: Words) -> str:
    """The report as one file, for light and dark, wide and narrow windows."""
    together = _together(comparisons)
    values = {
        "words": words,
        "headline": _headline(comparisons, together),
        "conclusions": conclusions(comparisons, together),
        "together": together,
        "sections": [_section(name, comparison) for name, comparison in _named(comparisons)],
    }
    return rendered("report.html", values)


def conclusions(
    comparisons: Sequence[Comparison], together: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[str]]]:
    """What is concluded, under titles: of the only comparison, or of all together, then of each."""
    if len(comparisons) == 1:
        return [("", comparisons[0].conclusion)]
    each = [f"{name}. {' '.join(summary(comparison))}" for name, comparison in _named(comparisons)]
    return [*((part["title"], part["said"]) for part in together), ("Each", each)]


def markdown(comparisons: Sequence[Comparison], question: str) -> str:
    """A description: the conclusion in a line, then question and conclusions."""
    together = _together(comparisons)
    lines = [_headline(comparisons, together), "", question.strip(), ""]
    for title, said in conclusions(comparisons, together):
        lines += [*([f"**{title}**", ""] if title else []), *(f"- {line}" for line in said), ""]
    return re.sub(r"([<>`\\|])", r"\\\1", "\n".join(lines)).strip()


def _headline(comparisons: Sequence[Comparison], together: Sequence[Mapping[str, Any]]) -> str:
    """The conclusion in a line."""
    lines = [line for part in together for line in part["said"]]
    return " ".join(lines or summary(comparisons[0]))


def described(page: str) -> dict[str, str]:
    """The title and the headline of a page."""
    parts = {
        "title": r"<title>(.*?)</title>",
        "headline": r'<meta name="description" content="(.*?)">',
    }
    found = {name: re.search(pattern, page, re.DOTALL) for name, pattern in parts.items()}
    return {name: unescape(match[1]) if match else "" for name, match in found.items()}


def _named(comparisons: Sequence[Comparison]) -> list[tuple[str, Comparison]]:
    named = [(_name(comparison, comparisons), comparison) for comparison in comparisons]
    return sorted(named, key=lambda pair: pair[0])


def _together(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """What several comparisons show that differ in one thing."""
    found = []
    for group in (*budgets(comparisons), *robustness(comparisons), *datasets(comparisons)):
        first = next(iter(group.comparisons.values()))
        name = _name(first, comparisons, group.key)
        found.append(_group(group, f"{first.metric} by {group.key}", name))
        if group.key == "dataset" and (ranked := rank_losses(group)):
            title = f"Ranks over {len(group.comparisons)} datasets"
            found.append(_ranking(ranked, title, name))
    return found


def summary(comparison: Comparison) -> list[str]:
    """Who is better, who is worse, and of whom nothing can be said."""
    said = []
    for verdict, start in (
        ("better", f"Better than {comparison.baseline} in {comparison.metric}"),
        ("worse", f"Worse than {comparison.baseline}"),
        ("same", f"Practically the same as {comparison.baseline}"),
        ("identical", f"Identical to {comparison.baseline}"),
        ("open", f"Nothing can be concluded against {comparison.baseline} in {comparison.metric}"),
    ):
        found = [row.label for row in comparison.rows if row.verdict == verdict]
        if found:
            said.append(f"{start}: {', '.join(found)}.")
    return said or [f"{comparison.baseline} has nothing to be compared with."]


def _name(comparison: Comparison, among: Sequence[Comparison], key: str = "") -> str:
    """The dataset, and what else but for one key tells a comparison from the others."""
    setting = {name: comparison.setting[name] for name in ("dataset", *comparison.setting)}
    words = []
    for section, values in setting.items():
        others = [c.setting[section] for c in among]
        if section == key:
            continue
        if not isinstance(values, dict):
            words += [str(values)] if len(set(others)) > 1 else []
            continue
        name = values.get("name")
        if section == "dataset" or len({other.get("name") for other in others}) > 1:
            words.append(f"no {section}" if name == "none" else str(name))
        same = [other for other in others if other.get("name") == name]
        differing = [k for k in values if len({str(other.get(k)) for other in same}) > 1]
        words += [f"{k} {values[k]}" for k in differing if f"{section}.{k}" != key]
    return " · ".join(words)


def _section(name: str, comparison: Comparison) -> dict[str, Any]:
    results = comparison.results
    figures = [figure for draw in panels.FIGURES if (figure := draw(comparison))]
    return {
        "name": name,
        "heading": heading(comparison).splitlines(),
        "conclusion": comparison.conclusion,
        "table": sheets.primary(comparison),
        "pictures": panels.intervals(comparison),
        "metrics": list(sheets.metrics(comparison)),
        "differences": panels.differences(comparison),
        "figures": figures,
        "ledger": sheets.ledger(comparison),
        "tuning": ledger_notes(comparison),
        "diverged": [line for label, r in results.items() for line in _diverged(label, r)],
        "unmapped": {
            label: r.summary.get("unmapped_because")
            for label, r in results.items()
            if not r.summary.get("mapped", True)
        },
        "setting": _yaml(comparison.setting),
        "runs": [_run(label, r) for label, r in results.items()],
    }


def _group(found: Group, title: str, name: str) -> dict[str, Any]:
    first = next(iter(found.comparisons.values()))
    # a corruption's strength is a number, and only numbers have an axis to be drawn over
    drawn = panels.robustness(found) if found.key.startswith("corruption.") else None
    return {
        "title": _titled(title, name),
        "legend": f"against {first.baseline}; {sheets.LEGEND}",
        "sheets": list(sheets.group(found)),
        "pictures": {},
        "said": found.conclusion,
        "figure": drawn,
    }


def _titled(title: str, name: str) -> str:
    return f"{title}: {name}" if name else title


def _ranking(found: DatasetRanking, title: str, name: str) -> dict[str, Any]:
    return {
        "title": _titled(title, name),
        "legend": "1 is the best; losses whose bars do not meet differ (Nemenyi)",
        "sheets": [sheets.ranks(found)],
        "pictures": panels.ranks(found),
        "said": found.conclusion,
        "figure": None,
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
