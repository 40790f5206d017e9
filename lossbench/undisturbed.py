"""A guest's import may not change the settings that everyone's numbers depend on."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What is global in torch, numpy and random, where they are imported, as it was before."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    drawn = random.getstate()
    numpy_drawn = numpy.random.get_state() if numpy else None
    settings = (
        (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
        if torch
        else None
    )
    generator = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(drawn)
        if numpy:
            numpy.random.set_state(numpy_drawn)
        if torch and settings:
            torch.set_default_dtype(settings[0])
            torch.set_grad_enabled(settings[1])
            torch.set_num_threads(settings[2])
            torch.set_rng_state(generator)
