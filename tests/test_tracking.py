"""The MLflow store: created once, filled whole, no zombie, no NaN, readable in a browser."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from killing import free_port
from made_results import written
from mlflow import MlflowClient
from support import called

from lossbench import results
from lossbench.configuration.experiments import configurations
from lossbench.contract import UnusableError, UserError
from lossbench.results.sources import code_of_run
from lossbench.statistics import t_interval
from lossbench.sweep import delivery
from lossbench.tracking.connection import fetch
from lossbench.tracking.shown import shows_all
from lossbench.tracking.store import Store
from lossbench.tracking.syncing import sync

LONG = ("dataset=digits", "seeds=20", "trainer.max_epochs=100000")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, empty_store):
    """The results of a small sweep that was tracked."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "results").mkdir()
    shutil.copy(empty_store, folder / "results" / "mlflow.db")
    words = ["-m", "loss=cross_entropy,hinge,focal", "dataset=moons", "trainer=short", "seeds=3"]
    with contextlib.chdir(folder):
        assert called("run", *words) == 0
    assert len([*folder.glob("results/*/seeds.parquet")]) == 3
    return folder / "results"


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def runs_of(folder: Path):
    client = client_of(folder)
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


def test_each_configuration_is_one_finished_run_with_parameters_metrics_and_artifacts(sweep):
    runs, client = runs_of(sweep), client_of(sweep)
    assert sorted(r.data.tags["loss"] for r in runs) == ["cross_entropy", "focal", "hinge"]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.params["trainer.max_epochs"] == "5"
        files = {f.path for f in client.list_artifacts(run.info.run_id)}
        assert {"seeds.parquet", "curves.parquet", "config.yaml"} <= files


def test_curves_are_means_over_seeds_with_the_ends_of_their_intervals(sweep):
    for run in runs_of(sweep):
        folder = sweep / run.data.tags["lossbench.key"]
        curves = pd.read_parquet(folder / "curves.parquet")
        for metric in ("train/loss", "val/accuracy"):
            for suffix, end in (("", "estimate"), ("_low", "low"), ("_high", "high")):
                history = client_of(sweep).get_metric_history(run.info.run_id, metric + suffix)
                for point in history:
                    chosen = curves[(curves.metric == metric) & (curves.epoch == point.step)]
                    assert point.value == pytest.approx(getattr(t_interval(chosen.value), end))
        test = pd.read_parquet(folder / "seeds.parquet")["test/accuracy"]
        assert run.data.metrics["test/accuracy"] == pytest.approx(test.mean())


def test_the_report_is_kept_with_the_last_run_and_linked_above_all(sweep):
    (experiment,) = [e for e in client_of(sweep).search_experiments() if e.name == "lossbench"]
    note = experiment.tags["mlflow.note.content"]
    place = re.search(r"\(#/experiments/(\d+)/runs/(\w+)/artifacts/report.html\)", note)
    assert place
    assert place[1] == experiment.experiment_id
    assert place[2] in {run.info.run_id for run in runs_of(sweep)}
    file = client_of(sweep).download_artifacts(place[2], "report.html")
    page = Path(file).read_text()
    assert "Decision boundaries" in page
    assert "no loss is shown to beat cross_entropy" in note.splitlines()[0]


def test_each_run_has_a_colour_of_its_own_and_says_what_is_concluded_of_it(sweep):
    tags = {run.data.tags["loss"]: run.data.tags for run in runs_of(sweep)}
    assert len({each["mlflow.runColor"] for each in tags.values()}) == 3
    notes = {loss: each["mlflow.note.content"] for loss, each in tags.items()}
    assert notes["cross_entropy"].startswith("cross_entropy is the baseline. moons")
    assert notes["focal"].startswith("focal against cross_entropy in accuracy")


def test_no_number_in_the_store_is_a_nan_in_disguise(sweep):
    for run in runs_of(sweep):
        for value in run.data.metrics.values():
            assert math.isfinite(value)
            assert abs(value) < 1e300


@pytest.fixture(scope="module")
def config():
    """A configuration of one loss."""
    return configurations(["loss=focal", "dataset=moons"])[0][0]


