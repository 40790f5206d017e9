"""A sweep can be planned, forced, killed and resumed, and tells MLflow sooner or later."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from killing import kill_tree, start, statuses, table
from rich.console import Console

from lossbench import results
from lossbench.experiments import configurations
from lossbench.sweep import delivery
from lossbench.sweep.delivery import Delivery
from lossbench.sweep.plan import Job, plan

WORDS = ("dataset=moons", "trainer=short", "seeds=2", "launcher.workers=2")
SWEEP = ("-m", "loss=cross_entropy,hinge,focal", *WORDS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder in which a small sweep ran without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    said, errors = start(folder, *SWEEP).communicate(timeout=180)
    assert "[3/3]" in said, errors
    return folder


def test_a_sweep_killed_whole_and_resumed_gives_the_numbers_of_one_that_was_not(whole, tmp_path):
    process = start(tmp_path, *SWEEP)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("results/[!.]*/seeds.parquet")):
        time.sleep(0.01)
    kill_tree(process)
    assert list(tmp_path.glob("results/.undelivered-*"))
    said, errors = start(tmp_path, *SWEEP).communicate(timeout=180)
    assert "of 3 runs are done already" in said, errors
    pd.testing.assert_frame_equal(table(tmp_path), table(whole), check_exact=True)
    found = statuses(tmp_path)
    assert len(found) == 3
    for key, said in found.items():
        assert sorted(said)[0] == "FINISHED", key
        assert said.count("FINISHED") == 1
        assert set(said) <= {"FINISHED", "KILLED"}
    assert not list(tmp_path.glob("results/.undelivered-*"))


def test_a_dry_run_lists_and_prices_the_runs_and_leaves_no_trace(whole, command):
    before = sorted((f, f.stat().st_mtime_ns) for f in whole.rglob("*"))
    place = f"results.dir={whole / 'results'}"
    done = command("run", "--dry-run", "-m", "loss=hinge,huber,poly", *WORDS[:2], "seeds=3", place)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "3 seeds can never reach p = .05 in 2 comparisons: 7 are needed" in lines[0]
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["partly", "2/3"],
        ["to", "train"],
        ["to", "train"],
    ]
    assert "3 runs: 0 done, 3 to train." in lines
    assert any(
        "huber on moons would fail: loss=huber is for the task regression" in x for x in lines
    )
    assert "2 workers (by " in done.out
    assert sorted((f, f.stat().st_mtime_ns) for f in whole.rglob("*")) == before


def test_rerun_trains_again_and_what_was_trained_last_counts(whole, tmp_path, command):
    folder = shutil.copytree(whole / "results", tmp_path / "results")
    words = ("loss=hinge", *WORDS, "tracking=none")
    done = command("run", "--rerun", *words)
    assert "Training 1 run " in done.out, done.err
    (place,) = folder.glob("*-1")
    again = results.read(place)
    shutil.rmtree(place)
    rows = again.seeds.assign(**{"test/accuracy": [0.25, 0.75]})
    results.write(dataclasses.replace(again, seeds=rows), folder, lambda *_: None)
    (config,), _ = configurations([*words, f"results.dir={folder}"])
    stored = results.stored(config, folder)
    assert stored is not None
    assert list(stored.seeds["test/accuracy"]) == [0.25, 0.75]
    assert not stored.curves.duplicated(["seed", "epoch", "metric"]).any()


@pytest.fixture
def finished(whole, tmp_path, monkeypatch):
    """A job whose result is in a folder, and MLflow not knowing of it."""
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.2)
    ignore = shutil.ignore_patterns("mlflow.db*", "mlartifacts", ".undelivered*")
    folder = shutil.copytree(whole / "results", tmp_path / "results", ignore=ignore)
    for file in folder.glob("*/config.yaml"):
        file.write_text(file.read_text().replace("sqlite:///results", f"sqlite:///{folder}"))
    configs, _ = configurations(["loss=hinge", *WORDS, f"results.dir={folder}"])
    (job,) = plan(configs)
    job.begun, job.place = True, folder / job.key
    return job


def deliver(job: Job, while_open: contextlib.AbstractContextManager) -> str:
    """What is said when a job is told of, and the trouble goes on for a while."""
    console = Console(width=100, record=True, quiet=False)
    with Delivery([job], console) as open_delivery:
        with while_open:
            open_delivery.tell(job)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not (open_delivery.told or job.run_id):
                time.sleep(0.05)
            time.sleep(0.5)
        time.sleep(0.5)
    return console.export_text()


@contextlib.contextmanager
def no_store(folder: Path):
    """The store's place is taken by a folder."""
    (folder / "mlflow.db").mkdir()
    yield
    (folder / "mlflow.db").rmdir()


def test_trouble_that_passes_is_told_once_and_everything_is_delivered(finished):
    said = deliver(finished, no_store(finished.folder))
    assert said.count("MLflow does not take the runs") == 1
    assert "MLflow has taken all runs by now." in said
    assert statuses(finished.folder.parent) == {finished.key: ["FINISHED"]}
    assert not list(finished.folder.glob(".undelivered-*"))


def test_a_run_delivered_in_two_pieces_is_the_run_delivered_at_once(finished):
    """What was written before the trouble is written again and changes nothing."""
    deliver(finished, contextlib.nullcontext())
    store = f"sqlite:///{finished.folder / 'mlflow.db'}"
    query = "select key, step, value, is_nan from metrics order by 1, 2, 3"
    with contextlib.closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database:
        once = database.execute(query).fetchall()
        deliver(finished, contextlib.nullcontext())
        assert database.execute(query).fetchall() == once
        assert len(once) > 20


def test_what_a_sweep_could_not_deliver_the_next_one_makes_good(finished, monkeypatch):
    with no_store(finished.folder):
        said = deliver(finished, contextlib.nullcontext())
        assert said.count("lossbench sync") == 1
        (marker,) = finished.folder.glob(".undelivered-*")
        assert not delivery.left_behind(finished.folder), "this process is alive"
    marker.write_text('{"host": "", "pid": "0", "began": "0", "experiments": []}')
    monkeypatch.setattr(delivery, "alive", lambda process: process["pid"] != "0")
    finished.place, finished.begun, finished.run_id = None, False, None
    with Delivery([finished], Console(quiet=True)) as again:
        assert again.needed
    assert statuses(finished.folder.parent)[finished.key] == ["FINISHED"]
    assert not list(finished.folder.glob(".undelivered-*"))


def test_credentials_of_the_store_are_in_no_file(whole, tmp_path):
    place = next((whole / "results").glob("*/seeds.parquet")).parent
    result = results.read(place)
    secret = "postgresql://ann:hunter2@host/runs"
    tracking = replace(result.config.tracking, uri=secret)
    result = replace(result, config=replace(result.config, tracking=tracking))
    written = results.write(result, tmp_path, lambda *_: None)
    assert "hunter2" not in "".join(f.read_text() for f in written.glob("*.yaml"))
    assert results.read(written).config.tracking.uri == "postgresql://***@host/runs"
