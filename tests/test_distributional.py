"""Distributional losses: against SciPy and scoringrules, their limits, links, metrics and data."""

from __future__ import annotations

from importlib import metadata
from math import exp, log, pi, sqrt

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from sklearn.metrics import mean_pinball_loss
from test_counts import installed

from lossbench import registry
from lossbench.comparison import compare
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError, declaration_of
from lossbench.datasets import amounts
from lossbench.losses import distributional, ensembles, predictive, regression
from lossbench.metrics import metrics_of, score
from lossbench.report import figures
from lossbench.tasks.distributional import Distributional
from lossbench.training import train

TASK, WIDE = Distributional((2,)), Distributional((2,), (3,))
LEVELS = np.arange(1, 20) / 20
NAMES = ["gaussian_nll", "laplace_nll", "student_t_nll", "beta_nll", "crps_gaussian"]
NAMES += ["crps_laplace", "crps_ensemble", "fair_crps_ensemble", "energy_score", "quantiles"]
NAMES += ["monotone_quantiles", "interval_score", "gaussian_mixture_nll"]
METRICS = [metric.name for metric in TASK.metrics]
NAN, SP1 = float("nan"), log(exp(1) - 1)  # softplus(SP1) = 1


def get(name):
    return getattr(ensembles if hasattr(ensembles, name) else distributional, name)


def column(*values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)


def drawn(outputs, seed, shape=(40,)):
    rng = np.random.default_rng(seed)
    prediction = rng.normal(size=(*shape, outputs)) * 1.5
    return torch.from_numpy(prediction), torch.from_numpy(2 * rng.normal(size=shape))


