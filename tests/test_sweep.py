"""A sweep can be planned, forced, killed and resumed, and tells MLflow sooner or later."""

from __future__ import annotations

import dataclasses
import shutil
import time
from dataclasses import replace

import pandas as pd
import pytest
from killing import kill_tree, start, statuses, table

from lossbench import results
from lossbench.experiments import configurations

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
    said, errors = start(tmp_path, *SWEEP).communicate(timeout=180)
    assert "of 3 runs are done already" in said, errors
    pd.testing.assert_frame_equal(table(tmp_path), table(whole), check_exact=True)
    assert [*statuses(tmp_path).values()] == [["FINISHED"]] * 3


def test_a_dry_run_lists_and_prices_the_runs_and_leaves_no_trace(whole, command):
    before = sorted((f, f.stat().st_mtime_ns) for f in whole.rglob("*"))
    place = f"results.dir={whole / 'results'}"
    done = command(
        "run", "--dry-run", "-m", "loss=hinge,logistic,poly", *WORDS[:2], "seeds=3", place
    )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert "3 seeds can never reach p = .05 in 2 comparisons: 7 are needed" in lines[0]
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["partly", "2/3"],
        ["to", "train"],
        ["to", "train"],
    ]
    assert "3 runs: 0 done, 3 to train." in lines
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
    results.write(dataclasses.replace(again, seeds=rows), folder)
    (config,), _ = configurations([*words, f"results.dir={folder}"])
    stored = results.stored(config, folder)
    assert stored is not None
    assert list(stored.seeds["test/accuracy"]) == [0.25, 0.75]
    assert not stored.curves.duplicated(["seed", "epoch", "metric"]).any()


def test_credentials_of_the_store_are_in_no_file(whole, tmp_path):
    place = next((whole / "results").glob("*/seeds.parquet")).parent
    result = results.read(place)
    secret = "postgresql://ann:hunter2@host/runs"
    tracking = replace(result.config.tracking, uri=secret)
    result = replace(result, config=replace(result.config, tracking=tracking))
    written = results.write(result, tmp_path)
    assert "hunter2" not in "".join(f.read_text() for f in written.glob("*.yaml"))
    assert results.read(written).config.tracking.uri == "postgresql://***@host/runs"
