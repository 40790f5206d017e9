"""The comparison as text: at most 100 columns, the same with and without a terminal."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterable, Iterator

from rich import box
from rich.table import Table

from lossbench.comparison import Comparison, Row
from lossbench.results import budget
from lossbench.statistics import Interval

WIDTH = 100
METRICS_ABREAST = 4


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
        f"{' · '.join(said)} · {comparison.seeds} seeds · {_tuning(comparison)}\n"
        f"{comparison.metric} on the test split, {better} is better; "
        f"differences are to {comparison.baseline}, paired by seed"
    )


def _tuning(comparison: Comparison) -> str:
    trials = {budget(result.config) for result in comparison.results.values()}
    words = [f"tuned with {count} trials" if count else "untuned" for count in sorted(trials)]
    return " and ".join(words)


def ledger(comparison: Comparison) -> Table | None:
    """What tuning chose for each loss, on which budget, and what that gained; None without any."""
    found = {n: r.summary["tuning"] for n, r in comparison.results.items() if budget(r.config)}
    if not found:
        return None
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("loss", no_wrap=True)
    for column in ("trials x seeds", next(iter(found.values()))["metric"], "as configured"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("chosen")
    for label, tuning in found.items():
        values = [tuning[name] for name in ("value", "configured_value")]
        cells = ["diverged" if value is None else f"{value:.4f}" for value in values]
        chosen = ", ".join(f"{key} {value:g}" for key, value in tuning["chosen"].items())
        table.add_row(label, f"{tuning['trials']} x {tuning['seeds']}", *cells, chosen)
    return table


def ledger_notes(comparison: Comparison) -> list[str]:
    """Where tuning may have stopped short, and where it could not train candidates as one."""
    notes = []
    for label, result in comparison.results.items():
        tuning = result.summary.get("tuning", {"edges": [], "one_by_one": None})
        notes += [
            f"{label}: the best trial has {edge}, at the edge of what was searched; better values "
            "may lie beyond."
            for edge in tuning["edges"]
        ]
        if tuning["one_by_one"]:
            notes.append(f"{label}: candidates were trained one by one ({tuning['one_by_one']}).")
    return notes


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
        "s",
    )
    table.add_column("loss", overflow="fold")
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


def metrics_tables(comparison: Comparison) -> Iterator[Table]:
    """Every other test metric, mean and half the width of its 95 % interval, few to a table."""
    names = [n for n in comparison.rows[0].metrics if n != comparison.metric]
    for start in range(0, len(names), METRICS_ABREAST):
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("loss", no_wrap=True)
        shown = names[start : start + METRICS_ABREAST]
        for name in shown:
            table.add_column(name.replace("_", " "), justify="right")
        for row in comparison.rows:
            table.add_row(row.label, *(_short(row.metrics[name]) for name in shown))
        yield table


def as_csv(comparison: Comparison) -> str:
    """A line for each loss and test metric: mean, interval, and for the compared one the rest."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ("loss", "seeds", "diverged", "metric", "mean", "low", "high")
    writer.writerow([*head, "difference", "p_holm", "probability_of_improvement", "verdict"])
    for row in comparison.rows:
        for metric, interval in row.metrics.items():
            ends = [interval.estimate, interval.low, interval.high] if interval else [None] * 3
            compared = metric == comparison.metric
            difference = row.difference.estimate if row.difference else None
            versus = [difference, row.p, row.improvement, row.verdict] if compared else [None] * 4
            numbers = [f"{v:.6g}" if isinstance(v, float) else v for v in (*ends, *versus)]
            writer.writerow([row.label, row.seeds, row.diverged, metric, *numbers])
    return out.getvalue()


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