# prediction, target, hyper-parameters, value
TABLE = [
    ("gaussian_nll", [[0, 0], [0, 2]], [2, 2], {}, [2, 1 + 2 * exp(-2)]),
    ("laplace_nll", [[0, 0], [0, 1], [3, -1e4]], [2, 2, 3], {}, [2, 1 + 2 / exp(1), -1e4]),
    ("student_t_nll", [[0, 0], [0, 2]], [2, 2], {}, [2.5 * log(2), 1 + 2.5 * log(1 + exp(-2))]),
    ("student_t_nll", [[0, -1e4], [0, 0]], [2, 1e4], {"df": 3},
     [-5e3 + 2 * (log(4 / 3) + 1e4), 2 * log(1 + 1e8 / 3)]),
    ("beta_nll", [[0, 2], [0, 2]], [2, 2], {"beta": 1}, [exp(2) + 2] * 2),
    ("crps_gaussian", [[0.25, 0.6]], [1.5], {}, [0.746869772680603]),
    ("crps_gaussian", [[0, 0], [0, -1e4], [0, 0]], [0, 2, 1e4], {},
     [sqrt(2 / pi) - 1 / sqrt(pi), 2, 1e4 - 1 / sqrt(pi)]),
    ("crps_laplace", [[0, 0], [0, -1e4], [0, 1]], [0, 2, -3], {},
     [0.25, 2, 3 + exp(1 - 3 / exp(1)) - 0.75 * exp(1)]),
    ("crps_ensemble", [[0, 2, 1], [5, 5, 5]], [1, 1], {}, [2 / 3 - 8 / 18, 4]),
    ("crps_ensemble", [[3.0]], [1], {}, [2]),
    ("crps_ensemble", [[0.3, -1.2, 2.0, 0.9]], [0.5], {}, [0.3125]),
    ("fair_crps_ensemble", [[0.3, -1.2, 2.0, 0.9]], [0.5], {}, [0.1]),
    ("crps_laplace", [[0.25, 0.3]], [1.5], {}, [0.7723201502384716]),
    ("energy_score", [[[0.3, 2, 0], [-1.2, 0.9, 0.4]]], [[0.5, -1]], {}, [0.6865881926806081]),
    ("fair_crps_ensemble", [[-7, 9], [0, 0]], [1, 1], {}, [0, 1]),
    ("energy_score", [[[0, 0], [0, 2]]], [[0, 1]], {}, [1 - 2 * 2 / 8]),
    ("energy_score", [[[0, 3], [0, 4]]], [[0, 0]], {}, [2.5 - 5 * 2 / 8]),
    ("quantiles", [[0, 1, 2]], [1], {}, [(0.25 + 0 + 0.25) / 3]),
    ("monotone_quantiles", [[0, SP1, SP1]], [1], {}, [(0.25 + 0 + 0.25) / 3]),
    ("interval_score", [[0, 2], [0, 2], [3, 2]], [1, 2.5, 2.5], {}, [2, 12, -1 + 20]),
    ("interval_score", [[0, 2]], [2.5], {"alpha": 0.5}, [2 + 2]),
    ("gaussian_mixture_nll", [[0, 0, 1, -1, 0, 0]], [0], {}, [0.5]),
    ("gaussian_mixture_nll", [[0, 1e4, 1, 2, 0, 2]], [0], {}, [1 + 2 * exp(-2)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "prediction", "target", "hyper", "value"), TABLE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_is_the_arithmetic(name, prediction, target, hyper, value, dtype):
    """By hand, and of five by scoringrules 0.10; with log scales of 1e4 too."""
    loss = get(name)(column(*prediction, dtype=dtype), column(*target, dtype=dtype), **hyper)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-9
    expected = column(*value, dtype=dtype)
    torch.testing.assert_close(loss, expected, rtol=tolerance, atol=tolerance)


def test_every_registered_loss_has_a_row():
    points = metadata.entry_points(group="lossbench.losses.distributional")
    assert {p.name for p in points} == set(NAMES) == {name for name, *_ in TABLE}


@pytest.mark.parametrize("name", NAMES)
def test_extremes_are_no_nan(name):
    """At outputs of 1e4 of either sign the value is no NaN, and the gradient finite where it is."""
    outputs = declaration_of(get(name)).outputs
    signs = torch.cartesian_prod(*[torch.tensor([-1e4, 0.0, 1e4])] * min(outputs, 3))
    prediction = signs[:, torch.arange(outputs) % signs.shape[1]].double().requires_grad_()
    target = torch.zeros(len(prediction), dtype=torch.float64)
    value = get(name)(prediction, target)
    (slope,) = torch.autograd.grad(value.sum(), prediction)
    assert not value.isnan().any()
    assert slope[value.isfinite()].isfinite().all()


def _exact_crps(law, y):
    """The integral of (F - [y <= x])^2."""
    below = quad(lambda x: law.cdf(x) ** 2, -np.inf, y, epsabs=1e-11)[0]
    return below + quad(lambda x: law.sf(x) ** 2, y, np.inf, epsabs=1e-11)[0]


# loss, hyper-parameters, its law for one prediction, what of minus the log density is left out
LAWS = [
    ("gaussian_nll", {}, lambda m, s: scipy.stats.norm(m, exp(s / 2)), log(2 * pi) / 2),
    ("laplace_nll", {}, lambda m, b: scipy.stats.laplace(m, exp(b)), log(2)),
    ("student_t_nll", {"df": 5}, lambda m, s: scipy.stats.t(5, m, exp(s / 2)),
     -scipy.stats.t(5).logpdf(0)),
    ("crps_gaussian", {}, lambda m, s: scipy.stats.norm(m, exp(s / 2)), None),
    ("crps_laplace", {}, lambda m, b: scipy.stats.laplace(m, exp(b)), None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "hyper", "law", "constant"), LAWS)
def test_value_and_quantiles_are_those_of_scipy(name, hyper, law, constant):
    """Log densities less a constant, integrals of squared distances, inverse distributions."""
    prediction, target = drawn(2, 1, (6,))
    laws = [law(*row) for row in prediction.tolist()]
    pairs = list(zip(laws, target.tolist(), strict=True))
    if constant is None:
        expected = [_exact_crps(each, y) for each, y in pairs]
    else:
        expected = [-each.logpdf(y) - constant for each, y in pairs]
    np.testing.assert_allclose(get(name)(prediction, target, **hyper), expected, 1e-9, 1e-9)
    link = declaration_of(get(name)).link_at(hyper)
    inverse = [each.ppf(LEVELS) for each in laws]
    np.testing.assert_allclose(link(prediction), inverse, 1e-9, 1e-9)


def test_mixture_is_that_of_scipy():
    """The density of the sum; quantiles at which its distribution has each level."""
    prediction, target = drawn(9, 2)
    weight = scipy.special.softmax(prediction[:, :3].numpy(), -1)
    mean, scale = prediction[:, 3:6].numpy(), np.exp(prediction[:, 6:].numpy() / 2)
    density = (weight * scipy.stats.norm.pdf(target.numpy()[:, None], mean, scale)).sum(-1)
    loss = get("gaussian_mixture_nll")(prediction, target)
    np.testing.assert_allclose(loss, -np.log(density) - log(2 * pi) / 2, 1e-9, 1e-9)
    quantiles = predictive.mixture(prediction).numpy()[..., None]
    share = (weight[:, None] * scipy.stats.norm.cdf(quantiles, mean[:, None], scale[:, None])).sum(
        -1
    )
    np.testing.assert_allclose(share, np.broadcast_to(LEVELS, share.shape), 1e-9)


def test_ensembles_are_their_double_sums():
    """As printed; quantiles as NumPy's; norms over features for the energy score."""
    prediction, target = drawn(20, 3, (7, 3))
    members = prediction.numpy()
    reach = np.abs(members - target.numpy()[..., None]).mean(-1)
    pairs = np.abs(members[..., None] - members[..., None, :]).sum((-1, -2))
    for name, count in (("crps_ensemble", 20**2), ("fair_crps_ensemble", 20 * 19)):
        expected = (reach - pairs / (2 * count)).mean(-1)
        np.testing.assert_allclose(get(name)(prediction, target), expected, 1e-9)
    np.testing.assert_allclose(
        TASK.link(prediction), np.moveaxis(np.quantile(members, LEVELS, axis=-1), 0, -1), 1e-9
    )
    points = members.swapaxes(-1, -2)
    far = np.linalg.norm(points - target.numpy()[:, None], axis=-1).mean(-1)
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1).sum((-1, -2))
    np.testing.assert_allclose(get("energy_score")(prediction, target), far - apart / 800, 1e-9)


def test_energy_score_of_equal_members_has_a_gradient():
    slope = torch.func.grad(lambda p: get("energy_score")(p, torch.zeros(2, 3)).sum())
    assert slope(torch.ones(2, 3, 4)).isfinite().all()


def same(one, other, prediction, tolerance=1e-9):
    """Value and gradient."""
    torch.testing.assert_close(one(prediction), other(prediction), rtol=tolerance, atol=tolerance)
    slopes = [torch.func.grad(lambda p, f=f: f(p).sum())(prediction) for f in (one, other)]
    torch.testing.assert_close(*slopes, rtol=tolerance, atol=tolerance)


def test_limits_are_the_neighbours():
    """One feature, one component, many degrees of freedom, beta 0, chains, intervals."""
    pair, y = drawn(2, 4)
    many, wide_y = drawn(2, 5, (10, 3))
    normal = get("gaussian_nll")
    same(lambda p: normal(p, y), lambda p: regression.gaussian_nll(p, y), pair)
    same(lambda p: normal(p, wide_y), lambda p: regression.gaussian_nll(p, wide_y), many)
    same(lambda p: get("beta_nll")(p, y, beta=0.0), lambda p: normal(p, y), pair)
    same(lambda p: get("student_t_nll")(p, y, df=1e9), lambda p: normal(p, y), pair, 1e-6)
    one = lambda p: torch.cat([0 * p[:, :1], p], -1)  # noqa: E731
    same(lambda p: get("gaussian_mixture_nll")(one(p), y), lambda p: normal(p, y), pair)
    members, y = drawn(20, 6)
    same(lambda p: get("energy_score")(p, y), lambda p: get("crps_ensemble")(p, y), members)
    chain, y = drawn(19, 7)
    same(
        lambda p: get("monotone_quantiles")(p, y),
        lambda p: get("quantiles")(predictive.chain(p), y),
        chain,
    )
    assert (predictive.chain(chain).diff(dim=-1) > 0).all()
    pair, y = drawn(2, 8)

    def ends(p, alpha):
        low = regression.quantile(p[:, 0], y, q=alpha / 2)
        return 2 / alpha * (low + regression.quantile(p[:, 1], y, q=1 - alpha / 2))

    for alpha in (0.1, 0.4):
        one = lambda p, a=alpha: get("interval_score")(p, y, alpha=a)  # noqa: E731
        same(one, lambda p, a=alpha: ends(p, a), pair)


def test_beta_stops_the_gradient_of_the_weight():
    """At beta 1 the mean's gradient is that of half the square, and the log-variance's a weighted
    one."""
    prediction, y = drawn(2, 9)
    mean, s = prediction.unbind(-1)
    slope = torch.func.grad(lambda p: get("beta_nll")(p, y, beta=1.0).sum())(prediction)
    torch.testing.assert_close(slope[:, 0], mean - y, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(slope[:, 1], (s.exp() - (mean - y) ** 2) / 2, rtol=1e-9, atol=1e-9)


# --- metrics ------------------------------------------------------------------------------------


def test_metrics_are_those_of_scikit_learn_and_the_arithmetic():
    """For each replica, over examples and columns."""
    rng = np.random.default_rng(0)
    q, y = np.sort(rng.normal(size=(2, 30, 3, 19))), rng.normal(size=(2, 30, 3))
    q[0, 0, 0] = q[0, 0, 0, ::-1]
    values = score(metrics_of(WIDE), torch.from_numpy(q), torch.from_numpy(y))
    for r in range(2):
        flat, t = q[r].reshape(-1, 19), y[r].ravel()
        pinball = [mean_pinball_loss(t, flat[:, k], alpha=u) for k, u in enumerate(LEVELS)]
        low, high = flat[:, 0], flat[:, -1]
        outside = np.maximum(low - t, 0) + np.maximum(t - high, 0)
        expected = {
            "crps": 0.1 * np.sum(pinball),
            "pinball": np.mean(pinball),
            "coverage_90": ((low <= t) & (t <= high)).mean(),
            "coverage_50": ((flat[:, 4] <= t) & (t <= flat[:, 14])).mean(),
            "width_90": (high - low).mean(),
            "interval_score_90": (high - low + 20 * outside).mean(),
            "crossing_rate": (1 - r) / 90,
            "calibration_error": np.abs((t[:, None] <= flat).mean(0) - LEVELS).mean(),
        }
        assert list(expected) == METRICS
        for name, value in expected.items():
            assert values[name][r].item() == pytest.approx(value, rel=1e-9), name
    shares = WIDE.details(torch.from_numpy(q), torch.from_numpy(y))["pit.share"]
    assert shares.shape == (2, 20)
    torch.testing.assert_close(shares.sum(-1), torch.ones(2, dtype=torch.float64))


def test_crps_of_an_exact_normal_is_less_than_half_a_percent_low():
    y = torch.from_numpy(scipy.stats.norm.ppf((np.arange(4000) + 0.5) / 4000))
    exact = distributional.crps_gaussian(torch.zeros(4000, 2, dtype=torch.float64), y).mean()
    quantiles = torch.from_numpy(scipy.stats.norm.ppf(LEVELS)).expand(4000, 19)
    ratio = (score(metrics_of(TASK), quantiles, y)["crps"] / exact).item()
    assert 0.995 < ratio < 0.997


def test_a_missing_quantile_makes_the_metrics_nan_that_need_it():
    """And a replica that is NaN altogether has none."""
    estimate = predictive.two_of_them(torch.tensor([[[0.0, 2.0]] * 2, [[NAN] * 2] * 2]), alpha=0.1)
    values = score(metrics_of(TASK), estimate, torch.tensor([[1.0, 2.5]] * 2))
    known = {"coverage_90": 0.5, "width_90": 2.0, "interval_score_90": 7.0}
    for name, value in values.items():
        assert value[0].item() == pytest.approx(known.get(name, NAN), nan_ok=True), name
        assert value[1].isnan(), name


@pytest.mark.parametrize("alpha", [0.15, 0.95])
def test_an_interval_that_metrics_do_not_know_is_refused(alpha):
    with pytest.raises(ValueError, match=r"alpha=0\.[19]5: .* give \.1, \.2"):
        predictive.two_of_them(torch.zeros(3, 2), alpha=alpha)


@pytest.mark.parametrize(
    ("prediction", "words"), [((4, 3), r"\(4, 3\)"), ((4, 2, 5), r"\(4, 2, 5\)")]
)
def test_predictions_of_another_shape_are_refused(prediction, words):
    with pytest.raises(UserError, match=rf"distributional: .*{words}"):
        WIDE.check(torch.zeros(prediction), torch.zeros(4, 3))
    TASK.check(torch.zeros(2, 4, 5), torch.zeros(2, 4))


# --- training and data --------------------------------------------------------------------------

SCALED = """\
import numpy as np
from lossbench.contract import Sample

def scaled(rng, /, *, scale: float = 1.0, offset: float = 0.0, columns: int = 1):
    g = np.random.default_rng(0)
    x = g.normal(size=(120, 3))
    y = offset + scale * (x @ g.normal(size=(3, columns)) + 0.3 * g.normal(size=(120, columns)))
    return Sample(x, y[:, 0] if columns == 1 else y, "distributional")
"""


def trained(here, *words):
    (here / "scaled.py").write_text(SCALED)
    (config,), _ = configurations([*words, "trainer=short", "seeds=2", "tracking=none"])
    return train(config, list(config.seeds))


def test_quantiles_are_in_the_unit_of_the_target(here):
    """A thousand times larger targets, far from 0: the same training, a thousand times the crps."""
    words = ("loss=student_t_nll", "dataset=scaled.py:scaled", "dataset.columns=2")
    small = trained(here, *words).seeds
    large = trained(here, *words, "dataset.scale=1000", "dataset.offset=200000").seeds
    for name in METRICS:
        unit = 1000 if name in ("crps", "pinball", "width_90", "interval_score_90") else 1
        expected = unit * small[f"test/{name}"].to_numpy()
        np.testing.assert_allclose(large[f"test/{name}"].to_numpy(), expected, rtol=1e-3)


def test_an_interval_alone_is_trained_and_scored(here):
    """By the metrics that it has quantiles for; others cannot choose its epochs.

    A figure of where targets fall leaves it out.
    """
    words = ("loss=interval_score", "dataset=scaled.py:scaled")
    with pytest.raises(UserError, match=r"part of what crps needs.*metric=interval_score_90\."):
        trained(here, *words)
    with pytest.raises(UserError, match=r"part of what crps needs\. No metric of the task can do"):
        trained(here, *words, "loss.alpha=0.2")
    result = trained(here, *words, "metric=interval_score_90")
    assert list(result.seeds.status) == ["finished", "finished"]
    assert result.seeds["test/interval_score_90"].notna().all()
    assert result.seeds["test/crps"].isna().all()
    other = trained(here, "loss=crps_laplace", words[1], "metric=interval_score_90")
    (shown,) = compare([result, other], metric="interval_score_90")
    looks = figures.assign_looks([shown])
    (falls,) = [p for p in figures.draw_pictures(shown, looks) if p.title == "Where targets fall"]
    (line, reference) = falls.drawings[0].lines
    assert line.label == "crps_laplace"
    assert np.sum(line.y) == pytest.approx(1)
    assert set(np.ravel(reference.y)) == {0.05}


def test_a_link_takes_every_value_that_is_tuned():
    """Of a loss whose link has a hyper-parameter: of the degrees of student_t_nll, say."""
    asked = 0
    for plugin in (p for p in registry.installed("loss") if p.package == "lossbench"):
        declared = declaration_of(registry.load(plugin))
        outputs = declared.outputs if isinstance(declared.outputs, int) else 5
        for name, low, high in declared.tune:
            if name in declared.link_keywords:
                asked += 1
                for value in np.linspace(low, high, 9):
                    declared.link_at({name: value})(torch.zeros(2, outputs))
    assert asked > 1


@pytest.mark.parametrize("noise", amounts.NOISES)
def test_quantiles_of_the_made_data_are_known(noise):
    """The true ones cover what they should, and their crps is the least that the note says."""
    rng = np.random.default_rng(1)
    sample = amounts.heteroscedastic(rng, samples=20_000, features=1, noise=noise, spread=0.0)
    centre = sample.inputs[:, 0] * np.sign(np.corrcoef(sample.inputs[:, 0], sample.targets)[0, 1])
    quantiles = centre[:, None] + 0.5 * amounts.NOISES[noise].ppf(LEVELS)
    replica = torch.from_numpy(quantiles)[None], torch.from_numpy(sample.targets)[None]
    values = {name: value[0] for name, value in score(metrics_of(TASK), *replica).items()}
    assert values["calibration_error"] < 0.005
    assert values["crps"].item() == pytest.approx(0.5 * amounts.least_crps(noise), rel=0.02)
    assert f"{0.5 * amounts.least_crps(noise):.4g}" in sample.notes[0]


REAL = [
    # data set, package, examples, features, mean
    ("engel", "statsmodels", 235, 1, 624.15),
    ("wage", "ISLP", 3000, 22, 111.7),
]


@pytest.mark.parametrize(("name", "package", "examples", "features", "mean"), REAL)
def test_real_targets_come_in_wheels(name, package, examples, features, mean):
    if not installed(package):
        pytest.skip(f"{package} is not installed: pip install --no-deps {package}")
    sample = getattr(amounts, name)(np.random.default_rng(0))
    assert sample.inputs.shape == (examples, features)
    assert sample.targets.mean() == pytest.approx(mean, rel=1e-3)
    assert sample.task == "distributional"
