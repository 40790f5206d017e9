"""The survival task: its losses, their neighbours and extremes, its metrics, its data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from structured_equations import along, exact, mp, sigmoid, softmax

from lossbench import get_loss, run
from lossbench.contract import UserError, declaration_of
from lossbench.datasets import durations, files
from lossbench.losses import binary, survival
from lossbench.metrics import metrics_of, score
from lossbench.tasks.survival import Survival

CUTS = [1.0, 2.0, 3.5, 5.0]
FIVE = Survival((2,), 4)
GRID = ("logistic_hazard", "pmf", "mtlr", "deephit")
AFT = ("weibull_aft", "log_normal_aft")
RISK = ("cox", "cox_efron")
LOSSES = (*RISK, *GRID, *AFT)


# ---- the equations, in 60 digits and plain loops -------------------------------------------------
def _partial(f, y, efron):
    total, events = mp.mpf(0), [i for i, (_, event) in enumerate(y) if event]
    for t in sorted({y[i][0] for i in events}):
        tied = [i for i in events if y[i][0] == t]
        at_risk = mp.fsum(mp.exp(f[j]) for j, (time, _) in enumerate(y) if time >= t)
        for place, i in enumerate(tied):
            gone = mp.fsum(mp.exp(f[j]) for j in tied) * place / len(tied) if efron else 0
            total += mp.log(at_risk - gone) - f[i]
    return [total / max(1, len(events))]


def cox(f, y):
    return _partial(f, y, efron=False)


def cox_efron(f, y):
    return _partial(f, y, efron=True)


def place(t, event, cuts):
    """The intervals survived, and whether the event came in the next."""
    if event and t <= cuts[-1]:
        return next(k for k, c in enumerate(cuts) if t <= c), True
    return sum(c <= t for c in cuts), False


def logistic_hazard(z, y, cuts):
    values = []
    for row, target in along(z, y):
        m, seen = place(*target, cuts)
        value = -mp.fsum(mp.log(sigmoid(-x)) for x in row[:m])
        values.append(value - mp.log(sigmoid(row[m])) if seen else value)
    return values


def pmf(z, y, cuts):
    values = []
    for row, target in along(z, y):
        m, seen = place(*target, cuts)
        p = softmax([*row, mp.mpf(0)])
        values.append(-mp.log(p[m] if seen else mp.fsum(p[m:])))
    return values


def mtlr(z, y, cuts):
    return pmf([[mp.fsum(row[k:]) for k in range(len(row))] for row in z], y, cuts)


def deephit(z, y, cuts, alpha=0.2, sigma=0.1):
    p, places = [softmax([*row, mp.mpf(0)]) for row in z], [place(*target, cuts) for target in y]
    values = []
    for i, (m, seen) in enumerate(places):
        total = mp.mpf(0)
        for j, (other, event) in enumerate(places):
            last = other if event else other - 1
            if seen and (m < last or (m == last and not event)):
                ahead = mp.fsum(p[j][: m + 1]) - mp.fsum(p[i][: m + 1])
                total += mp.exp(ahead / mp.mpf(sigma))
        values.append((1 - mp.mpf(alpha)) * total / len(y))
    return [mp.mpf(alpha) * a + b for a, b in along(pmf(z, y, cuts), values)]


def weibull_aft(z, y):
    values = []
    for (a, b), (t, event) in along(z, y):
        shape, u = mp.exp(b), mp.log(t) - a
        values.append(mp.exp(shape * u) - event * (mp.log(shape) + shape * u))
    return values


def log_normal_aft(z, y):
    values = []
    for (m, s), (t, event) in along(z, y):
        w = (mp.log(t) - m) * mp.exp(-s / 2)
        values.append((s + w**2) / 2 if event else -mp.log(mp.erfc(w / mp.sqrt(2)) / 2))
    return values


HYPER = {"deephit": [{}, {"alpha": 0.7, "sigma": 0.5}, {"alpha": 0.0, "sigma": 2.0}]}


def batch(name, seed, count=6, scale=2.0):
    """Outputs on a grid that float32 holds; times with ties, on edges and beyond the grid."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count,) if name in RISK else (count, 2 if name in AFT else len(CUTS))
    drawn = torch.randn(*shape, generator=generator, dtype=torch.float64) * scale
    time = torch.randint(1, 13, (count,), generator=generator) / 2
    event = torch.randint(3, (count,), generator=generator) > 0
    return (drawn * 64).round() / 64, torch.stack([time.double(), event.double()], -1)


