"""Identities to be embedded; validation and test are of identities that training never sees."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from lossbench.contract import Sample

EACH = 120  # examples of a digit
LEARNT, VALIDATED, TESTED = 5, 2, 3  # digits
SPEAKERS = 100, 25, 50  # to learn from, to validate on, to test on
TAKES = 8  # examples of a speaker


def _parts(counts: tuple[int, int, int], each: int) -> np.ndarray:
    return np.repeat([0, 1, 2], [count * each for count in counts])


def digits(rng: np.random.Generator, /) -> Sample:
    """120 examples of each of ten digits: five to learn from, others to validate and test on.

    Which digits is drawn by seed, so that each is tested on by some. Licence: CC BY 4.0.
    """
    inputs, labels = load_digits(return_X_y=True)
    kept = [rng.permutation(np.flatnonzero(labels == k))[:EACH] for k in rng.permutation(10)]
    identities = np.repeat(np.arange(10), EACH)
    split = _parts((LEARNT, VALIDATED, TESTED), EACH)
    pixels = inputs[np.concatenate(kept)] / 16
    return Sample(pixels, identities, "embedding", standardise=False, fresh=False, split=split)


def drawn(rng: np.random.Generator, /) -> Sample:
    """Takes of 100 + 25 + 50 new identities: who it is and how it was taken, mixed to 64 numbers.

    Who: 8 numbers of variance 1, which a take turns by .25. How: 8 numbers of variance 2, new for
    every take. A fixed network mixes them.
    """
    count = sum(SPEAKERS)
    identities = np.repeat(np.arange(count), TAKES)
    who = rng.standard_normal((count, 8))[identities]
    who = who + 0.5 * rng.standard_normal(who.shape)
    how = np.sqrt(2) * rng.standard_normal(who.shape)
    fixed = np.random.default_rng(9)
    first, second = fixed.standard_normal((16, 64)) / 4, fixed.standard_normal((64, 64)) / 8
    inputs = np.tanh(np.concatenate([who, how], 1) @ first) @ second
    return Sample(inputs, identities, "embedding", split=_parts(SPEAKERS, TAKES))
