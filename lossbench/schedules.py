"""Learning rates over training: the share of its steps that is done -> a factor of the rate."""

from __future__ import annotations

import bisect
import math
from typing import Annotated


def constant(progress: float, /) -> float:
    """The configured learning rate from the first step to the last.

    >>> constant(0.7)
    1.0
    """
    return 1.0


def cosine(
    progress: float,
    /,
    *,
    warm_up: Annotated[float, "[0, 1)"] = 0.0,
    end: Annotated[float, "[0, 1]"] = 0.0,
) -> float:
    """Half a cosine from 1 down to `end`, after a straight way up (Loshchilov & Hutter 2017).

    warm_up: the share of training in which the rate rises from 0.

    >>> [round(cosine(share, warm_up=0.2), 3) for share in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if progress < warm_up:
        return progress / warm_up
    return end + (1 - end) * _half_cosine((progress - warm_up) / (1 - warm_up))


def step(
    progress: float,
    /,
    *,
    at: tuple[Annotated[float, "[0, 1]"], ...] = (0.5, 0.75),
    factor: Annotated[float, "(0, 1]"] = 0.1,
) -> float:
    """The rate times `factor` at each of the shares of training (He et al. 2016: a half, 3/4).

    >>> [round(step(share), 3) for share in (0.0, 0.49, 0.5, 0.8)]
    [1.0, 1.0, 0.1, 0.01]
    """
    return factor ** bisect.bisect_right(sorted(at), progress)


def one_cycle(
    progress: float,
    /,
    *,
    rise: Annotated[float, "(0, 1)"] = 0.3,
    start: Annotated[float, "[0, 1]"] = 0.04,
    end: Annotated[float, "[0, 1]"] = 4e-6,
) -> float:
    """Half a cosine up from `start` to 1, and another down to `end` (Smith & Topin 2019).

    rise: the share of training in which the rate rises. The defaults are PyTorch's.

    >>> [round(one_cycle(share), 3) for share in (0.0, 0.3, 0.65, 1.0)]
    [0.04, 1.0, 0.5, 0.0]
    """
    if progress < rise:
        return 1 + (start - 1) * _half_cosine(progress / rise)
    return end + (1 - end) * _half_cosine((progress - rise) / (1 - rise))


def _half_cosine(share: float) -> float:
    """From 1 at 0 down to 0 at 1."""
    return (1 + math.cos(math.pi * share)) / 2
