"""Losses of a file that are of no contract: partials, objects, modules, targets in other forms."""

from __future__ import annotations

import inspect

import pytest
import torch
from foreign import fitted, one_hot
from torch import nn
from torch.nn import functional as F

from lossbench import registry
from lossbench.contract import declaration_of
from lossbench.tasks import task_class

FILE = """
from functools import partial
import torch
from torch.nn import functional as F

soft = partial(F.smooth_l1_loss, beta=0.5)
instance = torch.nn.HuberLoss(delta=0.7)

def reducing(input, target, power=1.5, reduction="mean"):
    values = (input - target).abs() ** power
    return values.mean() if reduction == "mean" else values

def batch_only(input, target, scale=1.0):
    return scale * ((input - target) ** 2).mean()

class Weighted(torch.nn.Module):
    def __init__(self, scale=1.0, reduction="mean"):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.scale, self.reduction = scale, reduction

    def forward(self, input, target):
        values = (input - target) ** 2 * self.weight * self.scale
        return values if self.reduction == "none" else values.mean()
"""


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("soft", lambda e: F.smooth_l1_loss(e, torch.zeros_like(e), beta=0.5, reduction="none")),
        ("instance", lambda e: F.huber_loss(e, torch.zeros_like(e), delta=0.7, reduction="none")),
        ("reducing", lambda e: e.abs() ** 1.5),
        ("batch_only", lambda e: (e**2).mean()),
    ],
)
def test_what_a_file_holds_is_called_without_its_reduction(here, name, own):
    """A partial, an object, a function with a reduction, and one that knows no other value."""
    (here / "mine.py").write_text(FILE)
    loss = fitted("mine.py:" + name, "regression")
    prediction, target = task_class("regression").small().example()
    torch.testing.assert_close(loss(prediction, target), own(prediction - target))


AS_OURS = """
import functools
import torch
from torch.nn import functional as F

def check_loss(y_true, y_pred):
    error = y_true - y_pred
    return torch.maximum(0.9 * error, -0.1 * error)

def hinge(scores, y):
    assert y.abs().min() == 1
    return (1 - y * scores).clamp(min=0)

def brier(logits, labels):
    return ((logits.softmax(1) - labels) ** 2).sum(1)

class Dice(torch.nn.Module):
    def forward(self, inputs, targets, smooth=1.0):
        size, channels, height, width = inputs.shape
        p, t = inputs.sigmoid().view(size, -1), targets.view(size, -1)
        return (1 - (2 * (p * t).sum(1) + smooth) / (p.sum(1) + t.sum(1) + smooth)).mean()

def column(input, target):
    return (input - target).abs().view(-1, 1)

def of_logits(input, target):
    return (input - target) ** 2

def broken(input, target):
    return input.no_such_method()

class Wrapped:  # as BaseLoss of fastai is
    def __init__(self):
        self.of = torch.nn.MSELoss()
        functools.update_wrapper(self, self.of)

    def __call__(self, inp, targ, **kwargs):
        return self.of(inp.view(-1), targ.view(-1))

def make(*args):
    return Wrapped()

made = make()
"""
BUILT = (  # name, task, words, the same on a batch
    ("check_loss", "regression", "raw predictions and targets, the target first",
     lambda p, t: torch.maximum(0.9 * (t - p), 0.1 * (p - t))),
    ("hinge", "binary", "raw predictions and targets of -1 and 1",
     lambda p, t: (1 - (2 * t - 1) * p).clamp(min=0)),
    ("brier", "multiclass", "raw predictions and one-hot targets",
     lambda p, t: ((p.softmax(1) - one_hot(t)) ** 2).sum(1)),
    ("Dice", "segmentation", "raw predictions and targets, with a channel axis", None),
    ("column", "regression", "raw predictions and targets", lambda p, t: (p - t).abs()),
    ("made", "regression", "raw predictions and targets", F.mse_loss),
    ("of_logits", "binary", "", lambda p, t: (p - t) ** 2),
)  # fmt: skip


@pytest.mark.parametrize(("name", "task", "words", "own"), BUILT, ids=[r[0] for r in BUILT])
def test_what_a_file_has_in_our_form_is_adapted_where_it_takes_no_batch(
    here, name, task, words, own
):
    """By its names, or where a call fails; else it is called as it is, whatever it costs."""
    (here / "mine.py").write_text(AS_OURS)
    loss, posed = fitted(f"mine.py:{name}", task), task_class(task).small()
    assert getattr(loss, "words", "") == words
    if own:
        torch.testing.assert_close(loss(*posed.example()), own(*posed.example()))


def test_check_calls_what_a_file_has_as_a_run_does(here, command):
    """And of what no form serves it says how it fails as it is."""
    (here / "mine.py").write_text(AS_OURS)
    assert "targets of -1 and 1" in " ".join(command("check", "mine.py:hinge").out.split())
    words = " ".join(command("check", "mine.py:broken", "--task", "binary").out.split())
    assert "it fails on prediction (8,), target (8,): AttributeError" in words


def test_a_loss_with_weights_of_its_own_is_a_class_of_modules(here):
    (here / "mine.py").write_text(FILE)
    loss = fitted("mine.py:Weighted", "regression")
    assert inspect.isclass(loss)
    module = loss(scale=3.0)
    assert isinstance(module, nn.Module)
    assert len([*module.parameters()]) == 1
    error = torch.tensor([1.0, -2.0])
    torch.testing.assert_close(module(error, torch.zeros(2)), 3 * error**2)
    assert [p.name for p in registry.parameters(registry.find("loss", "mine.py:Weighted")[0])] == [
        "scale"
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torch.nn:HuberLoss", "raw predictions and targets, reduction=none"),
        ("{file}:instance", "raw predictions and targets, reduction=none"),
        ("{file}:batch_only", "raw predictions and targets"),
    ],
)
def test_it_is_said_where_a_reduction_is_switched_off(name, words, tmp_path):
    """Of a class and of an object; of what has none to switch off, nothing is said."""
    (tmp_path / "mine.py").write_text(FILE)
    assert fitted(name.format(file=tmp_path / "mine.py"), "regression").words == words


def test_one_value_for_a_batch_is_declared_to_couple(here):
    (here / "mine.py").write_text(FILE)
    assert declaration_of(fitted("mine.py:batch_only", "regression")).couples
    assert not declaration_of(fitted("mine.py:reducing", "regression")).couples


def test_a_run_trains_what_libraries_and_files_offer_and_says_how(command):
    losses = "squared_error,torch.nn:SmoothL1Loss,mine.py:soft,mine.py:Weighted"
    words = ("dataset=diabetes", "seeds=3", "trainer.max_epochs=1", "tracking=none")
    done = command("run", "-m", f"loss={losses}", *words, files={"mine.py": FILE})
    assert done.code == 0, done.err
    assert "torch.nn:SmoothL1Loss is given raw predictions and targets, reduction=none." in done.out
    assert "loss.beta" not in done.err
    again = command("run", "-m", f"loss={losses}", *words)
    assert "trained" not in again.err
