"""Targets of a regression and labels that are not known (NaN): left out of loss and metrics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics as sk

from lossbench import get_loss, registry
from lossbench.check import check_loss
from lossbench.configuration.experiments import configurations
from lossbench.contract import Sample, UserError
from lossbench.datasets import Samples
from lossbench.datasets.arrays import arrays
from lossbench.datasets.files import csv
from lossbench.metrics import metrics_of, score
from lossbench.results.rescoring import with_metrics
from lossbench.tasks import mixes_parts, task_class
from lossbench.tasks.distributional import Distributional
from lossbench.tasks.multilabel import Multilabel
from lossbench.tasks.regression import Regression
from lossbench.training import data, train

NAN = np.nan
VECTOR, LABELS = Regression((4,), (3,)), Multilabel((4,), 3)
SPREAD = Distributional((4,), (3,))
RNG = np.random.default_rng(0)

# Road one: entries that are NaN. Road two: any number there, and a loss whose gradient is 0 there.
POINTS = """\
import numpy as np
import torch
from lossbench.contract import Sample, declare

def points(rng, /, *, unknown: float = 0, task: str = "regression"):
    g = np.random.default_rng(0)
    x = g.normal(size=(100, 3))
    y = x @ g.normal(size=(3, 4)) + 0.3 * g.normal(size=(100, 4))
    y = (y > 0).astype(float) if task == "multilabel" else y
    y[:, 1:][g.random((100, 3)) < 0.4] = unknown or float("nan")
    y[::10] = float("nan")
    return Sample(x, y, task)

from_0 = dict(target="(-1e9, 1e9)", start=lambda y: y.new_zeros(y.shape[1:]))

@declare(**from_0)
def plain(prediction, target, /):
    return (prediction - target).square().mean(-1)

@declare(**from_0)
def by_hand(prediction, target, /):
    return torch.where(target == 777, 0, prediction - target).square().mean(-1)
