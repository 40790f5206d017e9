"""MLflow on real servers: its own, and PostgreSQL, written to by several sweeps at once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import free_port, start
from mlflow import MlflowClient
from support import Done

from lossbench.tracking.syncing import sync

PROGRAMS = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.environ["PATH"].split(":"))]
POSTGRES = next((p for p in PROGRAMS if (p / "initdb").exists()), None)
WORDS = ("dataset=moons", "trainer=short", "seeds=2", "launcher.workers=2")
SECRET = "hunter2"
Command = Callable[..., Done]

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The address of an empty PostgreSQL database that asks for a password."""
    if POSTGRES is None:
        pytest.skip("no PostgreSQL here; as root: apt-get install postgresql")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is missing: pip install 'lossbench[postgres]'")
    folder, port = tmp_path_factory.mktemp("postgres"), free_port()
    for parent in [folder, *folder.parents[:3]]:
        parent.chmod(0o755)
    (folder / "password").write_text(SECRET)
    data, log = folder / "data", folder / "log"
    data.mkdir()
    as_owner: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(data, "nobody")
        as_owner = ["setpriv", "--reuid=nobody", "--clear-groups"]
    password = f"--pwfile={folder / 'password'}"
    options = ["-D", data, "-U", "ann", "-A", "scram-sha-256", password, "--no-sync"]
    subprocess.run([*as_owner, POSTGRES / "initdb", *options], check=True, capture_output=True)
    places = ["-D", data, "-k", data, "-h", "127.0.0.1", "-p", str(port), "-F"]
    with log.open("w") as out:
        server = subprocess.Popen([*as_owner, POSTGRES / "postgres", *places], stdout=out, stderr=2)
    address = f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:{port}/postgres"
    _wait(lambda: _connects(address))
    yield address
    server.send_signal(signal.SIGINT)
    server.wait(30)


def _connects(address: str) -> bool:
    import psycopg

    psycopg.connect(address.replace("+psycopg", "")).close()
    return True


def _wait(works, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if works():
                return
        except Exception:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


class Server:
    """MLflow's own server on a SQLite store, which can go away and come back."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        store = f"sqlite:///{self.folder / 'server.db'}"
        command = ["server", "--backend-store-uri", store, "--port", str(self.port)]
        options = ["--workers", "1", "--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *command, *options],
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        _wait(lambda: urllib.request.urlopen(f"{self.address}/health", timeout=2).status == 200)

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory, empty_store):
    running = Server(tmp_path_factory.mktemp("server"))
    shutil.copy(empty_store, running.folder / "server.db")
    running.begin()
    yield running
    running.end()


def finished(address: str, experiment: str) -> list[str]:
    """The losses of an experiment's runs, all of which must have ended well."""
    client = MlflowClient(address)
    found = client.get_experiment_by_name(experiment)
    assert found
    runs = client.search_runs([found.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED"] * len(runs)
    for run in runs:
        assert "test/accuracy" in run.data.metrics
        assert run.data.params["trainer.max_epochs"] == "5"
    return sorted(run.data.tags["loss"] for run in runs)


def sweeps_at_once(folder: Path, command: Command, address: str) -> None:
    """Two sweeps, two workers each, into one store: a process of its own, and this one."""
    where = (f"tracking.uri={address}", "tracking.experiment=race")
    other = start(folder, "-m", "loss=hinge,focal", *WORDS, *where)
    _wait(lambda: other.poll() is not None or (folder / "results").is_dir())  # imports take seconds
    ours = command("run", "-m", "loss=focal,poly", *WORDS, *where)
    theirs = Done(0, *other.communicate(timeout=400))
    for code, sweep in ((ours.code, ours), (other.returncode, theirs)):
        assert code == 0, sweep.err
        assert "MLflow does not take the runs" not in sweep.out
        assert SECRET not in sweep.out + sweep.err


@pytest.mark.slow
def test_two_sweeps_at_once_into_a_fresh_postgresql_keep_its_password(postgres, tmp_path, command):
    sweeps_at_once(tmp_path, command, postgres)
    assert finished(postgres, "race") == ["focal", "hinge", "poly"]
    for file in tmp_path.rglob("*.yaml"):
        assert SECRET not in file.read_text(), file
    client = MlflowClient(postgres)
    for run in client.search_runs([client.get_experiment_by_name("race").experiment_id]):
        assert SECRET not in str(run.data.params)
    assert sync(tmp_path / "results", postgres) == 0


@pytest.mark.slow
def test_two_sweeps_at_once_into_a_server(server, tmp_path, command):
    sweeps_at_once(tmp_path, command, server.address)
    assert finished(server.address, "race") == ["focal", "hinge", "poly"]


@pytest.mark.slow
def test_a_server_that_goes_away_in_a_sweep_gets_everything_when_it_is_back(server, command):
    """The server is killed when the first run has begun, and is back before the last has ended."""
    where = (f"tracking.uri={server.address}", "tracking.experiment=away")
    words = ("-m", "loss=hinge,focal,poly", *WORDS, "trainer.max_epochs=200")
    client = MlflowClient(server.address)

    def restart() -> None:
        _wait(lambda: client.get_experiment_by_name("away") is not None)
        server.end()
        time.sleep(2)
        server.begin()

    restarting = threading.Thread(target=restart)
    restarting.start()
    sweep = command("run", *words, *where)
    restarting.join()
    assert sweep.code == 0, sweep
    assert command("sync", "--uri", server.address).code == 0
    runs = client.search_runs([client.get_experiment_by_name("away").experiment_id])
    ended = [r.data.tags["loss"] for r in runs if r.info.status == "FINISHED"]
    assert sorted(ended) == ["focal", "hinge", "poly"]
    assert "RUNNING" not in [r.info.status for r in runs]
