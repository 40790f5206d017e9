"""A sweep can be planned, priced and trained again; what is written is whole and harmless."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_results import result, written
from rich.console import Console

from lossbench import results
from lossbench.configuration import names
from lossbench.configuration.experiments import configurations
from lossbench.sweep.execution import execute
from lossbench.sweep.launcher import Event
from lossbench.sweep.plan import Job
from lossbench.sweep.progress import Display

WORDS = ("dataset=moons", "trainer=short", "seeds=2", "tracking=none")
JSON = ("--format", "json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder in which a run was trained."""
    folder = tmp_path_factory.mktemp("whole")
    words = ("loss=hinge", *WORDS, f"results.dir={folder / 'results'}")
    execute(configurations(words)[0], Console(quiet=True))
    return folder


def test_a_dry_run_lists_and_prices_the_runs_and_leaves_no_trace(whole, command):
    before = sorted((f, f.stat().st_mtime_ns) for f in whole.rglob("*"))
    place = f"results.dir={whole / 'results'}"
    losses = "loss=hinge,logistic,poly"
    workers = "launcher.workers=2"
    done = command("run", "--dry-run", "-m", losses, *WORDS, "seeds=3", workers, place)
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
    held = json.loads(command("run", "--dry-run", *WORDS, "loss=hinge", place, *JSON).out)
    assert held["core_seconds"] == 0
    assert [(run["status"], run["held"]) for run in held["runs"]] == [("done", 2)]
    assert sorted((f, f.stat().st_mtime_ns) for f in whole.rglob("*")) == before


def test_rerun_trains_again_and_what_was_trained_last_counts(whole, tmp_path, command):
    folder = shutil.copytree(whole / "results", tmp_path / "results")
    words = ("loss=hinge", *WORDS)
    done = command("run", "--rerun", *words)
    assert "Training 1 run " in done.out, done.err
    (place,) = folder.glob("*-1")
    again = dataclasses.replace(results.read(place), predictions=())
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


def test_parts_of_a_result_keep_what_must_be_known_of_any():
    """Why replicas were run one by one, and notes, come from all parts, each once."""
    first, second, third = (result("focal", [0.5], seeds=[seed]) for seed in range(3))
    for part, reason in ((first, "a branch"), (second, None), (third, "a mask")):
        part.summary.update(mapped=reason is None, unmapped_because=reason, notes=["a column"])
    summary = results.merged([first, second, third]).summary
    assert summary["unmapped_because"] == "a branch; a mask"
    assert not summary["mapped"]
    assert summary["notes"] == ["a column"]
    assert results.merged([second]).summary["mapped"]


def test_each_run_that_ends_shows_its_result_and_which_loss_leads_so_far(here):
    """What all runs share, such as the data, is in none of their names."""
    configs, _ = configurations(["loss=focal,poly", "dataset=moons", "seeds=2"], sweep=True)
    jobs = [
        Job(config, config.key, name, Path("results"), [0, 1])
        for config, name in zip(configs, names(configs), strict=True)
    ]
    console = Console(width=100, record=True)
    with Display(jobs, console) as display:
        for number, (job, seeds) in enumerate(zip(jobs, (range(2), range(9)), strict=True)):
            display.show(Event(number, "finished", written(job.config, seeds)), job)
    first, second = console.export_text().splitlines()
    assert first.endswith("  focal: done, accuracy 0.8005")
    assert second.endswith("  poly: done, accuracy 0.804 leads")


def test_a_result_of_added_seeds_says_that_it_is_of_these_alone(here):
    (config,), _ = configurations(["loss=focal", "dataset=moons", "seeds=5"])
    job = Job(config, config.key, "focal", Path("results"), [3, 4])
    console = Console(width=100, record=True)
    with Display([job], console) as display:
        display.show(Event(0, "finished", written(config, range(2))), job)
    assert console.export_text().strip().endswith("focal: done, accuracy 0.8005 on 2 new seeds")
