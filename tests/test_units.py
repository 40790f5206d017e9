"""Targets of a regression: trained in standard deviations, scored in their own unit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lossbench.configuration.experiments import configurations
from lossbench.results import Result
from lossbench.results.rescoring import with_metrics
from lossbench.training import train

PRICES = """\
import numpy as np
from lossbench.contract import Sample

def houses(rng, /, *, scale: float = 1.0, offset: float = 0.0, columns: int = 1):
    g = np.random.default_rng(0)
    x = g.normal(size=(100, 3))
    y = x @ g.normal(size=(3, columns)) + 0.3 * g.normal(size=(100, columns))
    y = offset + scale * y
    return Sample(x, y[:, 0] if columns == 1 else y, "regression")
"""
ERRORS = ("root_mean_squared_error", "mean_absolute_error", "median_absolute_error", "pinball_90")
FREE = ("r2", "standardised_error", "standardised_absolute_error", "coverage")


def trained(here: Path, *words: str) -> Result:
    (here / "prices.py").write_text(PRICES)
    fixed = ("loss=huber", "dataset=prices.py:houses", "trainer=short", "seeds=2", "tracking=none")
    (config,), _ = configurations([*fixed, *words])
    return train(config, list(config.seeds))


def column(result: Result, name: str) -> np.ndarray:
    return result.seeds[f"test/{name}"].to_numpy()


@pytest.mark.parametrize("words", [(), ("dataset.columns=2",)])
def test_errors_are_in_the_unit_of_the_target(here, words):
    """A thousand times larger targets, far from 0: the same training, errors a thousand times."""
    small = trained(here, *words)
    large = trained(here, *words, "dataset.scale=1000", "dataset.offset=200000")
    for name in ERRORS:
        np.testing.assert_allclose(column(large, name), 1000 * column(small, name), rtol=1e-4)
    for name in FREE:
        np.testing.assert_allclose(column(large, name), column(small, name), rtol=1e-4)


def test_standardised_errors_are_in_deviations_of_each_seeds_training_targets(here):
    """The error is theirs times the deviation, which is kept with the predictions."""
    result = trained(here, "dataset.scale=1000", "dataset.offset=200000")
    kept = result.predictions[0].load()
    assert 190_000 < kept["test_target"].mean() < 210_000
    scale = kept["target_scale"]
    assert scale.shape == (2,)
    assert scale[0] != scale[1]
    for own, named in zip(ERRORS[:2], FREE[1:3], strict=True):
        np.testing.assert_allclose(column(result, own), scale * column(result, named), rtol=1e-9)


def test_metrics_come_out_of_kept_predictions_to_the_bit(here):
    """Also those in deviations, of several columns."""
    result = trained(here, "dataset.columns=2", "dataset.scale=50")
    emptied = replace(result, summary={**result.summary, "directions": {}})
    names = [f"{place}/{name}" for place in ("test", "val_best") for name in (*ERRORS, *FREE)]
    again = with_metrics(emptied, [])
    pd.testing.assert_frame_equal(again.seeds[names], result.seeds[names], check_exact=True)
