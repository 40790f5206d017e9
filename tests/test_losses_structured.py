"""The losses of structured tasks: their numbers, equations, neighbours, references, extremes."""

from __future__ import annotations

from importlib import import_module

import pytest
import structured_equations
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from structured_cases import (
    LABELS,
    LOSSES,
    POINTS,
    POINTWISE,
    WEIGHTS,
    call,
    each_loss,
    get,
    gradient,
    hypers_of,
    made,
    random_batch,
    same,
    tensors,
)
from structured_table import GRADIENTS, TABLE
from torch.nn import functional as F

from lossbench.contract import declaration_of

SEEDS = st.integers(0, 2**16)


# ---- numbers -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("task", "name", "prediction", "target", "hyper", "value"), TABLE)
def test_value_is_the_arithmetic(task, name, prediction, target, hyper, value):
    """A loss has the value that the table computes by hand, in float64 and in float32."""
    same(call(task, name, *tensors(task, prediction, target), **hyper), value, atol=1e-14)
    single = call(task, name, *tensors(task, prediction, target, torch.float32), **hyper)
    same(single, value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("task", "name", "prediction", "target", "hyper", "slope"), GRADIENTS)
def test_gradient_is_the_arithmetic(task, name, prediction, target, hyper, slope):
    """A loss has the gradient that the table computes by hand, subgradient 0 at kinks included."""
    same(gradient(task, name, *tensors(task, prediction, target), **hyper), slope)
    single = gradient(task, name, *tensors(task, prediction, target, torch.float32), **hyper)
    same(single, slope, rtol=1e-5, atol=1e-7)


def test_every_registered_loss_has_a_row():
    """A loss that the packaging names for these tasks is in the table, at least twice."""
    tasks = dict.fromkeys(task for task, _ in LOSSES)
    rows = {(task, name) for task, name, *_ in TABLE}
    assert {(task, name) for task in tasks for name in POINTS[task]} == rows


@each_loss
def test_equals_its_printed_equation(task, name):
    """Value and gradient are those of the equation in 60 digits, in float64 and in float32."""
    equation = getattr(structured_equations, f"{task}_{name}")
    for seed, hyper in enumerate(hypers_of(task, name)):
        prediction, target = random_batch(task, seed, scale=(0.5, 3.0)[seed % 2])
        prediction = (prediction * 64).round() / 64
        loss = made(task, name, prediction, **hyper)
        weights = {key: getattr(loss, key).tolist() for key in WEIGHTS if hasattr(loss, key)}
        facts = {"latent_dim": 2} if task == "generative" else {}
        values, slopes = structured_equations.exact(
            equation, prediction.tolist(), target.tolist(), **facts, **weights, **hyper
        )
        for dtype, digits in ((torch.float64, 1e-9), (torch.float32, 2e-5)):
            batch = (prediction.to(dtype), target if task in LABELS else target.to(dtype))
            same(
                call(task, name, *batch, **weights, **hyper), values, rtol=digits, atol=digits / 10
            )
            slope = gradient(task, name, *batch, **weights, **hyper)
            same(slope.flatten(), slopes, rtol=digits, atol=digits * max(map(abs, slopes)) + 1e-15)


def test_confident_losses_keep_their_digits():
    """Near 0 a loss has 5 digits in float32, where 1 minus a rounded probability has none."""
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    t, pairs = torch.tensor([0, 0, 1, 1]), torch.stack([apart, apart], 1)
    small = 2 * torch.tensor([-40.0]).exp()  # two wrong ones, each 40 behind
    strip = torch.tensor([[[0.0, 40.0], [40.0, 0.0]]])
    cases = [
        call("embedding", "nt_xent", apart, t, temperature=0.05),
        call("embedding", "sup_con", apart, t, temperature=0.05),
        call("embedding", "ge2e", apart, t, scale=20.0) * 2,
        call("pairs", "info_nce", pairs, t, temperature=0.05),
        call("distribution", "cross_entropy", torch.tensor([[40.0, 0, 0]]), torch.eye(3)[:1]),
        call("sequence", "cross_entropy", strip, torch.tensor([[[1, 0], [1, 0]]])) * 2,
    ]
    for values in cases:
        same(values, small.expand_as(values), rtol=1e-5, atol=0)
    paths = call("sequence", "ctc", strip, torch.tensor([[[0, 0], [1, 0]]]))
    same(paths, small / 2, rtol=1e-5, atol=0)  # only -- is wrong, and 40 behind


