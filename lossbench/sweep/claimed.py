"""Claims: of several commands on one results folder, each run is trained by one at a time.

A claim is a lease in the results folder with a heartbeat. It ends with its command: at once on the
same machine, after LEASE_SECONDS without a heartbeat where the command ran on another.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import LeaseSettingsMismatch, SoftFileLease, Timeout

PREFIX = ".claim-"
LEASE_SECONDS = 90.0  # more than the 60 s for which a network file system may show old times
HEARTBEAT_SECONDS = 15.0


class Leases:
    """The runs that this command is training; leaving the block gives them up."""

    def __init__(self) -> None:
        # Leases that others hold are kept as well: each measures how long its file has not changed.
        self._leases: dict[Path, SoftFileLease] = {}

    def __enter__(self) -> Leases:
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._leases:
            self.release(place)

    def take(self, place: Path) -> bool:
        """Claim the result that is to be written to a place, unless anyone trains it already."""
        lease = self._leases.setdefault(place, _lease(place.with_name(PREFIX + place.name)))
        return not lease.is_locked and _take(lease)

    def release(self, place: Path) -> None:
        """Give a claim up, if there is one and it is ours."""
        with contextlib.suppress(OSError, KeyError):
            self._leases[place].release()

    def holder(self, place: Path) -> str:
        """Who trains what was not to be had, in words; empty once nobody does."""
        return _owner(self._leases[place])


def clear_dead(folder: Path) -> Iterator[str]:
    """Remove the claims of a results folder whose commands are gone; names each and its command."""
    for file in sorted(folder.glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError):
            lease = _lease(file)
            owner, age = _owner(lease), time.time() - file.stat().st_mtime
            if age > LEASE_SECONDS:
                lease.break_lock()
            elif _take(lease):
                lease.release()
            else:
                continue
            yield f"{file.name}, left by {owner or 'a command'}"


def _lease(file: Path) -> SoftFileLease:
    return SoftFileLease(
        file,
        lease_duration=LEASE_SECONDS,
        heartbeat_interval=HEARTBEAT_SECONDS,
        blocking=False,
        thread_local=False,
    )


def _take(lease: SoftFileLease) -> bool:
    try:
        lease.acquire()
    except (Timeout, LeaseSettingsMismatch):
        return False
    except OSError:  # no room, or no right to: two commands may train it, with the same result
        return True
    return True


def _owner(lease: SoftFileLease) -> str:
    owner = lease.owner
    return f"process {owner.pid} on {owner.hostname}" if owner else ""
