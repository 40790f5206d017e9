"""Test curves: kept apart, so that nothing chooses by them; and what papers would have said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support import QUICK

from lossbench import results, training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.training import tuning

DRAWING = """\
import torch

def drawing(logits, target, /):
    values = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    return (1 + torch.rand(())) * values
"""
SETTINGS = [
    ["dataset=digits", "seeds=3", "trainer.max_replicas=2"],
    ["dataset=diabetes", "loss=huber", "seeds=2", "corruption=outliers"],
    ["dataset=wine", "loss=drawing.py:drawing", "seeds=2", "metrics=[ece]"],
    ["dataset=diabetes", "loss=squared_error", "optimizer=sgd", "optimizer.lr=0.7", "seeds=3"],
]


@pytest.fixture(autouse=True)
def _own_folder(here: Path) -> None:
    (here / "drawing.py").write_text(DRAWING)


def configured(*words: str) -> Configuration:
    common = ["tracking=none", "trainer.device=cpu", "trainer.max_epochs=4"]
    return configurations([*common, *words])[0][0]


def peeking(config: Configuration) -> Configuration:
    return replace(config, trainer=replace(config.trainer, peek=True))


# --- test curves ----------------------------------------------------------------------------------
@pytest.mark.parametrize("words", SETTINGS, ids=lambda words: " ".join(words))
def test_keeping_test_curves_changes_no_other_number(words):
    """Neither scores nor the best epoch nor curves, bit for bit, nor the key."""
    config = configured(*words)
    plain = training.train(config, list(config.seeds))
    peeked = training.train(peeking(config), list(config.seeds))
    assert plain.key == peeked.key
    assert plain.summary | {"seconds": 0} == peeked.summary | {"seconds": 0}
    for name in ("seeds", "curves", "details"):
        pd.testing.assert_frame_equal(
            getattr(plain, name), getattr(peeked, name), check_exact=True, obj=name
        )
    assert plain.test_curves.empty
    assert not peeked.test_curves.empty


@pytest.mark.parametrize("words", SETTINGS, ids=lambda words: " ".join(words))
def test_test_curves_hold_every_epoch_of_what_the_test_split_is_scored_by(words):
    """Their last epoch and the best on validation data are the result's own test scores."""
    config = peeking(configured(*words))
    result = training.train(config, list(config.seeds))
    curves = result.test_curves.set_index(["metric", "seed", "epoch"]).value.sort_index()
    metrics = {f"test/{name}" for name in result.summary["directions"]}
    assert set(result.test_curves.metric) == metrics
    for row in result.seeds[result.seeds.status == "finished"].to_dict("records"):
        for metric in metrics:
            of_seed = curves[metric, row["seed"]]
            assert list(of_seed.index) == [1, 2, 3, 4]
            assert of_seed[4] == row[metric]
            assert of_seed[row["best_epoch"]] == row[metric.replace("test/", "test_best/")]
    for row in result.seeds[result.seeds.status == "diverged"].to_dict("records"):
        ended = result.test_curves[result.test_curves.seed == row["seed"]]
        assert (ended.epoch < row["diverged_epoch"]).all()


def test_tuning_neither_reads_test_curves_nor_keeps_any():
    """Ledger, trials and the chosen training are those without them."""
    config = configured("dataset=wine", "loss=focal", "seeds=2", "tune.trials=3", "tune.seeds=2")
    plain, peeked = (tuning.train(c, [0, 1]) for c in (config, peeking(config)))
    ledgers = [r.summary["tuning"] | {"seconds": 0} for r in (plain, peeked)]
    assert ledgers[0] == ledgers[1]
    assert plain.tuning is not None
    assert peeked.tuning is not None
    pd.testing.assert_frame_equal(plain.tuning, peeked.tuning, check_exact=True)
    pd.testing.assert_frame_equal(plain.seeds, peeked.seeds, check_exact=True)
    assert set(peeked.test_curves.seed) == {0, 1}, "no tuning seed"


def test_a_result_is_trained_again_for_test_curves_only_where_they_are_asked_for(command):
    """It says so, every other table stays as it was, and it is done once."""
    words = ("run", "-m", "loss=cross_entropy,focal", *QUICK)

    def tables() -> list[dict[str, Any]]:
        content = json.loads(command("compare", "--format", "json").out)
        return [{**row, "seconds": None} for row in content["rows"]]

    assert command(*words).code == 0
    before = tables()
    again = command(*words, "seeds=1", "trainer.peek=true")
    assert "focal on moons: 1 seed without test curves, trained again" in again.out, again.err
    assert tables() == before
    for result in results.everything(Path("results")):
        assert set(result.test_curves.seed) == {0}
        assert len(result.seeds) == 2
        assert results.missing_seeds(result.config, Path("results")) == [1]
        plain = replace(result.config, trainer=replace(result.config.trainer, peek=False))
        assert results.missing_seeds(plain, Path("results")) == []
