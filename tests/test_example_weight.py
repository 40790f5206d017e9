"""Weights of examples: 2 counts as the row twice, 0 as its absence, 1 as nothing said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as reference
from support import sampled

from lossbench import registry
from lossbench.check import check_loss
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.datasets.arrays import arrays
from lossbench.datasets.weighing import read_weights
from lossbench.metrics import WEIGHT, metrics_of, score, takes_weights
from lossbench.results.rescoring import row_variance, with_metrics
from lossbench.tasks import task_class
from lossbench.tasks.regression import Regression
from lossbench.training import train

torch.set_num_threads(1)
SHORT = "tracking=none trainer.device=cpu trainer.max_epochs=3 trainer.batch_size=500 seeds=2"
DATA = """
import numpy as np
from lossbench.contract import Sample

def points(rng, /, *, form: str = "weights", task: str = "multiclass"):
    g = np.random.default_rng(0)
    x, y = g.normal(size=(90, 4)) * (1, 2, 3, 40), np.arange(90) % 3
    x[:, 0] += y
    if task == "regression":
        y = x[:, 0] + g.normal(size=90)
    split, w = np.repeat([0, 1, 2], [50, 20, 20]), 1.0 + np.arange(90) % 3
    if form == "rows":
        rows = np.repeat(np.arange(90), w.astype(int))
        return Sample(x[rows], y[rows], task, split=split[rows])
    if form == "some":
        w = w * (np.arange(90) % 4 > 0)
        return Sample(x[w > 0], y[w > 0], task, split=split[w > 0], weights=w[w > 0])
    weights = {"zeros": w * (np.arange(90) % 4 > 0), "ones": np.ones(90), "none": None}
    return Sample(x, y, task, split=split, weights=weights.get(form, w))
"""
LOSSES = """
import torch
from torch import Tensor
from lossbench.contract import declare

def unmapped(logits: Tensor, target: Tensor, /) -> Tensor:
    wrong = float(logits.detach().sum()) - float(logits.detach().sum())
    return torch.logsumexp(logits, -1) - logits.gather(-1, target[:, None])[:, 0] + wrong

@declare(couples=True)
def whole(logits: Tensor, target: Tensor, /, *, example_weight: Tensor) -> Tensor:
    values = torch.logsumexp(logits, -1) - logits.gather(-1, target[:, None])[:, 0]
    return (values * example_weight).sum().div(example_weight.sum()).sqrt()

@declare(couples=True)
def blind(logits: Tensor, target: Tensor, /) -> Tensor:
    values = torch.logsumexp(logits, -1) - logits.gather(-1, target[:, None])[:, 0]
    return values.mean().sqrt()

@declare(couples=True)
def wrong(logits: Tensor, target: Tensor, /, *, example_weight: Tensor) -> Tensor:
    values = torch.logsumexp(logits, -1) - logits.gather(-1, target[:, None])[:, 0]
    return (values * example_weight).mean().sqrt()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("weights")
    (place / "points.py").write_text(DATA)
    (place / "mine.py").write_text(LOSSES)
    return place


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def trained(words: str):
    (config,), _ = configurations([*SHORT.split(), *words.split()])
    return train(config, list(config.seeds))


def numbers(words: str, form: str):
    result = trained(f"dataset=points.py:points dataset.form={form} {words}")
    return result.seeds.drop(columns=["seed", "status"]).astype(float), result.curves.value


# ---- training ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "words",
    sampled(
        [
            "loss=cross_entropy",
            "loss=mine.py:unmapped",
            "loss=mine.py:whole",
            "loss=huber dataset.task=regression",
        ],
        2,
    ),
)
def test_a_weight_of_2_is_the_row_twice(here, words):
    """Of standardising, of every step and of every metric, where a batch is the whole split."""
    weights, rows = numbers(words, "weights"), numbers(words, "rows")
    for one, other in zip(weights, rows, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)


def test_a_weight_of_0_is_the_absence_of_the_row(here):
    for one, other in zip(*(numbers("loss=focal", f) for f in ("zeros", "some")), strict=True):
        assert one.equals(other)


