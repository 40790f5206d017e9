"""A run that is dealt to several workers: the bytes of one, whatever happened to its pieces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lossbench import results
from lossbench.configuration.experiments import configurations
from lossbench.sweep.launcher import Event
from lossbench.sweep.pieces import Pieces, pieces_of
from lossbench.sweep.plan import Job, plan
from lossbench.training.tuning import train_and_write

WORDS = ("dataset=digits", "loss=focal", "tracking=none", "trainer.device=cpu")
WORDS += ("trainer.max_epochs=2", "trainer.peek=true", "seeds=[4,2,7,5,1]")


@pytest.fixture
def job(here: Path) -> Job:
    return plan(configurations(WORDS)[0])[0]


def trained(pieces: Pieces, numbers: list[int]) -> list[Event | None]:
    """Train these pieces as workers would; what the run is said to be after each."""
    events = []
    for number in numbers:
        config = pieces.job.config
        place = train_and_write(config, pieces.seeds[number], pieces.folder)
        events.append(pieces.of_run(Event(9, "finished", place), number))
    return events


def test_the_pieces_of_a_run_are_put_together_to_its_bytes(job, tmp_path):
    whole = train_and_write(job.config, job.seeds, results.open_folder(str(tmp_path / "whole")))
    pieces = Pieces(job, 3)
    assert pieces.seeds == [[4], [2, 7], [5, 1]]
    point = (1, {"val/accuracy": 0.5})
    assert pieces.of_run(Event(9, "epoch", (1, 2, point)), 0) == Event(9, "epoch", (1, 2, point))
    assert pieces.of_run(Event(9, "epoch", (1, 2, point)), 1) == Event(9, "epoch", (2, 4, None))
    first, second, last = trained(pieces, [2, 0, 1])
    assert (first, second) == (None, None)
    assert last == Event(9, "finished", job.target)
    files = sorted(file.name for file in whole.glob("*.parquet"))
    assert files == ["curves.parquet", "details.parquet", "seeds.parquet", "test_curves.parquet"]
    for name in files:
        assert (job.target / name).read_bytes() == (whole / name).read_bytes(), name
    summary = results.read(job.target).summary
    assert results.looks_of(results.read(job.target)) == 1, "nobody looked in between"
    assert summary["examples"] == results.read(whole).summary["examples"]
    assert not pieces.folder.exists()


def test_a_killed_command_loses_no_piece_and_a_failed_piece_no_other(job):
    pieces = Pieces(job, 3)
    trained(pieces, [1])
    rest = Pieces(job, 3)
    assert rest.seeds == [[4], [5, 1]], "what was trained is kept"
    trained(rest, [0])
    error = RuntimeError("no good")
    assert rest.of_run(Event(9, "failed", error), 1) == Event(9, "failed", error)
    held = [results.read(place) for place in results.parts(job.folder, job.key)]
    assert sorted(results.merged(held).seeds.seed) == [2, 4, 7]
    assert results.missing_seeds(job.config, job.folder) == [5, 1]
    assert not rest.folder.exists()


def test_pieces_that_are_all_there_only_have_to_be_put_together(job):
    pieces = Pieces(job, 2)
    for seeds in pieces.seeds:
        train_and_write(job.config, seeds, pieces.folder)
    rest = Pieces(replace(job), 2)
    assert rest.seeds == []
    assert rest.join() == job.target
    assert [*results.read(job.target).seeds.seed] == job.seeds


@pytest.mark.parametrize(
    ("words", "room", "dealt"),
    [
        (("seeds=40",), 4, [10, 10, 10, 10]),
        (("seeds=40",), 99, [8, 8, 8, 8, 8]),
        (("seeds=40",), 1, []),
        (("seeds=15",), 99, []),
        (("seeds=3", "launcher.split=2"), 1, [1, 2]),
        (("seeds=40", "launcher.split=1"), 99, []),
        (("seeds=40", "tune.trials=4"), 99, []),
    ],
)
def test_idle_workers_get_seeds_of_a_run_unless_it_is_said_how_many(here, words, room, dealt):
    (job,) = plan(configurations((*WORDS[:-1], "launcher=ray", *words))[0])
    pieces = pieces_of(job, room)
    assert [*map(len, pieces.seeds)] == dealt if dealt else pieces is None


def test_a_run_goes_on_as_it_began_whatever_room_there_is_by_now(here):
    """Its checkpoints, and what trains it under Slurm, are of these seeds."""
    words = (*WORDS[:-1], "seeds=40")
    (job,) = plan(configurations((*words, "launcher=ray"))[0])
    began = pieces_of(job, 4)
    assert pieces_of(job, 2).seeds == began.seeds
    (local,) = plan(configurations(words)[0])
    assert pieces_of(local, 1).seeds == began.seeds
    (whole,) = plan(configurations((*words, "launcher=ray", "loss=poly"))[0])
    (whole.folder / ".checkpoints" / f"{whole.key}-0").mkdir(parents=True)
    assert pieces_of(whole, 4) is None


def test_a_run_in_pieces_is_said_to_be_on_all_their_machines(job):
    pieces = Pieces(job, 3)
    said = [pieces.of_run(Event(9, "where", f"n{i % 2}"), i).value for i in range(3)]
    assert said == ["n0", "n0, n1", "n0, n1"]
