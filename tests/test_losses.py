"""The losses: their numbers, their identities, outside references, extremes, and how they map."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import import_module
from itertools import product
from math import exp, log1p, sqrt
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from losses_table import (
    BIN,
    EQUATIONS,
    EVIDENTIAL,
    EXTREMES,
    GRADIENTS,
    IDENTITIES,
    LOGITS,
    MULTI,
    PEN,
    REG,
    TABLE,
    TWO_CLASSES,
    exact,
)
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from lossbench.contract import declaration_of

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
GROUPS = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]
POINTS = {task: GROUPS[f"lossbench.losses.{task}"] for task in (BIN, MULTI, REG)}
POINTS[PEN] = GROUPS["lossbench.regularizers"]


def get(task, name):
    module, _, attribute = POINTS[task][name].partition(":")
    return getattr(import_module(module), attribute)


def call(task, name, prediction, target, **hyper):
    """The value; a regularizer gets its one weight matrix in the place of the prediction."""
    loss = get(task, name)
    if "progress" in inspect.signature(loss).parameters:
        hyper = {"progress": 0.5, **hyper}
    for fact in hyper.keys() & {"class_counts", "progress"}:
        exact_type = torch.float64 if fact == "progress" else None
        hyper[fact] = torch.tensor(hyper[fact], device=prediction.device, dtype=exact_type)
    return loss([prediction], **hyper) if task == PEN else loss(prediction, target, **hyper)


def tensors(task, prediction, target, dtype=torch.float64):
    kind = torch.int64 if task == MULTI else dtype
    return torch.tensor(prediction, dtype=dtype), torch.tensor(target, dtype=kind)


def gradient(task, name, prediction, target, **hyper):
    """Of the sum of the values, with respect to the prediction."""
    return torch.func.grad(lambda p: call(task, name, p, target, **hyper).sum())(prediction)


LOSSES = list(dict.fromkeys((task, name) for task, name, *_ in TABLE))
each_loss = pytest.mark.parametrize(("task", "name"), LOSSES)
AREAS = [(BIN, name) for name, place in POINTS[BIN].items() if ".areas:" in place]
OF_A_WHOLE = {loss for loss in LOSSES if loss[0] == PEN}.union(AREAS)
OF_A_WHOLE.add((REG, "root_mean_squared_error"))
# of these logits are read, not differences of logits
ABSOLUTE = {"squared_error", "one_vs_all_hinge", "logit_norm"} | {
    name for name, place in POINTS[MULTI].items() if ".evidential:" in place
}
SEEDS = st.integers(0, 2**16)


def random_batch(task, name, seed, leading=(5,), scale=3.0):
    """A valid prediction and target in float64, away from every kink with probability one."""
    generator = torch.Generator().manual_seed(seed)
    outputs = {"gaussian_nll": (2,), "evidential": (4,)}.get(name, ())
    shape = {BIN: (), MULTI: (3,), REG: (2, *outputs), PEN: (4,)}[task]
    prediction = torch.randn(*leading, *shape, generator=generator, dtype=torch.float64) * scale
    if task in (BIN, MULTI):
        labels = torch.randint(2 if task == BIN else 3, leading, generator=generator)
        return prediction, labels if task == MULTI else labels.double()
    target = torch.randn(*leading, 2, generator=generator, dtype=torch.float64)
    if name == "squared_log_error":
        return prediction.abs(), target.abs()
    return prediction, target


def same(actual, expected, rtol=1e-9, atol=1e-15):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=True)


@pytest.mark.parametrize(("task", "name", "prediction", "target", "hyper", "value"), TABLE)
def test_value_is_the_arithmetic(task, name, prediction, target, hyper, value):
    """A loss has the value that the table computes by hand, in float64 and in float32."""
    same(call(task, name, *tensors(task, prediction, target), **hyper), value)
    single = call(task, name, *tensors(task, prediction, target, torch.float32), **hyper)
    same(single, value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("task", "name", "prediction", "target", "hyper", "slope"), GRADIENTS)
def test_gradient_is_the_arithmetic(task, name, prediction, target, hyper, slope):
    """A loss has the gradient that the table computes by hand, subgradient 0 at kinks included."""
    same(gradient(task, name, *tensors(task, prediction, target), **hyper), slope)
    single = gradient(task, name, *tensors(task, prediction, target, torch.float32), **hyper)
    same(single, slope, rtol=1e-5)


CLASSES = ("prototypes", "early_learning", "composed")  # modules of losses that are classes


def test_every_registered_loss_has_a_row():
    """A loss that the packaging names is in the table; those of classes have another."""
    registered = {
        (task, name)
        for task, points in POINTS.items()
        for name, value in points.items()
        if value.rpartition(":")[0].rpartition(".")[2] not in CLASSES
    }
    assert registered == {(task, name) for task, name, *_ in TABLE}


EVERY = sorted(
    {
        value
        for group, points in GROUPS.items()
        if group.startswith("lossbench.losses.") or group == "lossbench.regularizers"
        for value in points.values()
    }
)


@pytest.mark.parametrize("value", EVERY)
def test_a_docstring_has_its_parts_and_names_every_argument(value):
    """What it rewards, the formula, Args, Returns, Source and an example, each once."""
    module, _, attribute = value.partition(":")
    loss = getattr(import_module(module), attribute)
    text = inspect.getdoc(loss)
    summary, formula, *_ = text.split("\n\n")
    assert re.match(r"(Rewards|Punishes|Pulls|Reweights) .*\.$", summary)
    assert re.match(r"[LR](_i)? = ", formula)
    assert [text.count(part) for part in ("\nArgs:\n", "\nReturns:\n", "\nSource: ")] == [1, 1, 1]
    assert "\n>>> " in text
    section = text.partition("\nArgs:\n")[2].partition("\n\n")[0]
    named = re.findall(r"^    (\w+(?:, \w+)*):", section, flags=re.M)
    called = inspect.signature(loss.forward if inspect.isclass(loss) else loss)
    made = inspect.signature(loss) if inspect.isclass(loss) else called
    wanted = [name for name in {**called.parameters, **made.parameters} if name != "self"]
    assert ", ".join(named).split(", ") == wanted


@pytest.mark.parametrize(("task", "name", "hyper", "factor", "other", "others"), IDENTITIES)
def test_limits_are_the_neighbours(task, name, hyper, factor, other, others):
    """At this hyper-parameter a loss equals its neighbour, in value and gradient, also far out."""
    for scale in (1.0, 30.0, 1e4):
        batch = random_batch(task, name, seed=7, leading=(50,), scale=scale)
        same(call(task, name, *batch, **hyper), factor * call(task, other, *batch, **others))
        expected = factor * gradient(task, other, *batch, **others)
        same(gradient(task, name, *batch, **hyper), expected)


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_two_classes_are_the_binary_loss(name):
    """A multiclass loss on the logits (0, z) is its binary counterpart on z."""
    binary, factor = TWO_CLASSES[name]
    for scale in (1.0, 30.0, 1e4):
        z, y = random_batch(BIN, binary, seed=3, leading=(50,), scale=scale)
        pair = torch.stack([torch.zeros_like(z), z], -1)
        same(call(MULTI, name, pair, y.long()), factor * call(BIN, binary, z, y))
        expected = factor * gradient(BIN, binary, z, y)
        same(gradient(MULTI, name, pair, y.long())[:, 1], expected)


@pytest.mark.parametrize("name", [n for t, n in LOSSES if t == MULTI and n not in ABSOLUTE])
def test_a_shift_of_all_logits_changes_nothing(name):
    """Multiclass losses see differences of logits only, in float32 and at an offset of 1e4 too."""
    z, y = random_batch(MULTI, name, seed=5, leading=(50,))
    z = (z * 64).round().float() / 64  # exact in float32, with the offset as well
    same(call(MULTI, name, z + 1e4, y), call(MULTI, name, z, y), rtol=1e-5, atol=0)
    shifted = gradient(MULTI, name, z + 1e4, y)
    same(shifted, gradient(MULTI, name, z, y), rtol=1e-5, atol=1e-12)


def test_logit_norm_sees_directions_alone():
    """Its gradient is at right angles to the logits, and its value has a bound that is reached."""
    z, y = random_batch(MULTI, "logit_norm", seed=6, leading=(50,))
    radial = (gradient(MULTI, "logit_norm", z, y, temperature=0.5) * z).sum(-1)
    same(radial, torch.zeros(50), atol=1e-6)
    least = log1p(2 * exp(-sqrt(3 / 2) / 0.5))
    assert (call(MULTI, "logit_norm", z, y, temperature=0.5) > least).all()
    best = torch.tensor([[2.0, -1.0, -1.0]], dtype=torch.float64)
    same(call(MULTI, "logit_norm", best, y[:1] * 0, temperature=0.5), [least], rtol=1e-6)


def test_multiclass_hinges_bound_each_other():
    """crammer_singer <= weston_watkins <= (C - 1) crammer_singer."""
    batch = random_batch(MULTI, "crammer_singer", seed=1, leading=(200,))
    largest, total = (call(MULTI, n, *batch) for n in ("crammer_singer", "weston_watkins"))
    assert (largest <= total + 1e-12).all()
    assert (total <= 2 * largest + 1e-12).all()


def _torch_references():
    z, y = random_batch(BIN, "", seed=11, leading=(40,))
    soft = torch.sigmoid(z.flip(0))
    logits, label = random_batch(MULTI, "", seed=12, leading=(40,))
    p, t = random_batch(REG, "", seed=13, leading=(40,))
    both = random_batch(REG, "gaussian_nll", seed=14, leading=(40,))[0][:, 0]
    weight = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    none = {"reduction": "none"}
    bce = F.binary_cross_entropy_with_logits
    far = torch.where(z.abs() > 2, 800 * z, z)  # sigmoid is exactly 0 or 1, or keeps its digits
    mean_nll = F.gaussian_nll_loss(both[:, 0], t[:, 0], both[:, 1].exp(), **none)
    bernoulli = torch.distributions.Bernoulli
    kl = torch.distributions.kl_divergence(bernoulli(soft), bernoulli(logits=z))
    return [
        (BIN, "cross_entropy", z, soft, {}, bce(z, soft, **none)),
        (BIN, "logistic", z, y, {}, F.soft_margin_loss(z, 2 * y - 1, **none)),
        (BIN, "bounded_cross_entropy", far, y, {},
         F.binary_cross_entropy(torch.sigmoid(far), y, **none)),
        (BIN, "squared_error", z, y, {}, F.mse_loss(torch.sigmoid(z), y, **none)),
        (BIN, "kl_divergence", z, soft, {}, kl),
        (MULTI, "cross_entropy", logits, label, {}, F.cross_entropy(logits, label, **none)),
        (MULTI, "cross_entropy", logits, label, {"class_weight": (1, 2, 0.5)},
         F.cross_entropy(logits, label, weight=weight, **none)),
        (MULTI, "label_smoothing", logits, label, {"epsilon": 0.2},
         F.cross_entropy(logits, label, label_smoothing=0.2, **none)),
        (MULTI, "weston_watkins", logits, label, {},
         3 * F.multi_margin_loss(logits, label, **none)),
        (REG, "squared_error", p, t, {}, F.mse_loss(p, t, **none).mean(1)),
        (REG, "absolute_error", p, t, {}, F.l1_loss(p, t, **none).mean(1)),
        (REG, "huber", p, t, {"delta": 0.7}, F.huber_loss(p, t, delta=0.7, **none).mean(1)),
        (REG, "smooth_l1", p, t, {"beta": 0.7}, F.smooth_l1_loss(p, t, beta=0.7, **none).mean(1)),
        (REG, "euclidean", p, t, {}, F.pairwise_distance(p, t, eps=0)),
        (REG, "gaussian_nll", both, t[:, 0], {}, mean_nll),
    ]  # fmt: skip


@pytest.mark.parametrize("row", _torch_references(), ids=lambda row: f"{row[0]}-{row[1]}")
def test_agrees_with_torch(row):
    """Where torch has the loss with the same convention, and is stable, the numbers are its own."""
    task, name, prediction, target, hyper, expected = row
    same(call(task, name, prediction, target, **hyper), expected, rtol=1e-8)


def test_agrees_with_scikit_learn():
    """The mean over a batch is scikit-learn's metric of the same name."""
    z, y = random_batch(BIN, "", seed=21, leading=(60,))
    logits, label = random_batch(MULTI, "", seed=22, leading=(60,))
    p, t = (x.abs() for x in random_batch(REG, "", seed=23, leading=(60,)))
    metrics, proba = sklearn.metrics, torch.sigmoid(z)
    softmax = torch.softmax(logits, -1)
    pinball = metrics.mean_pinball_loss(t, p, alpha=0.9)
    expected = [
        (call(BIN, "hinge", z, y), metrics.hinge_loss(y, z)),
        (call(BIN, "squared_error", z, y), metrics.brier_score_loss(y, proba)),
        (call(MULTI, "cross_entropy", logits, label), metrics.log_loss(label, softmax)),
        (call(MULTI, "crammer_singer", logits, label), metrics.hinge_loss(label, logits)),
        (call(REG, "quantile", p, t, q=0.9), pinball),
        (call(REG, "squared_log_error", p, t), metrics.mean_squared_log_error(t, p)),
        (call(REG, "root_mean_squared_error", p[:, 0], t[:, 0]),
         metrics.root_mean_squared_error(t[:, 0], p[:, 0])),
    ]  # fmt: skip
    for value, metric in expected:
        same(value.mean(), metric)


