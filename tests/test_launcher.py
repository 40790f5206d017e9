"""Workers die, hang and raise; the launcher loses nothing but what they were doing."""

from __future__ import annotations

import os
import random
import signal
import threading

import psutil
import pytest
from worker_jobs import work

from lossbench.sweep import launcher
from lossbench.sweep.launcher import WorkerLostError, launch


@pytest.fixture(autouse=True)
def nothing_preloaded(monkeypatch):
    """A server that starts at once."""
    monkeypatch.setattr(launcher, "PRELOAD", [])


ENDS = [
    ("ok", ["finished"], "ok"),
    ("raises", ["failed"], "no good"),
    ("dies", ["again", "failed"], "signal SIGKILL"),
    ("dies once", ["again", "finished"], "dies once"),
    ("exits", ["again", "finished"], "exits"),
]


def test_each_job_ends_as_it_must_whatever_the_others_do(tmp_path):
    jobs = [(what, tmp_path) for what, *_ in ENDS]
    events = list(launch(work, jobs, workers=3, retries=1))
    for number, (what, expected, said) in enumerate(ENDS):
        own = [e for e in events if e.job == number and e.what != "epoch"]
        assert [e.what for e in own] == expected, what
        assert said in str(own[-1].value)
        assert isinstance(own[0].value, WorkerLostError) == (expected[0] == "again")


def test_a_job_that_hangs_is_stopped_each_time_that_it_is_tried(tmp_path):
    every = launch(work, [("hangs", tmp_path)], timeout=1, retries=1)
    events = [event for event in every if event.what != "epoch"]
    assert [e.what for e in events] == ["again", "failed"]
    assert "launcher.timeout=1 s" in str(events[-1].value)


def test_workers_are_forked_from_the_server_and_not_from_here(tmp_path):
    (event,) = [e for e in launch(work, [("parent", tmp_path)]) if e.what == "finished"]
    assert event.value != str(os.getpid())


def test_devices_are_dealt_out_in_turn(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 3")
    events = launch(work, [("device", tmp_path)] * 4, workers=4)
    assert sorted(e.value for e in events if e.what == "finished") == ["0", "0", "3", "3"]


@pytest.mark.slow
def test_workers_and_the_server_itself_killed_at_any_moment_stop_nothing(tmp_path):
    """Whatever is killed is tried again; no lock is left that another waits for."""
    chance, stop = random.Random(0), threading.Event()

    def kill() -> None:
        for _ in range(5):
            if stop.wait(chance.uniform(0.05, 0.5)):
                return
            found = [p for p in psutil.Process().children(recursive=True) if _ours(p)]
            if found:
                chance.choice(found).send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    events = list(launch(work, [("waits", tmp_path)] * 5, workers=3, retries=1000))
    stop.set()
    killer.join()
    assert [e.job for e in events if e.what == "failed"] == []
    assert sorted(e.job for e in events if e.what == "finished") == list(range(5))
    assert [e for e in events if e.what == "again"], "nothing was killed, so nothing was tested"


def _ours(process: psutil.Process) -> bool:
    """The server and its workers, but not what tracks shared memory for this process."""
    try:
        return "forkserver" in " ".join(process.cmdline())
    except psutil.Error:
        return False
