"""A guest's import may not change the settings that everyone's numbers depend on."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def undisturbed() -> Iterator[list[str]]:
    """What is global in torch, numpy and random, where they are imported, as it was before.

    The list names what had been changed, once the block is left.
    """
    before = [(name, get(), get, put) for name, get, put in _settings()]
    changed: list[str] = []
    try:
        yield changed
    finally:
        for name, value, get, put in before:
            if repr(get()) != repr(value):
                changed.append(name)
                put(value)


def _settings() -> Iterator[tuple[str, Callable[[], Any], Callable[[Any], object]]]:
    """(name, how to read it, how to put it back)."""
    yield "Python's random numbers", random.getstate, random.setstate
    if numpy := sys.modules.get("numpy"):
        yield "numpy's random numbers", numpy.random.get_state, numpy.random.set_state
    if torch := sys.modules.get("torch"):
        yield "torch's default dtype", torch.get_default_dtype, torch.set_default_dtype
        yield "torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled
        yield "torch's number of threads", torch.get_num_threads, torch.set_num_threads
        yield (
            "torch's random numbers",
            lambda: torch.get_rng_state().tolist(),
            lambda state: torch.set_rng_state(torch.tensor(state, dtype=torch.uint8)),
        )