AGAINST_EQUATION = [
    (task, *row)
    for row, task in product(EQUATIONS, LOGITS)
    if (task, row[0]) in LOSSES and (task, row[0]) != (MULTI, "squared_error")
]


@pytest.mark.parametrize(("task", "name", "hyper", "equation"), AGAINST_EQUATION)
def test_keeps_its_digits(task, name, hyper, equation):
    """Value and gradient have 5 digits in float32 and 9 in float64, however small they are."""
    for z, y in product(LOGITS[task], (0, 1)):
        value, slope = exact(equation, z, y)
        for dtype, digits in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
            batch = tensors(task, [z], [y], dtype)
            lost = 1e-30 if dtype == torch.float32 else 1e-200  # near underflow
            same(call(task, name, *batch, **hyper), value, rtol=digits, atol=lost)
            same(gradient(task, name, *batch, **hyper), slope, rtol=digits, atol=lost)


@pytest.mark.parametrize(("name", "hyper", "equation"), EVIDENTIAL)
def test_evidential_losses_equal_their_equations(name, hyper, equation):
    """Value and gradient are those of the equation, as far as torch's polygammas are exact."""
    for z, y in product(LOGITS[MULTI], (0, 1)):
        value, slope = exact(equation, z, y)
        for dtype, digits in ((torch.float32, 1e-5), (torch.float64, 1e-8)):
            batch = tensors(MULTI, [z], [y], dtype)
            same(call(MULTI, name, *batch, **hyper), value, rtol=digits, atol=digits / 100)
            same(gradient(MULTI, name, *batch, **hyper), slope, rtol=digits, atol=digits / 100)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(task, name, dtype):
    """At logits or residuals of 1e4 value and gradient are finite wherever the formula is."""
    prediction, target = tensors(task, *EXTREMES[task], dtype)
    if name == "exponential":
        target = (prediction > 0).to(dtype)  # the formula overflows on mistakes
    if name == "squared_log_error":
        prediction = prediction.abs()
    if name == "gaussian_nll":
        prediction = torch.stack([prediction, torch.tensor([1e4, 10, -1e4, -1e4])], -1).to(dtype)
    if name == "evidential":
        prediction = torch.stack([prediction, *prediction.roll(1).expand(3, -1)], -1)
    assert call(task, name, prediction, target).isfinite().all()
    assert gradient(task, name, prediction, target).isfinite().all()


