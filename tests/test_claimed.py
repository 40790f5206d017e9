"""Several commands on one results folder: each run is trained by one, and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lossbench import doctor
from lossbench.configuration.experiments import configurations
from lossbench.sweep import claimed
from lossbench.sweep.claimed import Leases

WORDS = ("run", "loss=focal", "dataset=moons", "trainer=short", "seeds=2", "tracking=none")
DEAD = "import os, sys; from pathlib import Path; from lossbench.sweep.claimed import Leases\n"
DEAD += "leases = Leases(); leases.take(Path(sys.argv[1])); os._exit(9)"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a result is to be written; claims of other machines are believed for a second."""
    monkeypatch.setattr(claimed, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(claimed, "HEARTBEAT_SECONDS", 0.2)
    return tmp_path / "key"


def left_behind(place: Path) -> Path:
    """The claim of a process that is gone."""
    subprocess.run([sys.executable, "-c", DEAD, str(place)], check=False)
    claim = place.with_name(".claim-key")
    assert claim.exists()
    return claim


def test_a_run_is_claimed_once_and_free_after_the_block(place):
    with Leases() as ours, Leases() as theirs:
        assert ours.take(place)
        assert not theirs.take(place)
        assert theirs.holder(place).startswith(f"process {os.getpid()} on ")
        assert not ours.take(place), "two jobs of one command may mean one result"
        time.sleep(1.5)
        assert not theirs.take(place), "its heartbeat continues"
        ours.release(place)
        assert theirs.holder(place) == ""
        assert theirs.take(place)
    assert not list(place.parent.iterdir())


def test_a_dead_claim_ends_at_once_here_and_for_want_of_a_heartbeat_elsewhere(place):
    claim = left_behind(place)
    with Leases() as ours:
        assert ours.take(place)
    left_behind(place)
    claim.write_text(claim.read_text().replace("host=", "host=far-").replace("90.0", "1.0"))
    with Leases() as ours:
        began = time.monotonic()
        while not ours.take(place):
            assert time.monotonic() - began < 30
            time.sleep(0.1)
        assert time.monotonic() - began > 0.9


def test_doctor_names_and_removes_dead_claims_and_keeps_others(place):
    claim = left_behind(place)
    foreign = place.with_name(".claim-foreign")
    foreign.write_text(claim.read_text().replace("host=", "host=far-"))
    os.utime(foreign, (0, 0))
    with Leases() as ours:
        assert ours.take(place.with_name("other"))
        first, second = (line for line in doctor.stored(place.parent) if "claim" in line)
        assert first.startswith("claims    removed .claim-foreign, left by process ")
        assert " on far-" in first
        assert ".claim-key, left by process " in second
        assert [file.name for file in place.parent.iterdir()] == [".claim-other"]


def test_a_run_of_another_command_is_waited_for_or_left_to_it(command, here):
    """The other command is this process, which ends without a result: then it is trained here."""
    key = configurations(WORDS[1:])[0][0].key
    (here / "results").mkdir()
    with Leases() as theirs:
        assert theirs.take(here / "results" / key)
        done = command(*WORDS, "--no-wait")
        assert done.code == 3, done
        assert "is training 1 of 1 runs; they are left to it." in " ".join(done.out.split())
        threading.Timer(1, theirs.release, [here / "results" / key]).start()
        done = command(*WORDS)
    assert done.code == 0, done
    assert "waiting for it (--no-wait" in done.out
    assert "focal on moons: done" in done.out
