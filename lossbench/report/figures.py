"""Figures: learning curves with bands, and the losses of a comparison side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossbench.configuration import Configuration
from lossbench.results import Result, bands
from lossbench.statistics import t_interval


def curves(result: Result, path: Path) -> None:
    """Each metric of one run over its epochs: mean over seeds, 95 % interval, single seeds."""
    table = bands(result.curves)
    metrics = list(table.metric.unique())
    columns = min(4, len(metrics)) or 1
    rows = -(-len(metrics) // columns) or 1
    figure = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    for number, metric in enumerate(metrics):
        axes = figure.add_subplot(rows, columns, number + 1)
        for _, single in result.curves[result.curves.metric == metric].groupby("seed"):
            axes.plot(single.epoch, single.value, color="0.8", linewidth=0.5)
        _band(axes, table[table.metric == metric], "C0")
        axes.set_title(metric, fontsize=9)
        axes.tick_params(labelsize=7)
    figure.suptitle(f"{title(result.config)}, {len(result.seeds)} seeds", fontsize=10)
    figure.savefig(path, dpi=100)


def comparison(labelled: Mapping[str, Result], path: Path) -> None:
    """Validation curves of every loss on the same axes, and the test intervals beside them."""
    primary = next(iter(labelled.values())).summary["primary"]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for number, (label, result) in enumerate(labelled.items()):
        colour, y = f"C{number % 10}", len(labelled) - number
        table = bands(result.curves)
        _band(left, table[table.metric == f"val/{primary}"], colour, label)
        values = result.seeds[f"test/{primary}"].dropna()
        right.plot(values, [y - 0.25] * len(values), "|", color=colour, alpha=0.4)
        if len(values):
            interval = t_interval(values)
            right.plot([interval.low, interval.high], [y, y], color=colour, linewidth=2)
            right.plot([interval.estimate], [y], "o", color=colour)
    left.set(xlabel="epoch", ylabel=primary, title="validation, mean and 95 % interval")
    left.legend(fontsize=8)
    right.set(xlabel=primary, title="test, mean, 95 % interval, seeds")
    right.set_yticks(range(len(labelled), 0, -1), list(labelled))
    figure.savefig(path, dpi=110)


def title(config: Configuration) -> str:
    """The loss and the data of a run in a few words."""
    corruption = config.corruption.name
    suffix = "" if corruption == "none" else f" with {corruption}"
    return f"{config.loss.name} on {config.dataset.name}{suffix}"


def _band(axes: Axes, table: Any, colour: str, label: str | None = None) -> None:
    axes.fill_between(table.epoch, table.low, table.high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(table.epoch, table["mean"], color=colour, linewidth=1.5, label=label)
