"""How seeds are dealt to stacks decides no bit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lossbench.configuration.experiments import configurations
from lossbench.results import Result
from lossbench.training import train

torch.set_num_threads(1)
WORDS = """
dataset=wine model=tabular model.dropout=0.2 loss=focal corruption=label_noise augmentation=noise
trainer.max_epochs=1 trainer.batch_size=64 trainer.device=cpu seeds=20 tracking=none
"""


def trained(width: int) -> Result:
    (config,), _ = configurations([*WORDS.split(), f"trainer.max_replicas={width}"])
    return train(config, list(config.seeds))


@pytest.fixture(scope="module")
def whole() -> Result:
    return trained(20)


@pytest.mark.parametrize("width", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_stacks_of_1_3_and_20_seeds_give_the_same_bytes(whole, width):
    """With batch norm, dropout, augmentation and label noise: scores, curves and predictions."""
    parts = trained(width)
    for name in ("seeds", "curves", "details"):
        one, other = getattr(whole, name), getattr(parts, name)
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    kept, again = (result.predictions[0].load() for result in (whole, parts))
    assert kept.keys() == again.keys()
    for name, values in kept.items():
        assert np.array_equal(values, again[name]), name
    assert whole.summary["notes"] == parts.summary["notes"]
    assert whole.key == parts.key
