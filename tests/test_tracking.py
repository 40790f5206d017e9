"""The MLflow store: created once, filled whole, no zombie, no NaN, readable in a browser."""

from __future__ import annotations

import math
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pandas as pd
import psutil
import pytest
from killing import free_port
from mlflow import MlflowClient

from lossbench import results
from lossbench.statistics import t_interval
from lossbench.tracking import Store, deliver

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A folder in which a small sweep was run and tracked."""
    folder = tmp_path_factory.mktemp("sweep")
    words = ["run", "-m", "loss=cross_entropy,hinge,focal", "dataset=moons", "trainer=short"]
    subprocess.run(
        [sys.executable, "-m", "lossbench.cli", *words, "seeds=3"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=180,
    )
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
        assert {"seeds.parquet", "curves.parquet", "config.yaml", "curves.png"} <= files


def test_curves_are_means_over_seeds_with_the_ends_of_their_intervals(sweep):
    for run in runs_of(sweep):
        folder = sweep / run.data.tags["lossbench.folder"]
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
    assert "Nothing can be concluded against cross_entropy" in note.splitlines()[0]


def test_no_number_in_the_store_is_a_nan_in_disguise(sweep):
    for run in runs_of(sweep):
        for value in run.data.metrics.values():
            assert math.isfinite(value)
            assert abs(value) < 1e300


def test_a_fresh_store_opened_by_eight_processes_at_once_serves_them_all(tmp_path):
    code = (
        "import sys; from lossbench.tracking import Store\n"
        "store = Store(sys.argv[1], 'race')\n"
        "run = store.client.create_run(store.experiment)\n"
        "store.client.log_metric(run.info.run_id, 'x', 1.0)"
    )
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    processes = [subprocess.Popen([sys.executable, "-c", code, uri]) for _ in range(8)]
    assert [p.wait(180) for p in processes] == [0] * 8
    client = MlflowClient(uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "race"]
    assert len(client.search_runs([experiment.experiment_id])) == 8


def test_what_was_killed_in_training_is_closed_as_killed_by_the_next_start(tmp_path):
    words = ["run", "dataset=digits", "seeds=20", "trainer.max_epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lossbench.cli", *words], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    store = tmp_path / "results" / "mlflow.db"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (store.exists() and runs_of(store.parent)):
        time.sleep(0.2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, 20)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE], (
        "workers outlive the parent"
    )
    assert [r.info.status for r in runs_of(store.parent)] == ["RUNNING"]
    Store(f"sqlite:///{store}", "lossbench")
    assert [r.info.status for r in runs_of(store.parent)] == ["KILLED"]
    assert not list(store.parent.glob("*/seeds.parquet"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_closes_the_run_and_the_exit_code_says_so(number, code, tmp_path):
    words = ["run", "dataset=digits", "seeds=20", "trainer.max_epochs=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lossbench.cli", *words],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    store = tmp_path / "results" / "mlflow.db"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (store.exists() and runs_of(store.parent)):
        time.sleep(0.2)
    time.sleep(1)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "interrupted" in said
    assert "Traceback" not in said
    assert [r.info.status for r in runs_of(store.parent)] == ["KILLED"]


def test_results_that_the_store_missed_are_delivered_later(sweep, tmp_path):
    folder = tmp_path / "results"
    shutil.copytree(sweep, folder, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts"))
    for file in folder.glob("*/config.yaml"):
        text = file.read_text().replace("sqlite:///results", f"sqlite:///{folder}")
        file.write_text(text)
    assert deliver(results.places(folder)) == 3
    assert deliver(results.places(folder)) == 0
    assert len(runs_of(folder)) == 3


def test_trouble_with_the_store_is_told_once_and_loses_no_result(command, tmp_path):
    words = ("run", "-m", "loss=focal,hinge", "dataset=moons", "trainer=short", "seeds=2")
    done = command(*words, "tracking.uri=sqlite:////proc/nowhere/mlflow.db")
    assert done.code == 0, done.err
    assert done.out.count("lossbench sync") == 1
    assert len(list((tmp_path / "results").glob("*/seeds.parquet"))) == 2


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
        address = server.stdout.readline().split()[-1]
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        bound = [c.laddr for c in psutil.net_connections("tcp") if c.status == "LISTEN"]
        assert {place.ip for place in bound if place.port == port} == {"127.0.0.1"}
        with sync_playwright() as playwright:
            options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
            page = browser.new_page(viewport={"width": 1600, "height": 1200})
            page.goto(address)
            page.get_by_text("Learning curves").first.wait_for(timeout=60_000)
            page.get_by_text("focal (val/accuracy)", exact=True).first.wait_for(timeout=60_000)
            curves = page.locator(".js-plotly-plot .scatterlayer .trace")
            curves.first.wait_for(timeout=60_000)
            lines, text = curves.count(), page.inner_text("body")
            link = page.get_by_role("link", name="The report")
            assert link.first.is_visible()
            page.screenshot(path=str(tmp_path / "interface.png"))
            browser.close()
        assert lines >= 9, "three losses, each with a mean and both ends of its interval"
        for loss in ("cross_entropy", "hinge", "focal"):
            assert f"Group: {loss}" in text
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def test_a_result_cut_off_while_it_is_written_is_not_there(sweep, tmp_path):
    place = next(sweep.glob("*/seeds.parquet")).parent

    def cut_off(result: results.Result, path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(results.UnusableError, match="No space left"):
        results.write(results.read(place), tmp_path, cut_off)
    assert not list(tmp_path.iterdir())
