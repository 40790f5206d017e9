"""What every command prints with. Text of results and plugins is printed as it is, never obeyed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from lossbench.configuration.experiments import Experiment
    from lossbench.results import Result
    from lossbench.verdicts import Decision

# what a terminal obeys: control characters, and those that turn the direction of writing
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""The text with what a terminal would obey written out.

    >>> printable("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return CONTROL.sub(lambda sign: ascii(sign[0])[1:-1], text)


def say(*lines: str) -> None:
    """Print lines to the output."""
    print(printable("\n".join(lines)), flush=True)


@contextlib.contextmanager
def divert_notes(apart: bool = True) -> Iterator[None]:
    """Send what is printed in a block to the error output; also by workers and by a user's code."""
    if not apart:
        yield
        return
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(output, 1)
        os.close(output)


def fitting(line: str) -> str:
    """A line as it is where a program reads it, and in the columns of a terminal."""
    return _wrapped(line) if sys.stdout.isatty() else line


def complain(text: str) -> None:
    """Print a message of ours to the error output, within the columns of a terminal."""
    lines = f"lossbench: {text}".split("\n")
    if sys.stderr.isatty():
        lines = [_wrapped(line) for line in lines]
    print(printable("\n".join(lines)), file=sys.stderr)


def _wrapped(line: str) -> str:
    """A line in the columns of the terminal, with paths and commands whole, to be copied."""
    return textwrap.fill(
        line, width(), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def a_console() -> Console:
    """A console of at most 100 columns that takes every string as it is."""
    from rich.console import Console
    from rich.segment import Segment

    class Plain(Console):
        """Neither markup nor emoji codes nor control characters of a string are obeyed."""

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for part in super().render(renderable, options):
                yield part if part.control else Segment(printable(part.text), part.style)

        def on_broken_pipe(self) -> None:
            """A reader that leaves, such as `head`, ends no training."""
            drop_output()

    console = Plain(highlight=False, markup=False, emoji=False)
    console.width = width()
    return console


def width() -> int:
    """Columns to fill: the terminal's, at most 100; 80 where there is no terminal."""
    return min(shutil.get_terminal_size((80, 24)).columns, 100)


def drop_output() -> None:
    """Let what is printed from now on go nowhere."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def decisions_on(experiment: Experiment | None, results: list[Result]) -> list[Decision]:
    """The verdicts on the experiment's claims, if it has any."""
    if not experiment or not experiment.claims:
        return []
    from lossbench.verdicts import decide, refuse_unknown_metrics

    configs = experiment.configurations()
    if not results:
        refuse_unknown_metrics(experiment.claims, configs)
    return decide(experiment.claims, configs, results)


def show_claims(decisions: Sequence[Decision], figure: Path, *, everything: bool = False) -> None:
    """Print the verdicts and draw what they rest on."""
    if not decisions:
        return
    from lossbench.report.claim_figures import write_decisions
    from lossbench.report.decisions import render_text

    say(render_text(decisions, width(), everything=everything))
    with contextlib.suppress(OSError):  # a folder that is read-only has no figure
        if write_decisions(decisions, figure):
            say("", f"Figure    {short_path(figure)}")


def short_path(place: Path) -> str:
    """A path as it can be typed here: relative to the working directory, where it is inside."""
    return os.path.relpath(place) if place.absolute().is_relative_to(Path.cwd()) else str(place)
