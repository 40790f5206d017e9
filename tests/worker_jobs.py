"""What the tests of the launcher let workers do; workers import it by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


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
