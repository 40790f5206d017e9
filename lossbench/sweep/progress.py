"""What a sweep shows while it trains: bars in a terminal, a line for each ended run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from lossbench.sweep.launcher import Event
from lossbench.sweep.plan import Job


class Display:
    """How many runs are done, running and failed, and how much time is left."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.jobs, self.console = jobs, console
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            TextColumn("{task.completed:.0f}/{task.total:.0f} epochs {task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.epochs = {i: job.config.trainer.max_epochs for i, job in enumerate(jobs)}
        self.all = self.bars.add_task("", total=sum(self.epochs.values()), left="")
        self.each: dict[int, TaskID] = {}
        self.done: dict[int, int] = {}
        self.finished = self.failed = 0
        self.began = time.monotonic()
        self.trains_since: float | None = None

    def __enter__(self) -> Display:
        runs = f"{len(self.jobs)} run{'s' * (len(self.jobs) > 1)}"
        self.console.print(f"Training {runs} (starting workers takes some seconds).")
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, event: Event) -> None:
        """Bring the display up to an event."""
        if event.what == "epoch":
            self._advance(event.job, *event.value[:2])
        else:
            self._ended(event)
        self.bars.update(self.all, description=self.state, left=self.left)
        total, completed = sum(self.epochs.values()), sum(self.done.values())
        self.bars.update(self.all, total=total, completed=completed)

    def _advance(self, number: int, done: int, total: int) -> None:
        self.trains_since = self.trains_since or time.monotonic()
        if number not in self.each:
            name = f"  {self.jobs[number].name}"[:50]
            self.each[number] = self.bars.add_task(name, total=total, left="")
        self.epochs[number] = total  # more than one training's where candidates come first
        self.done[number] = done
        self.bars.update(self.each[number], completed=done)

    def _ended(self, event: Event) -> None:
        if event.job in self.each:
            self.bars.remove_task(self.each.pop(event.job))
        name = self.jobs[event.job].name
        if event.what == "again":
            self.done.pop(event.job, None)
            self._say(f"{name}: {event.value}; tried again")
            return
        self.done[event.job] = self.epochs[event.job]
        self.failed += event.what == "failed"
        self.finished += event.what == "finished"
        word = "failed" if event.what == "failed" else "done"
        ended, seconds = self.finished + self.failed, time.monotonic() - self.began
        left = f", {self.left}" if self.left else ""
        self._say(f"[{ended}/{len(self.jobs)}] {seconds:5.1f} s  {name}: {word}{left}")

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False)

    @property
    def state(self) -> str:
        """How many runs are how far."""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.finished} of {len(self.jobs)} runs done, {len(self.each)} running{failed}"

    @property
    def left(self) -> str:
        """The time left as a text, empty until something is known or where nothing is left."""
        done, total = sum(self.done.values()), sum(self.epochs.values())
        if self.trains_since is None or not 0 < done < total:
            return ""
        spent = time.monotonic() - self.trains_since
        return f"{duration(spent * (total - done) / done)} left"


def duration(seconds: float) -> str:
    """A length of time in words.

    >>> duration(3), duration(75), duration(9000), duration(200000)
    ('3 s', '1 min 15 s', '2 h 30 min', '2 d 7 h')
    """
    whole = round(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (unit, size), (lower, part) in zip(units, [*units[1:], ("", 0)], strict=True):
        if whole >= size and part:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s"
