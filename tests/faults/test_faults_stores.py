"""Stores, disks and several processes: the results folder is the truth, whatever happens around."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from killing import start
from made_results import written
from mlflow import MlflowClient
from support import QUICK, sampled

from lossbench import registry, results
from lossbench.configuration.experiments import configurations
from lossbench.contract import UnusableError
from lossbench.tracking.store import Store

TRACKED = tuple(word for word in QUICK if word != "tracking=none")


def runs(uri: str) -> list:
    client = MlflowClient(uri)
    return client.search_runs([e.experiment_id for e in client.search_experiments()])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound store, to be copied."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store(f"sqlite:///{file}", "lossbench")
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.mark.slow
def test_f57_f58_two_commands_at_once_share_the_runs_out(tmp_path, command):
    """At once on one folder: no run is trained twice, both show all of them."""
    words = ("-m", *QUICK[:-1], "loss=focal,hinge,poly", "launcher.workers=1")
    words = (*words, "trainer.max_epochs=20")
    other = start(tmp_path, *words)
    while other.poll() is None and not list(tmp_path.glob("results/.claim-*")):
        time.sleep(0.01)
    ours = command("run", *words)
    out, errors = other.communicate(timeout=200)
    assert (ours.code, other.returncode) == (0, 0), (ours, errors)
    assert all(loss in ours.out and loss in out for loss in ("focal", "hinge", "poly"))
    found = sorted(file.parent.name for file in tmp_path.glob("results/*/seeds.parquet"))
    assert len(found) == 3
    assert not any("-" in name for name in found)
    assert not list(tmp_path.glob("results/.claim-*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of a few megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system of its own")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_f60_a_full_disk_ends_it_cleanly_and_room_lets_it_go_on(small_disk, command):
    """Full before the start, then full after the first run: what is finished stays as it is."""
    words = ("run", "-m", *QUICK[:-1], "launcher.workers=1", f"results.dir={small_disk}/r")
    words = (*words, "loss=cross_entropy,focal,hinge")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2_500_000))
    said = command(*words)
    assert said.code == 4
    assert "No space left on device" in said.err
    ballast.unlink()

    def fill() -> None:
        while not list(small_disk.glob("r/[!.]*/seeds.parquet")):
            time.sleep(0.005)
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    filler = threading.Thread(target=fill)
    filler.start()
    said = command(*words)
    filler.join()
    assert said.code == 4, said
    assert "No space left on device" in said.err
    (first, *_) = [pd.read_parquet(f) for f in small_disk.glob("r/[!.]*/seeds.parquet")]
    assert list(first.status) == ["finished"] * 2
    ballast.unlink()
    said = command(*words)
    assert said.code == 0, said
    assert "done already" in said.out
    assert len(list(small_disk.glob("r/[!.]*/seeds.parquet"))) == 3


@pytest.fixture
def doctor(command, monkeypatch):
    """`lossbench doctor` without trying plugins, which takes a while and is shown elsewhere."""

    def run():
        with monkeypatch.context() as patched:
            patched.setattr(registry, "installed", lambda kind: [])
            return command("doctor")

    return run


def garbage(file: Path) -> None:
    file.write_bytes(b"garbage" * 999)


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def page_damaged(file: Path) -> None:
    with file.open("r+b") as store:
        store.seek(4096)
        store.write(b"x" * 4096)


@pytest.mark.parametrize(
    "damage", sampled([page_damaged, garbage, truncated], 3), ids=lambda d: d.__name__
)
def test_f61_doctor_moves_a_damaged_store_aside_and_rebuilds_it(damage, store, doctor, here):
    written(configurations(["dataset=moons"])[0][0], range(2))
    shutil.copy(store, "results/mlflow.db")
    damage(Path("results/mlflow.db"))
    said = doctor()
    assert said.code == 0, said
    assert "moved to" in said.out
    assert "1 results delivered" in said.out
    assert Path("results/.damaged-mlflow.db").exists()
    (run,) = runs("sqlite:///results/mlflow.db")
    assert run.info.status == "FINISHED"


def test_a_store_that_fills_up_in_a_sync_is_no_bug_of_ours(store, command):
    full = "BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
    written(configurations(["dataset=moons"])[0][0], range(2))
    shutil.copy(store, "other.db")
    with contextlib.closing(sqlite3.connect("other.db")) as database:
        database.execute(f"CREATE TRIGGER full {full}")
    said = command("sync", "--uri", "sqlite:///other.db")
    assert said.code == 4, said
    assert "other.db: cannot be used: database or disk is full" in said.err


def test_a_store_without_an_active_experiment_is_sound_and_has_nothing_to_show(
    with_store, command, doctor
):
    with contextlib.closing(sqlite3.connect("results/mlflow.db")) as database:
        database.execute("UPDATE experiments SET lifecycle_stage = 'deleted'")
        database.commit()
    assert "mlflow.db: opens" in doctor().out
    said = command("ui")
    assert said.code == 4
    assert "the store has no experiment yet" in said.err


@pytest.mark.parametrize("summary", sampled(["key: x", "", "- key"], 3))
def test_a_summary_that_says_nothing_is_damaged(summary, command, here):
    assert command("run", *QUICK).code == 0
    (file,) = here.glob("results/*/summary.yaml")
    file.write_text(summary)
    for words in (("run", *QUICK), ("run", "--dry-run", *QUICK), ("compare",)):
        said = command(*words)
        assert said.code == 2, said
        assert "is damaged (summary " in said.err


def test_what_was_added_to_a_result_outlives_its_first_part(command, here):
    """The first part was moved away by hand: the seeds of the second are compared."""
    assert command("run", *QUICK).code == 0
    assert command("run", *QUICK, "seeds=4").code == 0
    first, second = sorted(here.glob("results/*/seeds.parquet"))
    shutil.rmtree(first.parent)
    said = command("compare", "--format", "csv")
    assert said.code == 0, said
    assert list(pd.read_parquet(second).seed) == [2, 3]
    assert ",untuned,2,0,accuracy," in said.out


def test_f61_f67_doctor_moves_a_damaged_result_aside(command, doctor):
    """The results written after it of the same key stay, and the same command trains the rest."""
    for seeds in ("2", "4"):
        assert command("run", *QUICK, f"seeds={seeds}").code == 0
    (key,) = {
        file.parent.name.partition("-")[0] for file in Path("results").glob("*/seeds.parquet")
    }
    kept = pd.read_parquet(f"results/{key}-1/seeds.parquet")
    Path("results", key, "seeds.parquet").write_bytes(b"PAR1")
    said = command("compare")
    assert said.code == 2
    assert f"results/{key} is damaged" in said.err
    said = doctor()
    assert "1 damaged" in said.out
    pd.testing.assert_frame_equal(pd.read_parquet(f"results/{key}/seeds.parquet"), kept)
    assert Path(f"results/.damaged-{key}").is_dir()
    assert command("run", *QUICK, "seeds=4").code == 0
    assert len(list(Path("results").glob("[!.]*/seeds.parquet"))) == 2


@pytest.mark.parametrize(
    ("revision", "advice"),
    [
        pytest.param("ffffffffffff", "by a newer MLflow than 3", id="F62-newer"),
        pytest.param("451aebb31d03", "Run: mlflow db upgrade sqlite:///", id="F62-older"),
    ],
)
def test_the_store_of_another_mlflow_is_told_apart(revision, advice, store, tmp_path):
    file = shutil.copy(store, tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        database.commit()
    with pytest.raises(UnusableError, match=advice):
        Store(f"sqlite:///{file}", "lossbench")


def test_f63_an_experiment_that_was_deleted_is_not_in_the_way(store, tmp_path):
    file = shutil.copy(store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{file}"
    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name("lossbench").experiment_id)
    again = Store(uri, "lossbench")
    assert client.get_experiment(again.experiment).name == "lossbench-2"


def test_f64_a_server_that_is_down_is_said_soon():
    began = time.monotonic()
    with pytest.raises(UnusableError) as refused:
        Store("http://127.0.0.1:1", "x")
    expected = "tracking.uri=http://127.0.0.1:1: cannot be used: Connection refused"
    assert str(refused.value) == expected
    assert time.monotonic() - began < 60  # MLflow's own patience is several minutes


@pytest.mark.slow
def test_f59_f64_training_goes_on_without_a_store(command):
    """A database held by another, and a server that is down: 40 s each, of patience at the end."""
    Path("results").mkdir()
    holder = sqlite3.connect("results/mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    for uri in ("sqlite:///results/mlflow.db", "http://127.0.0.1:1"):
        said = command("run", "loss=focal", *TRACKED, f"tracking.uri='{uri}'", "--rerun")
        assert said.code == 0, said
        assert "MLflow does not take the runs" in said.out
    assert len(list(Path("results").glob("*/seeds.parquet"))) == 2


def test_f65_f66_odd_names_and_long_values_reach_mlflow(command, here):
    """A keyword that is no ASCII, a name with blanks, brackets and an emoji, a value of 9,000."""
    loss = "def f(p, t, /, *, größe: float = 1.0, text: str = ''):\n    return (p - t) ** 2\n"
    file = "my loss (top 1)@k=1 🙂.py"
    words = (f"\"loss='{file}:f'\"".strip('"'), f"loss.text={'x' * 9000}")
    said = command("run", *TRACKED, *words, "tracking.experiment='a=1'", files={file: loss})
    assert said.code == 0, said
    assert "does not take" not in said.out
    (run,) = runs(f"sqlite:///{here}/results/mlflow.db")
    assert run.info.status == "FINISHED"
    assert run.data.params["loss.größe"] == "1.0"
    (config,) = here.glob("results/*/config.yaml")
    assert len(yaml.safe_load(config.read_text())["loss"]["text"]) == 9000


def test_f60_figures_that_cannot_be_written_are_said_and_the_results_stay(command, here):
    said = command("run", *QUICK, files={"results/figures": b"no folder"})
    assert said.code == 4, said
    assert "results/figures cannot be written" in said.err
    assert list(here.glob("results/*/seeds.parquet"))


def test_f67_what_was_torn_while_it_was_written_is_no_result(command):
    torn = {"results/.writing-abc/seeds.parquet": b"PAR1"}
    said = command("run", *QUICK, files=torn)
    assert said.code == 0, said
    assert command("compare").code == 0


def test_f68_results_of_other_code_are_not_mixed_in(command):
    loss = "def f(p, t, /, *, a: float = 1.0):\n    return (p - t) ** 2\n"
    assert command("run", *QUICK, "loss=mine.py:f", files={"mine.py": loss}).code == 0
    said = command("run", *QUICK, "loss=mine.py:f", files={"mine.py": loss.replace("2", "4")})
    assert "done already" not in said.out
    assert len(list(Path("results").glob("*/seeds.parquet"))) == 2
    assert len(results.everything(Path("results").absolute())) == 1


def test_f68_results_of_other_versions_are_marked(command):
    assert command("run", *QUICK, "-m", "loss=squared_error,hinge").code == 0
    file = next(Path("results").glob("*/versions.yaml"))
    file.write_text(file.read_text().replace("torch: ", "torch: 1."))
    told = " ".join(command("compare").out.split())
    assert "Trained with different torch: " in told


def test_f68_results_that_were_edited_are_not_believed(command):
    assert command("run", *QUICK).code == 0
    (file,) = Path("results").glob("*/seeds.parquet")
    rows = pd.read_parquet(file)
    rows.assign(**{"test/accuracy": 1.0}).to_parquet(file, index=False)
    said = command("compare")
    assert said.code == 2
    assert "seeds.parquet is not as it was written" in said.err
    assert len(said.err.splitlines()) <= 2
