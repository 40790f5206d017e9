"""Comparisons -> sheets of printed cells, drawn from the records; and how a sheet is rendered."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lossbench.comparison import Comparison, DatasetRanking, Group, PeekingTax
from lossbench.comparison.peeking import EPOCHS, Paper
from lossbench.comparison.scales import Scale, scale_in, scale_of
from lossbench.comparison.sentences import RULES, write_p
from lossbench.report.export import Record, list_records
from lossbench.report.picked import list_other_metrics
from lossbench.statistics import Interval

METRICS_ABREAST = 4
LOSSES_ABREAST = 6
MARKS = {
    **{"better": "+", "worse": "-", "same": "~", "identical": "=", "baseline": "b"},
    **{"better here": "(+)", "worse here": "(-)", "same here": "(~)"},
    **{"open": " ", "undefined": "?"},
}
OTHER = {"last": "best epoch", "best": "last epoch"}
PREFIXES = {"last": "", "best": "best_epoch_"}  # of a record's columns
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # after a line's end it would begin an argument
    **{"±": r"$\pm$", "<": "$<$", ">": "$>$", "·": r"$\cdot$", "×": r"$\times$"},
}
NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Sheet:
    """A table of strings; the first column and those in words are not numbers.

    leading: the first cells of the rows that are set in bold. caption: what its numbers are, where
    that is not what is said of the comparison.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[str, ...] = ()
    title: str = ""
    caption: str = ""
    leading: tuple[str, ...] = ()

    @property
    def numbers(self) -> list[bool]:
        """Whether each column is of numbers."""
        return [bool(i) and name not in self.words for i, name in enumerate(self.columns)]


def build_primary(comparison: Comparison) -> Sheet:
    """Mean, interval and paired difference in the compared metric, last epoch next to best."""
    records = [r for r in list_records([comparison]) if r["metric"] == comparison.metric]
    scale = scale_of(comparison)
    head = [
        "loss",
        f"mean{scale.percent}",
        "95 % interval",
        OTHER[comparison.at],
        "difference",
        "P(better)",
    ]
    both = comparison.origin.get("drawn") != "anew"
    head[5:5] = ["p here", "p new"] if both else ["p (corrected)"]
    cells = [_primary_cells(record, both, scale) for record in records]
    if any(record["diverged"] for record in records):
        head.append("diverged")
        cells = [[*c, str(r["diverged"])] for c, r in zip(cells, records, strict=True)]
    return Sheet(tuple(head), tuple(map(tuple, cells)), leading=comparison.leading)


def _primary_cells(record: Record, both: bool, scale: Scale) -> list[str]:
    shown, other = PREFIXES[record["at"]], PREFIXES["last" if record["at"] == "best" else "best"]
    mean = _mean(record, shown, scale)
    ends = [record[f"{shown}low"], record[f"{shown}high"]]
    interval = " ".join(map(scale.write_exactly, ends)) if _are_ends(*ends) else ""
    versus = [record["verdict"], *[""] * (3 if both else 2)]
    if record["verdict"] not in ("baseline", "identical", "undefined"):
        difference = record["difference_mean"]
        p = [write_p(record[name]) for name in ("p_these_data", "p_holm")[not both :]]
        better = f"{record['probability_of_improvement']:.0%}"
        versus = ["-" if difference is None else scale.write_exactly(difference, "+"), *p, better]
        versus[0] += "*" if 0 < record["difference_seeds"] < record["seeds"] else ""
    return [record["loss"], mean, interval, _mean(record, other, scale), *versus]


def _mean(record: Record, prefix: str, scale: Scale) -> str:
    """The mean; starred where seeds that diverged are not in it."""
    mean = record[f"{prefix}mean"]
    if mean is None:
        return "diverged" if record["diverged"] == record["seeds"] else ""
    return scale.write_exactly(mean) + ("*" if record["diverged"] else "")


def build_metrics(comparison: Comparison) -> Iterator[Sheet]:
    """Every other test metric, mean and half the width of its 95 % interval, few to a sheet.

    But for those that say what another one says, as the zero-one error next to the accuracy.
    """
    cells: dict[str, dict[str, str]] = {}
    for record in list_records([comparison]):
        cells.setdefault(record["loss"], {})[record["metric"]] = _short(
            record, scale_of(comparison, record["metric"])
        )
    for shown in _few(list_other_metrics(comparison), METRICS_ABREAST):
        head = ("loss", *(name_column(comparison, name) for name in shown))
        rows = tuple((loss, *(of[n] for n in shown)) for loss, of in cells.items())
        ends = "± half of its 95 % interval over seeds"
        caption = f"Mean on the test split {RULES[comparison.at]} {ends}"
        yield Sheet(head, rows, title="Other metrics", caption=caption)