# ---- neighbours and references -------------------------------------------------------------------
def _neighbours():
    """Pairs of values that must agree: a loss, and what it is said to equal."""
    z, y = random_batch("multilabel", 1, (20,))
    mask, g = random_batch("segmentation", 2, (20,))
    logits, soft = random_batch("distribution", 3, (20,))
    hard = soft.argmax(-1)
    x, _ = random_batch("embedding", 4, (8,))
    two = torch.arange(4).repeat(2)
    many = torch.arange(8) % 3
    pairs, _ = random_batch("pairs", 5, (8,))
    distinct = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    products = pairs[:, 0] @ pairs[:, 1].T
    cosines = F.cosine_similarity(pairs[:, None, 0], pairs[None, :, 1], dim=-1)
    own = torch.arange(8)
    scores, first = random_batch("ranking", 6, (20,))
    steps, strips = random_batch("sequence", 7, (20,))
    vae, data = random_batch("generative", 8, (20,))
    eye = torch.eye(8, dtype=torch.float64)
    arcface = made("embedding", "arcface", x, margin=0.0, scale=4.0)
    sphereface = made("embedding", "sphereface", x, margin=1)
    center = made("embedding", "center", x, strength=0.0)
    modules = ("binary", "binary_margins", "multiclass", "multiclass_margins")
    binary, binary_margins, multi, multi_margins = (
        import_module(f"lossbench.losses.{name}") for name in modules
    )
    entropy = -(soft * soft.log()).sum(-1)
    return {
        "multilabel cross_entropy": (call("multilabel", "cross_entropy", z, y),
                                     binary.cross_entropy(z, y).sum(1)),
        "multilabel focal": (call("multilabel", "focal", z, y), binary.focal(z, y).sum(1)),
        "multilabel focal 0": (call("multilabel", "focal", z, y, gamma=0),
                               call("multilabel", "cross_entropy", z, y)),
        "multilabel hinge": (call("multilabel", "one_vs_all_hinge", z, y),
                             binary_margins.hinge(z, y).sum(1)),
        "distribution hard": (call("distribution", "cross_entropy", logits, F.one_hot(hard, 3)),
                              multi.cross_entropy(logits, hard)),
        "distribution kl": (call("distribution", "kl_divergence", logits, soft) + entropy,
                            call("distribution", "cross_entropy", logits, soft)),
        "segmentation": (call("segmentation", "cross_entropy", mask, g),
                         binary.cross_entropy(mask, g).mean((1, 2))),
        "segmentation focal 0": (call("segmentation", "focal", mask, g, gamma=0),
                                 call("segmentation", "cross_entropy", mask, g)),
        "dice on hard masks": (call("segmentation", "dice", mask.sign() * 1e4, g),
                               call("segmentation", "dice_linear", mask.sign() * 1e4, g)),
        "nt_xent of two": (call("embedding", "nt_xent", x, two, temperature=0.3),
                           call("embedding", "sup_con", x, two, temperature=0.3)),
        "contrastive of both": (call("embedding", "contrastive", x, many),
                                call("pairs", "contrastive", torch.stack([x, x], 1), many) * 8 / 7),
        "arcface margin 0": (arcface(x, many), multi.cross_entropy(arcface.logits(x), many)),
        "sphereface margin 1": (sphereface(x, many),
                                multi.cross_entropy(sphereface.logits(x), many)),
        "center strength 0": (center(x, many), multi.cross_entropy(center.logits(x), many)),
        "info_nce is mnr": (call("pairs", "info_nce", pairs, distinct, temperature=0.05),
                            call("pairs", "multiple_negatives_ranking", pairs, many)),
        "info_nce is a choice": (call("pairs", "info_nce", pairs, distinct, temperature=0.5),
                                 multi.cross_entropy(cosines / 0.5, own)),
        "joint_logistic": (call("pairs", "joint_logistic", pairs, distinct),
                           binary.cross_entropy(products, eye).mean(1)),
        "joint_hinge": (call("pairs", "joint_hinge", pairs, distinct, margin=1.0),
                        multi_margins.weston_watkins(products, own)),
        "joint_sje": (call("pairs", "joint_sje", pairs, distinct),
                      multi_margins.crammer_singer(products, own)),
        "margin_ranking": (call("ranking", "margin_ranking", scores, first),
                           binary_margins.hinge(scores[:, 0] - scores[:, 1], first)),
        "knowledge graph": (call("ranking", "knowledge_graph_margin_ranking", scores, first),
                            call("ranking", "margin_ranking", -scores, first)),
        "dpo": (call("ranking", "dpo", scores, first),
                binary.cross_entropy(scores[:, 0] - scores[:, 1], first)),
        "dpo turned round": (call("ranking", "dpo", scores.flip(1), 1 - first),
                             call("ranking", "dpo", scores, first)),
        "cdpo 0": (call("ranking", "cdpo", scores, first, smoothing=0),
                   call("ranking", "dpo", scores, first)),
        "cdpo": (call("ranking", "cdpo", scores, first),
                 binary.label_smoothing(scores[:, 0] - scores[:, 1], first, epsilon=0.2)),
        "robust_dpo 0": (call("ranking", "robust_dpo", scores, first, flip=0),
                         call("ranking", "dpo", scores, first)),
        "robust_dpo on average": (
            0.7 * call("ranking", "robust_dpo", scores, first, flip=0.3)
            + 0.3 * call("ranking", "robust_dpo", scores, 1 - first, flip=0.3),
            call("ranking", "dpo", scores, first)),
        "slic": (call("ranking", "slic", scores, first),
                 call("ranking", "margin_ranking", scores, first)),
        "exponential": (call("ranking", "exponential", scores, first),
                        binary_margins.exponential(scores[:, 0] - scores[:, 1], first)),
        "framewise": (call("sequence", "cross_entropy", steps, strips),
                      multi.cross_entropy(steps.flatten(0, 1), strips[:, 0].flatten())
                      .unflatten(0, (20, 4)).mean(1)),
        "elbo": (call("generative", "elbo", vae, data, beta=0.0),
                 binary.cross_entropy(vae[:, :3], data).sum(1)),
    }  # fmt: skip