@each_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_float_type_is_kept(task, name, dtype):
    """A loss takes any float type, stays finite and, where the target is no wider, returns it."""
    prediction, target = random_batch(task, name, seed=2)
    target = target if task == MULTI else target.to(dtype)
    value = call(task, name, prediction.to(dtype), target)
    assert value.dtype == dtype
    assert value.isfinite().all()


@each_loss
def test_one_number_per_example(task, name):
    """The result has the batch's shape, or none where the loss exists for the whole only."""
    value = call(task, name, *random_batch(task, name, seed=2))
    assert value.shape == (() if (task, name) in OF_A_WHOLE else (5,))


@each_loss
def test_runs_where_its_inputs_are(task, name):
    """A loss makes no tensor elsewhere and reads no value: it runs on shapes alone."""
    prediction, target = (x.to("meta") for x in random_batch(task, name, seed=2))
    for hyper in hypers_of(task, name):
        assert call(task, name, prediction, target, **hyper).device.type == "meta"


@pytest.mark.parametrize(
    "name", sorted({n for t, n in LOSSES if (BIN, n) in LOSSES and t == MULTI})
)
def test_one_name_has_one_set_of_hyper_parameters(name):
    """A loss of two classification tasks takes the same keywords with the same defaults."""
    signatures = [inspect.signature(get(task, name)).parameters for task in (BIN, MULTI)]
    keywords = [
        [(p.name, p.default) for p in each.values() if p.kind == p.KEYWORD_ONLY]
        for each in signatures
    ]
    assert keywords[0] == keywords[1]


