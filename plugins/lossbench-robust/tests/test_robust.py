"""The losses are valid, and worth what the table and their equations say."""

from __future__ import annotations

import functools
from importlib.metadata import distribution
from itertools import product

import pytest
import torch
from robust_table import EQUATIONS, IDENTITIES, LOGITS, RESIDUALS, TABLE, exact

from lossbench import get_loss
from lossbench.configuration.experiments import configurations
from lossbench.testing import loss_checks
from lossbench.verdicts import decide, refuse_unknown_metrics

GROUP = "lossbench.losses."
ENTRIES = [e for e in distribution("lossbench-robust").entry_points if e.group.startswith(GROUP)]
TASKS = {entry.name: entry.group.removeprefix(GROUP) for entry in ENTRIES}
DIGITS = {torch.float64: 1e-9, torch.float32: 1e-5}
LOST = {torch.float64: 1e-200, torch.float32: 1e-30}  # near underflow

loss_named = functools.cache(get_loss)

for place, entry in enumerate(ENTRIES):
    checks = loss_checks(entry.value, task=TASKS[entry.name])
    globals()[f"test_{entry.name}_is_valid"] = pytest.mark.slow(checks) if place % 3 else checks


def batch(name, prediction, target, dtype=torch.float64):
    kind = torch.int64 if TASKS[name] == "multiclass" else dtype
    return torch.tensor(prediction, dtype=dtype), torch.tensor(target, dtype=kind)


def call(name, prediction, target, task=None, **hyper):
    return loss_named(name, task=task or TASKS[name])(prediction, target, **hyper)


def gradient(name, prediction, target, task=None, **hyper):
    """Of the sum of the values, with respect to the prediction."""
    leaf = prediction.clone().requires_grad_()
    return torch.autograd.grad(call(name, leaf, target, task, **hyper).sum(), leaf)[0]


def same(actual, expected, rtol=1e-9, atol=1e-15):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def test_every_loss_has_a_row():
    """A loss that the packaging names is in the table."""
    assert set(TASKS) == {name for name, *_ in TABLE}


@pytest.mark.parametrize(("name", "prediction", "target", "hyper", "value"), TABLE)
def test_value_is_the_arithmetic(name, prediction, target, hyper, value):
    """A loss has the value that the table computes by hand, in float64 and in float32."""
    for dtype in (torch.float64, torch.float32):
        given = batch(name, prediction, target, dtype)
        same(call(name, *given, **hyper), value, DIGITS[dtype], LOST[dtype])
        assert gradient(name, *given, **hyper).isfinite().all()


@pytest.mark.parametrize(("name", "hyper", "equation"), EQUATIONS)
def test_keeps_its_digits(name, hyper, equation):
    """Value and gradient, a row as a whole, have 9 digits in float64 and 5 in float32."""
    labels = TASKS[name] == "multiclass"
    for place, label in product(LOGITS if labels else RESIDUALS, (0, 1, 2) if labels else (None,)):
        value, slope = exact(equation, place, label)
        for dtype in (torch.float64, torch.float32):
            given = batch(name, [place], [label or 0], dtype)
            same(call(name, *given, **hyper), [value], DIGITS[dtype], LOST[dtype])
            size = max(abs(x) for x in (slope if labels else [slope]))
            lost = max(LOST[dtype], DIGITS[dtype] * size)
            same(gradient(name, *given, **hyper), [slope], 0, lost)


@pytest.mark.parametrize(("name", "hyper", "factor", "other", "others"), IDENTITIES)
def test_limits_are_the_neighbours(name, hyper, factor, other, others):
    """At this hyper-parameter a loss equals its neighbour, in value and gradient, also far out."""
    task = TASKS[name]
    generator = torch.Generator().manual_seed(7)
    shape = (50, 3) if task == "multiclass" else (50,)
    for scale in (1.0, 30.0, 1e4):
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        target = torch.arange(50) % 3 if task == "multiclass" else torch.zeros(50).double()
        expected = factor * call(other, drawn, target, task, **others)
        same(call(name, drawn, target, **hyper), expected, atol=1e-14)
        expected = factor * gradient(other, drawn, target, task, **others)
        same(gradient(name, drawn, target, **hyper), expected, atol=1e-14)


@pytest.mark.slow
def test_what_losses_ask_for_is_as_the_study_of_minimisers_has_it():
    configs, experiment = configurations(["experiment=minimisers"])
    changed = [
        d.claim.id for d in decide(experiment.claims, configs, []) if d.verdict != d.claim.verdict
    ]
    assert changed == []


def test_every_claim_of_the_study_of_label_noise_names_one_run_and_a_metric_that_it_has():
    configs, experiment = configurations(["experiment=label-noise"])
    refuse_unknown_metrics(experiment.claims, configs)
    assert {decision.verdict for decision in decide(experiment.claims, configs, [])} == {"OPEN"}
