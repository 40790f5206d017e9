"""The losses of structured tasks: their form, how they map over replicas, their derivatives."""

from __future__ import annotations

import inspect
from collections import defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from structured_cases import (
    COUPLED,
    LABELS,
    POINTS,
    POINTWISE,
    call,
    each_loss,
    get,
    gradient,
    hypers_of,
    made,
    random_batch,
    same,
)
from torch import nn

from lossbench.contract import declaration_of

SEEDS = st.integers(0, 2**16)


# ---- form ----------------------------------------------------------------------------------------
@each_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type_is_kept(task, name, dtype):
    """A loss takes any float type, stays finite and returns it, one number per example."""
    prediction, target = random_batch(task, seed=2)
    value = call(task, name, prediction.to(dtype), target if task in LABELS else target.to(dtype))
    assert value.dtype == dtype
    assert value.shape == (5,)
    assert value.isfinite().all()


@each_loss
def test_runs_where_its_inputs_are(task, name):
    """A loss makes no tensor elsewhere and reads no value: it runs on shapes alone."""
    prediction, target = (x.to("meta") for x in random_batch(task, seed=2))
    for hyper in hypers_of(task, name):
        assert call(task, name, prediction, target, **hyper).device.type == "meta"


def test_one_name_has_one_set_of_hyper_parameters():
    """Losses of one name take the same keywords with the same types and defaults, in every task."""
    schemas = defaultdict(list)
    for task, names in POINTS.items():
        for name in names:
            parameters = inspect.signature(get(task, name)).parameters.values()
            keywords = [p for p in parameters if p.kind == p.KEYWORD_ONLY]
            schemas[name].append([p for p in keywords if p.default is not p.empty])
    for name, found in schemas.items():
        assert all(keywords == found[0] for keywords in found), name


@each_loss
@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_order_of_the_batch_does_not_matter(task, name, seed):
    """A batch in another order gives the same values in that order; alone, where none couples."""
    prediction, target = random_batch(task, seed, (6,))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    for hyper in hypers_of(task, name):
        values = call(task, name, prediction, target, **hyper)
        same(call(task, name, prediction[order], target[order], **hyper), values[order], rtol=1e-10)
        if task not in COUPLED or name in POINTWISE:
            rows = zip(prediction.split(1), target.split(1), strict=True)
            same(torch.cat([call(task, name, *row, **hyper) for row in rows]), values, rtol=1e-12)


# ---- mapping and derivatives ---------------------------------------------------------------------
@each_loss
@settings(max_examples=2, deadline=None)
@given(seed=SEEDS)
def test_replicas_map_like_a_loop(task, name, seed):
    """Mapped over replicas, value and gradient are those of each replica alone, weights too."""
    prediction, target = random_batch(task, seed, leading=(3, 6))
    for hyper in hypers_of(task, name):
        loss = made(task, name, prediction, **hyper)
        names = dict(loss.named_parameters()) if isinstance(loss, nn.Module) else {}
        factors = torch.tensor([1.0, 1.1, 0.9], dtype=torch.float64)
        weights = {n: torch.stack([w.detach() * f for f in factors]) for n, w in names.items()}

        def mean(weights, p, t, loss=loss):
            if isinstance(loss, nn.Module):
                return torch.func.functional_call(loss, weights, (p, t)).mean()
            return loss(p, t).mean()

        leaves = [x.clone().requires_grad_() for x in (prediction, *weights.values())]
        mapped = torch.func.vmap(mean)(dict(zip(weights, leaves[1:], strict=True)),
                                       leaves[0], target)  # fmt: skip
        slopes = torch.autograd.grad(mapped.sum(), leaves)
        for r in range(3):
            own = [leaf.detach()[r].requires_grad_() for leaf in leaves]
            value = mean(dict(zip(weights, own[1:], strict=True)), own[0], target[r])
            same(mapped[r].detach(), value.detach(), rtol=1e-12)
            for slope, alone in zip(slopes, torch.autograd.grad(value, own), strict=True):
                same(slope[r], alone, rtol=1e-10, atol=1e-12)
        inner = torch.func.vmap(torch.func.grad(mean, argnums=1))(weights, prediction, target)
        same(inner, slopes[0], rtol=1e-10, atol=1e-12)


@each_loss
def test_numbers_among_the_hyper_parameters_map_too(task, name):
    """Replicas may have a hyper-parameter each, as when candidates are tuned in one stack."""
    if inspect.isclass(get(task, name)):
        pytest.skip("a module has its hyper-parameters from its constructor")
    prediction, target = random_batch(task, seed=9, leading=(3, 6))
    candidates = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    numbers = [k for k, v in (get(task, name).__kwdefaults__ or {}).items() if type(v) is float]
    for key in numbers:
        mapped = torch.func.vmap(lambda p, t, h, k=key: call(task, name, p, t, **{k: h}).sum())
        loop = [
            call(task, name, p, t, **{key: float(h)}).sum()
            for p, t, h in zip(prediction, target, candidates, strict=True)
        ]
        same(mapped(prediction, target, candidates), torch.stack(loop), rtol=1e-12)


@each_loss
def test_derivatives_agree_with_differences(task, name):
    """First and second derivatives agree with finite differences in float64, own weights too."""
    prediction, target = random_batch(task, 7, leading=(3,), scale=1.0)
    for hyper in hypers_of(task, name):
        loss = made(task, name, prediction, **hyper)
        weights = list(loss.parameters()) if isinstance(loss, nn.Module) else []
        leaf = prediction.clone().requires_grad_()

        def value(leaf, *_, loss=loss):
            return loss(leaf, target)

        assert torch.autograd.gradcheck(value, (leaf, *weights))
        assert torch.autograd.gradgradcheck(value, (leaf, *weights))


@each_loss
def test_declared_properties_hold(task, name):
    """Declared convexity and Lipschitz constant hold on many random pairs and points."""
    declared = declaration_of(get(task, name))
    for scale in (0.5, 2.0, 8.0):
        a, target = random_batch(task, 31, (500,), scale=scale)
        b, _ = random_batch(task, 32, (500,), scale=scale)
        if declared.convex:
            middle = call(task, name, (a + b) / 2, target)
            ends = (call(task, name, a, target) + call(task, name, b, target)) / 2
            assert (middle <= ends * (1 + 1e-12) + 1e-12).all()
        if declared.lipschitz is not None:
            steepest = gradient(task, name, a, target).reshape(len(a), -1).norm(dim=1).max()
            assert steepest <= declared.lipschitz + 1e-9
