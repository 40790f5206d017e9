"""Streams of randomness, each a pure function of the replica's seed and the stream's name."""

from __future__ import annotations

import hashlib


def stream(seed: int, name: str, step: int = 0) -> int:
    """A 63-bit seed for one purpose; streams of other names, seeds or steps are unrelated."""
    digest = hashlib.sha256(f"{seed}/{name}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
