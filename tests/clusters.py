"""Clusters of two nodes on this machine, in a network of their own that nobody can reach."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from killing import free_port
from rich.console import Console
from support import once
from worker_jobs import bytes_of

from lossbench.configuration.experiments import configurations
from lossbench.sweep.execution import execute

NEW_NETWORK = 0x40000000  # CLONE_NEWNET
SWEEP = ("loss=cross_entropy,focal,hinge,poly", "dataset=moons", "trainer=short", "seeds=2")
TESTS = str(Path(__file__).parent)


def trained_here(shared: Path) -> dict[str, bytes]:
    """The bytes of the sweep as this machine trains it, which all engines are held against."""

    def train(folder: Path) -> None:
        words = (*SWEEP, f"results.dir={folder}", "tracking=none")
        jobs = execute(configurations(words, sweep=True)[0], Console(quiet=True))
        assert [job.error for job in jobs] == [None] * 4

    return bytes_of(once(shared / "trained-here", train))


@contextlib.contextmanager
def own_network() -> Iterator[None]:
    """A network for this thread and what it starts, with nothing but the loopback in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as outer:
        if shutil.which("ip") is None or libc.unshare(NEW_NETWORK):
            pytest.skip("no network of one's own may be made here")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            libc.setns(outer.fileno(), NEW_NETWORK)


@contextlib.contextmanager
def ray_cluster(folder: Path) -> Iterator[str]:
    """Two nodes of a core each; gives the address."""
    if not find_spec("ray"):  # which is imported when its variables are set
        pytest.skip("Ray is not installed: pip install 'lossbench[ray]'")
    address, token = "127.0.1.1:6399", folder / "token"
    token.write_text(secrets.token_hex(32))
    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # paths of sockets must be short
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": temporary,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # else whatever runs next to the tests starves its workers
        "PYTHONPATH": os.pathsep.join([TESTS, *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    with pytest.MonkeyPatch.context() as patch, own_network():
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            _start_ray("--head", "--port=6399", "--include-dashboard=false", "127.0.1.1")
            join_ray(address)
            yield address
        finally:
            _end_ray(temporary)


def join_ray(address: str, node: str = "127.0.1.2") -> None:
    """Start a node that is not the head, or start it again."""
    _start_ray(f"--address={address}", node)


def _start_ray(*words: str) -> None:
    *words, node = words
    same = ["--num-cpus=1", "--object-store-memory=83886080", "--disable-usage-stats"]
    ray = str(Path(sys.executable).with_name("ray"))
    _start([ray, "start", *words, f"--node-ip-address={node}", *same])


def processes(variable: str, node: str = "") -> list[psutil.Process]:
    """Those of the cluster that this variable of ours names, or of one node of Slurm's."""
    wanted = {variable: os.environ[variable]}
    wanted |= {"SLURMD_NODENAME": node} if node else {}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and wanted.items() <= process.environ().items():
                found.append(process)
    return found


def slurm_node(node: str) -> list[psutil.Process]:
    """All processes of a node: its daemon, its steps, and what runs in them."""
    file = Path(os.environ["SLURM_CONF"]).with_name(f"slurmd-{node}.pid")
    return [psutil.Process(int(file.read_text())), *_steps(processes("SLURM_CONF", node=node))]


def _steps(there: list[psutil.Process]) -> list[psutil.Process]:
    """These processes, below the daemons of Slurm that they are steps of."""
    above = []
    for process in there:
        with contextlib.suppress(psutil.Error):
            above += [p for p in process.parents()[:1] if "slurmstepd" in p.name()]
    return above + there


def ray_node(address: str) -> list[psutil.Process]:
    """All processes of a node, its raylet first."""
    for process in processes("RAY_TMPDIR"):
        with contextlib.suppress(psutil.Error):
            if process.name() == "raylet" and f"--node_ip_address={address}" in process.cmdline():
                return [process, *process.children(recursive=True)]
    raise AssertionError(f"no node has the address {address}")


def _start(words: list[str]) -> None:
    """Start a daemon, or skip with what it says."""
    try:
        subprocess.run(words, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        pytest.skip(f"{words[0]} does not start here: {said[-200:] or error}")


def _end_ray(temporary: str) -> None:
    """Disconnect, and kill the processes of this cluster, but of no other."""
    import ray

    ray.shutdown()
    for process in processes("RAY_TMPDIR"):
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(temporary, ignore_errors=True)


SLURM = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={ports[0]}
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
SlurmdTimeout=10
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=60 State=UP PriorityTier=1
PartitionName=urgent Nodes=n[1-2] MaxTime=60 State=UP PriorityTier=10
"""
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")


@contextlib.contextmanager
def slurm_cluster() -> Iterator[None]:
    """Two nodes of two cores each, without accounting; they listen on the loopback only."""
    if not all(map(shutil.which, PROGRAMS)) or not find_spec("submitit") or os.geteuid():
        pytest.skip("root, Slurm (slurmctld, slurmd, munge) and submitit are needed")
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("state", "munge"):
        (folder / name).mkdir()
    host, ports = platform.node().partition(".")[0], [free_port() for _ in range(3)]
    (folder / "slurm.conf").write_text(SLURM.format(folder=folder, host=host, ports=ports))
    (folder / "munge" / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "munge" / "key").chmod(0o600)
    munge = [f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")]
    munge += [f"--socket={folder}/munge/socket"]
    starts = [["munged", *munge, "--force"], ["slurmctld", "-i"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
        patch.setenv("PYTHONPATH", TESTS)
        try:
            for words in starts:
                _start(words)
            start_slurmd("n1")
            start_slurmd("n2")
            _wait_for_nodes()
            yield
        finally:
            subprocess.run(["scancel", "--user=root"], check=False, timeout=60)
            for file in [*folder.glob("*.pid"), folder / "munge" / "pid"]:
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int(file.read_text()), signal.SIGTERM)
            for process in _steps(processes("SLURM_CONF")):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def start_slurmd(node: str) -> None:
    """Start a node, or start it again."""
    _start(["slurmd", "-N", node])


def _wait_for_nodes() -> None:
    deadline, idle = time.monotonic() + 60, ["sinfo", "-h", "-t", "idle", "-N", "-o", "%N"]
    while time.monotonic() < deadline:
        done = subprocess.run(idle, capture_output=True, text=True, check=False)
        if len(set(done.stdout.split())) == 2:
            return
        time.sleep(0.2)
    pytest.skip("the nodes of Slurm do not come up here")
