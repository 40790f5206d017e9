"""What the tests of the launcher let workers do; workers import it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lossbench.sweep.workplace import Workplace


def work(what: str, folder: Path, report) -> str:
    """Behave, misbehave, or misbehave the first time only."""
    report(0, 1)
    first = not (folder / what).exists()
    (folder / what).touch()
    match what:
        case "raises":
            raise ValueError("no good")
        case "hangs":
            time.sleep(600)
        case "dies" | "dies once" if what == "dies" or first:
            os.kill(os.getpid(), signal.SIGKILL)
        case "exits" if first:
            os._exit(7)
        case "device":
            time.sleep(0.3)
            return os.environ["CUDA_VISIBLE_DEVICES"]
        case "waits":
            time.sleep(0.5)
        case "parent":
            return str(os.getppid())
    return what


SECONDS = 3.0


def count(place: Workplace, report) -> str:
    """Count tenths of a second in files that say who counts, and go on where another stopped."""
    tenths = round(10 * (place.seconds or SECONDS))
    folder = place.folder / ".checkpoints" / place.name
    folder.mkdir(parents=True, exist_ok=True)
    first = counted(place)
    for done in range(first + 1, tenths + 1):
        time.sleep(0.1)
        (folder / ".writing").write_text(str(os.getpid()))
        (folder / ".writing").rename(folder / str(done))
        report(done, tenths)
    return f"from {first}"


def counted(place: Workplace) -> int:
    """How far a job has counted."""
    files = (place.folder / ".checkpoints" / place.name).glob("[0-9]*")
    return max((int(file.name) for file in files), default=0)


def places(folder: Path, count: int, seconds: float = SECONDS) -> list[Workplace]:
    """Jobs that count; each needs what it has counted before."""
    names = [f"job{number}" for number in range(count)]
    return [Workplace(folder, name, (f".checkpoints/{name}/*",), seconds) for name in names]


def far(place: Workplace) -> int:
    """The process that counts, once it has counted a while."""
    deadline = time.monotonic() + 120
    while counted(place) < 5:
        assert time.monotonic() < deadline, "it does not count"
        time.sleep(0.05)
    return int((place.folder / ".checkpoints" / place.name / "5").read_text())


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = sorted(folder.glob("[!.]*/*.parquet"))
    return {f"{file.parent.name}/{file.name}": file.read_bytes() for file in files}
