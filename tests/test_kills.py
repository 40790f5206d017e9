"""Long proofs that nothing is lost; `pytest -m slow tests/test_kills.py` runs them."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from killing import kill_tree, start, statuses, table

pytestmark = pytest.mark.slow

SWEEP = (
    "-m",
    "loss=cross_entropy,hinge,focal,poly,exponential,logistic",
    "optimizer.lr=0.001,0.002,0.003,0.004,0.005,0.006,0.007,0.008,0.009,0.01",
    "dataset=moons",
    "trainer=short",
    "seeds=2",
    "launcher.workers=2",
)


def test_a_sweep_of_sixty_runs_killed_at_ten_moments_is_the_one_that_was_not(tmp_path):
    """Each time a worker, the launcher, or the whole tree is killed at a random moment."""
    chance = random.Random(20261121)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    _, errors = start(whole, *SWEEP).communicate(timeout=1200)
    assert len(list(whole.glob("results/*/seeds.parquet"))) == 60, errors
    for kill in range(10):
        process = start(killed, *SWEEP)
        before = len(list(killed.glob("results/[!.]*/seeds.parquet")))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if len(list(killed.glob("results/[!.]*/seeds.parquet"))) > before + 1:
                break
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1))
        _kill(process, kill % 3, chance)
    process = start(killed, *SWEEP)
    _, errors = process.communicate(timeout=1200)
    assert process.returncode == 0, errors
    pd.testing.assert_frame_equal(table(killed), table(whole), check_exact=True)
    found = statuses(killed)
    assert len(found) == 60
    assert {s for said in found.values() for s in said} <= {"FINISHED", "KILLED", "FAILED"}
    assert [said.count("FINISHED") for said in found.values()] == [1] * 60


def _kill(process: subprocess.Popen[str], what: int, chance: random.Random) -> None:
    if process.poll() is None and what == 0:
        family = psutil.Process(process.pid).children(recursive=True)
        workers = [p for p in family if p.ppid() != process.pid]
        if workers:
            chance.choice(workers).kill()
            time.sleep(chance.uniform(0, 1))
    if process.poll() is None and what == 1:
        process.kill()
    if process.poll() is None:
        kill_tree(process)
    process.communicate()


def test_twenty_four_processes_may_open_a_fresh_store_at_once(tmp_path):
    words = ["run", "dataset=moons", "trainer=short", "seeds=1", "launcher.workers=1"]
    command = [sys.executable, "-m", "lossbench.cli", *words]
    sweeps = [
        subprocess.Popen(
            [*command, f"optimizer.lr=0.{number:03}"],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(1, 25)
    ]
    for sweep in sweeps:
        said, _ = sweep.communicate(timeout=1200)
        assert sweep.returncode == 0, said
    subprocess.run([sys.executable, "-m", "lossbench.cli", "sync"], cwd=tmp_path, check=True)
    found = statuses(tmp_path)
    assert [len(found), *{s for said in found.values() for s in said}] == [24, "FINISHED"]


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", place], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture
def fixed(tmp_path):
    """A folder, and what forbids even root to change it and the store in it, or allows it."""
    folder = tmp_path / "store"
    folder.mkdir()

    def forbid(sign: str = "+") -> int:
        files = [str(folder), *map(str, folder.iterdir())]
        return subprocess.run(["chattr", f"{sign}i", *files], check=False).returncode

    if forbid() or forbid("-"):
        pytest.skip("no file may be made immutable here")
    yield folder, forbid
    forbid("-")


def test_a_store_made_read_only_in_mid_sweep_loses_no_result(tmp_path, fixed):
    folder, forbid = fixed
    sweep = start(tmp_path, *SWEEP[:1], *SWEEP[3:], "loss=hinge,focal,poly", *_store(folder))
    _wait_for(tmp_path.glob, "results/[!.]*/seeds.parquet")
    assert forbid() == 0
    said, errors = sweep.communicate(timeout=400)
    assert sweep.returncode == 0, errors
    assert said.count("MLflow does not take the runs") == 1
    assert len(list(tmp_path.glob("results/[!.]*/seeds.parquet"))) == 3
    assert forbid("-") == 0
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    sync = [sys.executable, "-m", "lossbench.cli", "sync", "--uri", uri]
    subprocess.run(sync, cwd=tmp_path, check=True, timeout=120)
    (folder / "results").symlink_to(folder)
    found = statuses(folder)
    assert [said.count("FINISHED") for said in found.values()] == [1, 1, 1]


def test_a_disk_that_is_full_ends_the_sweep_with_what_is_finished(tmp_path, disk):
    sweep = start(tmp_path, *SWEEP, "tracking=none", f"results.dir={disk / 'results'}")
    _wait_for(disk.glob, "results/[!.]*/seeds.parquet")
    with contextlib.suppress(OSError), (disk / "filling").open("wb", buffering=0) as filling:
        while filling.write(bytes(2**16)):
            pass
    _, errors = sweep.communicate(timeout=400)
    assert sweep.returncode == 4
    assert "No space left on device" in errors
    assert "Traceback" not in errors
    assert list(disk.glob("results/[!.]*/seeds.parquet"))
    assert not list(disk.glob("results/.writing-*"))


def _store(folder: Path) -> tuple[str, ...]:
    return (f"tracking.uri=sqlite:///{folder / 'mlflow.db'}",)


def _wait_for(glob, pattern: str) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not list(glob(pattern)):
        time.sleep(0.05)
