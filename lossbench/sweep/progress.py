"""What a sweep shows while it trains: bars in a terminal, and a line for each ended run."""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from lossbench import results
from lossbench.comparison.scales import scale_in
from lossbench.configuration import digest
from lossbench.contract import UserError
from lossbench.sweep.launcher import Event
from lossbench.sweep.plan import Job


class Display:
    """How many runs are done, running and failed, and how much time is left."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(20),
            TextColumn("{task.completed:.0f}/{task.total:.0f} epochs {task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        data = {job.config.dataset.name for job in jobs}
        alike = f" on {data.pop()}" if len(jobs) > 1 and len(data) == 1 else "\0"
        self.names = {job: job.name.replace(alike, "", 1) for job in jobs}  # what differs
        self.scores: dict[str, dict[str, float]] = {}  # by setting and loss, more is better
        self.epochs = {job: job.config.trainer.max_epochs for job in jobs}
        self.all = self.bars.add_task("", total=sum(self.epochs.values()), left="")
        self.each: dict[Job, TaskID] = {}
        self.done: dict[Job, int] = {}
        self.where: dict[Job, str] = {}
        self.finished = self.failed = 0
        self.began = 0.0
        self.trains_since: float | None = None

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def begin(self) -> None:
        """A worker is about to start."""
        if not self.began:
            self.began = time.monotonic()
            runs = count_of(len(self.epochs), "run")
            self.console.print(f"Training {runs} (starting workers takes some seconds).")
            self.bars.start()

    def leave(self, job: Job, why: str = "") -> None:
        """Count a job no longer, which another command trains or has trained."""
        del self.epochs[job]
        if why:
            self._say(f"{self.names[job]}: {why}")

    def show(self, event: Event, job: Job) -> None:
        """Bring the display up to an event of a job."""
        if event.what == "epoch":
            self._advance(job, *event.value[:2])
        elif event.what == "where":
            self.where[job] = f"  @{event.value}"
        elif event.what == "note":
            self._say(event.value)
        else:
            self._ended(event, job)
        total, completed = sum(self.epochs.values()), sum(self.done.values())
        self.bars.update(self.all, description=self.state, left=self.left)
        self.bars.update(self.all, total=total, completed=completed)

    def _advance(self, job: Job, done: int, total: int) -> None:
        self.trains_since = self.trains_since or time.monotonic()
        name = f"  {self.names[job]}"[:50] + self.where.get(job, "")
        if job not in self.each:
            self.each[job] = self.bars.add_task(name, total=total, left="")
        self.epochs[job] = total  # more than one training's where candidates come first
        self.done[job] = done
        self.bars.update(self.each[job], completed=done, description=name)

    def _ended(self, event: Event, job: Job) -> None:
        if job in self.each:
            self.bars.remove_task(self.each.pop(job))
        if event.what == "again":
            self.done.pop(job, None)
            self._say(f"{self.names[job]}: {event.value}; tried again")
            self.where.pop(job, None)
            return
        self.done[job] = self.epochs[job]
        self.failed += event.what == "failed"
        self.finished += event.what == "finished"
        word = "failed" if event.what == "failed" else f"done{self._outcome(job, event.value)}"
        ended, seconds = self.finished + self.failed, time.monotonic() - self.began
        left = f", {self.left}" if self.left else ""
        name = self.names[job] + self.where.get(job, "")
        self._say(f"[{ended}/{len(self.epochs)}] {seconds:5.1f} s  {name}: {word}{left}")

    def _outcome(self, job: Job, place: Path) -> str:
        """The mean of the compared metric, and which loss of the setting has the best so far."""
        try:
            result = results.read(place)
        except UserError:  # met again, and reported, where it is compared
            return ""
        metric = result.summary["primary"]
        mean = float(result.seeds[f"test/{metric}"].mean())
        if math.isnan(mean):
            every = result.diverged == len(result.seeds)
            return ", diverged" if every else f", {metric} undefined"
        scores = self.scores.setdefault(digest(job.config.setting), {})
        scores[self.names[job]] = mean * result.summary["directions"][metric]
        best = max(scores, key=lambda name: scores[name])
        ahead = "" if best == self.names[job] else f" ({best} leads)"
        scale = scale_in(result.summary, metric)
        value = f"{scale.factor * mean:.4g}{scale.percent}"
        if len(job.seeds) < len(job.config.seeds):
            value += f" on {count_of(len(job.seeds), 'new seed')}"
        return f", {metric} {value}{' leads' * (not ahead and len(scores) > 1)}{ahead}"

    def _say(self, line: str) -> None:
        folded = textwrap.fill(
            line, self.console.width, subsequent_indent="  ", break_on_hyphens=False
        )
        self.console.print(folded, markup=False, highlight=False)

    @property
    def state(self) -> str:
        """How many runs are how far."""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.finished} of {len(self.epochs)} runs done, {len(self.each)} running{failed}"

    @property
    def left(self) -> str:
        """The time left as a string, empty until something is known or where nothing is left."""
        done, total = sum(self.done.values()), sum(self.epochs.values())
        if self.trains_since is None or not 0 < done < total:
            return ""
        spent = time.monotonic() - self.trains_since
        return f"{duration(spent * (total - done) / done)} left"


def count_of(number: int, what: str) -> str:
    """How many there are: 1 run, 2 runs."""
    return f"{number} {what}{'s' * (number != 1)}"


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