def build_pairs(comparison: Comparison) -> Iterator[Sheet]:
    """P(better) of the loss of each line against that of each column; of three losses and more."""
    shares, labels = comparison.better_shares, [row.label for row in comparison.rows]
    caption = (
        f"Share of seeds on which the loss of a line is ahead of another in {comparison.metric}"
    )
    for shown in _few(labels, LOSSES_ABREAST) if len(shares) > 2 else ():
        rows = (
            (x, *(f"{shares[x][y]:.0%}" if y in shares[x] else "" for y in shown)) for x in labels
        )
        head = ("P(better) than", *shown)
        yield Sheet(head, tuple(rows), title="P(better) for every pair", caption=caption)


def name_column(comparison: Comparison, metric: str) -> str:
    """A metric as the head of its column, with the unit of its values."""
    return metric.replace("_", " ") + scale_of(comparison, metric).percent.replace(" ", "\xa0")


def _short(record: Record, scale: Scale) -> str:
    prefix = PREFIXES[record["at"]]
    mean, low, high = (record[f"{prefix}{name}"] for name in ("mean", "low", "high"))
    if mean is None:
        return "-"
    half = ""
    if _are_ends(low, high):  # one of them may be cut at a bound of the metric
        half = f" ±{scale.write_exactly(max(high - mean, mean - low), places=3)}"
    return f"{scale.write_exactly(mean, places=3)}{half}"


def _are_ends(low: float | None, high: float | None) -> bool:
    """Whether there is an interval: two seeds have none, nor have seeds that all diverged."""
    return low is not None and high is not None and math.isfinite(low)


def build_group(group: Group) -> Iterator[Sheet]:
    """A line for each value of the key, a column for each loss, few to a sheet; MARKS explain."""
    cells = {
        (value, record["loss"]): (
            f"{_mean(record, PREFIXES[record['at']], scale_of(comparison))} "
            f"{MARKS[record['verdict']]}"
        )
        for value, comparison in group.comparisons.items()
        for record in list_records([comparison])
        if record["metric"] == comparison.metric
    }
    for shown in _few(group.labels, LOSSES_ABREAST):
        lines = (
            (value, *(cells.get((value, x), "") for x in shown)) for value in group.comparisons
        )
        yield Sheet((group.key, *shown), tuple(lines))


def explain_marks(group: Group) -> str:
    """What the marks in the cells of a group mean, as far as there are any."""
    verdicts = {row.verdict for comparison in group.comparisons.values() for row in comparison.rows}
    words = {"same": "practically the same"}
    marks = explain_signs(verdicts - {"open"}, MARKS, words, "in brackets on these data only")
    return ", ".join([*marks, *(["unmarked: not settled"] if "open" in verdicts else [])])


def explain_signs(
    verdicts: Collection[str], signs: Mapping[str, str], words: Mapping[str, str], here: str
) -> list[str]:
    """What the signs of these verdicts mean; here: how those on these data only are shown."""
    kinds = {verdict.removesuffix(" here") for verdict in verdicts}
    shown = [f"{sign} {words.get(kind, kind)}" for kind, sign in signs.items() if kind in kinds]
    return [*shown, here] if any(verdict.endswith(" here") for verdict in verdicts) else shown


def build_ranks(ranking: DatasetRanking) -> Sheet:
    """Average ranks over datasets, and the gain over the baseline where it has one scale."""
    head = ["loss", "average rank"]
    rows = [[label, f"{rank:.2f}"] for label, rank in ranking.ranks.items()]
    if ranking.gains is not None:
        scale = scale_of(next(iter(ranking.group.comparisons.values())))
        head += ["interquartile gain", "95 % interval"]
        for row in rows:
            gain = ranking.gains.get(row[0])
            ends = (gain.estimate, gain.low, gain.high) if gain else ()
            cells = [scale.write_exactly(end, "+") for end in ends]
            row += [cells[0], f"{cells[1]} {cells[2]}"] if gain else ["baseline", ""]
    return Sheet(tuple(head), tuple(map(tuple, rows)))


def build_ledger(comparison: Comparison) -> Sheet | None:
    """What tuning chose for each loss, on which budget, and what that gained; None without any."""
    tuned = {n: r.summary["tuning"] for n, r in comparison.results.items() if r.config.tune.trials}
    if not tuned:
        return None
    metric = next(iter(tuned.values()))["metric"]
    result = next(iter(comparison.results.values()))
    scale = scale_in(result.summary, metric.removeprefix("val/"))
    rows = []
    for label, tuning in tuned.items():
        values = [tuning[name] for name in ("value", "configured_value")]
        cells = ["diverged" if value is None else scale.write_exactly(value) for value in values]
        chosen = ", ".join(f"{key} {value:g}" for key, value in tuning["chosen"].items())
        rows.append((label, f"{tuning['trials']} x {tuning['seeds']}", *cells, chosen))
    head = ("loss", "trials x seeds", f"{metric}{scale.percent}", "as configured", "chosen")
    caption = "What was chosen on validation data, and its value there next to what was configured"
    return Sheet(head, tuple(rows), words=("chosen",), title="Tuning", caption=caption)


