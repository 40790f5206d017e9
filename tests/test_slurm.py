"""Slurm, with two real nodes: the bytes of a local sweep, whatever is killed while it runs."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from clusters import SWEEP, slurm_cluster, slurm_node, trained_here
from rich.console import Console
from worker_jobs import SECONDS, bytes_of, count, counted, far, places

from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.sweep import on_slurm
from lossbench.sweep.execution import execute
from lossbench.sweep.launcher import Event, room
from lossbench.sweep.on_slurm import launch
from lossbench.sweep.slurm_answers import rows
from lossbench.sweep.slurm_request import guarded, minutes, options_by_name

SETTINGS = {
    **dict.fromkeys(("partition", "account", "qos", "constraint", "share", "timeout")),
    **{"time": "10", "cpus": 1, "gpus": 0, "memory": "1G", "workers": 2, "requeues": 3},
    **{"retries": 1, "setup": [], "options": [], "detach": False},
}
THERE = ("launcher=slurm", "launcher.workers=2", "launcher.memory=1G")
THERE += ("launcher.options=['--exclusive']",)  # a task for each node


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    with slurm_cluster():
        yield


def launched(folder: Path, jobs: int, seconds: float = SECONDS, **settings) -> Iterator[Event]:
    calls = [(job,) for job in places(folder, jobs, seconds)]
    return launch(count, calls, folder=str(folder / ".slurm"), **{**SETTINGS, **settings})


def tasks_of(folder: Path) -> list[str]:
    """The numbers of the tasks that were submitted, the one that counts job0 first."""
    return [f.parent.name for f in sorted(folder.glob(".slurm/*/*/*_submitted.pkl"))]


@pytest.mark.slow
@pytest.mark.cluster
def test_a_sweep_on_two_nodes_has_the_bytes_of_a_local_one(slurm, here, shared):
    seen = Console(file=io.StringIO())
    jobs = execute(configurations((*SWEEP, *THERE, "tracking=none"), sweep=True)[0], seen)
    assert [job.error for job in jobs] == [None] * 4
    assert {"@n1:", "@n2:"} <= {*seen.file.getvalue().split()}, "progress says where a run is"
    there = bytes_of(here / "results")
    assert len(there) == 12
    assert there == trained_here(shared)
    assert not list((here / "results" / ".slurm").glob("[!.]*"))


@pytest.mark.cluster
@pytest.mark.slow
def test_one_run_is_dealt_to_both_nodes_where_nothing_else_is_to_do(slurm, here):
    words = ("loss=focal", "dataset=moons", "trainer=short", "seeds=17", "tracking=none")
    (config,) = configurations((*words, *THERE, "results.dir=there"))[0]
    assert room(config.launcher) == 2
    assert on_slurm.room({"workers": 8, "cpus": 1, "partition": "main"}) == 4, "cores there are"
    seen = Console(file=io.StringIO())
    for each in (config, *configurations((*words, "results.dir=local"))[0]):
        assert [job.error for job in execute([each], seen)] == [None]
    assert "@n1, n2: done" in seen.file.getvalue()
    assert bytes_of(here / "there") == bytes_of(here / "local")


@pytest.mark.cluster
@pytest.mark.slow
def test_a_killed_process_a_killed_step_and_a_requeued_task_go_on_where_they_were(slurm, tmp_path):
    jobs, ends, done = places(tmp_path, 3), dict[int, list[tuple[str, str]]](), dict[int, int]()
    for event in launched(tmp_path, 3, workers=3):
        if event.what == "epoch" and event.value[0] >= 5 and event.job not in done:
            process = psutil.Process(far(jobs[event.job]))
            step = process.parent().parent()  # its server's parent
            done[event.job] = counted(jobs[event.job])
            if event.job == 2:
                task = _slurm_of(step)
                subprocess.run(["scontrol", "requeue", task], check=True)
            else:
                (process, step)[event.job].kill()
        if event.what in ("again", "finished", "failed"):
            ends.setdefault(event.job, []).append((event.what, str(event.value)))
    assert [what for what, _ in ends[0]] == ["again", "finished"]
    assert "SIGKILL" in ends[0][0][1]
    assert [what for what, _ in ends[1]] == ["again", "finished"]
    assert "ended as FAILED; its log is" in ends[1][0][1]
    assert [what for what, _ in ends[2]] == ["finished"], "for Slurm to decide, not for us"
    for job, before in done.items():
        assert int(ends[job][-1][1].split()[1]) >= before


def _slurm_of(step: psutil.Process) -> str:
    variables = step.environ()
    return f"{variables['SLURM_ARRAY_JOB_ID']}_{variables['SLURM_ARRAY_TASK_ID']}"


@pytest.mark.cluster
@pytest.mark.slow
def test_a_cancelled_task_fails_its_runs_and_they_are_not_tried_again(slurm, tmp_path):
    jobs, ends = places(tmp_path, 1), []
    for event in launched(tmp_path, 1):
        if event.what == "epoch" and event.value[0] == 5:
            step = psutil.Process(far(jobs[0])).parent().parent()
            subprocess.run(["scancel", step.environ()["SLURM_JOB_ID"]], check=True)
        if event.what in ("again", "finished", "failed"):
            ends.append((event.what, str(event.value)))
    assert len(ends) == 1
    assert ends[0][0] == "failed"
    assert ends[0][1].endswith("was cancelled")


@pytest.mark.cluster
@pytest.mark.slow
def test_the_tasks_of_a_killed_command_go_on_and_the_same_command_picks_them_up(slurm, tmp_path):
    code = (
        "import sys; from pathlib import Path; from test_slurm import *;"
        "list(launched(Path(sys.argv[1]), 1))"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    command = subprocess.Popen(words, cwd=Path(__file__).parent)
    counts = psutil.Process(far(places(tmp_path, 1)[0]))
    command.kill()
    command.wait()
    assert counts.is_running()
    (end,) = [event for event in launched(tmp_path, 1) if event.what == "finished"]
    assert end.value == "from 0", "no other began"


@pytest.mark.cluster
@pytest.mark.slow
def test_with_detach_nothing_is_waited_for_and_ctrl_c_later_ends_it(slurm, tmp_path):
    (note,) = launched(tmp_path, 1, detach=True)
    assert note.what == "note"
    assert note.value.startswith("Slurm has 1 run in 1 task (job ")
    counts = psutil.Process(far(places(tmp_path, 1)[0]))
    events = launched(tmp_path, 1)
    next(event for event in events if event.what == "epoch")
    events.close()  # as Ctrl-C does
    assert not psutil.wait_procs([counts], timeout=30)[1]


@pytest.mark.cluster
@pytest.mark.slow
def test_a_run_longer_than_its_tasks_time_goes_on_in_the_next(slurm, tmp_path):
    """A minute is the least that Slurm knows, of which it leaves half."""
    what = [(event.what, event.value) for event in launched(tmp_path, 1, 40, time="1")]
    assert "again" not in dict(what), "Slurm requeued it, and no try was used up"
    ends = [value for what, value in what if what == "finished"]
    assert len(ends) == 1
    assert int(ends[0].split()[1]) > 0


@pytest.mark.cluster
@pytest.mark.slow
def test_what_a_frozen_node_had_goes_to_another(slurm, tmp_path):
    """Last of all: afterwards the cluster has one node."""
    hosts, ends = dict[int, list[str]](), dict[int, str]()
    frozen: list[psutil.Process] = []
    for event in launched(tmp_path, 2, 60, options=["--exclusive"], memory="2G"):
        if event.what == "where":
            hosts.setdefault(event.job, []).append(event.value)
        elif event.what == "epoch" and len(hosts) == 2 and not frozen and event.value[0] >= 5:
            frozen = slurm_node("n2")
            for process in frozen:
                process.suspend()
        elif event.what == "finished":
            ends[event.job] = event.value
    for process in frozen:
        process.resume()
    there = next(job for job in (0, 1) if hosts[job][0] == "n2")
    assert hosts == {there: ["n2", "n1"], 1 - there: ["n1"]}
    assert int(ends[there].split()[1]) >= 5
    assert ends[1 - there] == "from 0"


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"cpus": 9}, "launcher.cpus=9: the largest node of the partition main, n1, has 2"),
        ({"gpus": 1}, "launcher.gpus=1: no node of the partition main has any"),
        ({"time": "2:00:00"}, "launcher.time=2:00:00: the partition main .* for 60 minutes"),
        ({"partition": "gpu"}, "launcher.partition=gpu: sbatch refuses it: .* partition"),
        ({"constraint": "a100"}, "launcher.constraint=a100: sbatch refuses it: Invalid feature"),
        ({"memory": "lots"}, "launcher.memory=lots: sbatch refuses it: Invalid --mem"),
        ({"options": ["--foo=1"]}, r"launcher.options=\['--foo=1'\]: sbatch .* unrecognized"),
    ],
)
def test_what_slurm_will_not_do_is_said_once_with_the_words_that_ask_for_it(
    slurm, tmp_path, capfd, asked, said
):
    with pytest.raises(UserError, match=f"^{said}") as refused:
        list(launched(tmp_path, 1, **asked))
    assert str(refused.value).count("\n") <= 1
    assert capfd.readouterr().err == ""


@pytest.mark.cluster
@pytest.mark.slow
def test_a_line_of_setup_that_fails_ends_the_task_and_is_named(slurm, tmp_path):
    """Nor is it tried again; of a task that nobody followed the next command says it."""
    said, setup = (
        "launcher.setup: cd /nowhere failed with exit code 1 on n",
        ["true", "cd /nowhere"],
    )
    list(launched(tmp_path, 1, setup=setup, detach=True))
    while subprocess.run(["squeue", "-h"], capture_output=True).stdout:
        time.sleep(0.2)
    note, event = launched(tmp_path, 1, setup=setup)
    assert (note.what, event.what) == ("note", "failed")
    assert said in note.value
    assert str(event.value).startswith(said)


def test_the_lines_of_setup_work_on_one_shell_until_one_fails():
    setup = ["export A=1 # said", "f() { B=$1; }", "f 'two words'", 'test "$B" = "two words"']
    done = _shell([*setup, "echo $A", "(exit 3)", "echo never"])
    assert done.returncode == 1
    assert done.stdout == "1\nlauncher.setup: (exit 3) failed with exit code 3 on \n"


def _shell(setup: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", "\n".join(guarded(setup))], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("exec sleep 60", "timed out"),
        ("echo 'error: no controller' >&2; exit 1", "error: no controller"),
    ],
)
def test_where_slurm_does_not_answer_nobody_waits_long(tmp_path, monkeypatch, does, said):
    """Without its configuration sinfo itself would look for it for a minute."""
    (program := tmp_path / "sinfo").write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UserError, match=rf"launcher=slurm: Slurm does not answer .*{said}"):
        rows(patience=0.5)


def test_without_slurm_or_submitit_the_message_says_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"no sbatch here. Run this on your cluster's login node"):
        list(launched(tmp_path, 1))
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'lossbench\[slurm\]'"):
        list(launched(tmp_path, 1))


@pytest.mark.parametrize("time", ["", "x", "1:2:3:4", "1:00:00 ", "-3"])
def test_a_time_that_slurm_would_not_read_is_refused(time):
    with pytest.raises(UserError, match=r"launcher.time=.*expected minutes"):
        minutes(time)


def test_options_of_sbatch_are_given_as_on_its_command_line():
    assert options_by_name(["--nice=100", "--exclusive"]) == {"nice": "100", "exclusive": ""}
    with pytest.raises(UserError, match="expected --name=value"):
        options_by_name(["nice=100"])