@pytest.mark.parametrize(
    "words", sampled(["loss=mine.py:whole", "loss=focal trainer.batch_size=16"], 2)
)
def test_weights_of_1_change_no_bit(here, words):
    for one, other in zip(*(numbers(words, f) for f in ("ones", "none")), strict=True):
        assert one.equals(other)


def test_metrics_come_out_of_kept_predictions_to_the_bit(here):
    """With the weights, which are kept too; and the bootstrap draws weights with their rows."""
    result = trained("dataset=points.py:points loss=cross_entropy metrics=[scaled_ece]")
    assert set(result.predictions[0].load()) >= {"test_weight", "validation_weight"}
    emptied = replace(result, summary={**result.summary, "directions": {}})
    columns = [c for c in result.seeds if c.startswith(("test", "val"))]
    again = with_metrics(emptied, ["scaled_ece"]).seeds[columns]
    pd.testing.assert_frame_equal(again, result.seeds[columns], check_exact=True)
    assert row_variance([(result, "accuracy", "test", 1.0)]) > 0


def test_a_loss_of_one_number_takes_the_weights_or_is_refused(here):
    with pytest.raises(UserError, match="gives one number for a batch and takes no example_weight"):
        numbers("loss=mine.py:blind", "weights")
    numbers("loss=mine.py:blind", "ones")


def test_check_repeats_rows(here):
    """And finds a loss that divides by the number of examples, not by their weight."""
    verdicts = {}
    for name in ("whole", "wrong"):
        outcomes = check_loss(f"mine.py:{name}", "multiclass").parts[0].outcomes
        verdicts |= {(name, o.check): (o.verdict, o.reason) for o in outcomes}
    key = next(check for _, check in verdicts if check.startswith("weights"))
    assert verdicts["whole", key][0] == "passed"
    assert verdicts["wrong", key][0] == "failed"


# ---- metrics -----------------------------------------------------------------------------------
TASKS = [
    "binary",
    "multiclass",
    "ordinal",
    "regression",
    "counts",
    "distributional",
    "multilabel",
    "distribution",
]


def batch(task, seed: int = 0):
    """Estimates and targets of two replicas, and whole weights."""
    prediction, target = task.example()
    generator = torch.Generator().manual_seed(seed)
    rows = torch.arange(40) % len(target)
    noise = torch.randn(2, 40, *prediction.shape[1:], generator=generator, dtype=torch.float64)
    estimate = task.estimate(prediction[rows].double() + noise, None)
    weights = torch.randint(1, 4, (40,), generator=generator)
    return estimate, torch.stack([target[rows]] * 2), weights


@pytest.mark.parametrize("task", [*TASKS, "columns"])
def test_metrics_count_a_weight_of_2_as_the_row_twice(task):
    kind = Regression((4,), (3,)) if task == "columns" else task_class(task).small()
    estimate, target, weights = batch(kind)
    rows, metrics = torch.arange(40).repeat_interleave(weights), metrics_of(kind)
    assert all(map(takes_weights, metrics.values()))
    facts = {WEIGHT: weights.float().expand(2, -1)}
    weighed = score(metrics, estimate, target, facts=facts)
    repeated = score(metrics, estimate[:, rows], target[:, rows])
    plain = score(metrics, estimate, target)
    for name in metrics:
        torch.testing.assert_close(
            weighed[name].double(), repeated[name].double(), rtol=1e-6, atol=1e-9, equal_nan=True
        )
    assert any(not torch.equal(weighed[name], plain[name]) for name in metrics)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([1, None], "'w' is empty in data row 2; dataset.weight=w takes finite"),
        ([-1, 1], "'w' holds -1 in data row 1; "),
        ([0, 0], "'w' holds 0 in all rows; "),
    ],
)
def test_what_is_no_weight_is_refused_by_its_cell(cells, words):
    with pytest.raises(UserError, match=words):
        read_weights(Path("table.csv"), "w", pd.Series(cells))


