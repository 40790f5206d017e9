"""Tasks: metrics against scikit-learn and torchmetrics, refusals, examples and facts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error as binary_ece
from torchmetrics.functional.classification import multiclass_calibration_error as multiclass_ece

from lossbench.contract import UserError
from lossbench.metrics import metrics_of, score
from lossbench.tasks import Task, scores, task_class
from lossbench.tasks.binary import Binary
from lossbench.tasks.multiclass import Multiclass
from lossbench.tasks.regression import Regression

BINARY = Binary((2,))
THREE = Multiclass((2,), 3)
SCALAR, VECTOR = Regression((2,)), Regression((2,), (4,))
NAN = float("nan")

torch.set_num_threads(1)


def scored(task: Task, estimate: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the task's own metrics are worth."""
    return score(metrics_of(task), estimate, target)


def _labels(rng: np.random.Generator, shape: tuple[int, ...], classes: int) -> Tensor:
    """Random labels in which every class occurs in every row."""
    labels = rng.integers(0, classes, shape)
    labels[..., :classes] = np.arange(classes)
    return torch.from_numpy(labels)


def _batch(task: Task, seed: int, replicas: tuple[int, ...] = (3,), n: int = 40):
    """Estimates and targets of stacked replicas; probabilities on a grid of 1/20, so they tie."""
    rng = np.random.default_rng(seed)
    if isinstance(task, Regression):
        shape = (*replicas, n, *task.target_shape)
        return tuple(torch.from_numpy(rng.normal(i, 1 + i, shape)) for i in range(2))
    classes = task.facts(torch.zeros(1, dtype=torch.int64))["num_classes"]
    if classes == 2:
        estimate = torch.from_numpy(rng.integers(0, 21, (*replicas, n)) / 20)
        return estimate, _labels(rng, (*replicas, n), 2).double()
    estimate = torch.from_numpy(rng.dirichlet(np.ones(classes), (*replicas, n)))
    return estimate, _labels(rng, (*replicas, n), classes)


# --- against outside references -----------------------------------------------------------------


