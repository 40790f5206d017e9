"""Ray, with two real nodes: the bytes of a local sweep, whatever is killed while it runs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from clusters import SWEEP, join_ray, ray_cluster, ray_node, trained_here
from killing import free_port
from rich.console import Console
from worker_jobs import bytes_of, count, counted, far, places

from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.sweep import ray_joining
from lossbench.sweep.execution import execute
from lossbench.sweep.launcher import Event, room
from lossbench.sweep.on_ray import _signals_held_back, launch
from lossbench.sweep.ray_joining import state
from lossbench.sweep.workplace import UnfitMachineError

SETTINGS = {"cpus": 1.0, "gpus": 0.0, "workers": None, "timeout": None, "retries": 1}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ray_cluster(tmp_path_factory.mktemp("ray")) as address:
        yield address


@pytest.mark.slow
@pytest.mark.cluster
def test_a_sweep_on_two_nodes_has_the_bytes_of_a_local_one(address, here, shared):
    given = (*SWEEP, "launcher=ray", f"launcher.address={address}", "tracking=none")
    jobs = execute(configurations(given, sweep=True)[0], Console(quiet=True))
    assert [job.error for job in jobs] == [None] * 4
    there = bytes_of(here / "results")
    assert len(there) == 12
    assert there == trained_here(shared)
    assert not list((here / "results").glob(".*"))


@pytest.mark.cluster
@pytest.mark.slow
def test_one_run_is_dealt_to_both_nodes_where_nothing_else_is_to_do(address, here):
    words = ("loss=focal", "dataset=moons", "trainer=short", "seeds=17", "tracking=none")
    there = ("launcher=ray", f"launcher.address={address}")
    (config,) = configurations((*words, *there, "results.dir=there"))[0]
    assert room(config.launcher) == 2
    for each in (config, *configurations((*words, "results.dir=local"))[0]):
        assert [job.error for job in execute([each], Console(quiet=True))] == [None]
    assert bytes_of(here / "there") == bytes_of(here / "local")


@pytest.mark.cluster
@pytest.mark.slow
def test_a_killed_process_and_a_killed_worker_are_tried_again_from_where_they_were(
    address, tmp_path
):
    """The files that a job wrote come home while it runs, and go with it to its next machine."""
    jobs, events = places(tmp_path, 2), list[Event]()
    killed: dict[int, int] = {}
    for event in launch(count, [(job,) for job in jobs], address=address, **SETTINGS):
        events.append(event)
        if event.what == "epoch" and event.value[0] >= 5 and event.job not in killed:
            process = psutil.Process(far(jobs[event.job]))
            if event.job == 1:  # its server's parent
                process = process.parent().parent()
            killed[event.job] = counted(jobs[event.job])
            process.kill()
    again = {event.job: str(event.value) for event in events if event.what == "again"}
    assert "SIGKILL" in again[0]
    assert "died: WorkerCrashedError" in again[1]
    ends = {event.job: event.value for event in events if event.what == "finished"}
    assert all(int(ends[job].split()[1]) >= killed[job] for job in (0, 1))


@pytest.mark.cluster
@pytest.mark.slow
def test_whoever_stops_the_command_stops_its_jobs(address, tmp_path):
    (job,) = places(tmp_path, 1)
    events = launch(count, [(job,)], address=address, **SETTINGS)
    next(event for event in events if event.what == "epoch" and event.value[0] >= 5)
    process = psutil.Process(far(job))
    events.close()  # as Ctrl-C does
    assert not psutil.wait_procs([process], timeout=20)[1]


@pytest.mark.cluster
@pytest.mark.slow
def test_the_jobs_of_a_killed_command_end_with_it(address, tmp_path):
    code = (
        "import sys; from pathlib import Path; from test_ray import *;"
        "jobs = places(Path(sys.argv[1]), 1);"
        "list(launch(count, [(job,) for job in jobs], address=sys.argv[2], **SETTINGS))"
    )
    words = [sys.executable, "-c", code, str(tmp_path), address]
    command = subprocess.Popen(words, cwd=Path(__file__).parent)
    process = psutil.Process(far(places(tmp_path, 1)[0]))
    command.kill()
    command.wait()
    assert not psutil.wait_procs([process], timeout=20)[1]


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"gpus": 1.0}, "launcher.gpus=1: no node of the Ray cluster has any"),
        ({"cpus": 2.0}, "launcher.cpus=2: the largest node of the Ray cluster, .*, has 1"),
    ],
)
def test_what_no_node_of_the_cluster_has_is_refused(address, asked, said):
    """Two nodes with a core each would let a job that asks for two wait for ever."""
    with pytest.raises(UserError, match=said):
        list(launch(count, [], address=address, **{**SETTINGS, **asked}))


@pytest.mark.cluster
@pytest.mark.slow
def test_a_token_that_is_absent_or_another_is_named_and_nothing_else_said(
    address, tmp_path, monkeypatch, capfd
):
    pytest.importorskip("ray", reason="Ray is not installed").shutdown()
    (other := tmp_path / "other").write_text("0" * 64)
    for mode, path, said in (
        ("token", "/nowhere", r"RAY_AUTH_TOKEN_PATH=/nowhere cannot be read"),
        ("token", str(other), "the token in RAY_AUTH_TOKEN_PATH=.*other is another"),
        ("", str(other), "RAY_AUTH_MODE=token is not set"),
    ):
        monkeypatch.setenv("RAY_AUTH_MODE", mode or "disabled")
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", path)
        with pytest.raises(UserError, match=said) as refused:
            list(launch(count, [], address=address, **SETTINGS))
        assert str(refused.value).count("\n") == 1
    assert capfd.readouterr().err == ""


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_of_a_node_that_dies_or_freezes_the_jobs_go_to_another(address, tmp_path, blow):
    jobs, ends, struck = places(tmp_path, 2, 90 if blow == signal.SIGSTOP else 3), {}, None
    node: list[psutil.Process] = []
    for event in launch(count, [(job,) for job in jobs], address=address, **SETTINGS):
        if event.what == "epoch" and event.value[0] >= 5 and struck is None:
            node = ray_node("127.0.1.2")
            if psutil.Process(far(jobs[event.job])) in node:
                struck = event.job
                for process in node if blow == signal.SIGSTOP else node[:1]:
                    process.send_signal(blow)
        if event.what in ("finished", "again"):
            ends.setdefault(event.job, []).append((event.what, str(event.value)))
    for process in node:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    join_ray(address)
    assert struck in ends
    assert [what for what, _ in ends[struck]] == ["again", "finished"]
    assert ("does not answer" in ends[struck][0][1]) == (blow == signal.SIGSTOP)
    assert "from 0" not in ends[struck][-1][1]
    assert [what for what, _ in ends[1 - struck]] == ["finished"]


@pytest.mark.cluster
@pytest.mark.slow
def test_a_node_that_has_not_the_same_lossbench_is_named(address, tmp_path, monkeypatch):
    """It would take and fail one run after the other, each with a traceback of Ray's."""
    (tmp_path / "lossbench").mkdir()
    (tmp_path / "lossbench" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    join_ray(address, "127.0.1.3")
    try:
        events = list(
            launch(count, [(job,) for job in places(tmp_path, 3)], address=address, **SETTINGS)
        )
    finally:
        for process in ray_node("127.0.1.3"):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    (error,) = [event.value for event in events if event.what == "failed"]
    assert isinstance(error, UnfitMachineError)
    assert re.search(r"at 127.0.1.3 cannot load .*: No module named 'lossbench\.", str(error))


def test_a_signal_waits_until_rays_code_is_left():
    """It makes a SystemError of what a handler raises: of 300 interrupts 8 came out as one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    block = _signals_held_back()
    signals = block.__enter__()
    signal.raise_signal(signal.SIGINT)
    assert signals == [signal.SIGINT]
    with pytest.raises(KeyboardInterrupt):
        block.__exit__(None, None, None)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.cluster
def test_a_machine_that_is_no_node_of_the_cluster_is_told_to_join_it(address):
    """Its code would end the command with a list of C++ calls where a node has no socket here."""
    pytest.importorskip("ray", reason="Ray is not installed").shutdown()
    (sockets,) = Path(os.environ["RAY_TMPDIR"]).glob("ray/session_2*/sockets")
    hidden = sockets.rename(sockets.with_name("hidden"))
    try:
        with pytest.raises(UserError, match=rf"no node of .*\n.*ray start --address={address}"):
            list(launch(count, [], address=address, **SETTINGS))
    finally:
        hidden.rename(sockets)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9", r"no Ray cluster answers at 127.0.0.1:9 \(.*refused"),
        ("head", "expected auto, or HOST:PORT"),
        ("ray://head:10001", "expected auto, or HOST:PORT"),
    ],
)
def test_an_address_where_no_ray_answers_is_named_and_no_other_is_tried(address, said, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed").shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=f"launcher.address={address}: {said}") as refused:
        list(launch(count, [], address=address, **SETTINGS))
    assert "ray start --head\n" not in str(refused.value)


def test_a_part_of_a_gpu_is_given_below_one_only():
    """Ray itself says so with a traceback, and after the job was begun."""
    with pytest.raises(UserError, match=r"launcher.gpus=1.5: .*whole number"):
        list(launch(count, [], address="auto", **{**SETTINGS, "gpus": 1.5}))


def test_without_ray_the_message_says_how_to_get_it_and_no_more(command, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = command("run", "loss=focal", "dataset=moons", "launcher=ray", "tracking=none")
    said = "lossbench: error: launcher=ray needs Ray: pip install 'lossbench[ray]'\n"
    assert (done.code, done.out, done.err) == (2, "", said)


def test_a_cluster_that_answers_no_more_is_none(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed").shutdown()
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    assert "no Ray cluster answers at 127.0.0.1:" in state()


def test_what_takes_a_connection_and_says_nothing_is_no_cluster(monkeypatch):
    """A head that hangs, or another service at its port: Ray itself would wait for 40 seconds."""
    pytest.importorskip("ray", reason="Ray is not installed").shutdown()
    monkeypatch.setattr(ray_joining, "DOCTOR_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        assert "no Ray cluster answers" in state()