def build_peeking(tax: PeekingTax, scale: Scale) -> Iterator[Sheet]:
    """How often papers' verdicts flip, a line for each rule, means over losses; then inflation."""
    for tuning in dict.fromkeys(paper.tuning for paper in tax.papers):
        rules: dict[tuple[str, str], list[Paper]] = {}
        for paper in (paper for paper in tax.papers if paper.tuning == tuning):
            seeds = str(paper.seeds) if paper.seeds < paper.of else "all"
            rules.setdefault((EPOCHS[paper.epoch], seeds), []).append(paper)
        rows = []
        for rule, papers in rules.items():
            tested = [p.t_flips for p in papers if p.t_flips is not None]
            shares = ([p.flips for p in papers], [p.reversed for p in papers], tested)
            rows.append((*rule, *map(_mean_share, shares)))
        yield Sheet((tuning, "seeds", "flips", "reversed", "flips, t test"), tuple(rows))
    rows = [
        (label, *(_inflation(by.get(epoch), scale) for epoch in ("last", "best")))
        for label, by in tax.inflation.items()
    ]
    head = ("best test epoch", *(f"over {EPOCHS[epoch]}" for epoch in ("last", "best")))
    yield Sheet(head, tuple(rows))


def _mean_share(shares: Sequence[float]) -> str:
    """The mean in per cent; what is neither none nor all is not rounded to it."""
    if not shares:
        return "-"
    percent = 100 * sum(shares) / len(shares)
    return "<1%" if 0 < percent < 1 else ">99%" if 99 < percent < 100 else f"{percent:.0f}%"


def _inflation(interval: Interval | None, scale: Scale) -> str:
    if interval is None:
        return "-"
    half = (interval.high - interval.low) / 2
    ends = f" ±{scale.write_exactly(half)}" if math.isfinite(half) else ""
    return scale.write_exactly(interval.estimate, "+") + ends


def _few(names: Sequence[str], abreast: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), abreast):
        yield names[start : start + abreast]


# --- renderings -----------------------------------------------------------------------------


def render_markdown(sheet: Sheet) -> str:
    """A table of GitHub's dialect."""
    rule = ["---:" if number else "---" for number in sheet.numbers]
    lines = [[escape_markdown(c) for c in row] for row in (sheet.columns, *sheet.rows)]
    lines.insert(1, rule)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def escape_markdown(cell: str) -> str:
    """The text on one line, with what has a meaning in Markdown escaped."""
    return re.sub(r"([\\|`*<\[])", r"\\\1", " ".join(cell.split()))


def render_latex(sheet: Sheet, caption: str, label: str) -> str:
    """A table for booktabs and siunitx, those that lead in bold."""
    specs = [
        _column(cells) if number else "l"
        for cells, number in zip(zip(*sheet.rows, strict=True), sheet.numbers, strict=True)
    ]
    rows = [
        [_cell(cell, spec) for cell, spec in zip(row, specs, strict=True)] for row in sheet.rows
    ]
    for row, cells in zip(rows, sheet.rows, strict=True):
        if cells[0] in sheet.leading:
            row[:2] = [
                rf"\textbf{{{escape_latex(cells[0])}}}",
                rf"{{\bfseries {escape_latex(cells[1])}}}",
            ]
    head = [f"{{{escape_latex(name)}}}" for name in sheet.columns]
    lines = [" & ".join(each) + r" \\" for each in (head, *rows)]
    return "\n".join(
        [
            *(r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{2.5pt}"),
            rf"\caption{{{escape_latex(caption)}}}",
            rf"\label{{{label}}}\smallskip",
            rf"\begin{{tabular}}{{@{{}}{''.join(specs)}@{{}}}}",
            *(r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"),
            *(r"\end{tabular}", r"\end{table}", ""),
        ]
    )


def _column(cells: Sequence[str]) -> str:
    """How a column of numbers is set: by the places of those that are numbers alone."""
    numbers = [number for cell in cells if (number := NUMBER.fullmatch(cell))]
    if not numbers:
        return "r"
    sign = "+" if any(number[1] for number in numbers) else ""
    whole, places = (max(len(number[part] or "") for number in numbers) for part in (2, 3))
    kept = ", retain-explicit-plus" if sign else ""  # which siunitx drops otherwise
    return f"S[table-format={sign}{whole}{f'.{places}' if places else ''}{kept}]"


def _cell(cell: str, spec: str) -> str:
    """A cell in a column; in braces what siunitx is not to read as a number."""
    if spec.startswith("S") and NUMBER.fullmatch(cell):
        return cell
    return f"{{{escape_latex(cell)}}}" if cell and spec.startswith("S") else escape_latex(cell)


def escape_latex(cell: str) -> str:
    """The text with what has a meaning in LaTeX escaped; `[@key]` cites."""
    if power := re.fullmatch(r"([+-]?[\d.]+)e([+-]\d+)", cell):
        return rf"${power[1]}\times10^{{{int(power[2])}}}$"
    text = "".join(LATEX.get(sign, sign) for sign in " ".join(cell.split()))
    text = re.sub(r" \{\[\}@(\w+)\]", r"~\\cite{\1}", text)
    return re.sub(r"^[+-](?=\d)", r"$\g<0>$", text)