def call(name, prediction, target, **hyper):
    facts = {"cuts": torch.tensor(CUTS)} if name in GRID else {}
    return getattr(survival, name)(prediction, target, **facts, **hyper)


def gradient(name, prediction, target, **hyper):
    leaf = prediction.clone().requires_grad_()
    return torch.autograd.grad(call(name, leaf, target, **hyper).sum(), leaf)[0]


def same(actual, expected, rtol=1e-9, atol=1e-13):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [0.5, 2.0, 15.0])
def test_a_loss_is_its_equation(name, scale):
    """Value and gradient are those in 60 digits, in float64 and in float32."""
    scale = min(scale, 2.0) if name in AFT else scale  # beyond, float32 overflows
    for hyper in HYPER.get(name, [{}]):
        prediction, target = batch(name, 1, 5, scale)
        facts = {"cuts": CUTS} if name in GRID else {}
        values, slopes = exact(
            globals()[name], prediction.tolist(), target.tolist(), **facts, **hyper
        )
        for dtype, digits in ((torch.float64, 1e-9), (torch.float32, 5e-5)):
            z, y = prediction.to(dtype), target.to(dtype)
            same(call(name, z, y, **hyper).reshape(-1), values, digits, digits / 10)
            largest = max(1.0, *map(abs, slopes))
            same(gradient(name, z, y, **hyper).flatten(), slopes, digits, digits / 10 * largest)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(name, dtype):
    """At 0 and at 1e4, mixed and equal, value and gradient are finite where the formula is."""
    for seed in range(6):
        prediction, target = batch(name, seed, 8)
        sizes = torch.tensor([0.0, 1.0, 30.0, 1e4])[torch.arange(8) * seed % 4]
        far = prediction.sign() * sizes.reshape(-1, *[1] * (prediction.ndim - 1))
        if name in AFT:
            far[:, 1] = far[:, 1].clamp(-3, 3)
        if name == "weibull_aft":
            far[:, 0] = far[:, 0].abs()  # times far beyond the scale overflow
        far, target = far.to(dtype), target.to(dtype)
        assert call(name, far, target).isfinite().all()
        assert gradient(name, far, target).isfinite().all()


