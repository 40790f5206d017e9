"""One big run dealt to several workers: its seeds in pieces, put together to the bytes of one."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lossbench import results
from lossbench.sweep.launcher import Event
from lossbench.sweep.plan import Job
from lossbench.sweep.workplace import unpack

COUNT = "pieces"  # the file that says how many there are
FEWEST = 8  # seeds of a piece, where it is not said how many pieces there are to be


@dataclass(eq=False)
class Pieces:
    """The pieces of a run, which is one run to all who look.

    Their results are kept in a folder next to the others until all are there, so that a command
    that is killed loses none of them; as many as it began with stay so many.
    """

    job: Job
    count: int
    seeds: list[list[int]] = field(init=False)
    epochs: dict[int, tuple[int, int]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    hosts: dict[int, str] = field(default_factory=dict)
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self.count = _begun(self.job) or self.count
        unpack({COUNT: str(self.count).encode()}, self.folder)
        asked = replace(self.job.config, seeds=tuple(self.job.seeds))
        missing = results.missing_seeds(asked, self.folder)
        size = -(-len(self.job.seeds) // self.count)
        count = -(-len(missing) // size)
        ends = [len(missing) * i // count for i in range(count + 1)] if count else []
        self.seeds = [missing[a:b] for a, b in itertools.pairwise(ends)]

    @property
    def folder(self) -> Path:
        return _folder(self.job)

    def of_run(self, event: Event, piece: int) -> Event | None:
        """What an event of a piece is for the run; nothing where others are still to end."""
        match event:
            case Event(what="epoch", value=(done, total, point)):
                self.epochs[piece] = done, total
                ran, of = map(sum, zip(*self.epochs.values(), strict=True))
                return Event(event.job, "epoch", (ran, of, None if piece else point))
            case Event(what="where"):
                self.hosts[piece] = event.value
                return replace(event, value=", ".join(sorted({*self.hosts.values()})))
            case Event(what="finished" | "failed"):
                if event.what == "failed":
                    self.error = event.value
                self.ended.add(piece)
                return self._end(event.job) if len(self.ended) == len(self.seeds) else None
        return event

    def _end(self, job: int) -> Event:
        if self.error is None:
            return Event(job, "finished", self.join())
        for place in results.parts(self.folder, self.job.key):  # what did train is kept
            results.into_place(place, self.job.folder, self.job.key)
        shutil.rmtree(self.folder, ignore_errors=True)
        return Event(job, "failed", self.error)

    def join(self) -> Path:
        """Write all pieces as the result of one run."""
        whole = results.stored(self.job.config, self.folder)
        assert whole
        place = results.write(_as_one(whole, self.job.seeds), self.job.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        return place


def _folder(job: Job) -> Path:
    return job.folder / f".split-{job.key}"


def _begun(job: Job) -> int:
    """How many pieces an earlier command dealt the run to; 0 where none did."""
    with contextlib.suppress(FileNotFoundError):
        return int((_folder(job) / COUNT).read_text())
    return 0


def pieces_of(job: Job, room: int) -> Pieces | None:
    """The pieces that a run is dealt to, by launcher.split or, without it, as there is room for.

    A run that is tuned is whole, as its pieces would each be tuned, and one that began whole stays
    so, as its checkpoints are of all its seeds.
    """
    split = job.config.launcher.values.get("split", 1)
    if split is None:
        whole = any(job.folder.glob(f".checkpoints/{job.key}-*"))
        split = 1 if whole else min(room, len(job.seeds) // FEWEST)
    count = min(_begun(job) or split, len(job.seeds))
    return Pieces(job, count) if count > 1 and not job.config.tune.trials else None


def _as_one(result: results.Result, seeds: Sequence[int]) -> results.Result:
    """The merged pieces with rows in the order of one training, and looked at as often."""
    order = {seed: place for place, seed in enumerate(seeds)}
    looks = {"planned_looks": result.config.settle.looks or 1}
    summary = {
        k: v for k, v in result.summary.items() if k not in ("looks", "parts", "plans", "held")
    } | looks
    return replace(
        result,
        config=replace(result.config, seeds=tuple(seeds)),
        summary=summary,
        seeds=result.seeds.sort_values("seed", key=lambda s: s.map(order), ignore_index=True),
        curves=results.ordered(result.curves, ["epoch", "metric"], seeds),
        test_curves=results.ordered(result.test_curves, ["epoch", "metric"], seeds),
        details=results.ordered(result.details, ["name"], seeds),
    )
