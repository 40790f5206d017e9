"""A dataset is a function of a random generator that gives one Sample."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossbench.contract import Sample


def spirals(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    turns: Annotated[float, "(0, inf)"] = 1.0,
    noise: Annotated[float, "[0, inf)"] = 0.02,
) -> Sample:
    """Two arms of a spiral of radius 1, one the other turned by 180 degrees: binary, not linear.

    Along a ray the arms follow each other at 1 / (2 turns); noise is the standard deviation of each
    coordinate. Points lie evenly over the disc, and the classes differ by one in size at most.
    """
    labels = rng.permutation(np.arange(samples) % 2)
    radius = np.sqrt(rng.uniform(size=samples))
    angle = 2 * np.pi * turns * radius + np.pi * labels
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Sample(points + noise * rng.standard_normal((samples, 2)), labels, "binary")


def whirls(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    concentration: Annotated[float, "(0, inf)"] = 10.0,
) -> Sample:
    """The direction of a flow around two whirls that turn against each other: angle.

    Points are spread evenly over a square of side 4, the whirls stand at (-1, 0) and (1, 0).
    Directions are off by von Mises noise: by about 18 degrees at a concentration of 10.
    """
    points = rng.uniform(-2, 2, (samples, 2))
    flow = np.zeros((samples, 2))
    for centre, sense in ((-1.0, 1.0), (1.0, -1.0)):
        x, y = points[:, 0] - centre, points[:, 1]
        flow += sense * np.stack([-y, x], axis=1) / (x**2 + y**2 + 0.1)[:, None]
    angle = np.arctan2(flow[:, 1], flow[:, 0]) + rng.vonmises(0, concentration, samples)
    return Sample(points, np.angle(np.exp(1j * angle)), "angle")
