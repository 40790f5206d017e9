"""The comparison as text: at most 100 columns, the same with and without a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich import box
from rich.table import Table

from lossbench.compare import Comparison, Row
from lossbench.statistics import Interval

WIDTH = 100


def heading(comparison: Comparison) -> str:
    """What the losses were compared on."""
    said = []
    for kind in ("dataset", "corruption", "model"):
        values = dict(comparison.setting[kind])
        name = values.pop("name")
        if name != "none":
            said.append(f"{kind} {name}")
    return ", ".join(said) + f", {comparison.seeds} seeds"


def primary_table(comparison: Comparison) -> Table:
    """Mean, interval and paired difference in the compared metric."""
    table = Table(title=heading(comparison), box=box.SIMPLE_HEAD, title_justify="left")
    better = "more is better" if comparison.direction > 0 else "less is better"
    table.add_column("loss", no_wrap=True)
    for column in (
        f"{comparison.metric}\n({better})",
        "95 % interval",
        f"less {comparison.baseline}\npaired by seed",
        "p\n(Holm)",
        "P(better)",
        "diverged",
        "seconds",
    ):
        table.add_column(column, justify="right")
    for row in comparison.rows:
        table.add_row(*_primary_cells(row, comparison.metric))
    return table


def _primary_cells(row: Row, metric: str) -> list[str]:
    interval = row.metrics[metric]
    mean = f"{interval.estimate:.4f}" if interval else "diverged"
    ends = f"{interval.low:.4f} {interval.high:.4f}" if interval else ""
    if row.difference is None or row.p is None or row.improvement is None:
        versus = ["baseline", "", ""]
    else:
        p = f"{row.p:.4f}" if row.p >= 0.0001 else f"{row.p:.0e}"
        versus = [f"{row.difference.estimate:+.4f}", p, f"{row.improvement:.0%}"]
        if row.verdict == "identical":
            versus = ["identical", "", ""]
    return [row.label, mean, ends, *versus, str(row.diverged), f"{row.seconds:.1f}"]


def metrics_table(comparison: Comparison) -> Table:
    """Every other test metric: mean and half the width of its 95 % interval."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("loss", no_wrap=True)
    names = [n for n in comparison.rows[0].metrics if n != comparison.metric]
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for row in comparison.rows:
        table.add_row(row.label, *(_short(row.metrics[name]) for name in names))
    return table


def _short(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{interval.estimate:.3f} ±{(interval.high - interval.low) / 2:.3f}"


def wrapped(lines: Iterable[str]) -> str:
    """Sentences as a list, within the width."""
    return "\n".join(
        textwrap.fill(line, WIDTH - 2, initial_indent="- ", subsequent_indent="  ")
        for line in lines
    )