"""


def run(here, *words, loss="points.py:plain"):
    (here / "points.py").write_text(POINTS)
    fixed = ("dataset=points.py:points", "trainer=short", "seeds=2", "tracking=none")
    (config,), _ = configurations([f"loss={loss}", *fixed, *words])
    return train(config, list(config.seeds))


def test_training_is_as_if_unknown_entries_had_no_gradient(here):
    """Predictions after training are those of a loss that multiplies these gradients by 0."""
    unknown, zeroed = run(here), run(here, "dataset.unknown=777", loss="points.py:by_hand")
    one, other = (result.predictions[0].load() for result in (unknown, zeroed))
    assert np.isnan(one["test_target"]).any()
    np.testing.assert_allclose(one["test"], other["test"], rtol=1e-5, atol=1e-6)
    curve = [r.curves[r.curves.metric == "train/loss"].value for r in (unknown, zeroed)]
    np.testing.assert_allclose(*curve, rtol=1e-5)
    notes = " ".join(unknown.summary["notes"])
    assert "10 of 100 examples have no known target (NaN) and are left out. 108 of 360" in notes


def test_metrics_come_out_of_kept_predictions(here):
    result = run(here, "dataset.task=multilabel", loss="cross_entropy")
    again = with_metrics(replace(result, summary={**result.summary, "directions": {}}), [])
    names = [f"test/{metric.name}" for metric in LABELS.metrics]
    assert not result.seeds[names].isna().any(axis=None)
    pd.testing.assert_frame_equal(again.seeds[names], result.seeds[names], check_exact=True)


COUPLED = ("euclidean", "root_mean_squared_error")  # of an example, of a batch
LOSSES = [
    (task, p.name)
    for task in (VECTOR, LABELS, SPREAD)
    for p in registry.installed("loss")
    if p.task == task.name and p.name not in ("sum", "warm_up", "energy_score", *COUPLED)
]


@pytest.mark.parametrize(("task", "name"), LOSSES)
def test_stand_ins_change_no_gradient_of_what_is_known(task, name):
    """Of every loss the gradient is that of any other target, times 1 where it is known, else 0."""
    loss = get_loss(name, task=task.name)
    prediction, target = (part.double() for part in task.example(loss.declaration.outputs))
    known = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)) > 0.4
    asked = registry.facts(registry.find_for_task(name, task.name))
    facts = {"class_counts": torch.full((3, 2), 5)} if "class_counts" in asked else {}

    def gradient(batch):
        return torch.autograd.grad(loss(*batch, **facts).sum(), leaf)[0]

    leaf = prediction.requires_grad_()
    given = task.filled(leaf, target.masked_fill(~known, torch.nan))
    wide = known.reshape(*known.shape, *[1] * (leaf.ndim - known.ndim))
    expected = gradient((leaf, target)) * wide
    torch.testing.assert_close(gradient(given), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", COUPLED)
def test_a_root_is_of_what_is_known(name):
    """Of all residuals together, where the unknown ones are left out."""
    loss, (prediction, target) = get_loss(name, task="regression"), VECTOR.example()
    target[:, 1] = NAN
    values, kept = loss(*VECTOR.filled(prediction, target)), [0, 2]
    scale = 1 if name == "euclidean" else (2 / 3) ** 0.5
    torch.testing.assert_close(values, scale * loss(prediction[:, kept], target[:, kept]))
    assert not mixes_parts(loss, *VECTOR.example(), VECTOR)


def test_an_energy_score_is_of_what_is_known():
    """Columns that are not known are 0 in every distance."""
    loss, (ensemble, target) = (
        get_loss("energy_score", task="distributional"),
        SPREAD.example(20),
    )
    target[:, 1] = NAN
    values, kept = loss(*SPREAD.filled(ensemble, target)), [0, 2]
    torch.testing.assert_close(values, loss(ensemble[:, kept], target[:, kept]))


def test_a_loss_that_compares_labels_is_refused_where_some_are_unknown(here):
    """Its gradient of a known label would depend on what stands in for an unknown one."""
    (here / "mine.py").write_text(
        "def softmax(logits, target, /):\n"
        "    'Multilabel: a softmax over labels (B, L).'\n"
        "    return -(target * logits.log_softmax(-1)).sum(-1)\n"
    )
    with pytest.raises(UserError, match="compares the parts of a target with each other"):
        run(here, "dataset.task=multilabel", loss="mine.py:softmax")
    hints = [o.reason for o in check_loss("mine.py:softmax", "multilabel").outcomes if o.reason]
    assert any("some are NaN are refused" in reason for reason in hints)
    assert not mixes_parts(get_loss("focal", task="multilabel"), *LABELS.example(), LABELS)


def entries(binary=False):
    """Estimates and targets (1, 40, 3) with gaps, and of each column what is known."""
    estimate, target = RNG.normal(size=(2, 40, 3))
    if binary:
        estimate, target = 1 / (1 + np.exp(-estimate)), (target > 0).astype(float)
    known = RNG.random((40, 3)) > 0.4
    columns = [(target[k, c], estimate[k, c]) for c, k in enumerate(known.T)]
    pair = torch.tensor(estimate)[None], torch.tensor(np.where(known, target, NAN))[None]
    return pair, columns


def test_metrics_of_a_regression_are_those_of_what_is_known():
    pair, columns = entries()
    y, x = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    scores = score(metrics_of(VECTOR, ["mean_squared_error"]), *pair, torch.ones(1, 3))
    expected = {
        "mean_squared_error": sk.mean_squared_error(y, x),
        "root_mean_squared_error": sk.root_mean_squared_error(y, x),
        "standardised_error": sk.root_mean_squared_error(y, x),
        "mean_absolute_error": sk.mean_absolute_error(y, x),
        "standardised_absolute_error": sk.mean_absolute_error(y, x),
        "median_absolute_error": sk.median_absolute_error(y, x),
        "r2": np.mean([sk.r2_score(*column) for column in columns]),
        **{f"pinball_{q}": sk.mean_pinball_loss(y, x, alpha=q / 100) for q in (10, 50, 90)},
        "coverage": (y <= x).mean(),
    }
    assert {name: value.item() for name, value in scores.items()} == pytest.approx(expected)
    level, quantile = (values[0].numpy() for values in VECTOR.details(*pair).values())
    places = np.round(level * (len(y) - 1)).astype(int)
    np.testing.assert_allclose(quantile, np.sort(y - x)[places])


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_of_distributions_are_those_of_what_is_known(weighted):
    """As of a task of one column that has the known targets alone."""
    (estimate, target), _ = entries()
    quantiles = estimate.unsqueeze(-1) + torch.linspace(-1, 1, 19)
    weight = torch.rand(1, 40).double() if weighted else None
    known, columns = ~target.isnan(), torch.ones(40, 3).double()
    one = {"example_weight": (weight.mT * columns)[known[0]][None]} if weighted else {}
    several = {"example_weight": weight} if weighted else {}
    alone = Distributional((4,)), (quantiles[known][None], target[known][None])
    scores = score(metrics_of(SPREAD), quantiles, target, facts=several)
    expected = score(metrics_of(alone[0]), *alone[1], facts=one)
    for name, value in expected.items():
        torch.testing.assert_close(scores[name], value, msg=name)
    share = SPREAD.details(quantiles, target)["pit.share"]
    torch.testing.assert_close(share, alone[0].details(*alone[1])["pit.share"])


def test_metrics_of_labels_are_those_of_what_is_known():
    pair, columns = entries(binary=True)
    y, p = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    known = ~pair[1][0].isnan().numpy()
    right = (pair[0][0].numpy() > 0.5) == (pair[1][0].numpy() > 0.5)
    scores = score(metrics_of(LABELS), *pair)
    expected = {
        "average_precision": np.mean([sk.average_precision_score(*column) for column in columns]),
        "exact_match": (right | ~known).all(1).mean(),
        "hamming": ((p > 0.5) != y).mean(),
        "f1": np.mean([sk.f1_score(t, e > 0.5) for t, e in columns]),
        "log_loss": sk.log_loss(y, p) * len(y) / 40,
    }
    assert {name: scores[name].item() for name in expected} == pytest.approx(expected)
    flat = Multilabel((4,), 1)
    alone = score(metrics_of(flat), torch.tensor(p)[None, :, None], torch.tensor(y)[None, :, None])
    assert scores["ece"].item() == pytest.approx(alone["ece"].item())
    assert LABELS.details(*pair)["reliability.count"].sum() == known.sum()


def test_facts_and_units_are_those_of_what_is_known():
    target = torch.tensor([[0.0, NAN], [1.0, 1.0], [NAN, 1.0]])
    assert Multilabel((4,), 2).facts(target)["class_counts"].tolist() == [[1, 1], [0, 2]]
    mean, spread = VECTOR.units(np.array([[1.0, NAN, NAN], [3.0, 5.0, NAN]]))
    np.testing.assert_array_equal([mean, spread], [[2, 5, 0], [1, 1, 1]])


@pytest.mark.parametrize("kind", ["vertical", "leverage"])
def test_a_corruption_makes_nothing_known(here, kind):
    """Outliers move targets by their deviation; what was unknown is so afterwards."""
    (here / "points.py").write_text(POINTS)
    words = ["loss=huber", "dataset=points.py:points", f"corruption.kind={kind}", "seeds=2"]
    (config,), _ = configurations([*words, "corruption=outliers", "corruption.share=0.4"])
    splits = data(config, [0, 1])
    before = splits.task, replace(splits, train=splits.train._replace(targets=None))
    unknown = before[1].targets_of("train").isnan()
    assert torch.equal(splits.targets_of("train").isnan(), unknown)
    assert unknown.any()


def draw(targets, task, **more):
    return Samples(lambda rng: Sample(RNG.normal(size=(len(targets), 2)), targets, task, **more))(0)


@pytest.mark.parametrize("task", ["regression", "counts", "distributional"])
def test_an_example_without_a_known_target_is_in_no_split(task):
    """Given groups stay as they are; a given test without any known target is refused."""
    y = np.arange(40.0)
    y[5:8] = NAN
    drawn = draw(y, task, groups=np.arange(40) // 2)
    assert (drawn.sample.split == 3).nonzero()[0].tolist() == [5, 6, 7]
    y[30:] = NAN
    with pytest.raises(UserError, match="10 of 10 targets of the given test split"):
        draw(y, task, held_out=np.arange(40) >= 30)


UNKNOWN = sorted(
    plugin.name
    for plugin in registry.installed("task")
    if plugin.package == "lossbench" and not task_class(plugin.name).stand_ins
)


@pytest.mark.parametrize("task", UNKNOWN)
def test_other_tasks_refuse_targets_that_are_not_known(task):
    """In a line, whatever they make of their targets."""
    sample = Sample(RNG.normal(size=(20, 2, 4, 4)), np.full(20, NAN), task)
    with pytest.raises(UserError) as error:
        Samples(lambda rng: sample)(0)
    assert "\n" not in str(error.value)


def npz(folder, **content):
    np.savez(folder / "data.npz", x=RNG.normal(size=(60, 2)), **content)
    return str(folder / "data.npz")


def test_arrays_bring_targets_that_are_not_known(tmp_path):
    """Numbers are a regression, 0 and 1 with gaps are labels; classes have none."""
    gaps = np.where(RNG.random((60, 2)) < 0.2, NAN, 1.0)
    labels, numbers = gaps * RNG.integers(0, 2, (60, 2)), gaps * RNG.normal(size=(60, 2))
    assert arrays(RNG, path=npz(tmp_path, y=labels)).task == "multilabel"
    assert arrays(RNG, path=npz(tmp_path, y=numbers)).task == "regression"
    with pytest.raises(UserError, match="of 60 targets are NaN, and multiclass takes none"):
        arrays(RNG, path=npz(tmp_path, y=labels[:, 0] + numbers[:, 0]), task="multiclass")


def table(folder, targets):
    frame = pd.DataFrame({"a": RNG.normal(size=40), "b": RNG.normal(size=40), "y": targets})
    frame.to_csv(folder / "my.csv", index=False)
    return str(folder / "my.csv")


def test_a_table_may_lack_numbers_to_learn_but_no_classes(tmp_path):
    """A regression leaves these rows out; what may be meant as classes is not guessed."""
    y = RNG.normal(size=40)
    y[:4] = NAN
    sample = csv(RNG, path=table(tmp_path, y), target="y")
    assert "4 of 40 examples have no known target" in draw(sample.targets, sample.task)[0].notes[0]
    two = np.stack([y, np.arange(40.0)], 1)
    notes = draw(two, "regression")[0].notes
    assert notes[0].startswith("regression: 4 of 80 targets are not known (NaN): they count")
    whole = np.where(np.isnan(y), NAN, np.round(y))
    with pytest.raises(UserError, match="remove those rows, or give dataset"):
        csv(RNG, path=table(tmp_path, whole), target="y")
    assert csv(RNG, path=table(tmp_path, whole), target="y", task="regression").task == "regression"


def several(folder, **columns):
    frame = pd.DataFrame({"a": RNG.normal(size=60), "b": RNG.normal(size=60), **columns})
    frame.to_csv(folder / "my.csv", index=False)
    return {"path": str(folder / "my.csv"), "target": tuple(columns)}


def test_several_columns_are_labels_or_numbers_with_gaps(tmp_path):
    """0 and 1, or true and false, are labels; an empty cell is not known."""
    labels = np.where(RNG.random((60, 2)) < 0.2, NAN, RNG.integers(0, 2, (60, 2)))
    sample = csv(RNG, **several(tmp_path, y=labels[:, 0], z=labels[:, 1]))
    assert (sample.task, sample.inputs.shape) == ("multilabel", (60, 2))
    np.testing.assert_array_equal(sample.targets, labels)
    numbers = csv(RNG, **several(tmp_path, y=labels[:, 0], z=RNG.normal(size=60)))
    assert numbers.task == "regression"
    clicked = csv(RNG, **several(tmp_path, y=labels[:, 0], z=labels[:, 1] == 1))
    assert clicked.task == "multilabel"
    single = {**several(tmp_path, y=labels[:, 0]), "target": ["y"]}
    with pytest.raises(UserError, match="target 'y' is missing"):
        csv(RNG, **single)


WRONG = [
    ({"y": [0, 1] * 30, "z": ["no", "yes"] * 30}, {}, r"target 'z' is text \(no\); with several"),
    ({"y": [0, 1] * 30, "z": [1, 0] * 30}, {"task": "survival"}, "several columns are the targets"),
    ({"y": [0, 1] * 30}, {"task": "multilabel"}, "is one label; give dataset.target="),
    ({"y": [0, 1] * 30, "z": [1, 0] * 30}, {"target": ("y", "x")}, "dataset.target=x: no column"),
]


@pytest.mark.parametrize(("columns", "fields", "words"), WRONG)
def test_several_columns_that_cannot_be_targets_are_refused(tmp_path, columns, fields, words):
    with pytest.raises(UserError, match=words) as error:
        csv(RNG, **{**several(tmp_path, **columns), **fields})
    assert "\n" not in str(error.value)