def test_far_tails_keep_their_digits():
    """-log(1 - Phi(6)) in float32, where 1 - Phi(6) is rounded to 0, and its gradient far out."""
    z, y = torch.tensor([[-6.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    same(call("log_normal_aft", z, y), [20.73676889], 1e-6)
    far = torch.tensor([[-1e4, 0.0]], dtype=torch.float64)
    same(gradient("log_normal_aft", far, y.double())[:, 0], [-1e4 - 1e-4], 1e-12)


# ---- neighbours ----------------------------------------------------------------------------------
def test_one_interval_is_binary():
    """Of what is seen before its edge, or survives it."""
    z = torch.linspace(-4, 4, 9, dtype=torch.float64)[:, None]
    event = (torch.arange(9) % 2).double()
    target = torch.stack([2 - event / 2, event], -1)
    expected = binary.cross_entropy(z[:, 0], event)
    for name in ("logistic_hazard", "pmf", "mtlr"):
        same(getattr(survival, name)(z, target, cuts=torch.tensor([2.0])), expected)


def test_hazards_and_masses_are_one_model():
    """With h_k = p_k / sum_{j >= k} p_j both have the same value."""
    z, y = batch("pmf", 2, 20)
    p = torch.softmax(torch.nn.functional.pad(z, (0, 1)), -1)
    h = p[:, :-1] / p.flip(-1).cumsum(-1).flip(-1)[:, :-1]
    same(call("logistic_hazard", torch.logit(h), y), call("pmf", z, y))
    same(call("deephit", z, y, alpha=1.0), call("pmf", z, y))


@pytest.mark.parametrize("name", ["logistic_hazard", "pmf", "mtlr"])
def test_who_is_censored_before_the_first_edge_costs_nothing(name):
    z, _ = batch(name, 3, 4)
    target = torch.tensor([[0.5, 0.0]]).double().expand(4, 2)
    same(call(name, z, target), torch.zeros(4))
    same(gradient(name, z, target), torch.zeros(4, 4))


def test_an_event_beyond_the_grid_is_censored_there():
    z, _ = batch("pmf", 3, 1)
    for name in ("logistic_hazard", "pmf", "mtlr"):
        event, censored = (torch.tensor([[t, e]]).double() for t, e in ((9.0, 1.0), (5.0, 0.0)))
        same(call(name, z, event), call(name, z, censored))


def test_partial_likelihoods():
    """Without ties they are one; with ties Efron's is less; constants and clocks do not count."""
    f, y = batch("cox", 4, 12)
    assert call("cox_efron", f, y) < call("cox", f, y)
    clock = torch.stack([y[:, 0] ** 3 + 5, y[:, 1]], -1)
    apart = torch.stack([y[:, 0] + torch.arange(12) / 100, y[:, 1]], -1)
    for name in RISK:
        same(call(name, f + 7, y), call(name, f, y))
        same(call(name, f, clock), call(name, f, y))
        none = torch.stack([y[:, 0], torch.zeros(12)], -1)
        same(call(name, f, none), 0.0)
        same(gradient(name, f, none), torch.zeros(12))
    same(call("cox_efron", f, apart), call("cox", f, apart))


def test_weibull_and_log_normal_are_those_of_scipy():
    """With the terms back that hold the time alone."""
    z, y = batch("weibull_aft", 5, 20, 0.5)
    t, seen = y[:, 0].numpy(), y[:, 1].numpy() > 0
    a, b = z.numpy().T
    weibull = stats.weibull_min(c=np.exp(b), scale=np.exp(a))
    normal = stats.lognorm(s=np.exp(b / 2), scale=np.exp(a))
    for name, law, rest in (("weibull_aft", weibull, 0), ("log_normal_aft", normal, 0.918938533)):
        expected = np.where(seen, -law.logpdf(t) - np.log(t) - rest, -law.logsf(t))
        same(call(name, z, y), expected, 1e-8)


# ---- links ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [*GRID, *AFT])
def test_a_link_gives_a_falling_curve_that_the_loss_believes_in(name):
    """Who is censored at an edge costs -log of what the curve has there."""
    z, _ = batch(name, 6, 30, 1.0)
    link = declaration_of(getattr(survival, name)).link_at({"cuts": torch.tensor(CUTS).double()})
    curve = link(z)
    assert curve.shape == (30, 4)
    assert (curve.diff(dim=-1) <= 0).all()
    if name != "deephit":
        for k, edge in enumerate(CUTS):
            censored = torch.tensor([[edge, 0.0]]).double().expand(30, 2)
            same(torch.exp(-call(name, z, censored)), curve[:, k])


def test_the_baseline_of_cox_is_that_of_breslow():
    """Of each replica, by a plain loop; a constant that is added to the risks cancels."""
    rng = np.random.default_rng(0)
    time, event = rng.integers(1, 9, (2, 25)) / 2.0, rng.integers(0, 2, (2, 25))
    event[:, 0] = 1
    risk = torch.from_numpy(rng.normal(size=(2, 25)))
    target = torch.from_numpy(np.stack([time, event], -1).astype(float))
    cuts, baseline = FIVE.facts(target)["cuts"], FIVE.fitted_facts(risk, target)["baseline"]
    for r in range(2):
        for k, cut in enumerate(cuts[r].tolist()):
            hazard = sum(
                1 / risk[r].exp()[time[r] >= t].sum().item()
                for t, e in zip(time[r], event[r], strict=True)
                if e and t <= cut
            )
            assert baseline[r, k].exp().item() == pytest.approx(hazard)
    link = declaration_of(survival.cox).link
    moved = FIVE.fitted_facts(risk + 3, target)["baseline"]
    same(link(risk[0] + 3, baseline=moved[0]), link(risk[0], baseline=baseline[0]))


# ---- the task ------------------------------------------------------------------------------------
def test_cuts_are_quantiles_of_the_event_times():
    """Of each replica; the censored do not count."""
    target = torch.tensor([[1.0, 1], [2.0, 1], [9.0, 0], [3.0, 1], [5.0, 1], [4.0, 1]])
    other = target * torch.tensor([2.0, 1.0])
    cuts = FIVE.facts(torch.stack([target, other]))["cuts"]
    expected = np.quantile([1, 2, 3, 4, 5], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(cuts.numpy(), [expected, 2 * expected])


def _concordance(risk, time, event):
    wins = pairs = 0.0
    for i in range(len(risk)):
        for j in range(len(risk)):
            if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
                pairs += 1
                wins += 1.0 if risk[i] > risk[j] else 0.5 * (risk[i] == risk[j])
    return wins / pairs


def _watched(time, event, t, before):
    """Kaplan and Meier's chance of not being censored up to t, or before it."""
    chance = 1.0
    for u in np.unique(time):
        if u < t or (u == t and not before):
            at_risk = (time >= u).sum() - ((time == u) & (event == 1)).sum()
            if at_risk:
                chance *= 1 - ((time == u) & (event == 0)).sum() / at_risk
    return chance


def _brier(curve, time, event, cuts):
    scores, inside = [], [k for k, c in enumerate(cuts) if c < time.max()]
    for k in inside:
        total = 0.0
        for s, t, e in zip(curve[:, k], time, event, strict=True):
            if t <= cuts[k] and e:
                total += s**2 / _watched(time, event, t, before=True)
            elif t > cuts[k]:
                total += (1 - s) ** 2 / _watched(time, event, cuts[k], before=False)
        scores.append(total / len(time))
    places = [cuts[k] for k in inside]
    return np.trapezoid(scores, places) / (places[-1] - places[0])


@pytest.mark.parametrize("seed", range(4))
def test_metrics_are_those_of_plain_loops(seed):
    """Of each replica, with equal times and equal risks."""
    rng = np.random.default_rng(seed)
    curve = np.sort(rng.uniform(size=(2, 30, 4)), -1)[..., ::-1].copy()
    curve[:, :6] = curve[:, :1]
    time, event = rng.integers(1, 13, (2, 30)) / 2, rng.integers(0, 2, (2, 30))
    target = torch.from_numpy(np.stack([time, event], -1).astype(float))
    cuts = torch.tensor([CUTS, [1.0, 2.0, 4.0, 9.0]], dtype=torch.float64)
    scores = score(metrics_of(FIVE), torch.from_numpy(curve), target, facts={"cuts": cuts})
    for r in range(2):
        c = _concordance(-curve[r].sum(-1), time[r], event[r])
        assert scores["concordance"][r].item() == pytest.approx(c, abs=1e-12)
        brier = _brier(curve[r], time[r], event[r], cuts[r].tolist())
        assert scores["integrated_brier_score"][r].item() == pytest.approx(brier, abs=1e-12)


def test_what_is_no_curve_has_no_brier_score():
    """A risk without a baseline is ordered, and nothing more; without a pair there is no order."""
    prediction, target = FIVE.example()
    facts = {"cuts": FIVE.facts(target)["cuts"][None]}
    estimate = FIVE.estimate(prediction, None)[None]
    scores = score(metrics_of(FIVE), estimate, target[None], facts=facts)
    assert scores["concordance"].isfinite().all()
    assert scores["integrated_brier_score"].isnan().all()
    censored = target * torch.tensor([1.0, 0.0])
    assert score(metrics_of(FIVE), estimate, censored[None], facts=facts)["concordance"].isnan()


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.array([[0.0, 1], [2, 1], [3, 0]]), "a time is 0"),
        (np.array([[1.0, 1], [2, 2], [3, 0]]), "an event is 2"),
        (np.array([[np.nan, 1], [2, 1], [3, 0]]), "a time is nan"),
        (np.array([1.0, 2.0, 3.0]), r"give numbers \(3, 2\), time and event"),
        (np.array([[1.0, 1], [1, 1], [3, 0]]), "less than two times"),
    ],
)
def test_invalid_data_are_refused(targets, words):
    with pytest.raises(UserError, match=words):
        Survival.of(np.zeros((3, 2)), targets)


def test_get_loss_takes_every_kind_of_output():
    """A risk, two numbers, and one for each interval."""
    target = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    assert get_loss("cox", task="survival")(torch.zeros(2), target).shape == ()
    assert get_loss("weibull_aft", task="survival")(torch.zeros(2, 2), target).shape == (2,)
    loss = get_loss("pmf", task="survival")
    assert loss(torch.zeros(2, 4), target, cuts=torch.tensor(CUTS)).shape == (2,)
    with pytest.raises(UserError, match="a time is -1"):
        loss(torch.zeros(2, 4), -target, cuts=torch.tensor(CUTS))


# ---- data ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("kind", "law"), [("weibull", stats.expon), ("log_normal", stats.norm)])
def test_event_times_follow_their_law(kind, law):
    """Without censoring the noise is what it is said to be; with it the share is exact."""
    sample = durations.event_times(np.random.default_rng(0), samples=5000, kind=kind, censored=0.0)
    time, event = sample.targets.T
    assert event.all()
    fit = np.linalg.lstsq(np.c_[sample.inputs, np.ones(5000)], np.log(time), rcond=None)[0]
    assert np.linalg.norm(fit[:-1]) == pytest.approx(1.0, rel=0.05)
    noise = 1.5 * (np.log(time) - sample.inputs @ fit[:-1])
    assert stats.kstest(np.exp(noise) if kind == "weibull" else noise, law.cdf).pvalue > 0.01
    censored = durations.event_times(np.random.default_rng(0), censored=0.4, round_to=0.5)
    assert censored.targets[:, 1].sum() == 600
    assert (censored.targets[:, 0] % 0.5 == 0).all()


def test_cox_finds_what_made_the_data(tmp_path):
    """A linear model orders as well as the truth does; its curve beats the constant one."""
    words = ["dataset=event_times", "dataset.samples=400", "model=linear", "trainer.max_epochs=10"]
    words += ["seeds=2", "optimizer.lr=0.05", "tracking=none", f"results.dir={tmp_path}"]
    seeds = run("loss=cox", *words).seeds
    assert (seeds["test/concordance"] > 0.75).all()
    assert (seeds["test/integrated_brier_score"] < 0.15).all()


SETS = [("rossi", 432, 7), ("gbsg2", 686, 12), ("actg175", 2139, 22)]


@pytest.mark.parametrize(("name", "rows", "features"), SETS)
def test_real_sets_are_what_they_say(name, rows, features):
    try:
        sample = getattr(durations, name)(np.random.default_rng(0))
    except UserError as error:
        pytest.skip(str(error))
    assert sample.inputs.shape == (rows, features)
    assert np.isfinite(sample.inputs).all()
    Survival.of(sample.inputs, sample.targets)


STEP = np.arange(30)
TABLE = {"x": STEP * 0.5, "days": STEP % 7 + 1, "died": STEP % 2}


def read(tmp_path, changed, **parameters):
    """A table with these columns, read as survival of days."""
    file = tmp_path / "table.csv"
    pd.DataFrame({**TABLE, **changed}).to_csv(file, index=False)
    options = {"task": "survival", "event": "died", "target": "days", **parameters}
    return files.csv(np.random.default_rng(0), path=str(file), **options)


def test_a_table_of_times_and_events_is_read(tmp_path):
    """The event is no feature; true and false are 1 and 0."""
    sample = read(tmp_path, {"died": STEP % 2 == 1})
    assert sample.task == "survival"
    assert sample.inputs.shape == (30, 1)
    assert sample.targets[:3].tolist() == [[1, 0], [2, 1], [3, 0]]


@pytest.mark.parametrize(
    ("changed", "parameters", "words"),
    [
        ({}, {"event": None}, "give dataset.event too"),
        ({}, {"event": "dead"}, "dataset.event=dead: no column of .* Did you mean died"),
        ({}, {"task": "regression"}, "dataset.event=died: it needs dataset.task=survival"),
        ({"died": np.where(STEP % 2, "yes", "no")}, {}, "'died' is text .*; give 1 for an event"),
        ({"died": STEP % 3}, {}, r"table.csv: column 'died' holds 2 \(10 of 30 rows\); give 1 for"),
        (
            {"days": STEP - 3},
            {},
            r"table.csv: column 'days' holds -3 \(4 of 30 .*; give times above",
        ),
        (
            {"days": [*STEP[:-1].tolist(), None]},
            {},
            "'days' is missing in 1 .*; remove those rows.$",
        ),
    ],
)
def test_a_table_without_events_is_refused(tmp_path, changed, parameters, words):
    with pytest.raises(UserError, match=words):
        read(tmp_path, changed, **parameters)