@pytest.fixture
def store(here, with_store):
    """A store without runs, in the results folder."""
    return Store("sqlite:///results/mlflow.db", "lossbench")


def shown(store: Store) -> list[tuple[str, str]]:
    """Status and seeds of each run that the store's experiment shows."""
    runs = store.client.search_runs([store.experiment])
    return [(run.info.status, run.data.params["seeds"]) for run in runs]


def content(file: str = "results/mlflow.db") -> list[str]:
    """All that an SQLite store holds."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        return list(database.iterdump())


def leave_to_a_dead_process(file: str = "results/mlflow.db") -> None:
    """Let every run of a store have been written by a process that is gone."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE tags SET value = '0' WHERE key = 'lossbench.began'")
        database.commit()


def test_seeds_added_later_replace_the_numbers_of_a_configuration(store, config, tmp_path):
    first = written(config, [7])
    assert store.deliver([first], "focal")
    parts = [first, written(config, range(3))]
    assert store.deliver(parts, "focal")
    assert shown(store) == [("FINISHED", "[0, 1, 2, 7]")]
    (run,) = store.client.search_runs([store.experiment])
    assert run.data.metrics["test/accuracy"] == pytest.approx(0.8 + 10 / 4000)
    curve = store.client.get_metric_history(run.info.run_id, "val/x")
    assert [(p.step, round(p.value, 4)) for p in curve] == [(e, e + 0.025) for e in range(4)]
    (tmp_path / "fetched").mkdir()
    kept = results.read(fetch(store.uri, run.info.run_id, tmp_path / "fetched"))
    assert list(kept.seeds.seed) == [0, 1, 2, 7]


def test_each_setting_has_a_view_of_its_own_and_the_last_one_is_opened(store, config):
    """Of one setting the view of all runs; of several one that finds the last one's runs alone."""
    store.deliver([written(config, range(2))], "focal")
    assert store.page.endswith("viewStateShareKey=losses")
    other = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, max_epochs=7))
    store.deliver([written(other, range(2))], "focal for longer")
    key = store.page.rpartition("=")[2]
    tag = store.client.get_experiment(store.experiment).tags[f"mlflow.sharedViewState.{key}"]
    view = json.loads(tag)
    assert view["name"] == "moons · mlp"
    state = json.loads(zlib.decompress(b64decode(view["state"].removeprefix("deflate;"))))
    (run,) = store.client.search_runs([store.experiment], state["searchFilter"])
    assert run.data.params["trainer.max_epochs"] == "7"


def test_a_result_delivered_again_changes_nothing_in_the_store(store, config):
    place = written(config, range(2))
    store.deliver([place], "focal")
    before = content()
    assert not store.deliver([place], "focal")
    assert not Store(store.uri, "lossbench").deliver([place], "focal")
    assert content() == before


def test_a_loss_in_a_file_that_was_edited_has_one_run_and_the_change_is_named(store, here):
    """Its code is a part of the key, so that the results of both stay in the folder."""
    places = []
    for factor in (1, 2):
        (here / "mine.py").write_text(f"def f(logits, target, /):\n    return {factor} * logits\n")
        config = configurations(["loss=mine.py:f", "dataset=digits"])[0][0]
        before = results.changed([config], here / "results")
        places.append(written(config, [0], sources=code_of_run(config, "multiclass")))
        assert store.deliver(places[-1:], "f")
    assert before == [["loss"]]
    (run,) = store.client.search_runs([store.experiment])
    assert run.data.tags["lossbench.key"] == config.key
    assert sync(here / "results") == 0
    assert len(set(places)) == 2


