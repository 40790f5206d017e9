"""What happens to a run while it trains: killed, interrupted, orphaned; told and made good."""

from __future__ import annotations

import locale
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from support import QUICK, sampled

from lossbench import results, training


def test_f49_a_second_ctrl_c_ends_it_at_once():
    """Also while the first one is still being answered."""
    code = """if True:
        import os, signal, time
        from lossbench.cli import REPEATED_SECONDS, Interrupted, _interrupt
        signal.signal(signal.SIGINT, _interrupt)
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Interrupted:
            time.sleep(REPEATED_SECONDS)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)
    """
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGINT


def test_f51_a_result_that_is_killed_while_it_is_written_is_none(command, here):
    """Whole or not at all: a temporary folder, renamed; what was finished is not touched."""
    loss = "def f(p, t, /, *, a: float = 1.0):\n    return (p - t) ** 2\n"
    assert command("run", *QUICK).code == 0
    before = {file: file.read_bytes() for file in here.glob("results/*/*.parquet")}
    folder = here / "results"

    def write_and_die() -> None:
        os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        results.write(results.everything(folder)[0], folder)

    process = multiprocessing.get_context("fork").Process(target=write_and_die)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert {file: file.read_bytes() for file in here.glob("results/[!.]*/*.parquet")} == before
    assert command("run", *QUICK, "loss=mine.py:f", files={"mine.py": loss}).code == 0


@pytest.mark.parametrize("zone", sampled(["Pacific/Kiritimati", "America/St_Johns"], 2))
def test_f55_time_and_place_mean_nothing(zone, command, monkeypatch):
    """A clock that goes back, another zone, a comma for a point: the same run, found again."""
    assert command("run", *QUICK).code == 0
    (file,) = Path("results").glob("*/seeds.parquet")
    os.utime(file, (0, 0))
    os.utime(file.parent, (2**32, 2**32))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    before = locale.setlocale(locale.LC_ALL)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C"):
        try:
            locale.setlocale(locale.LC_ALL, name)
            break
        except locale.Error:
            continue
    try:
        said = command("run", *QUICK)
        assert "1 of 1 runs is done already" in said.out
        assert command("compare", "--format", "csv").out.count(".") > 3
    finally:
        locale.setlocale(locale.LC_ALL, before)
        monkeypatch.undo()
        time.tzset()


def test_f40_f54_the_same_request_gives_the_same_bits(tmp_path):
    """Twice in one process, and stacked with others."""
    from lossbench.configuration.experiments import configurations

    words = ["dataset=moons", "trainer=short", "tracking=none", "seeds=4"]
    (config,), _ = configurations(words)
    one, two = training.train(config, [2, 3]), training.train(config, [0, 1, 2, 3])
    same = results.of_seeds(two, [2, 3])
    pd.testing.assert_frame_equal(one.seeds, same.seeds, check_exact=True)
    order = ["seed", "metric", "epoch"]
    tables = [r.curves.sort_values(order, ignore_index=True) for r in (one, same)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
