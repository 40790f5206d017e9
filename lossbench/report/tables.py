"""The comparison as text: at most 100 columns, the same with and without a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich import box
from rich.table import Table

from lossbench.comparison import Comparison, Row
from lossbench.statistics import Interval

WIDTH = 100


def heading(comparison: Comparison) -> str:
    """What was compared, on what, and how to read the differences."""
    said = []
    for kind in ("dataset", "corruption", "model"):
        values = dict(comparison.setting[kind])
        name = values.pop("name")
        keywords = ", ".join(f"{k} {v}" for k, v in values.items())
        if name != "none":
            said.append(f"{name} ({keywords})" if keywords else name)
    better = "more" if comparison.direction > 0 else "less"
    return (
        f"{' · '.join(said)} · {comparison.seeds} seeds · hyper-parameters untuned\n"
        f"{comparison.metric} on the test split, {better} is better; "
        f"differences are to {comparison.baseline}, paired by seed"
    )


def primary_table(comparison: Comparison) -> Table:
    """Mean, interval and paired difference in the compared metric."""
    table = Table(box=box.SIMPLE_HEAD)
    columns = (
        "mean",
        "95 % interval",
        "difference",
        "p (Holm)",
        "P(better)",
        "diverged",
        "seconds",
    )
    table.add_column("loss", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for row in comparison.rows:
        table.add_row(*_primary_cells(row, comparison.metric))
    return table


def _primary_cells(row: Row, metric: str) -> list[str]:
    interval = row.metrics[metric]
    mean = f"{interval.estimate:.4f}" if interval else "diverged"
    ends = f"{interval.low:.4f} {interval.high:.4f}" if interval else ""
    if row.verdict in ("baseline", "identical"):
        versus = [row.verdict, "", ""]
    else:
        assert row.p is not None
        difference = f"{row.difference.estimate:+.4f}" if row.difference else "-"
        p = f"{row.p:.4f}" if row.p >= 0.0001 else f"{row.p:.0e}"
        versus = [difference, p, f"{row.improvement:.0%}"]
    return [row.label, mean, ends, *versus, str(row.diverged), f"{row.seconds:.1f}"]


def metrics_table(comparison: Comparison) -> Table:
    """Every other test metric: mean and half the width of its 95 % interval."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("loss", no_wrap=True)
    names = [n for n in comparison.rows[0].metrics if n != comparison.metric]
    for name in names:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=len(names) < 7)
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
