"""Loss, model and data that do not fit are refused in a line before anything trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossbench import training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.training.boundary import check_output

torch.set_num_threads(1)

MODELS = """
from torch import nn

def column(input_shape, output_shape, /):
    return nn.Linear(input_shape[0], 1)

def wide(input_shape, output_shape, /):
    return nn.Linear(input_shape[0], output_shape[0] + 1)

class Both(nn.Linear):
    def forward(self, x):
        return super().forward(x), x

def pair(input_shape, output_shape, /):
    return Both(input_shape[0], output_shape[0])
"""
CSV = "x,y\n" + "".join(f"{i * i % 17},{i % 2}.0\n" for i in range(40))


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "table.csv").write_text(CSV)
    return tmp_path


def configured(words: str) -> Configuration:
    given = ["tracking=none", "trainer.device=cpu", "seeds=1", *words.split()]
    return configurations(given)[0][0]


def refused(words: str) -> str:
    """What a configuration is refused with before it trains."""
    with pytest.raises(UserError) as error:
        training.train(configured(words), [0])
    return str(error.value)


WEIGHTS = "expected 3 numbers in [0, inf), one for each class, not all 0."
COSTS = "expected 3 rows of 3 numbers in [0, inf), a row for each true class, 0 on the diagonal."
CREDITS = "expected 3 rows of 3 numbers in [0, inf), a row for each true class, not all 0."
TABLES = [
    ("loss=cross_entropy loss.class_weight=[1,-2,3,4,5]", WEIGHTS),
    ("loss=cross_entropy loss.class_weight=[1,2]", WEIGHTS),
    ("loss=cross_entropy loss.class_weight=[1,2,-3]", WEIGHTS),
    ("loss=cross_entropy loss.class_weight=[0,0,0]", WEIGHTS),
    ("loss=cross_entropy loss.class_weight=[1,1,1] dataset=shapes", "2 numbers"),
    ("loss=crammer_singer loss.cost=[[0,1],[1,0]]", COSTS),
    ("loss=crammer_singer loss.cost=[[0,1,1],[1,0,1],[1,-1,0]]", COSTS),
    ("loss=crammer_singer loss.cost=[[1,1,1],[1,0,1],[1,1,0]]", COSTS),
    ("loss=crammer_singer loss.cost=[[0,1,1],[1,0],[1,1,0]]", COSTS),
    ("loss=infogain loss.matrix=[[0,0,0],[0,0,0],[0,0,0]]", CREDITS),
]


@pytest.mark.parametrize(("words", "expected"), TABLES)
def test_numbers_for_each_class_are_as_many_as_classes_and_in_their_range(here, words, expected):
    """Weights, costs and credits of other sizes or values: how many, and in which range."""
    message = refused(f"dataset=wine {words}")
    assert message.startswith("loss.")
    assert expected in message


OUTPUTS = [
    ("column", "dataset=diabetes loss=squared_error", "(N, 1)", "(N,): squeeze the last axis"),
    ("wide", "dataset=wine loss=cross_entropy", "(N, 4)", "(N, 3): make its last layer for"),
    ("pair", "dataset=wine loss=focal", "a tuple of 2", "(N, 3): return the predictions alone"),
    ("wide", "dataset=wine loss=arcface", "(N, 17)", "(N, 16): make its last layer for"),
]


@pytest.mark.parametrize(("model", "words", "given", "expected"), OUTPUTS)
def test_what_a_model_gives_is_held_against_the_task(here, model, words, given, expected):
    """A column, one class too many, a tuple: given and expected."""
    message = refused(f"model=models.py:{model} {words}")
    assert message.startswith(f"model=models.py:{model} gives {given} for ")
    assert f"expected {expected}" in message


OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, classes, norm=nn.BatchNorm1d, width=8, **kwargs):
        super().__init__()
        layers = nn.Linear(inputs, width), norm(width), nn.Linear(width, classes)
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)

made = Net(13, 3)
"""
OWN_REFUSED = [
    ("Net", "model.inputs=13", "model.classes is required"),
    (
        "Net",
        "model.inputs=13 model.classes=4",
        "(N, 3): have a keyword of its own (model.inputs, model.classes, model.width)",
    ),
    ("Net", "model.inputs=13 model.classes=3 model.norm=1", "model.norm: there is no such key"),
    ("made", "", "it is made already; name its class"),
]


@pytest.mark.parametrize(("model", "words", "expected"), OWN_REFUSED)
def test_a_model_of_ones_own_is_refused_in_a_line(here, model, words, expected):
    """A keyword that is not given or has no plain values, other outputs, an object."""
    (here / "own.py").write_text(OWN)
    with pytest.raises(UserError) as error:
        training.train(configured(f"dataset=wine model=own.py:{model} {words}"), [0])
    assert expected in str(error.value)


@pytest.mark.parametrize(("dataset", "outputs"), [("wine", 3), ("breast_cancer", 1)])
def test_a_model_is_made_from_its_own_keywords(here, dataset, outputs):
    """No shapes are given; a column of binary scores loses its axis. Weights differ by seed."""
    (here / "own.py").write_text(OWN)
    inputs = {"wine": 13, "breast_cancer": 30}[dataset]
    words = f"dataset={dataset} model=own.py:Net model.inputs={inputs} model.classes={outputs}"
    result = training.train(configured(f"{words} trainer.max_epochs=4 optimizer.lr=0.03"), [0, 1])
    scores = result.seeds["test/accuracy"]
    assert min(scores) > 0.75


def test_a_tuple_is_refused_also_where_the_task_tries_the_model_first(here):
    """Whether it draws latents is found by trying."""
    message = refused("model=models.py:pair dataset=digit_pixels loss=elbo")
    assert message == "model: it gives a tuple of 2; return the predictions alone, a tensor."


def test_an_output_of_whole_numbers_or_odd_axes_is_refused():
    """Real numbers are asked for; axes of size 1 are named."""
    inputs = torch.zeros(2, 3)
    with pytest.raises(UserError, match=r"gives torch.int64 for binary; expected \(N,\)"):
        check_output(nn.Flatten(0), inputs.long()[:, :1], (), "m", "binary")
    with pytest.raises(UserError, match=r"gives \(N, 1, 3\).*axes of size 1"):
        check_output(nn.Unflatten(1, (1, 3)), inputs, (3,), "m", "multiclass")
    with pytest.raises(UserError, match=r"gives \(6,\) for multiclass; expected \(N, 3\)"):
        check_output(nn.Flatten(0), inputs, (3,), "m", "multiclass")


def test_a_table_that_may_pose_another_task_is_said_to(here):
    """Labels with a point are read as numbers: the way out stands in the refusal."""
    words = "dataset=csv dataset.path=table.csv dataset.target=y loss=cross_entropy"
    message = refused(words)
    assert "the data pose the task regression.\n" in message
    assert "give dataset.task=binary or multiclass or ordinal or multilabel." in message
    assert "dataset.task=" not in refused(f"{words} dataset.task=regression")


def test_arrays_that_may_pose_another_task_are_said_to(here):
    """Whole numbers are read as classes; the tasks that the loss is for are named."""
    np.savez(here / "data.npz", x=np.eye(40), y=np.arange(40) % 8)
    message = refused("dataset=arrays dataset.path=data.npz loss=huber")
    assert "the data pose the task multiclass.\n" in message
    assert "give dataset.task=regression. Allowed: " in message