def test_what_a_store_shows_is_known_without_mlflow(store, config, here):
    """Whose import takes seconds: a command that has nothing to deliver does without."""
    parts = [written(config, [0])]
    code = (
        "import sys; from lossbench.tracking.shown import shows_all; print('mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n"
    assert not shows_all(store.uri, "lossbench", [parts])
    store.deliver(parts, "focal")
    assert shows_all(store.uri, "lossbench", [parts])
    assert not shows_all(store.uri, "elsewhere", [parts])
    parts.append(written(config, [1]))
    assert not shows_all(store.uri, "lossbench", [parts])
    store.deliver(parts, "focal")
    other = configurations(["loss=poly", "dataset=moons"])[0][0]
    store.show_training(other, "poly", [], "1 of 9 epochs")
    leave_to_a_dead_process()
    assert not shows_all(store.uri, "lossbench", [parts])


def test_a_store_that_missed_seeds_shows_them_when_it_is_named_again(
    store, config, empty_store, tmp_path
):
    """Seeds go to one store, then all to another, then the command names the first again."""
    other = Store(f"sqlite:///{shutil.copy(empty_store, tmp_path / 'other.db')}", "lossbench")
    parts = [written(config, [7])]
    store.deliver(parts, "focal")
    parts.append(written(config, [1, 2]))
    for each in (other, store):
        assert each.deliver(parts, "focal")
        assert shown(each) == [("FINISHED", "[1, 2, 7]")]


def test_what_two_runs_show_by_accident_is_one_run_after_the_next_delivery(store, config):
    """A command was killed between writing the new run and deleting the old one."""
    first, second = written(config, [0]), written(config, [1])
    store.deliver([first], "focal")
    (old,) = store.client.search_runs([store.experiment])
    store.deliver([first, second], "focal")
    store.client.restore_run(old.info.run_id)
    assert len(shown(store)) == 2
    Store(store.uri, "lossbench").deliver([first, second], "focal")
    assert shown(store) == [("FINISHED", "[0, 1]")]


def test_a_run_in_training_shows_its_curves_and_gives_way_to_its_result(store, config):
    store.show_training(config, "focal", [(1, {"val/x": 1.0, "train/loss": math.nan})], "1 of 3")
    store.show_training(config, "focal", [(2, {"val/x": 2.0})], "2 of 3")
    (run,) = store.client.search_runs([store.experiment])
    assert run.info.status == "RUNNING"
    assert run.data.tags["lossbench.progress"] == "2 of 3"
    curve = store.client.get_metric_history(run.info.run_id, "val/x")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 2.0)]
    store.deliver([written(config, range(2))], "focal")
    assert shown(store) == [("FINISHED", "[0, 1]")]


@pytest.mark.parametrize("killed", [False, True])
def test_seeds_that_were_not_trained_to_the_end_give_the_run_back_that_was_there(
    killed, store, config
):
    """Whether the command ends it itself, or the next one finds it left by a dead process."""
    store.deliver([written(config, range(2))], "focal")
    more = dataclasses.replace(config, seeds=tuple(range(9)))
    store.show_training(more, "focal", [(1, {"val/x": 1.0})], "1 of 3")
    assert [status for status, _ in shown(store)] == ["RUNNING"]
    if killed:
        leave_to_a_dead_process()
        Store(store.uri, "lossbench")
    else:
        store.end(config.key, "KILLED")
    assert shown(store) == [("FINISHED", "[0, 1]")]


def test_a_failed_run_is_there_with_its_reason_until_there_is_a_result(store, config):
    for reason in ("no memory", "no memory again"):
        store.show_training(config, "focal", [(1, {"val/x": 1.0})], "1 of 3")
        store.end(config.key, "FAILED")
        store.fail(config, "focal", reason)
        (run,) = store.client.search_runs([store.experiment])
        assert run.info.status == "FAILED"
        assert run.data.tags["lossbench.reason"] == reason
    store.deliver([written(config, range(2))], "focal")
    assert shown(store) == [("FINISHED", "[0, 1]")]


def test_seeds_that_fail_leave_the_numbers_of_the_others_and_say_why(store, config):
    store.deliver([written(config, range(2))], "focal")
    store.show_training(config, "focal", [(1, {"val/x": 1.0})], "1 of 3")
    store.end(config.key, "FAILED")
    store.fail(config, "focal", "no memory")
    (run,) = store.client.search_runs([store.experiment])
    assert (run.info.status, run.data.params["seeds"]) == ("FINISHED", "[0, 1]")
    assert run.data.tags["lossbench.reason"] == "no memory"