def test_weights_are_those_of_scikit_learn():
    """Of any size, also where they are no whole numbers."""
    estimate, target, _ = batch(task_class("binary").small(), 1)
    weight = torch.rand(2, 40) + 0.1
    p, y, w = estimate[0].numpy(), target[0].numpy(), weight[0].numpy()
    found = score(
        metrics_of(task_class("binary").small()), estimate, target, facts={WEIGHT: weight}
    )
    expected = {
        "accuracy": reference.accuracy_score(y, p > 0.5, sample_weight=w),
        "balanced_accuracy": reference.balanced_accuracy_score(y, p > 0.5, sample_weight=w),
        "average_precision": reference.average_precision_score(y, p, sample_weight=w),
        "auroc": reference.roc_auc_score(y, p, sample_weight=w),
        "partial_auroc_10": reference.roc_auc_score(y, p, sample_weight=w, max_fpr=0.1),
        "recall": reference.recall_score(y, p > 0.5, sample_weight=w),
        "f1": reference.f1_score(y, p > 0.5, sample_weight=w),
        "log_loss": reference.log_loss(y, p, sample_weight=w),
        "brier": reference.brier_score_loss(y, p, sample_weight=w),
    }
    for name, value in expected.items():
        assert found[name][0].item() == pytest.approx(value, rel=1e-5), name


# ---- sources -----------------------------------------------------------------------------------
def table(here, **columns):
    g = np.random.default_rng(0)
    frame = pd.DataFrame({"a": g.normal(size=60), "y": ["no", "yes"] * 30, **columns})
    frame.to_csv(here / "table.csv", index=False)
    return "dataset=csv dataset.path=table.csv dataset.target=y dataset.weight=w loss=focal"


def test_a_column_of_a_table_is_weights_and_no_feature(here):
    """A row of weight 0 is left out whole: its level of text and its gap too."""
    w = np.repeat([1.0, 2.5, 0.0], 20)
    words = table(here, w=w, b=np.where(w > 0, "x", "only here"))
    one = trained(words)
    assert "table.csv: 20 rows of weight 0 are left out." in one.summary["notes"]
    pd.read_csv("table.csv").query("w > 0").to_csv("table.csv", index=False)
    pd.testing.assert_frame_equal(trained(words).seeds, one.seeds)


NO_WEIGHTS = [(-1.0, "holds -1.0"), (np.nan, "is empty"), (np.inf, "holds inf")]


@pytest.mark.parametrize(("cell", "said"), NO_WEIGHTS)
def test_a_weight_that_is_none_is_refused_by_its_row(here, cell, said):
    w = np.ones(60)
    w[7] = cell
    with pytest.raises(
        UserError, match=f"table.csv: 'w' {said} in data row 8; dataset.weight=w takes"
    ):
        trained(table(here, w=w))


def test_an_array_of_an_npz_file_is_weights(here):
    g, w = np.random.default_rng(0), 1.0 + np.arange(60) % 2
    x, y = g.normal(size=(60, 3)), np.arange(60) % 3
    words = "dataset=arrays loss=focal dataset.weight=w dataset.path="
    np.savez("one.npz", x=x, y=y, w=w)
    plain = trained(f"{words}one.npz")
    assert plain.predictions[0].load()["test_weight"].max() == 2
    np.savez(
        "two.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:], w_train=w[:40]
    )
    with pytest.raises(UserError, match="give it w_train, w_test"):
        trained(f"{words}two.npz")


@pytest.mark.parametrize("name", ["identity", "identities"])
def test_names_of_embeddings_and_identities_are_known(here, name):
    g = np.random.default_rng(0)
    np.savez("ids.npz", **{"embeddings": g.normal(size=(60, 3)), name: np.arange(60) // 6})
    sample = arrays(g, path="ids.npz", task="embedding")
    assert (sample.task, sample.inputs.shape, sample.targets.max()) == ("embedding", (60, 3), 9)


def test_the_tasks_that_arrays_names_exist():
    words = arrays.__doc__.partition("task: how targets are read, as ")[2].partition(";")[0]
    named = words.replace(" or ", ", ").replace("\n", " ").split(",")
    assert {name.strip() for name in named} <= set(registry.names("task"))
