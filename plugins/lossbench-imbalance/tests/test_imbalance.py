"""The losses are valid, and worth what the table and their equations say."""

from __future__ import annotations

import functools
import inspect
from importlib.metadata import distribution
from itertools import product

import pytest
import torch
from imbalance_table import (
    BIN,
    COUNTS,
    EMBEDDINGS,
    EQUATIONS,
    EYE,
    IDENTITIES,
    LABELS,
    MULTI,
    PIXELS,
    PLACES,
    TABLE,
    exact,
)

from lossbench import get_loss
from lossbench.configuration.experiments import configurations
from lossbench.testing import loss_checks
from lossbench.verdicts import decide, refuse_unknown_metrics

GROUP = "lossbench.losses."
ENTRIES = {
    (entry.group.removeprefix(GROUP), entry.name): entry.value
    for entry in distribution("lossbench-imbalance").entry_points
    if entry.group.startswith(GROUP)
}
DIGITS = {torch.float64: 1e-9, torch.float32: 1e-5}
LOST = {torch.float64: 1e-200, torch.float32: 1e-30}  # near underflow
SHAPES = {MULTI: (50, 3), BIN: (50,), LABELS: (50, 3), PIXELS: (50, 2, 3)}

loss_named = functools.cache(get_loss)

for place, ((task, name), value) in enumerate(ENTRIES.items()):
    checks = loss_checks(value, task=task)
    checks = pytest.mark.slow(checks) if place % 3 else checks
    globals()[f"test_{task}_{name}_is_valid"] = checks


def batch(task, prediction, target, dtype=torch.float64):
    kind = torch.int64 if task == MULTI else dtype
    return torch.tensor(prediction, dtype=dtype), torch.tensor(target, dtype=kind)


def call(task, name, prediction, target, **hyper):
    """The value; a loss that asks for facts gets those of the table."""
    loss = loss_named(name, task=task)
    known = {"class_counts": torch.tensor(COUNTS), "num_classes": 3, "embedding_dim": 2}
    asked = inspect.signature(loss).parameters
    facts = {fact: value for fact, value in known.items() if fact in asked}
    if not inspect.isclass(loss):
        return loss(prediction, target, **facts, **hyper)
    module = loss(**facts, **hyper)
    module.weight.data = torch.tensor(EYE)
    return module(prediction, target)


def gradient(task, name, prediction, target, **hyper):
    """Of the sum of the values, with respect to the prediction."""
    leaf = prediction.clone().requires_grad_()
    return torch.autograd.grad(call(task, name, leaf, target, **hyper).sum(), leaf)[0]


def same(actual, expected, rtol=1e-9, atol=1e-15):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def test_every_loss_has_a_row():
    """A loss that the packaging names is in the table."""
    assert set(ENTRIES) == {(task, name) for task, name, *_ in TABLE}


@pytest.mark.parametrize(("task", "name", "prediction", "target", "hyper", "value"), TABLE)
def test_value_is_the_arithmetic(task, name, prediction, target, hyper, value):
    """A loss has the value that the table computes by hand, in float64 and in float32."""
    for dtype in (torch.float64, torch.float32):
        given = batch(task, prediction, target, dtype)
        same(call(task, name, *given, **hyper), value, DIGITS[dtype], LOST[dtype])
        assert gradient(task, name, *given, **hyper).isfinite().all()


@pytest.mark.parametrize(("task", "name", "hyper", "equation"), EQUATIONS)
def test_keeps_its_digits(task, name, hyper, equation):
    """Value and gradient, a row as a whole, have 9 digits in float64 and 5 in float32."""
    places, targets = PLACES[task]
    for place, target in product(EMBEDDINGS if name == "ldam" else places, targets):
        value, slope = exact(equation, place, target)
        for dtype in (torch.float64, torch.float32):
            given = batch(task, [place], [target], dtype)
            if task == PIXELS:
                given = given[0].unsqueeze(1), given[1].unsqueeze(1)
            elif task == BIN:
                given = given[0].squeeze(1), given[1]
            same(call(task, name, *given, **hyper), [value], DIGITS[dtype], LOST[dtype])
            lost = max(LOST[dtype], DIGITS[dtype] * max(map(abs, slope)))
            same(gradient(task, name, *given, **hyper).flatten(), slope, 0, lost)


@pytest.mark.parametrize(("task", "name", "hyper", "other", "others"), IDENTITIES)
def test_limits_are_the_neighbours(task, name, hyper, other, others):
    """At this hyper-parameter a loss equals its neighbour, in value and gradient, also far out."""
    generator = torch.Generator().manual_seed(7)
    for scale in (1.0, 30.0, 1e4):
        drawn = torch.randn(SHAPES[task], generator=generator, dtype=torch.float64) * scale
        target = torch.randint(2, SHAPES[task], generator=generator).double()
        target = torch.arange(50) % 3 if task == MULTI else target
        expected = call(task, other, drawn, target, **others)
        same(call(task, name, drawn, target, **hyper), expected)
        expected = gradient(task, other, drawn, target, **others)
        same(gradient(task, name, drawn, target, **hyper), expected)


def test_asymmetric_of_labels_is_the_sum_of_binary_ones():
    """Over the labels of an example the value is the sum of the binary loss."""
    z, y = batch(LABELS, *zip(*product(PLACES[LABELS][0], PLACES[LABELS][1]), strict=True))
    each = call(BIN, "asymmetric", z.flatten(), y.flatten()).view_as(z)
    same(call(LABELS, "asymmetric", z, y), each.sum(1))


def test_a_class_without_examples_counts_as_one():
    """A count of 0, as label noise can leave, gives finite values and gradients."""
    z, y = torch.zeros(1, 3), torch.tensor([0])
    for name in ("class_balanced", "logit_adjustment", "balanced_softmax"):
        loss = loss_named(name, task=MULTI)
        values = [loss(z, y, class_counts=torch.tensor([n, 16, 81])) for n in (0, 1)]
        assert torch.equal(*values)


def test_weights_deferred_to_the_beginning_are_class_balanced():
    """So that deferred_reweighting from 0 on makes the class-balanced form of any loss."""
    z, y = batch(MULTI, [[0.5, -1.0, 2.0], [0.0, 3.0, 1.0]], [2, 0])
    options = {"class_counts": torch.tensor(COUNTS), "beta": 0.9}
    from_the_start = {"progress": torch.tensor(0.0), "start": 0.0}
    deferred = loss_named("deferred_reweighting", task=MULTI)(z, y, **from_the_start, **options)
    same(deferred, loss_named("class_balanced", task=MULTI)(z, y, **options))


def test_every_claim_of_the_study_of_long_tails_names_one_run_and_a_metric_that_it_has():
    configs, experiment = configurations(["experiment=long-tail"])
    refuse_unknown_metrics(experiment.claims, configs)
    verdicts = {d.claim.id: d.verdict for d in decide(experiment.claims, configs, [])}
    assert verdicts.pop("balanced-softmax-is-adjustment") == "SUPPORTED"
    assert set(verdicts.values()) == {"OPEN"}
