"""24 runs on each engine while all that can die dies: none is lost, none that is done trains again.

`pytest -m cluster -s tests/test_cluster_kills.py` prints the tables of docs/cluster.md.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from clusters import (
    join_ray,
    processes,
    ray_cluster,
    ray_node,
    slurm_cluster,
    slurm_node,
    start_slurmd,
)
from worker_jobs import bytes_of

pytestmark = [pytest.mark.slow, pytest.mark.cluster]

SWEEP = ("loss=cross_entropy,focal,hinge,poly,exponential,logistic", "dataset=moons", "seeds=2")
SWEEP += ("optimizer.lr=0.001,0.003,0.01,0.03", "trainer.max_epochs=100", "trainer.checkpoint=5")
RUNS = 24
TIMES = 2  # that each is struck, at the most
PATIENCE_SECONDS = 900.0


@dataclass
class Sweep:
    """A sweep on an engine, whose command is given again whenever it has ended.

    mark: the variable that all processes of the engine's cluster have. tasks: of Slurm, by the
    processes that were seen to train in them.
    """

    folder: Path
    words: tuple[str, ...] = ()
    mark: str = ""
    process: subprocess.Popen[bytes] = field(init=False)
    tasks: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def begin(self) -> None:
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lossbench.cli", "run", "-m", *SWEEP, *self.words],
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        """Until the command has ended, given once more where it was struck at the last."""
        if self.process.wait(PATIENCE_SECONDS):
            self.begin()
            assert self.process.wait(PATIENCE_SECONDS) == 0, self.output

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def training(self) -> list[psutil.Process]:
        """The processes that train: each has a server for its parent."""
        found = []
        for process in processes(self.mark):
            with contextlib.suppress(psutil.Error):
                family = [process, *process.parents()[:1]]
                if all("multiprocessing.forkserver" in " ".join(p.cmdline()) for p in family):
                    found.append(process)
                    names = "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"
                    array = [*filter(None, map(process.environ().get, names))]
                    self.tasks[process.pid] = "_".join(array) or process.environ().get(
                        "SLURM_JOB_ID", ""
                    )
        return found

    def wait_to_strike(self, chance: random.Random) -> psutil.Process | None:
        """A process that trains, at a random moment after some more have ended; none at the end."""
        deadline, before = time.monotonic() + PATIENCE_SECONDS, len(self.results())
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                if len(self.results()) == RUNS:
                    return None
                self.begin()
            if len(self.results()) > before and self.training():
                time.sleep(chance.uniform(0, 1))
                if training := self.training():
                    return chance.choice(training)
            time.sleep(0.1)
        raise AssertionError(f"nothing trains: {self.output}")

    def results(self) -> dict[str, tuple[int, int]]:
        """Of each result which file it is, and when it was written."""
        files = (self.folder / "results").glob("[!.]*/summary.yaml")
        stats = {file.parent.name: file.stat() for file in files}
        return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}

    def compared(self) -> str:
        words = [sys.executable, "-m", "lossbench.cli", "compare"]
        done = subprocess.run(words, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout


Strike = Callable[[Sweep, psutil.Process], None]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("local"), ("tracking=none",))
    with sweep:
        sweep.end()
    return sweep


def kill_run(sweep: Sweep, training: psutil.Process) -> None:
    training.kill()


def kill_worker(sweep: Sweep, training: psutil.Process) -> None:
    training.parents()[1].kill()  # of its server


def kill_command(sweep: Sweep, training: psutil.Process) -> None:
    sweep.process.kill()
    sweep.process.wait()


def interrupt(sweep: Sweep, training: psutil.Process) -> None:
    os.killpg(sweep.process.pid, signal.SIGINT)
    assert sweep.process.wait(60) == 130, sweep.output
    assert not psutil.wait_procs(sweep.training(), timeout=60)[1], "what trains ends, too"


def kill_ray_node(sweep: Sweep, training: psutil.Process) -> None:
    """A machine loses power, and comes back when its runs are tried again."""
    said = sweep.output.count("tried again")
    _kill(ray_node("127.0.1.2"))
    _until(lambda: sweep.output.count("tried again") > said or sweep.process.poll() is not None)
    join_ray(os.environ["RAY_ADDRESS"])


def kill_slurm_node(sweep: Sweep, training: psutil.Process) -> None:
    """A machine loses power, and comes back when Slurm has noticed."""
    _kill(slurm_node("n2"))
    node = ["sinfo", "-h", "-n", "n2", "-o", "%T"]
    _until(lambda: subprocess.check_output(node, text=True).startswith("down"))
    start_slurmd("n2")


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def requeue(sweep: Sweep, training: psutil.Process) -> None:
    subprocess.run(["scontrol", "requeue", sweep.tasks[training.pid]], check=True)


def near_its_end(sweep: Sweep, training: psutil.Process) -> None:
    """What Slurm tells a task whose time is nearly up; scancel itself waits for a minute."""
    subprocess.Popen(["scancel", "--signal=USR2", sweep.tasks[training.pid]])


def preempt(sweep: Sweep, training: psutil.Process) -> None:
    """Somebody more urgent takes both nodes for three seconds."""
    words = ["sbatch", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null"]
    subprocess.run([*words, "--wrap", "sleep 3"], check=True, stdout=subprocess.DEVNULL)


EVERYWHERE: dict[str, Strike] = {
    "the process of a run": kill_run,
    "the worker or step that carries it": kill_worker,
    "the command, kill -9": kill_command,
    "the command, Ctrl-C": interrupt,
}
ON_RAY = {**EVERYWHERE, "a node": kill_ray_node}
ON_SLURM = {**EVERYWHERE, "a node": kill_slurm_node, "requeue": requeue, "preemption": preempt}
ON_SLURM["the end of a task's time"] = near_its_end


def test_ray(local, tmp_path, monkeypatch):
    with ray_cluster(tmp_path) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        words = ("tracking=none", "launcher=ray", "launcher.retries=5")
        _strike_all(Sweep(tmp_path, words, "RAY_TMPDIR"), ON_RAY, local)


def test_slurm(local, tmp_path):
    with slurm_cluster():
        words = ("tracking=none", "launcher=slurm", "launcher.retries=5", "launcher.memory=1G")
        _strike_all(Sweep(tmp_path, words, "SLURM_CONF"), ON_SLURM, local)


def _strike_all(sweep: Sweep, strikes: dict[str, Strike], local: Sweep) -> None:
    """Strike in a random order at random moments; what was done stays, and all is as locally."""
    chance = random.Random(20261129)
    order = [name for _ in range(TIMES) for name in chance.sample([*strikes], len(strikes))]
    rows, before = [], list[dict[str, tuple[int, int]]]()
    with sweep:
        for name in order:
            training = sweep.wait_to_strike(chance)
            if training is None:
                break
            before.append(sweep.results())
            rows.append(f"| {name} | {len(before[-1])} | {len(sweep.training())} |")
            print(f"{time.strftime('%X')} {rows[-1]}", flush=True)
            strikes[name](sweep, training)
        sweep.end()
    after = sweep.results()
    again = [sum(after.get(k) != v for k, v in held.items()) for held in before]
    ours, theirs = bytes_of(sweep.folder / "results"), bytes_of(local.folder / "results")
    differ = sum(ours.get(name) != content for name, content in theirs.items())
    print(*(f"{row} {count} |" for row, count in zip(rows, again, strict=True)), sep="\n")
    print(f"{RUNS - len(after)} of {RUNS} lost, {differ} of {len(theirs)} files differ")
    assert len(rows) >= len(strikes), "each was struck"
    assert (sorted(after), sum(again), differ) == (sorted(local.results()), 0, 0)
    assert len(ours) == len(theirs) == 3 * RUNS
    assert sweep.compared() == local.compared()
