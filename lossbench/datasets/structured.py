"""Problems drawn from a formula whose target is not one class or number: labels, pairs, ranks."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.special import ndtri, softmax

from lossbench.contract import Sample


def tags(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    features: Annotated[int, "[1, inf)"] = 10,
    labels: Annotated[int, "[2, inf)"] = 6,
    rarest: Annotated[float, "(0, 0.5]"] = 0.1,
    noise: Annotated[float, "[0, inf)"] = 0.3,
) -> Sample:
    """Labels that occur together: label l where x . w_l + noise is large, x ~ N(0, I), |w_l| = 1.

    The first label occurs in half of the examples, the last in the share `rarest`, the others in
    shares that fall geometrically; noise is the noise's standard deviation.
    """
    inputs = rng.standard_normal((samples, features))
    weights = rng.standard_normal((features, labels))
    score = inputs @ (weights / np.linalg.norm(weights, axis=0))
    score += noise * rng.standard_normal(score.shape)
    shares = np.geomspace(0.5, rarest, labels)
    threshold = ndtri(1 - shares) * np.sqrt(1 + noise**2)
    return Sample(inputs, (score > threshold).astype(np.int64), "multilabel")


def soft_blobs(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    classes: Annotated[int, "[2, inf)"] = 5,
    features: Annotated[int, "[1, inf)"] = 5,
    separation: Annotated[float, "[0, inf)"] = 2.0,
    votes: Annotated[int, "[0, inf)"] = 0,
) -> Sample:
    """Gaussian classes of variance 1 whose target is how likely each class is, given x.

    Centres are `separation` times N(0, I). votes: the target is the share of so many annotators
    who each draw a class by that probability; 0 gives the probability itself.
    """
    centres = separation * rng.standard_normal((classes, features))
    labels = rng.integers(classes, size=samples)
    inputs = centres[labels] + rng.standard_normal((samples, features))
    distances = ((inputs[:, None] - centres) ** 2).sum(2)
    targets = softmax(-distances / 2, axis=1)
    if votes:
        targets = rng.multinomial(votes, targets) / votes
    return Sample(inputs, targets, "distribution")


def scored_pairs(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    features: Annotated[int, "[2, inf)"] = 8,
    noise: Annotated[float, "[0, inf)"] = 0.2,
) -> Sample:
    """Two items of which one was preferred: that of higher utility, as far as noise allows.

    u(x) = [x . a + ((x . b)^2 - 1) / sqrt 2] / sqrt 2 with x ~ N(0, I) and a, b orthonormal, so
    u has variance 1; noise is the standard deviation of what each judgement of an item adds.
    """
    inputs = rng.standard_normal((samples, 2, features))
    directions, _ = np.linalg.qr(rng.standard_normal((features, 2)))
    linear, curved = np.moveaxis(inputs @ directions, -1, 0)
    utility = (linear + (curved**2 - 1) / np.sqrt(2)) / np.sqrt(2)
    judged = utility + noise * rng.standard_normal(utility.shape)
    return Sample(inputs, (judged[:, 0] > judged[:, 1]).astype(np.int64), "ranking")


def paired_views(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    latents: Annotated[int, "[1, inf)"] = 8,
    left: Annotated[int, "[1, inf)"] = 24,
    right: Annotated[int, "[1, inf)"] = 16,
    noise: Annotated[float, "[0, inf)"] = 0.5,
) -> Sample:
    """Two views of each of many things: every pair is a separate identity.

    A thing is z ~ N(0, I); its views are random linear maps of it to `left` and to `right`
    numbers of variance 1, plus noise of that standard deviation; the shorter is padded with 0.
    """
    things = rng.standard_normal((samples, latents))
    inputs = np.zeros((samples, 2, max(left, right)))
    for side, size in enumerate((left, right)):
        view = _mix(rng, things, size)
        inputs[:, side, :size] = view + noise * rng.standard_normal(view.shape)
    return Sample(inputs, np.arange(samples), "pairs")


def attributes(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    classes: Annotated[int, "[2, inf)"] = 50,
    unseen: Annotated[int, "[1, inf)"] = 10,
    size: Annotated[int, "[1, inf)"] = 10,
    features: Annotated[int, "[1, inf)"] = 24,
    noise: Annotated[float, "[0, inf)"] = 1.0,
) -> Sample:
    """Examples paired with a description of their class; the test split holds classes never seen.

    A class is described by `size` attributes, each -1 or 1 (right, padded with 0); an example is
    a random linear map of them to features of variance 1, plus noise (left). Next to the `classes`
    to learn from there are `unseen` ones, as large on average.
    """
    total = classes + unseen
    described = rng.choice([-1.0, 1.0], (total, size))
    targets = np.arange(samples) % total
    inputs = np.zeros((samples, 2, max(features, size)))
    view = _mix(rng, described, features)[targets]
    inputs[:, 0, :features] = view + noise * rng.standard_normal(view.shape)
    inputs[:, 1, :size] = described[targets]
    return Sample(inputs, targets, "pairs", held_out=targets >= classes)


def _mix(rng: np.random.Generator, things: np.ndarray, size: int) -> np.ndarray:
    """A random linear map of independent numbers of variance 1 to others of variance 1."""
    weights = rng.standard_normal((things.shape[1], size))
    return things @ (weights / np.linalg.norm(weights, axis=0))
