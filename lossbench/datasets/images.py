"""Small images: drawn shapes to find, and scikit-learn's digits in several roles."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from sklearn import datasets

from lossbench.contract import Sample

DIGIT = 8  # height and width of a digit


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 digits (N, 64) in [0, 1], and what they are."""
    inputs, targets = datasets.load_digits(return_X_y=True)
    return inputs / 16, targets


def digit_images(rng: np.random.Generator, /) -> Sample:
    """1,797 handwritten digits as images of 1 x 8 x 8 pixels in [0, 1]: ten classes."""
    inputs, targets = _digits()
    return Sample(inputs.reshape(-1, 1, DIGIT, DIGIT), targets, "multiclass", standardise=False)


def digit_identities(rng: np.random.Generator, /) -> Sample:
    """Handwritten digits (64,) to be embedded: 0 to 6 to learn from, 7 to 9 the test split."""
    inputs, targets = _digits()
    return Sample(inputs, targets, "embedding", held_out=targets >= 7, standardise=False)


def digit_pixels(rng: np.random.Generator, /) -> Sample:
    """1,797 handwritten digits (64,) in [0, 1] to be reconstructed: the target is the input."""
    inputs, _ = _digits()
    return Sample(inputs, inputs, "generative", standardise=False)


def digit_strips(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, 599]"] = 599,
    width: Annotated[int, "[35, inf)"] = 40,
) -> Sample:
    """Strips of two, three or four handwritten digits with gaps at random, read column by column.

    inputs: (N, width, 8), a column of pixels at each step. Label d + 1 is digit d. Between digits
    there is at least one empty column. No digit is in two strips, which limits their number.
    """
    images, labels = _digits()
    images = images.reshape(-1, DIGIT, DIGIT).transpose(0, 2, 1)
    order = rng.permutation(len(labels))
    counts = rng.permutation(2 + np.arange(samples) % 3)
    inputs = np.zeros((samples, width, DIGIT))
    targets = np.zeros((samples, 2, width), dtype=np.int64)
    for strip, chosen in enumerate(np.split(order, np.cumsum(counts))[:samples]):
        count = len(chosen)
        spare = width - count * DIGIT - (count - 1)
        gaps = rng.multinomial(spare, np.full(count + 1, 1 / (count + 1)))
        starts = np.cumsum(gaps[:-1]) + (DIGIT + 1) * np.arange(count)
        columns = (starts[:, None] + np.arange(DIGIT)).ravel()
        inputs[strip, columns] = images[chosen].reshape(-1, DIGIT)
        targets[strip, 0, columns] = np.repeat(labels[chosen] + 1, DIGIT)
        targets[strip, 1, :count] = labels[chosen] + 1
    return Sample(inputs, targets, "sequence", standardise=False)


def shapes(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 600,
    size: Annotated[int, "[8, inf)"] = 16,
    share: Annotated[float, "(0, 0.3]"] = 0.05,
    empty: Annotated[float, "[0, 1)"] = 0.1,
    noise: Annotated[float, "[0, inf)"] = 0.5,
) -> Sample:
    """Images (1, size, size) of a disc or a square of brightness 1 under noise; the mask is it.

    It covers `share` of the image on average, from half to one and a half times as much, and is
    missing in the share `empty` of the images; noise is the standard deviation of a pixel's.
    """
    area = share * size**2 * rng.uniform(0.5, 1.5, samples)
    square = rng.integers(2, size=samples) == 1
    radius = np.where(square, np.sqrt(area) / 2, np.sqrt(area / np.pi))
    centre = rng.uniform(radius, size - radius, (2, samples))
    pixel = np.arange(size) + 0.5
    rows = np.abs(pixel[:, None] - centre[0, :, None, None])
    columns = np.abs(pixel - centre[1, :, None, None])
    distance = np.where(square[:, None, None], np.maximum(rows, columns), np.hypot(rows, columns))
    masks = distance < radius[:, None, None]
    masks[rng.permutation(samples)[: round(empty * samples)]] = False
    inputs = masks + noise * rng.standard_normal(masks.shape)
    return Sample(inputs[:, None], masks.astype(np.int64), "segmentation", standardise=False)
