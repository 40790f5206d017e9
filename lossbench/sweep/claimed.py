"""Two sweeps at once on one results folder: each run is trained by one of them."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from lossbench.processes import alive, identity
from lossbench.sweep.plan import Job


@contextlib.contextmanager
def claimed(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """The jobs that nobody else is at, kept from others inside the block."""
    taken = {claim for claim in sorted({_claim(job) for job in jobs}) if _take(claim)}
    try:
        yield [job for job in jobs if _claim(job) in taken]
    finally:
        for claim in taken:
            claim.unlink(missing_ok=True)


def _claim(job: Job) -> Path:
    return job.folder / f".claim-{job.key}"


def _take(claim: Path) -> bool:
    """Whether the claim is ours now; that of a process which is gone is taken over."""
    ours = claim.with_name(f"{claim.name}-{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # without links or room: two may train it, to the same end
        try:
            ours.write_text(json.dumps(identity()))
            if not _held(claim):
                claim.unlink(missing_ok=True)
            os.link(ours, claim)  # whole and at once, or not at all
        except FileExistsError:
            return False
        finally:
            ours.unlink(missing_ok=True)
    return True


def _held(claim: Path) -> bool:
    try:
        return alive(json.loads(claim.read_text()))
    except (OSError, ValueError):
        return False