NEIGHBOURS = _neighbours()


@pytest.mark.parametrize("case", NEIGHBOURS)
def test_limits_are_the_neighbours(case):
    """A loss equals what its docstring says that it equals."""
    same(*NEIGHBOURS[case], atol=1e-14)


def test_agrees_with_torch():
    """Where torch has the loss with the same convention the numbers are its own."""
    z, y = random_batch("multilabel", 11, (20,))
    logits, soft = random_batch("distribution", 12, (20,))
    scores, first = random_batch("ranking", 13, (20,))
    vae, data = random_batch("generative", 14, (20,))
    distributions, none = torch.distributions, {"reduction": "none"}
    categorical = distributions.Categorical
    normal = distributions.Normal(vae[:, 3:5], (vae[:, 5:] / 2).exp())
    kl = distributions.kl_divergence(normal, distributions.Normal(torch.zeros(2).double(), 1.0))
    bernoulli = F.binary_cross_entropy_with_logits(vae[:, :3], data, **none).sum(1)
    same(call("multilabel", "cross_entropy", z, y), 3 * F.multilabel_soft_margin_loss(z, y, **none))
    same(call("distribution", "kl_divergence", logits, soft),
         distributions.kl_divergence(categorical(soft), categorical(logits=logits)))  # fmt: skip
    same(call("ranking", "margin_ranking", scores, first),
         F.margin_ranking_loss(*scores.unbind(1), 2 * first - 1, margin=1.0, **none))  # fmt: skip
    same(call("generative", "elbo", vae, data, beta=3.0), bernoulli + 3 * kl.sum(1))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, steps=st.integers(1, 12), classes=st.integers(2, 5))
