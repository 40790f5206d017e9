"""Small images: drawn shapes to find, and scikit-learn's digits in several roles."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from sklearn import datasets

from lossbench.contract import Sample

DIGIT = 8  # height and width of a digit
CANVAS = 24  # those of a scene of digits
INK = (0.2, 0.4)  # between them it is not clear whether a pixel belongs to its digit
UNKNOWN = 255


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


def digit_scenes(
    rng: np.random.Generator, /, *, samples: Annotated[int, "[20, inf)"] = 1000
) -> Sample:
    """Three handwritten digits, without overlap, on a canvas of 24 x 24: what is each pixel?

    Class d + 1 is the ink of digit d, 0 the background; pixels of intermediate ink, 0.2 to 0.4, are
    255, unknown. A fifth of the scenes is held out for the test, and so is a fifth of the digits
    they are made of. Licence: CC BY 4.0, as of digits.
    """
    images, labels = _load_digits()
    images = images.reshape(-1, DIGIT, DIGIT)
    held_out = np.arange(samples) < samples // 5
    pools = np.split(rng.permutation(len(labels)), [len(labels) // 5])
    inputs = np.zeros((samples, 1, CANVAS, CANVAS))
    targets = np.zeros((samples, CANVAS, CANVAS), dtype=np.int64)
    for scene, pool in enumerate(pools[0] if held else pools[1] for held in held_out):
        for digit, (row, column) in zip(rng.choice(pool, 3), _place_apart(rng, 3), strict=True):
            place = slice(row, row + DIGIT), slice(column, column + DIGIT)
            ink = images[digit]
            inputs[scene, 0][place] = ink
            unclear = np.where(ink < INK[0], 0, UNKNOWN)
            targets[scene][place] = np.where(ink > INK[1], labels[digit] + 1, unclear)
    return Sample(
        inputs, targets, "semantic_segmentation", held_out, standardise=False, fresh=False
    )


def _place_apart(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 2): corners of digits that do not overlap."""
    while True:
        corners = rng.integers(0, CANVAS - DIGIT + 1, (count, 2))
        apart = np.abs(corners[:, None] - corners).max(-1) + DIGIT * np.eye(count)
        if (apart >= DIGIT).all():
            return corners


def shape_kinds(
    rng: np.random.Generator,
    /,
    *,
    samples: Annotated[int, "[10, inf)"] = 1000,
    size: Annotated[int, "[10, inf)"] = 16,
    ambiguity: Annotated[float, "(0, inf)"] = 0.2,
    noise: Annotated[float, "[0, inf)"] = 0.1,
    rare: Annotated[float, "(0, 1)"] = 0.3,
    void: Annotated[float, "[0, 1]"] = 0.0,
) -> Sample:
    """Images (1, size, size) of a square, or of a disc of one of two kinds, under pixel noise.

    The background is 0, a square, which the share `rare` of images has, is 1. A disc of brightness
    b, uniform in [0.5, 1.5], is of kind 3 with the probability Phi((b - 1) / ambiguity), else of
    kind 2: so the best possible probability of each pixel is known. void: the share of the pixels
    next to a border that are 255, unknown.
    """
    square = rng.permutation(samples) < round(rare * samples)
    radius = size * rng.uniform(0.15, 0.3, samples)
    centre = rng.uniform(radius, size - radius, (2, samples))
    bright = np.where(square, 1.0, rng.uniform(0.5, 1.5, samples))
    third = bright + ambiguity * rng.standard_normal(samples) > 1
    kind = np.where(square, 1, np.where(third, 3, 2))
    pixel = np.arange(size) + 0.5
    rows = np.abs(pixel[:, None] - centre[0, :, None, None])
    columns = np.abs(pixel - centre[1, :, None, None])
    distance = np.where(square[:, None, None], np.maximum(rows, columns), np.hypot(rows, columns))
    depth = distance - radius[:, None, None]
    inside = depth < 0
    inputs = bright[:, None, None] * inside + noise * rng.standard_normal(inside.shape)
    masks = np.where(inside, kind[:, None, None], 0)
    masks[(np.abs(depth) < 1) & (rng.random(masks.shape) < void)] = UNKNOWN
    return Sample(inputs[:, None], masks, "semantic_segmentation", standardise=False)
