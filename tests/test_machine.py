"""What a cluster's machine decides must not: memory limits, stack widths, Slurm's environment."""

from __future__ import annotations

import math
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from lossbench import training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.tracking.connection import network_file_system
from lossbench.training import chunks
from lossbench.training.checkpoint import kept_width

GIB = 2**30


@pytest.mark.parametrize(
    ("environment", "bytes_of_core"),
    [
        ({}, math.inf),
        ({"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_ON_NODE": "4"}, GIB),
        ({"SLURM_MEM_PER_NODE": "4096", "SLURM_CPUS_ON_NODE": "2"}, 2 * GIB),
        ({"SLURM_MEM_PER_NODE": "4096"}, 4 * GIB),
        ({"SLURM_MEM_PER_NODE": "0"}, math.inf),  # all that the node has
    ],
)
def test_a_slurm_job_has_the_memory_that_it_asked_for(environment, bytes_of_core):
    assert chunks.limit_of_slurm(environment) == bytes_of_core


@pytest.mark.parametrize(
    ("line", "files", "left"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/b/memory.current": "5"}, math.inf),
        ("0::/a/b", {"a/memory.max": "100", "a/memory.current": "40"}, 60),
        ("0::/", {"memory.max": "100", "memory.current": "1"}, 99),
        (
            "4:memory:/job",
            {"memory/job/memory.limit_in_bytes": "50", "memory/job/memory.usage_in_bytes": "20"},
            30,
        ),
        (
            "4:memory:/job",
            {"memory/job/memory.limit_in_bytes": str(2**63 - 4096)},
            math.inf,
        ),
    ],
)
def test_a_container_has_what_its_control_groups_leave(line, files, left, tmp_path, monkeypatch):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    read = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda p: f"{line}\n" if str(p) == "/proc/self/cgroup" else read(p)
    )
    monkeypatch.setattr(chunks.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert chunks.limit_of_container(tmp_path) == left


def test_the_width_of_stacks_is_decided_once_for_a_run_with_checkpoints(tmp_path):
    assert kept_width(None, 5) == 5
    assert [kept_width(tmp_path / "run", width) for width in (3, 8)] == [3, 3]


@pytest.fixture(scope="module")
def config() -> Configuration:
    words = ("dataset=digits", "trainer.max_epochs=2", "trainer.device=cpu", "trainer.peek=true")
    return configurations([*words, "seeds=[7,2,5,3]"])[0][0]


def test_tables_are_the_same_row_for_row_whatever_the_width(config):
    wide = training.train(config, list(config.seeds))
    narrow = replace(config, trainer=replace(config.trainer, max_replicas=2))
    result = training.train(narrow, list(config.seeds))
    for name in ("seeds", "curves", "details", "test_curves"):
        pd.testing.assert_frame_equal(getattr(result, name), getattr(wide, name), check_exact=True)
    assert [*result.seeds.seed] == [7, 2, 5, 3]


def test_lightning_takes_no_slurm_job_for_its_own(config, monkeypatch):
    one = replace(config, seeds=(0,))
    expected = training.train(one, [0])
    for name, value in (("NTASKS", "2"), ("JOB_NAME", "lossbench"), ("JOB_ID", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    pd.testing.assert_frame_equal(training.train(one, [0]).seeds, expected.seeds)


def test_a_network_file_system_is_told_from_a_local_one():
    partition = namedtuple("partition", ["mountpoint", "fstype"])
    mounts = {"/": "ext4", "/home": "nfs4", "/home/ann/fast": "xfs", "/mnt": "fuse.sshfs"}
    partitions = [partition(*each) for each in mounts.items()]
    expected = {"/x": "", "/home/ann": "nfs4", "/home/ann/fast/r": "", "/mnt/a/b": "fuse.sshfs"}
    for folder, kind in expected.items():
        assert network_file_system(Path(folder), partitions) == kind
