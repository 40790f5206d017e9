"""Who is at work: a process by its number, the time it began and its machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

import psutil


def identity() -> dict[str, str]:
    """What tells this process from every other, also from one that gets its number later."""
    began = psutil.Process().create_time()
    return {"host": platform.node(), "pid": str(os.getpid()), "began": str(began)}


def alive(process: Mapping[str, str]) -> bool:
    """Whether a process is still there; of another machine that is not known, so it counts."""
    if process.get("host") != platform.node():
        return True
    try:
        began = psutil.Process(int(process.get("pid", "-1"))).create_time()
    except (psutil.Error, ValueError):
        return False
    return str(began) == process.get("began")
