"""What several tests use: a small request, files written below a folder, work done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

Files = Mapping[str, str | bytes]
QUICK = ("dataset=moons", "trainer=short", "seeds=2", "tracking=none", "launcher.workers=2")


@dataclass(frozen=True)
class Done:
    """What a command gave back."""

    code: int
    out: str
    err: str


def put(folder: Path, files: Files) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)


def once(place: Path, make: Callable[[Path], object]) -> Path:
    """Have one worker make a file or folder; the others wait for it."""
    with FileLock(f"{place}.lock"):
        if not place.exists():
            temporary = place.with_name(f"making-{place.name}")
            make(temporary)
            temporary.rename(place)
    return place