def _binary_reference(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {
        "accuracy": reference.accuracy_score(y, p > 0.5),
        "balanced_accuracy": reference.balanced_accuracy_score(y, p > 0.5),
        "average_precision": reference.average_precision_score(y, p),
        "auroc": reference.roc_auc_score(y, p),
        "partial_auroc_10": reference.roc_auc_score(y, p, max_fpr=0.1),
        "recall": reference.recall_score(y, p > 0.5),
        "f1": reference.f1_score(y, p > 0.5, zero_division=0),
        "overconfidence": np.maximum(p, 1 - p).mean() - reference.accuracy_score(y, p > 0.5),
        "log_loss": reference.log_loss(y, np.clip(p, 1e-12, 1 - 1e-12)),
        "brier": reference.brier_score_loss(y, p),
    }


def _multiclass_reference(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    predicted = p.argmax(-1)
    return {
        "accuracy": reference.accuracy_score(y, predicted),
        "balanced_accuracy": reference.balanced_accuracy_score(y, predicted),
        "macro_f1": reference.f1_score(y, predicted, average="macro", zero_division=0),
        "log_loss": reference.log_loss(y, p),
        "overconfidence": p.max(-1).mean() - reference.accuracy_score(y, predicted),
        "brier": ((p - np.eye(p.shape[-1])[y]) ** 2).sum(-1).mean(),
    }


def _regression_reference(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    p, y = p.reshape(len(p), -1), y.reshape(len(y), -1)
    return {
        "root_mean_squared_error": reference.mean_squared_error(y, p) ** 0.5,
        "mean_absolute_error": reference.mean_absolute_error(y, p),
        "median_absolute_error": reference.median_absolute_error(y.ravel(), p.ravel()),
        "r2": reference.r2_score(y, p),
    }


REFERENCES = [
    (BINARY, _binary_reference),
    (THREE, _multiclass_reference),
    (Multiclass((2,), 7), _multiclass_reference),
    (SCALAR, _regression_reference),
    (VECTOR, _regression_reference),
]


@pytest.mark.parametrize(
    ("task", "expected"), REFERENCES, ids=lambda x: getattr(x, "name", "reference")
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(8, 60))
def test_every_replica_scores_as_scikit_learn_does(task, expected, seed, n):
    """One call over stacked replicas gives what scikit-learn gives for each, ties included."""
    estimate, target = _batch(task, seed, (2, 2), n)
    scores = scored(task, estimate, target)
    for i, j in np.ndindex(2, 2):
        for name, value in expected(estimate[i, j].numpy(), target[i, j].numpy()).items():
            assert scores[name].shape == (2, 2)
            assert scores[name][i, j].item() == pytest.approx(value, rel=1e-5, abs=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_is_that_of_torchmetrics(seed):
    """Away from the edges of bins, where the two conventions part, the ECE agrees."""
    rng = np.random.default_rng(seed)
    probability = torch.from_numpy(rng.uniform(size=200))
    confident, target = torch.maximum(probability, 1 - probability), _labels(rng, (200,), 2)
    correct = ((probability > 0.5).long() == target).long()
    ours = scored(BINARY, probability, target.double())["ece"].item()
    assert ours == pytest.approx(binary_ece(confident, correct, n_bins=15).item(), rel=1e-5)
    ours = scores.expected_calibration_error(confident, correct.double(), bins=7).item()
    assert ours == pytest.approx(binary_ece(confident, correct, n_bins=7).item(), rel=1e-5)
    estimate, target = _batch(THREE, seed, (), 200)
    theirs = multiclass_ece(estimate, target, num_classes=3, n_bins=15).item()
    assert scored(THREE, estimate, target)["ece"].item() == pytest.approx(theirs, rel=1e-5)


# --- values by hand -----------------------------------------------------------------------------

BY_HAND = [
    # metric, task, estimate, target, value
    ("accuracy", BINARY, [0.5, 0.6], [1, 1], 1 / 2),
    ("auroc", BINARY, [0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1], 1 / 2),
    ("auroc", BINARY, [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 3 / 4),
    ("partial_auroc_10", BINARY, [0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1], 1 / 2),
    ("partial_auroc_10", BINARY, [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], (1 + 9 / 19) / 2),
    ("average_precision", BINARY, [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], (1 + 2 / 3) / 2),
    ("average_precision", BINARY, [0.5, 0.5, 0.5, 0.5], [0, 1, 0, 0], 1 / 4),
    ("log_loss", BINARY, [0.5, 0.25], [1, 0], (math.log(2) - math.log(0.75)) / 2),
    ("log_loss", BINARY, [0.0, 0.5], [1, 1], (-math.log(1e-12) + math.log(2)) / 2),
    (
        "log_loss",
        BINARY,
        [0.25, 0.25],
        [0.25, 0.25],
        -0.25 * math.log(0.25) - 0.75 * math.log(0.75),
    ),
    ("brier", BINARY, [0.5, 0.25], [1, 0], (1 / 4 + 1 / 16) / 2),
    ("ece", BINARY, [0.8, 0.8, 0.2, 0.8], [1, 1, 0, 0], 0.8 - 3 / 4),
    ("ece", BINARY, [12 / 15, 11.5 / 15], [1, 0], (1 - 12 / 15 - 11.5 / 15) / -2),  # one bin
    ("ece", BINARY, [12 / 15, 12.5 / 15], [1, 0], (1 - 12 / 15 + 12.5 / 15) / 2),  # two bins
    ("ece", BINARY, [1.0, 0.0], [1, 0], 0),
    ("brier", THREE, [[0.5, 0.25, 0.25]], [0], 1 / 4 + 2 / 16),
    ("log_loss", THREE, [[0.0, 1.0, 0.0]], [0], -math.log(1e-12)),
    ("root_mean_squared_error", SCALAR, [0.0, 0.0], [3.0, 4.0], math.sqrt(25 / 2)),
    ("median_absolute_error", SCALAR, [0.0, 0.0, 0.0, 0.0], [1.0, 9.0, 2.0, 4.0], 3),
    ("r2", SCALAR, [2.0, 2.0], [1.0, 3.0], 0),
    # undefined: NaN, never 0
    ("auroc", BINARY, [0.2, 0.8], [1, 1], NAN),
    ("partial_auroc_10", BINARY, [0.2, 0.8], [1, 1], NAN),
    ("partial_auroc_10", BINARY, [0.2, 0.8], [0, 0], NAN),
    ("auroc", BINARY, [0.2, 0.8], [0, 0], NAN),
    ("balanced_accuracy", BINARY, [0.2, 0.8], [0, 0], NAN),
    ("average_precision", BINARY, [0.2, 0.8], [0, 0], NAN),
    ("f1", BINARY, [0.2, 0.8], [0, 0], NAN),
    ("balanced_accuracy", THREE, [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]], [0, 1], NAN),
    ("macro_f1", THREE, [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]], [0, 1], NAN),
    ("r2", SCALAR, [0.0, 1.0], [2.0, 2.0], NAN),
]


@pytest.mark.parametrize(("name", "task", "estimate", "target", "value"), BY_HAND)
def test_metric_is_the_value_worked_out_by_hand(name, task, estimate, target, value):
    """Small cases: ties, edges of bins, soft labels, the floor, one class only."""
    dtype = torch.int64 if isinstance(task, Multiclass) else torch.float64
    estimate = torch.tensor(estimate, dtype=torch.float64)
    score = scored(task, estimate, torch.tensor(target, dtype=dtype))[name]
    assert score.item() == pytest.approx(value, abs=1e-12, nan_ok=True)


def test_ranks_stay_exact_where_float32_could_not_hold_their_sum():
    """With 20,000 float32 scores the area is scikit-learn's to single precision."""
    rng = np.random.default_rng(0)
    score, target = rng.uniform(size=20_000).astype(np.float32), rng.integers(0, 2, 20_000)
    ours = scored(BINARY, torch.from_numpy(score), torch.from_numpy(target).float())
    assert ours["auroc"].item() == pytest.approx(reference.roc_auc_score(target, score), rel=1e-6)


# --- replicas -----------------------------------------------------------------------------------

TASKS = [BINARY, THREE, SCALAR, VECTOR]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_replica_scores_the_same_alone_and_in_a_stack(task):
    """Bit for bit, in float32, for a stack of one as well."""
    estimate, target = _batch(task, 0, (5,), 33)
    estimate = estimate.float()
    target = target if target.dtype == torch.int64 else target.float()
    stacked = scored(task, estimate, target)
    for r in range(5):
        for rows in (r, slice(r, r + 1)):
            for name, value in scored(task, estimate[rows], target[rows]).items():
                assert torch.equal(value.reshape(()), stacked[name][r]), name


@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("broken", [NAN, float("inf")])
def test_a_diverged_replica_scores_nan_and_leaves_the_others_alone(task, broken):
    """A single estimate that is not finite makes all of its replica's metrics NaN."""
    estimate, target = _batch(task, 1)
    clean = scored(task, estimate, target)
    estimate[1].view(-1)[7] = broken
    for name, value in scored(task, estimate, target).items():
        assert math.isnan(value[1])
        assert torch.equal(value[[0, 2]], clean[name][[0, 2]]), name


# --- the contract -------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [*TASKS, Multiclass((3,), 12)], ids=str)
def test_the_example_is_valid_and_always_the_same(task):
    """Example batches pass the task's own check, fit its shapes, and draw no random numbers."""
    state = torch.get_rng_state()
    prediction, target = task.example()
    task.check(prediction, target)
    assert prediction.shape == (8, *task.output_shape(1))
    assert target.dtype == task.target_dtype
    assert torch.equal(task.example()[0], prediction)
    assert torch.equal(torch.get_rng_state(), state)
    scores = scored(task, task.estimate(prediction, None), target)
    assert list(scores) == [metric.name for metric in task.metrics]
    assert metrics_of(task)[task.primary].direction != 0


@pytest.mark.parametrize("task", [SCALAR, VECTOR], ids=str)
def test_a_regression_loss_may_ask_for_two_outputs(task):
    """A mean and a log-variance: one more axis in the prediction, none in the target."""
    prediction, target = task.example(outputs=2)
    task.check(prediction, target)
    assert prediction.shape == (*target.shape, 2)
    mean = task.estimate(prediction, lambda raw: raw[..., 0])
    assert mean.shape == target.shape


def test_a_link_replaces_the_default():
    """The default links are sigmoid, softmax and the identity."""
    raw = torch.tensor([[0.0, 2.0, -1.0]])
    assert torch.equal(BINARY.estimate(raw, None), torch.sigmoid(raw))
    assert torch.equal(THREE.estimate(raw, None), torch.softmax(raw, -1))
    assert SCALAR.estimate(raw, None) is raw
    for task in (BINARY, THREE, SCALAR):
        assert torch.equal(task.estimate(raw, torch.neg), -raw)


REFUSED = [
    # task, prediction, target, what the error must name
    (BINARY, torch.zeros(8, 1), torch.zeros(8), ["(8, 1)", "(8,)", "(..., N)"]),
    (BINARY, torch.zeros(8), torch.zeros(8) - 1, ["-1", "8 of 8", "[0, 1]"]),
    (BINARY, torch.zeros(2), torch.tensor([1, 2]), ["2", "1 of 2"]),
    (BINARY, torch.zeros(2), torch.tensor([1.0, NAN]), ["nan", "1 of 2"]),
    (BINARY, torch.zeros(2), torch.tensor([True, False]), ["torch.bool", "integers"]),
    (BINARY, torch.zeros(2, dtype=torch.int64), torch.zeros(2), ["torch.int64", "floats"]),
    (THREE, torch.zeros(8, 4), torch.zeros(8).long(), ["(8, 4)", "(..., N, 3)"]),
    (THREE, torch.zeros(8, 3), torch.zeros(8, 1).long(), ["(8, 1)"]),
    (THREE, torch.zeros(8, 3), torch.zeros(8), ["torch.float32", "torch.int64"]),
    (THREE, torch.zeros(2, 3), torch.tensor([0, 3]), ["3", "1 of 2", "0 to 2"]),
    (THREE, torch.zeros(2, 3), torch.tensor([0, -100]), ["-100"]),
    (SCALAR, torch.zeros(8, 1), torch.zeros(8), ["(8, 1)", "(8,)"]),
    (SCALAR, torch.zeros(8), torch.zeros(8, 1), ["(8, 1)", "(8,)"]),
    (VECTOR, torch.zeros(8, 3), torch.zeros(8, 3), ["(8, 3)", "(..., N, 4)"]),
    (VECTOR, torch.zeros(4), torch.zeros(4), ["(4,)", "(..., N, 4)"]),
    (SCALAR, torch.zeros(2), torch.tensor([0.0, NAN]), ["1 of 2", "finite"]),
    (SCALAR, torch.zeros(2), torch.tensor([0, 1]), ["torch.int64", "floats"]),
]


@pytest.mark.parametrize(("task", "prediction", "target", "words"), REFUSED)
def test_an_invalid_batch_is_refused_in_one_line(task, prediction, target, words):
    """Shapes that would broadcast, wrong types and values out of range are named, not guessed."""
    with pytest.raises(UserError) as error:
        task.check(prediction, target)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in [task.name, *words]), str(error.value)


def test_valid_batches_with_replica_axes_pass():
    """Leading axes, integer and soft binary labels are valid."""
    BINARY.check(torch.zeros(3, 8), torch.ones(3, 8).long())
    BINARY.check(torch.zeros(8), torch.full((8,), 0.3))
    THREE.check(torch.zeros(2, 5, 8, 3), torch.ones(2, 5, 8).long())
    SCALAR.check(torch.zeros(3, 8, 2), torch.zeros(3, 8))
    VECTOR.check(torch.zeros(3, 8, 4), torch.zeros(3, 8, 4))


X = np.zeros((4, 2))
INVALID = [
    (Binary, np.array([0, 0, 0, 0]), ["1 distinct", "both present"]),
    (Binary, np.array([-1, 1, 1, -1]), ["-1", "0 and 1"]),
    (Binary, np.array([0, 1, 2, 1]), ["3 distinct"]),
    (Binary, np.array([0.0, 1.0, NAN, 1.0]), ["nan"]),
    (Binary, np.array([0, 1, 0]), ["(3,)", "(4,)"]),
    (Multiclass, np.array([0, 2, 2, 0]), ["0, 2", "without a gap"]),
    (Multiclass, np.array([1, 2, 3, 1]), ["1, 2, 3"]),
    (Multiclass, np.array([0, 0, 0, 0]), ["1 labels"]),
    (Multiclass, np.array([0.0, 1.0, 0.0, 1.0]), ["float64", "integer"]),
    (Regression, np.array([0.0, NAN, np.inf, 1.0]), ["1 of 4"]),
    (Regression, np.array([0.0, 1e300, 2.0, 1.0]), ["1 of 4", "float32"]),
    (Regression, np.array([2.0, 2.0, 2.0, 2.0]), ["constant"]),
    (Regression, np.array(["a", "b", "c", "d"]), ["<U1", "numbers"]),
    (Regression, np.zeros((4, 2, 2)), ["(4, 2, 2)", "T"]),
]


@pytest.mark.parametrize(("kind", "targets", "words"), INVALID)
def test_invalid_data_pose_no_task(kind, targets, words):
    """Targets that a task cannot take are refused by value, type or shape."""
    with pytest.raises(UserError) as error:
        kind.of(X, targets)
    assert all(word in str(error.value) for word in [kind.name, *words]), str(error.value)


def test_valid_data_pose_their_task():
    """Shapes and the number of classes are read from the data."""
    assert Binary.of(X, np.array([0, 1, 1, 0])) == Binary((2,))
    assert Multiclass.of(X, np.array([2, 0, 1, 0])) == Multiclass((2,), 3)
    assert Regression.of(X, np.array([1, 2, 3, 4])) == Regression((2,))
    assert Regression.of(X, np.arange(8.0).reshape(4, 2)) == Regression((2,), (2,))


def test_binary_outputs_are_one_per_example():
    """Only a regression can give a loss more outputs per target; classes may meet an embedding."""
    assert (BINARY.output_shape(1), THREE.output_shape(1)) == ((), (3,))
    assert THREE.output_shape(THREE.embedding_dim) == (THREE.embedding_dim,)
    with pytest.raises(UserError, match="outputs=2"):
        BINARY.output_shape(2)


def test_facts_count_the_classes_of_each_replica():
    """Counts have the targets' leading axes and one entry per class, absent ones included."""
    target = torch.tensor([[0, 0, 2, 2], [1, 1, 1, 2]])
    facts = THREE.facts(target)
    assert facts["num_classes"] == 3
    assert facts["class_counts"].tolist() == [[2, 0, 2], [0, 3, 1]]
    assert torch.equal(facts["class_counts"][0], torch.bincount(target[0], minlength=3))
    assert BINARY.facts(torch.tensor([0.0, 1.0, 1.0]))["class_counts"].tolist() == [1, 2]


# --- tasks of plugins ---------------------------------------------------------------------------

BROKEN = [
    # body of a module, its task, what the error names
    ("Mine = 3", "Mine", "int"),
    ("def Mine():\n    return 3", "Mine", "subclass"),
    ("class Mine:\n    name = 'mine'", "Mine", "subclass"),
    ("class Mine(Task):\n    name = 'mine'", "Mine", "check, example, link, metrics"),
    ("class Mine(Binary):\n    primary = 'overconfidence'", "Mine", "overconfidence"),
    ("class Mine(Binary):\n    primary = 'no_such_metric'", "Mine", "no_such_metric"),
    ("", "Mine", "no attribute"),
]


@pytest.mark.parametrize(("body", "name", "words"), BROKEN)
def test_a_class_that_is_not_a_whole_task_is_refused(body, name, words, tmp_path):
    """By name, before anything is built on it."""
    file = tmp_path / "mine.py"
    imports = "from lossbench.tasks import Task\nfrom lossbench.tasks.binary import Binary\n"
    file.write_text(imports + body)
    with pytest.raises(UserError, match=words):
        task_class(f"{file}:{name}")