def test_ctc_agrees_with_torch(seed, steps, classes):
    """Value and gradient through log_softmax are those of torch, for repeats and any length."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, steps, classes, generator=generator, dtype=torch.float64) * 4
    labels = torch.randint(1, classes, (6, steps), generator=generator)
    length = torch.randint(steps + 1, (6,), generator=generator)
    labels = labels * (torch.arange(steps) < length[:, None])
    leaf = logits.clone().requires_grad_()
    log_p = F.log_softmax(leaf, -1).transpose(0, 1)
    expected = F.ctc_loss(log_p, labels, torch.full((6,), steps), length, reduction="none")
    ours = call("sequence", "ctc", logits, torch.stack([labels, labels], 1))
    same(ours, expected.detach(), rtol=1e-9, atol=1e-12)
    (slope,) = torch.autograd.grad(expected[expected.isfinite()].sum(), leaf)
    slope[~expected.isfinite()] = 0
    own = gradient("sequence", "ctc", logits, torch.stack([labels, labels], 1))
    same(own, slope, rtol=1e-9, atol=1e-12)


# ---- extremes ------------------------------------------------------------------------------------
@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(task, name, dtype):
    """At 0 and at 1e4, mixed and equal, value and gradient are finite wherever the formula is."""
    for seed in range(8):
        prediction, target = random_batch(task, seed, (6,))
        sizes = torch.tensor([0.0, 1.0, 20.0, 100.0, 1e4])
        chosen = (prediction.abs() * 1e3).long() % (5 if seed else 1)
        prediction = (prediction.sign() * sizes[chosen]).to(dtype)
        if task == "generative":
            prediction[:, 5:].clamp_(max=80)  # beyond it the formula overflows
        if name == "exponential":
            target = (prediction[:, 0] > prediction[:, 1]).to(dtype)  # it overflows on mistakes
        assert call(task, name, prediction, target).isfinite().all()
        assert gradient(task, name, prediction, target).isfinite().all()


@pytest.mark.parametrize("name", [n for t, n in LOSSES if t == "embedding"])
@pytest.mark.parametrize("identities", [[0], [1, 1, 1], [0, 1, 2], [2, 2, 0]])
def test_anchors_without_positives_or_negatives(name, identities):
    """One example, one identity only and identities of one example have finite gradients."""
    x, _ = random_batch("embedding", 3, (len(identities),))
    t = torch.tensor(identities)
    values = call("embedding", name, x, t)
    assert values.isfinite().all()
    assert gradient("embedding", name, x, t).isfinite().all()
    if name not in (*POINTWISE, "contrastive"):
        lonely = (t[:, None] == t).sum(1) == 1
        same(values[lonely], torch.zeros(int(lonely.sum())))


@pytest.mark.parametrize("margin", [0.1, 0.5, 1.5])
def test_arcface_falls_with_the_angle(margin):
    """The logit of the own class falls with the angle all the way to pi, also past pi - margin."""
    angle = torch.linspace(0, torch.pi, 2001, dtype=torch.float64)
    x = torch.stack([angle.cos(), angle.sin()], 1)
    weight = [[1.0, 0.0], [0.0, 0.0]]  # the other class has no direction, and the logit 0
    values = call("embedding", "arcface", x, torch.zeros(2001).long(), weight=weight, margin=margin)
    assert (values.diff() >= 0).all()


@pytest.mark.parametrize("name", ["arcface", "sphereface"])
def test_angles_of_0_and_pi_have_gradients_in_float32(name):
    """At a cosine of +-1, and one rounding from it, the gradient is finite and of sane size."""
    w = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    for sign in (1, -1):
        x, t = sign * 3 * w * (1 + 1e-7), torch.arange(40)
        slope = gradient("embedding", name, x, t, weight=w.tolist())
        assert slope.isfinite().all()
        assert slope.abs().max() < 200


def test_elbo_without_its_charge_ignores_the_posterior():
    """At beta 0 a variance that overflows costs nothing and has no gradient."""
    prediction = torch.tensor([[0.0, 0.0, 0.0, 1e4, 1e4]])
    for name in ("elbo", "elbo_gaussian"):
        data = torch.full((1, 1), 0.5)
        assert call("generative", name, prediction, data, beta=0.0).isfinite().all()
        assert not gradient("generative", name, prediction, data, beta=0.0)[:, 1:].any()


def test_links_order_as_the_loss_does():
    """What is nearer has the larger score after the link, where a loss is of distances."""
    pairs, _ = random_batch("pairs", 1, (9,))
    left, right = declaration_of(get("pairs", "contrastive")).link(pairs).unbind(-2)
    nearest = torch.cdist(pairs[:, 0], pairs[:, 1]).argsort(1)
    assert torch.equal((left @ right.T).argsort(1, descending=True), nearest)
    link = declaration_of(get("ranking", "knowledge_graph_margin_ranking")).link
    assert link(torch.tensor([1.0, 2.0])).argmax() == 0
