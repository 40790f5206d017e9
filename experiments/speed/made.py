"""Made data of a real size: images of a published set's, for measuring memory."""

from __future__ import annotations

import functools

import numpy as np

from lossbench.contract import Sample


def images(rng: np.random.Generator, /, *, samples: int = 60_000) -> Sample:
    """Noise of 3 x 32 x 32 bytes in ten classes; the first five sixths for training."""
    return _make_images(samples)


@functools.lru_cache(maxsize=1)
def _make_images(samples: int) -> Sample:
    pixels = np.random.default_rng(0).integers(0, 256, (samples, 3, 32, 32), dtype=np.uint8)
    rows = np.arange(samples)
    split = np.where(rows < samples * 5 // 6, 0, 2)
    return Sample(pixels, rows % 10, "multiclass", standardise="channels", split=split)
