"""MLflow gets what became of jobs sooner or later, whatever happens to its store meanwhile."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator

import pytest
from killing import statuses
from made_results import written
from rich.console import Console

from lossbench.configuration.experiments import configurations
from lossbench.sweep import delivery
from lossbench.sweep.delivery import Delivery
from lossbench.sweep.plan import Job


@pytest.fixture
def job(with_store, monkeypatch) -> Job:
    """A job whose result was written, and a store that does not know of it."""
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.2)
    config = configurations(["loss=focal", "dataset=moons", "seeds=2"])[0][0]
    place = written(config, range(2)).absolute()
    return Job(config, config.key, "focal", place.parent, [0, 1], place)


@contextlib.contextmanager
def full_store(job: Job) -> Iterator[None]:
    """The store takes no numbers."""
    with contextlib.closing(sqlite3.connect(job.folder / "mlflow.db")) as database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON metrics "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
        yield
        database.execute("DROP TRIGGER full")


def wait_for(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_trouble_that_passes_is_reported_once_and_everything_is_delivered(job):
    console = Console(width=100, record=True)
    with Delivery([job], console) as open_delivery, full_store(job):
        open_delivery.tell(job)
        wait_for(lambda: open_delivery.reported)
        time.sleep(0.5)
    said = console.export_text()
    assert said.count("MLflow does not take the runs (database or disk is full)") == 1
    assert "deliver them later with: lossbench sync" in said
    assert "MLflow has taken all runs by now." in said
    assert statuses(job.folder.parent) == {job.key: ["FINISHED"]}


def test_what_was_not_delivered_by_the_end_is_delivered_by_the_next_command(job):
    console = Console(width=100, record=True)
    with full_store(job), Delivery([job], console) as hopeless:
        hopeless.tell(job)
    assert "MLflow has taken" not in console.export_text()
    job.seeds, job.place = [], None  # as the next command plans it
    with Delivery([job], console):
        pass
    assert statuses(job.folder.parent) == {job.key: ["FINISHED"]}
    assert job.shown


def test_points_that_a_store_did_not_take_are_sent_when_it_does(job, monkeypatch):
    """Those that it took before are sent again, to a new run."""
    monkeypatch.setattr(delivery, "CURVE_SECONDS", 0)
    from lossbench.tracking.store import Store

    def points() -> list[int]:
        store = Store("sqlite:///results/mlflow.db", "elsewhere")
        ours = store.client.get_experiment_by_name("lossbench")
        runs = store.client.search_runs([ours.experiment_id]) if ours else []
        history = [store.client.get_metric_history(run.info.run_id, "val/x") for run in runs]
        return [point.step for curve in history for point in curve]

    shutil.rmtree(job.place or "")
    job.place = None
    with Delivery([job], Console(quiet=True)) as open_delivery:
        open_delivery.tell_progress(job, 1, 9, (1, {"val/x": 1.0}))
        open_delivery.tell_progress(job, 1, 9, (1, {"val/x": 1.0}))
        wait_for(lambda: points() == [1])
        with full_store(job):
            open_delivery.tell_progress(job, 2, 9, (2, {"val/x": 2.0}))
            wait_for(lambda: open_delivery.reported)
        wait_for(lambda: points() == [1, 2])
    assert statuses(job.folder.parent) == {job.key: ["KILLED"]}