def test_a_run_of_another_machine_that_has_been_silent_for_long_is_closed(store, config):
    store.show_training(config, "focal", [], "0 of 3")
    (run,) = store.client.search_runs([store.experiment])
    store.client.set_tag(run.info.run_id, "lossbench.host", "elsewhere")
    Store(store.uri, "lossbench")
    assert shown(store)[0][0] == "RUNNING"
    store.client.set_tag(run.info.run_id, "lossbench.seen", str(int((time.time() - 1e5) * 1000)))
    Store(store.uri, "lossbench")
    assert shown(store)[0][0] == "KILLED"


def fill(uri: str, place: Path) -> None:
    """What each of several processes does."""
    Store(uri, "race").deliver([place], "focal")


def test_a_fresh_store_opened_by_eight_processes_at_once_serves_them_all(config, here):
    """They create the database and deliver the same result, which becomes one run."""
    uri, place = f"sqlite:///{here}/mlflow.db", written(config, range(2))
    context = multiprocessing.get_context("fork")  # spares each the imports
    processes = [context.Process(target=fill, args=(uri, place)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(180)
    assert [process.exitcode for process in processes] == [0] * 8
    assert shown(Store(uri, "race")) == [("FINISHED", "[0, 1]")]


def test_sync_delivers_what_a_folder_holds_to_its_own_store_wherever_it_lies(store, config):
    written(config, [7])
    written(config, range(2))
    os.rename("results", "moved")
    assert sync(Path("moved")) == 1
    assert sync(Path("moved")) == 0
    assert shown(Store("sqlite:///moved/mlflow.db", "lossbench")) == [("FINISHED", "[0, 1, 7]")]


def test_sync_writes_to_a_store_elsewhere_only_if_it_is_given(store, config, here):
    elsewhere = dataclasses.replace(config.tracking, uri=f"sqlite:///{here}/elsewhere.db")
    written(dataclasses.replace(config, tracking=elsewhere), range(2))
    with pytest.raises(UserError, match=r"its results name the store .* add --uri URI"):
        sync(Path("results"))
    assert not Path("elsewhere.db").exists()
    assert sync(Path("results"), store.uri) == 1


@pytest.mark.slow
def test_a_long_run_shows_its_curves_while_it_trains(command, with_store, monkeypatch):
    """Seen from outside, with a point every fifth of a second instead of every ten seconds."""
    monkeypatch.setattr(delivery, "CURVE_SECONDS", 0.2)
    folder, lengths, stop = with_store / "results", [0], threading.Event()

    def history(run) -> list[int]:
        points = client_of(folder).get_metric_history(run.info.run_id, "val/accuracy")
        return [point.step for point in points]

    def watch() -> None:
        while not stop.wait(0.5):
            lengths.extend(len(history(r)) for r in runs_of(folder) if r.info.status == "RUNNING")

    watcher = threading.Thread(target=watch)
    watcher.start()
    done = command("run", "dataset=digits", "seeds=20", "trainer.max_epochs=60")
    stop.set()
    watcher.join()
    assert done.code == 0, done.err
    assert max(lengths) > 2
    (run,) = runs_of(folder)
    assert run.info.status == "FINISHED"
    assert history(run) == [*range(61)]


def test_a_long_curve_is_thinned_to_what_a_chart_can_show(store, config):
    store.deliver([written(config, range(2), epochs=2001)], "focal")
    (run,) = store.client.search_runs([store.experiment])
    curve = store.client.get_metric_history(run.info.run_id, "val/x")
    assert (curve[0].step, curve[-1].step, len(curve)) == (0, 2000, 500)


def test_what_is_done_already_is_shown_by_a_store_that_is_named_later(
    command, with_store, empty_store
):
    words = ("run", "dataset=moons", "loss=focal", "trainer=short", "seeds=2")
    assert command(*words, "tracking=none").code == 0
    for name in ("mlflow.db", "other.db"):
        shutil.copy(empty_store, name)
        done = command(*words, f"tracking.uri=sqlite:///{name}")
        assert "1 of 1 runs is done already" in done.out, done
        store = Store(f"sqlite:///{name}", "lossbench")
        assert shown(store) == [("FINISHED", "[0, 1]")]
        note = store.client.get_experiment(store.experiment).tags["mlflow.note.content"]
        assert note.startswith("[The report]")


def when_in_training(folder: Path, act: Callable[[], object]) -> None:
    """Wait until MLflow shows a run, and act."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not runs_of(folder):
        time.sleep(0.2)
    act()


def test_an_interrupt_closes_the_run_and_the_exit_code_says_so(command, with_store, monkeypatch):
    monkeypatch.setattr(delivery, "CURVE_SECONDS", 0.2)
    folder, workers = with_store / "results", []

    def interrupt() -> None:
        assert list(folder.glob(".claim-*"))
        family = psutil.Process().children(recursive=True)
        workers.extend(p for p in family if p.ppid() != os.getpid())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=when_in_training, args=(folder, interrupt)).start()
    done = command("run", *LONG)
    assert done.code == 130
    assert "interrupted" in done.err
    assert "the same command resumes with what is missing" in done.err
    assert "Traceback" not in done.err
    assert workers
    assert not psutil.wait_procs(workers, timeout=20)[1]
    assert not list(folder.glob(".claim-*"))
    assert [run.info.status for run in runs_of(folder)] == ["KILLED"]


@pytest.mark.slow
def test_what_was_killed_in_training_is_closed_as_killed_by_the_next_start(with_store):
    code = (
        "import sys; from lossbench.cli import main; from lossbench.sweep import delivery\n"
        "delivery.CURVE_SECONDS = 0.2; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, "run", *LONG], stdout=-3)
    folder = with_store / "results"
    when_in_training(folder, lambda: None)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, 20)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE], "workers outlive it"
    assert [run.info.status for run in runs_of(folder)] == ["RUNNING"]
    Store("sqlite:///results/mlflow.db", "lossbench")
    assert [run.info.status for run in runs_of(folder)] == ["KILLED"]
    assert not list(folder.glob("*/seeds.parquet"))


def test_trouble_with_the_store_is_reported_once_and_loses_no_result(command):
    words = ("run", "-m", "loss=focal,hinge", "dataset=moons", "trainer=short", "seeds=2")
    done = command(*words, "tracking.uri=sqlite:////proc/nowhere/mlflow.db")
    assert done.code == 0, done.err
    assert done.out.count("lossbench sync --uri sqlite:////proc/nowhere/mlflow.db") == 1
    assert "cannot be used: No such file or directory: /proc/nowhere)" in done.out
    assert len([*Path("results").glob("*/seeds.parquet")]) == 2


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_the_interface_shows_the_losses_side_by_side_with_their_curves(sweep, tmp_path):
    from playwright.sync_api import sync_playwright

    port = free_port()
    command = [sys.executable, "-m", "lossbench.cli", "ui", "--results", str(sweep)]
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout
        reports, address = (server.stdout.readline().split()[-1] for _ in range(2))
        assert b"focal" in urllib.request.urlopen(reports, timeout=2).read()
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        bound = [c.laddr for c in psutil.net_connections("tcp") if c.status == "LISTEN"]
        assert {place.ip for place in bound if place.port == port} == {"127.0.0.1"}
        with sync_playwright() as playwright:
            options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
            page = browser.new_page(viewport={"width": 1600, "height": 1200})
            page.goto(address)
            page.get_by_text("Learning curves").first.wait_for(timeout=60_000)
            page.get_by_text("focal on moons (val/accuracy)", exact=True).first.wait_for(
                timeout=60_000
            )
            curves = page.locator(".js-plotly-plot .scatterlayer .trace")
            curves.first.wait_for(timeout=60_000)
            lines, text = curves.count(), page.inner_text("body")
            link = page.get_by_role("link", name="The report")
            assert link.first.is_visible()
            page.screenshot(path=str(tmp_path / "interface.png"))
            browser.close()
        assert lines >= 3
        for loss in ("cross_entropy", "hinge", "focal"):
            assert f"{loss} on moons" in text
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def test_a_result_cut_off_while_it_is_written_is_not_there(sweep, tmp_path, monkeypatch):
    found = results.read(next(sweep.glob("*/seeds.parquet")).parent)

    def cut_off(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", cut_off)
    with pytest.raises(UnusableError, match="No space left"):
        results.write(found, tmp_path)
    assert not list(tmp_path.iterdir())
