"""What every command prints with."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from lossbench.comparison import Comparison
    from lossbench.experiments import Experiment
    from lossbench.results import Result
    from lossbench.verdicts import Decision


def a_console() -> Console:
    from rich.console import Console

    class Lasting(Console):
        """A reader that leaves, such as `head`, ends no training."""

        def on_broken_pipe(self) -> None:
            drop_output()

    console = Lasting(highlight=False, soft_wrap=False)
    if not console.is_terminal or console.width > 100:
        console = Lasting(highlight=False, width=100)
    return console


def drop_output() -> None:
    """Let what is printed from now on go nowhere."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def decisions_on(experiment: Experiment | None, found: list[Result]) -> list[Decision]:
    """The verdicts on the experiment's claims, if it has any."""
    if not experiment or not experiment.claims:
        return []
    from lossbench.experiments import configurations
    from lossbench.verdicts import decide

    configs = configurations([f"experiment={experiment.name}"])[0]
    return decide(experiment.claims, configs, found)


def show_claims(decisions: Sequence[Decision], figure: Path) -> None:
    """Print the verdicts and draw what they rest on."""
    if not decisions:
        return
    from lossbench.report import decisions as claims

    print(claims.text(decisions))
    with contextlib.suppress(OSError):  # a folder that is read-only has no figure
        figure.parent.mkdir(exist_ok=True)
        claims.draw(decisions, figure)
        print(f"\nFigure    {figure}")
