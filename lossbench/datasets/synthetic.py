"""Problems drawn from a formula, so that the best possible answer is known."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from lossbench.contract import Sample


def blobs(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    classes: Annotated[int, "[2, inf)"] = 3,
    features: Annotated[int, "[2, inf)"] = 2,
    separation: Annotated[float, "[0, inf)"] = 3.0,
    spread: Annotated[float, "(0, inf)"] = 1.0,
) -> Sample:
    """Gaussian classes, the centres a regular polygon in a plane of random orientation.

    Neighbouring centres are `separation` apart; the seed turns the plane and draws the points, so
    every seed is equally hard. With two classes (binary) the best accuracy is
    Phi(separation / (2 spread)). Class sizes differ by one at most.
    """
    labels = rng.permutation(np.arange(samples) % classes)
    angles = 2 * np.pi * np.arange(classes) / classes
    radius = separation / (2 * np.sin(np.pi / classes))
    polygon = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    plane, _ = np.linalg.qr(rng.standard_normal((features, 2)))
    inputs = (polygon @ plane.T)[labels] + spread * rng.standard_normal((samples, features))
    return Sample(inputs, labels, "binary" if classes == 2 else "multiclass")


def rare_blobs(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 5000,
    share: Annotated[float, "(0, 0.5]"] = 0.1,
    features: Annotated[int, "[2, inf)"] = 10,
    separation: Annotated[float, "[0, inf)"] = 2.0,
) -> Sample:
    """Two Gaussian classes of which class 1 is rare in every split, the test split too.

    The centres are `separation` apart in a direction that the seed draws and the deviation is 1,
    so the true log-odds are linear. Exactly round(share * samples) examples are of class 1.
    """
    labels = rng.permutation((np.arange(samples) < round(share * samples)).astype(np.int64))
    direction = rng.standard_normal(features)
    centre = separation * direction / np.linalg.norm(direction)
    inputs = rng.standard_normal((samples, features)) + labels[:, None] * centre
    return Sample(inputs, labels, "binary")


def moons(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    noise: Annotated[float, "[0, inf)"] = 0.2,
) -> Sample:
    """Two interleaved half circles of radius 1, with Gaussian noise: binary, not linear."""
    labels = rng.permutation(np.arange(samples) % 2)
    angles = rng.uniform(0, np.pi, samples)
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    arcs = np.where(labels[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    return Sample(arcs + noise * rng.standard_normal((samples, 2)), labels, "binary")


def linear(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    features: Annotated[int, "[1, inf)"] = 10,
    noise: Literal["gaussian", "laplace", "student_t", "heteroscedastic"] = "gaussian",
    noise_scale: Annotated[float, "[0, inf)"] = 0.5,
) -> Sample:
    """y = x . w + noise with x ~ N(0, I) and |w| = 1, so the signal has variance 1.

    noise_scale is the standard deviation of the noise, whatever its kind.
    """
    inputs = rng.standard_normal((samples, features))
    weights = rng.standard_normal(features)
    signal = inputs @ (weights / np.linalg.norm(weights))
    return Sample(
        inputs, signal + noise_scale * _draw_noise(rng, noise, inputs[:, 0]), "regression"
    )


def linear_truth(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 125,
    features: Annotated[int, "[1, inf)"] = 5,
    targets: Annotated[int, "[1, inf)"] = 1,
    noise: Literal["gaussian", "laplace", "student_t", "heteroscedastic"] = "gaussian",
    noise_scale: Annotated[float, "[0, inf)"] = 0.5,
) -> Sample:
    """As `linear`, but scored on the truth: the test split is 1,000 more examples without noise.

    So the test error of a linear model is the distance of its weights from the true ones. With
    several targets each has its own weights and noise.
    """
    inputs = rng.standard_normal((samples + 1000, features))
    weights = rng.standard_normal((features, targets))
    outputs = inputs @ (weights / np.linalg.norm(weights, axis=0))
    for column in range(targets):
        drawn = _draw_noise(rng, noise, inputs[:samples, 0])
        outputs[:samples, column] += noise_scale * drawn
    held_out = np.arange(samples + 1000) >= samples
    shaped = outputs[:, 0] if targets == 1 else outputs
    return Sample(inputs, shaped, "regression", held_out=held_out)


def friedman(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    features: Annotated[int, "[5, inf)"] = 10,
    noise: Literal["gaussian", "laplace", "student_t", "heteroscedastic"] = "gaussian",
    noise_scale: Annotated[float, "[0, inf)"] = 1.0,
) -> Sample:
    """Friedman #1: y = 10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5 + noise, x uniform.

    Features beyond the fifth say nothing; noise_scale is the noise's standard deviation.
    """
    inputs = rng.uniform(size=(samples, features))
    x1, x2, x3, x4, x5 = inputs[:, :5].T
    signal = 10 * np.sin(np.pi * x1 * x2) + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5
    driver = np.sqrt(3) * x1
    return Sample(inputs, signal + noise_scale * _draw_noise(rng, noise, driver), "regression")


def _draw_noise(rng: np.random.Generator, kind: str, driver: np.ndarray) -> np.ndarray:
    """Noise of mean 0 and variance 1; heteroscedastic: |driver| times a normal, E driver^2 = 1."""
    size = len(driver)
    if kind == "laplace":
        return rng.laplace(scale=np.sqrt(0.5), size=size)
    if kind == "student_t":
        return rng.standard_t(3, size) / np.sqrt(3)  # the variance at 3 degrees of freedom is 3
    return rng.standard_normal(size) * (np.abs(driver) if kind == "heteroscedastic" else 1)