@pytest.mark.parametrize("counts", [(7, 3), (4, 4, 1), (1, 2, 3, 30)])
def test_balanced_weights_are_those_of_scikit_learn(counts):
    """N / (C n_k), as compute_class_weight has them, in every task that has classes or labels."""
    labels = np.repeat(np.arange(len(counts)), counts)
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    balanced = {"class_weight": "balanced", "class_counts": torch.tensor(counts)}
    zero, one = torch.zeros(len(counts), len(counts)).double(), torch.arange(len(counts))
    multiclass = import_module("lossbench.losses.multiclass")
    plain = multiclass.cross_entropy(zero, one)
    same(multiclass.cross_entropy(zero, one, **balanced) / plain, expected)
    if len(counts) == 2:
        binary, multilabel = (
            import_module(f"lossbench.losses.{n}") for n in ("binary", "multilabel")
        )
        plain = binary.cross_entropy(zero[0], one)
        same(binary.cross_entropy(zero[0], one, **balanced) / plain, expected)
        several = torch.tensor([counts, (5, 5)])
        value = multilabel.cross_entropy(
            zero, torch.stack([one, one], 1), class_weight="balanced", class_counts=several
        )
        same(value / plain - 1, expected)


def hypers_of(task, name):
    """The different hyper-parameters of the loss's rows in the table."""
    full = [hyper for t, n, _, _, hyper, _ in TABLE if (t, n) == (task, name)]
    return [hyper for place, hyper in enumerate(full) if hyper not in full[:place]]


