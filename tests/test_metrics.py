"""Metrics: what a task has of its own, what is added by name, and how both are scored."""

from __future__ import annotations

import pytest
import structured_tasks
import test_tasks
import torch

from lossbench import metrics as scoring
from lossbench.contract import Metric, UserError, metric
from lossbench.metrics import metrics_of, score
from lossbench.tasks.binary import Binary
from lossbench.tasks.regression import Regression
from lossbench.tasks.scores import shared

TASKS = [*structured_tasks.TASKS, *test_tasks.TASKS]
PLAIN = """
import torch
from lossbench.contract import metric

@metric(direction=1, bounds=(0, 1), unit="share")
def certain(estimate, target, /):
    return (estimate.amax(-1) > 0.9).to(estimate.dtype).mean(-1)

@metric(direction=-1)
def classes(estimate, target, /, *, num_classes):
    return torch.full(estimate.shape[:-2], float(num_classes))

@metric(direction=-1)
def asks_too_much(estimate, target, /, *, colour):
    return estimate.sum((-1, -2))

@metric(direction=1)
def accuracy(estimate, target, /):
    return estimate.sum((-1, -2))

@metric(direction=1)
def per_example(estimate, target, /):
    return estimate.sum(-1)

@metric(direction=1)
def fails(estimate, target, /):
    return estimate[:, :, 99].mean(-1)

def undeclared(estimate, target, /):
    return estimate.sum((-1, -2))
"""


@pytest.fixture
def file(tmp_path) -> str:
    place = tmp_path / "mine.py"
    place.write_text(PLAIN)
    return str(place)


@pytest.mark.parametrize("task", TASKS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_no_metric_leaves_its_bounds(task, seed):
    """On random batches, in float64."""
    draw = structured_tasks.batch if task in structured_tasks.TASKS else test_tasks._batch
    estimate, target = draw(task, seed)
    metrics = metrics_of(task)
    for name, values in score(metrics, estimate, target).items():
        low, high = metrics[name].bounds
        values = values[~values.isnan()]
        assert ((values >= low - 1e-9) & (values <= high + 1e-9)).all(), (name, values)


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_every_metric_of_a_task_says_what_it_is(task):
    """A sentence, and a name that no other of the task has."""
    assert all((each.function.__doc__ or "").rstrip().endswith(".") for each in task.metrics)
    assert len({each.name for each in task.metrics}) == len(task.metrics)


def test_metrics_of_a_file_follow_those_of_the_task(file):
    """In the order asked for, by the function's name, with what it says of itself."""
    names = [f"{file}:classes", f"{file}:certain", "accuracy"]
    metrics = metrics_of(test_tasks.THREE, names)
    assert list(metrics)[-2:] == ["classes", "certain"]
    added = metrics["certain"]
    assert (added.direction, added.bounds, added.unit) == (1, (0, 1), "share")


def test_what_a_metric_asks_for_comes_from_the_task(file):
    """A keyword without default is an attribute of the task."""
    metrics = metrics_of(test_tasks.THREE, [f"{file}:classes"])
    scores = score(metrics, torch.rand(2, 5, 3), torch.zeros(2, 5, dtype=torch.int64))
    assert scores["classes"].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("acuracy", "accuracy"),
        ("no_such_file.py:mine", "no file"),
        ("FILE:absent", "absent"),
        ("FILE:asks_too_much", "colour"),
        ("FILE:accuracy", "already"),
        ("FILE:per_example", r"\(2, 8\)"),
        ("FILE:fails", "IndexError"),
        ("FILE:undeclared", "direction"),
    ],
)
def test_a_metric_that_cannot_be_used_is_refused(file, name, words):
    """A line names it and says what to do."""
    with pytest.raises(UserError, match=words) as error:
        metrics_of(test_tasks.THREE, [name.replace("FILE", file)])
    assert "metric=" in str(error.value)


@pytest.mark.parametrize(("direction", "bounds"), [(2, (0, 1)), (1, (1, 0))])
def test_a_declaration_that_means_nothing_is_refused(direction, bounds):
    with pytest.raises(ValueError, match="mine"):
        Metric("mine", torch.mean, direction, bounds)


def test_what_metrics_share_is_computed_once_for_each_batch():
    """Twice where `score` is called twice, and each time where a metric is called alone."""
    calls = []

    @shared
    def counted(estimate, target):
        calls.append(1)
        return estimate - target

    first = metric(direction=1)(lambda estimate, target: counted(estimate, target).mean(-1))
    second = metric(direction=1)(lambda estimate, target: counted(estimate, target).sum(-1))
    estimate, target = torch.zeros(2, 3), torch.ones(2, 3)
    for times in (1, 2):
        score({"first": first, "second": second}, estimate, target)
        assert len(calls) == times
    estimate += 1
    assert first(estimate, target).tolist() == [0, 0]
    assert len(calls) == 3


@pytest.mark.parametrize("weighed", [False, True])
def test_metrics_of_many_replicas_are_taken_a_few_at_a_time_to_the_bit(monkeypatch, weighed):
    """Of 7 replicas, then the idle one at the end; facts and deviations go with their replicas."""
    draw = torch.Generator().manual_seed(0)
    estimate, target = torch.rand(2, 8, 45, generator=draw)
    facts = {"example_weight": target + 1} if weighed else {}
    scale = torch.arange(1.0, 9)
    for metrics in (metrics_of(Binary((2,))), metrics_of(Regression((2,)))):
        whole = score(metrics, estimate, target, scale, facts)
        monkeypatch.setattr(scoring, "AT_ONCE", 100)
        pieces = score(metrics, estimate, target, scale, facts)
        monkeypatch.undo()
        for name, values in whole.items():
            assert torch.equal(pieces[name][:7], values[:7]), name


def test_a_regression_of_several_columns_needs_its_shape():
    """The functions ask for it, and the task's metrics have it."""
    estimate, target = torch.zeros(2, 5, 4), torch.ones(2, 5, 4)
    scores = score(metrics_of(Regression((2,), (4,))), estimate, target)
    assert scores["root_mean_squared_error"].tolist() == [1, 1]
