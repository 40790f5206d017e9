"""What every command prints with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from lossbench.comparison import Comparison
    from lossbench.config import Experiment


def a_console() -> Console:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal or console.width > 100:
        console = Console(highlight=False, width=100)
    return console


def show_comparisons(
    comparisons: list[Comparison],
    experiment: Experiment | None,
    console: Console,
    by: str | None = None,
) -> None:
    from lossbench.report import tables

    if experiment and experiment.question:
        console.print(experiment.question.strip(), markup=False)
    tables.print_table(comparisons, by, console)