@each_loss
@settings(max_examples=4, deadline=None)
@given(seed=SEEDS)
def test_replicas_map_like_a_loop(task, name, seed):
    """Mapped over replicas, value and gradient are those of each replica alone."""
    prediction, target = random_batch(task, name, seed, leading=(3, 5))
    for hyper in hypers_of(task, name):
        mean = lambda p, t, hyper=hyper: call(task, name, p, t, **hyper).mean()  # noqa: E731
        slopes, values = torch.func.vmap(torch.func.grad_and_value(mean))(prediction, target)
        loop = [
            torch.func.grad_and_value(mean)(p, t) for p, t in zip(prediction, target, strict=True)
        ]
        same(values, torch.stack([value for _, value in loop]), rtol=1e-12)
        same(slopes, torch.stack([slope for slope, _ in loop]), rtol=1e-12)


@pytest.mark.parametrize(("task", "name"), [loss for loss in LOSSES if loss not in OF_A_WHOLE])
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_an_example_alone_is_its_entry_in_the_batch(task, name, seed):
    """No example's value depends on the others."""
    prediction, target = random_batch(task, name, seed)
    for hyper in hypers_of(task, name):
        batch = call(task, name, prediction, target, **hyper)
        alone = [
            call(task, name, prediction[i : i + 1], target[i : i + 1], **hyper) for i in range(5)
        ]
        same(batch, torch.cat(alone), rtol=1e-13)


@each_loss
def test_numbers_among_the_hyper_parameters_map_too(task, name):
    """Replicas may have a hyper-parameter each, as when candidates are tuned in one stack."""
    prediction, target = random_batch(task, name, seed=9, leading=(3, 5))
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
@settings(max_examples=2, deadline=None)
@given(seed=SEEDS)
def test_derivatives_agree_with_differences(task, name, seed):
    """First and second derivatives agree with finite differences in float64."""
    prediction, target = random_batch(task, name, seed, leading=(2,), scale=1.0)
    for hyper in hypers_of(task, name):
        value = lambda p, hyper=hyper: call(task, name, p, target, **hyper)  # noqa: E731
        leaf = prediction.clone().requires_grad_()
        assert name == "none" or torch.autograd.gradcheck(value, leaf)
        assert name == "none" or torch.autograd.gradgradcheck(value, leaf)


@each_loss
def test_declared_properties_hold(task, name):
    """Declared convexity and Lipschitz constant hold on many random pairs and points."""
    declared = declaration_of(get(task, name))
    for scale in (0.5, 2.0, 8.0):
        a, target = random_batch(task, name, seed=31, leading=(2000,), scale=scale)
        b, _ = random_batch(task, name, seed=32, leading=(2000,), scale=scale)
        if declared.convex:
            middle = call(task, name, (a + b) / 2, target)
            ends = (call(task, name, a, target) + call(task, name, b, target)) / 2
            assert (middle <= ends * (1 + 1e-12) + 1e-12).all()
        if declared.lipschitz is not None:
            steepest = gradient(task, name, a, target).reshape(len(a), -1).norm(dim=1).max()
            assert steepest <= declared.lipschitz + 1e-9
