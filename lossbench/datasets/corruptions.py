"""Named changes to the training split of one seed: which rows, targets and inputs are others.

A corruption that asks for `num_classes` is for classification; labels are integers from 0.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from lossbench.contract import Corrupted, UserError
from lossbench.datasets.examples import Examples


def none(inputs: Examples, targets: np.ndarray, rng: np.random.Generator, /) -> Corrupted:
    """The training split as it is."""
    return Corrupted()


def imbalance(
    inputs: Examples,
    targets: np.ndarray,
    rng: np.random.Generator,
    /,
    *,
    num_classes: int,
    ratio: Annotated[float, "(0, 1]"] = 0.1,
    kind: Literal["long_tailed", "step"] = "long_tailed",
    order: Literal["index", "rotated"] = "index",
) -> Corrupted:
    """Examples of the later classes removed until smallest / largest class = ratio.

    long_tailed: class k keeps the share ratio^(k / (C - 1)) of the largest that the data allow;
    step: the last C // 2 classes keep the share ratio. At least one example of each is kept.
    order: rotated begins with a class drawn for each seed, so that no class is rare in all; the
    largest keeps as many as the smallest had.
    """
    classes = np.arange(num_classes)
    tail = classes / (num_classes - 1)
    if kind == "step":
        tail = (classes >= num_classes - num_classes // 2).astype(float)
    shares = ratio**tail
    counts = np.bincount(targets, minlength=num_classes)
    largest = np.floor((counts / shares).min() + 1e-9)
    if order == "rotated":
        shares = np.roll(shares, rng.integers(num_classes))
        largest = counts.min()  # the same number of examples for every seed
    kept = np.maximum(1, np.rint(largest * shares)).astype(int)
    rows = [
        rng.permutation(np.flatnonzero(targets == k))[:count]
        for k, count in zip(classes, kept, strict=True)
    ]
    return Corrupted(rows=np.sort(np.concatenate(rows)))


def label_noise(
    inputs: Examples,
    targets: np.ndarray,
    rng: np.random.Generator,
    /,
    *,
    num_classes: int,
    rate: Annotated[float, "[0, 1)"] = 0.2,
    kind: Literal["symmetric", "asymmetric", "feature_dependent"] = "symmetric",
) -> Corrupted:
    """Exactly round(rate * N) labels are made wrong.

    symmetric: any examples, to any other class; asymmetric: any examples, k to k + 1 mod C (for
    two classes the same); feature_dependent: to the class of the nearest other centroid, examples
    drawn with weights exp(-4 m / mean m), m = |d_other^2 - d_own^2|, d the distances to centroids:
    m is 0 on the boundary between them.
    """
    _refuse_drowned(rate, kind, num_classes)
    keys = rng.gumbel(size=len(targets))  # the k largest log-weight + Gumbel: k drawn by weight
    others = (targets + 1) % num_classes
    if kind == "symmetric":
        others = (targets + rng.integers(1, num_classes, len(targets))) % num_classes
    elif kind == "feature_dependent":
        others, margin = _find_nearest_other(inputs, targets, num_classes)
        keys = keys - 4 * margin / max(margin.mean(), np.finfo(float).tiny)
    flipped = np.argsort(-keys, kind="stable")[: round(rate * len(targets))]
    noisy = targets.copy()
    noisy[flipped] = others[flipped]
    return Corrupted(targets=noisy)


def _refuse_drowned(rate: float, kind: str, num_classes: int) -> None:
    limit = 1 - 1 / num_classes if kind == "symmetric" else 0.5
    if rate >= limit:
        raise UserError(
            f"corruption.rate={rate}: {kind} noise among {num_classes} classes leaves the true "
            f"label no longer the most frequent; give a rate in [0, {limit:.4g})."
        )


def _find_nearest_other(
    inputs: Examples, targets: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each example: the other class of nearest centroid, and its margin against that one."""
    centroids = [inputs.mean(np.flatnonzero(targets == k)).ravel() for k in range(num_classes)]
    points = (block.reshape(len(block), -1) for block in inputs.blocks())
    distances = np.concatenate(
        [np.stack([((block - c) ** 2).sum(1) for c in centroids], axis=1) for block in points]
    )
    rows = np.arange(len(targets))
    to_own = distances[rows, targets].copy()
    distances[rows, targets] = np.inf
    return distances.argmin(1), np.abs(distances.min(1) - to_own)


def outliers(
    inputs: Examples,
    targets: np.ndarray,
    rng: np.random.Generator,
    /,
    *,
    share: Annotated[float, "[0, 0.5)"] = 0.1,
    size: Annotated[float, "(0, inf)"] = 10.0,
    kind: Literal["vertical", "leverage"] = "vertical",
    sign: Literal["positive", "negative", "both"] = "positive",
) -> Corrupted:
    """Exactly round(share * N) examples of a regression are moved by `size`.

    vertical: the target, by that many of its standard deviations; leverage: the first feature, by
    that many, while the target becomes 0, the mean. sign: all upwards, all downwards, or either
    way at random.
    """
    if targets.dtype.kind != "f":
        raise UserError(
            "corruption=outliers is for a regression; these are classes. Choose label_noise."
        )
    rows = rng.permutation(len(targets))[: round(share * len(targets))]
    choices = {"positive": [1.0], "negative": [-1.0], "both": [-1.0, 1.0]}[sign]
    signs = rng.choice(choices, len(rows))
    targets = targets.copy()
    if kind == "leverage":
        moved = inputs[rows]
        moved.reshape(len(rows), -1)[:, 0] += size * signs  # a view; its deviation is 1
        targets[rows] = 0
        return Corrupted(targets=targets, moved=rows, inputs=moved)
    targets[rows] += size * np.nanstd(targets, 0) * signs.reshape(-1, *[1] * (targets.ndim - 1))
    return Corrupted(targets=targets)
