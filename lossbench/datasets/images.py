"""Small images: drawn shapes to find, and scikit-learn's digits in several roles."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from sklearn import datasets

from lossbench.contract import Sample

DIGIT = 8  # height and width of a digit


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 digits (N, 64) in [0, 1], and what they are."""
    inputs, targets = datasets.load_digits(return_X_y=True)
    return inputs / 16, targets


def digit_images(rng: np.random.Generator, /) -> Sample:
    """1,797 handwritten digits as images of 1 x 8 x 8 pixels in [0, 1]: ten classes.

    Licence: CC BY 4.0, as of digits.
    """
    inputs, targets = _load_digits()
    return Sample(inputs.reshape(-1, 1, DIGIT, DIGIT), targets, "multiclass", standardise=False)


def digit_identities(rng: np.random.Generator, /) -> Sample:
    """Digit images (1, 8, 8) to be embedded: 0 to 6 to learn from, 7 to 9 the test split.

    Licence: CC BY 4.0, as of digits.
    """
    inputs, targets = _load_digits()
    images = inputs.reshape(-1, 1, DIGIT, DIGIT)
    return Sample(images, targets, "embedding", held_out=targets >= 7, standardise=False)


def digit_pixels(rng: np.random.Generator, /) -> Sample:
    """1,797 handwritten digits (64,) in [0, 1] to be reconstructed: the target is the input.

    Licence: CC BY 4.0, as of digits.
    """
    inputs, _ = _load_digits()
    return Sample(inputs, inputs, "generative", standardise=False)


def digit_strips(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[20, inf)"] = 1600,
    steps: Annotated[int, "[18, inf)"] = 20,
) -> Sample:
    """Strips of two, three or four handwritten digits with gaps at random, read from the left.

    inputs: (N, steps, 16), two columns of 8 pixels in [-1, 1] at each step, with at least one empty
    column between digits. Label d + 1 is digit d; a step's class is that of its second column.
    A fifth of the strips is held out for the test, and so is a fifth of the digits they are made
    of; in the others a digit may occur again, so that validation flatters. Licence: CC BY 4.0, as
    of digits.
    """
    images, labels = _load_digits()
    images = images.reshape(-1, DIGIT, DIGIT).transpose(0, 2, 1)
    held_out = np.arange(samples) < samples // 5
    pools = np.split(rng.permutation(len(labels)), [len(labels) // 5])
    inputs = np.zeros((samples, 2 * steps, DIGIT))
    targets = np.zeros((samples, 2, 2 * steps), dtype=np.int64)
    for strip, pool in enumerate(pools[0] if held else pools[1] for held in held_out):
        chosen = rng.choice(pool, 2 + strip % 3)
        columns = _place_digits(rng, len(chosen), 2 * steps)
        inputs[strip, columns] = images[chosen].reshape(-1, DIGIT)
        targets[strip, 0, columns] = np.repeat(labels[chosen] + 1, DIGIT)
        targets[strip, 1, : len(chosen)] = labels[chosen] + 1
    inputs = 2 * inputs.reshape(samples, steps, 2 * DIGIT) - 1
    targets = np.stack([targets[:, 0, 1::2], targets[:, 1, :steps]], axis=1)
    return Sample(inputs, targets, "sequence", held_out, standardise=False, fresh=False)


def _place_digits(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """The columns of so many digits in a strip, at least one column apart, else at random."""
    spare = width - count * DIGIT - (count - 1)
    gaps = rng.multinomial(spare, np.full(count + 1, 1 / (count + 1)))
    starts = np.cumsum(gaps[:-1]) + (DIGIT + 1) * np.arange(count)
    return (starts[:, None] + np.arange(DIGIT)).ravel()


def shapes(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
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
