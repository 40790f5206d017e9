"""What training supplies to losses: facts of the data, of the time and of the example."""

from __future__ import annotations

import pandas as pd
import torch

from lossbench import training
from lossbench.configuration.experiments import configurations

torch.set_num_threads(1)
SHORT = "tracking=none trainer.device=cpu trainer.max_epochs=2 seeds=2"


def config_of(words: str):
    return configurations([*SHORT.split(), *words.split()])[0][0]


def trained(words: str, seeds=(0, 1)):
    """The rows and the curves of a training."""
    result = training.train(config_of(words), list(seeds))
    return result.seeds.drop(columns="best_epoch"), result.curves


def same(one, other):
    for a, b in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)


# ---- class_counts --------------------------------------------------------------------------------
def test_balanced_weights_are_of_the_training_split():
    """Of 240 training examples 24 are of class 1: N / (2 n_k), to the last bit of a list."""
    words = "dataset=rare_blobs dataset.samples=400 loss=cross_entropy loss.class_weight="
    same(trained(f"{words}balanced"), trained(f"{words}[{240 / 2 / 216},{240 / 2 / 24}]"))
