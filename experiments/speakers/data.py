"""Speakers to be told apart whose distribution is known; those of the test were never heard."""

from __future__ import annotations

import numpy as np

from lossbench.contract import Sample

VALIDATED, TESTED = 30, 60  # speakers to validate on and to test on, of five utterances each
LEARNT, SCORED = 8, 5  # utterances of a speaker to learn from, and of every other
VOICE, CHANNEL = 8, 8  # numbers that say who speaks, and how it was recorded
WITHIN = 0.2  # variance of a voice between recordings of one speaker; 1 between speakers
NUISANCE = 1.0  # variance of a recording's channel


def drawn(rng: np.random.Generator, /, *, speakers: int = 200) -> Sample:
    """Utterances of new speakers, each recorded apart: voice and channel, mixed to 64 numbers.

    A speaker's voice is 8 numbers of variance 1, which each recording moves by variance .2; the
    channel is 8 numbers of variance 1, new for every utterance. A fixed network, which loses
    nothing, mixes them, so that the equal error rate of the best decision is that on the voices:
    3.71 %, as second_road.py works out.

    speakers: how many there are to learn from, in [2, inf).
    """
    utterances = [LEARNT] * speakers + [SCORED] * (VALIDATED + TESTED)
    identities = np.repeat(np.arange(len(utterances)), utterances)
    voice = rng.standard_normal((len(utterances), VOICE))[identities]
    voice = voice + np.sqrt(WITHIN) * rng.standard_normal(voice.shape)
    channel = np.sqrt(NUISANCE) * rng.standard_normal((len(voice), CHANNEL))
    split = np.searchsorted([speakers, speakers + VALIDATED], identities, side="right")
    return Sample(mixed(voice, channel), identities, "embedding", split=split)


def mixed(voice: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """(N, 64): a fixed network of both, one to one."""
    fixed = np.random.default_rng(10)
    first = fixed.standard_normal((VOICE + CHANNEL, 64)) / 6
    second = fixed.standard_normal((64, 64)) / 8
    inputs: np.ndarray = np.tanh(np.concatenate([voice, channel], 1) @ first) @ second
    return inputs
