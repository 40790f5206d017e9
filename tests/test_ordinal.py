"""The ordinal task: its losses, their neighbours and extremes, its metrics, its data."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score
from structured_equations import along, exact, mp, sigmoid, softmax

from lossbench import get_loss
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError, declaration_of
from lossbench.datasets import files, ordered, wheels
from lossbench.losses import binary, binary_margins, multiclass, ordinal
from lossbench.metrics import metrics_of, score
from lossbench.tasks.ordinal import Ordinal
from lossbench.training import data, make_recipe
from lossbench.training.stack import Stack

FOUR = Ordinal((2,), 4)
THRESHOLDS = ("coral", "corn", "cumulative_link", "ordinal_hinge")
OF_CLASSES = ("cross_entropy", "sord", "emd", "weighted_kappa")
LOSSES = (*OF_CLASSES, *THRESHOLDS)


# ---- the equations, in 60 digits and plain loops -------------------------------------------------
def minus_log(p):
    return -mp.log(p)


def cross_entropy(z, y, class_weight=None):
    return [(class_weight or [1] * len(k))[t] * minus_log(softmax(k)[t]) for k, t in along(z, y)]


def _threshold(logit, beyond):
    return minus_log(sigmoid(logit) if beyond else sigmoid(-logit))


def coral(z, y):
    return [mp.fsum(_threshold(x, t > k) for k, x in enumerate(row)) for row, t in along(z, y)]


def corn(z, y):
    return [
        mp.fsum(_threshold(x, t > k) for k, x in enumerate(row) if k <= t) for row, t in along(z, y)
    ]


def cumulative_link(z, y):
    values = []
    for row, t in along(z, y):
        cuts = [row[0]]
        for x in row[1:]:
            cuts.append(cuts[-1] - mp.log(1 + mp.exp(x)))
        beyond = [mp.mpf(1), *map(sigmoid, cuts), mp.mpf(0)]
        values.append(minus_log(beyond[t] - beyond[t + 1]))
    return values


def sord(z, y, scale=1):
    return [
        mp.fsum(w * minus_log(p) for w, p in along(softmax(weights), softmax(row)))
        for row, t in along(z, y)
        for weights in [[-mp.mpf(scale) * abs(k - t) for k in range(len(row))]]
    ]


def emd(z, y):
    return [
        mp.fsum((mp.fsum(softmax(row)[: k + 1]) - (t <= k)) ** 2 for k in range(len(row)))
        for row, t in along(z, y)
    ]


def weighted_kappa(z, y, power=2):
    p = [softmax(row) for row in z]

    def cost(t, row):
        return mp.fsum(abs(t - k) ** mp.mpf(power) * x for k, x in enumerate(row) if k != t)

    observed = mp.fsum(cost(t, row) for t, row in along(y, p))
    return [observed / (mp.fsum(cost(t, row) for t in y for row in p) / len(y))]


def ordinal_hinge(z, y):
    return [
        mp.fsum(max(0, 1 - (1 if t > k else -1) * x) for k, x in enumerate(row))
        for row, t in along(z, y)
    ]


HYPER = {
    "cross_entropy": [{}, {"class_weight": (1.0, 3.0, 0.5, 2.0)}],
    "sord": [{}, {"scale": 0.3}],
    "weighted_kappa": [{}, {"power": 1.0}, {"power": 2.5}],
}


def batch(name, seed, count=5, scale=3.0):
    """Outputs of a loss for four classes, on a grid that float32 holds, and targets."""
    generator = torch.Generator().manual_seed(seed)
    outputs = 3 if name in THRESHOLDS else 4
    drawn = torch.randn(count, outputs, generator=generator, dtype=torch.float64) * scale
    return (drawn * 64).round() / 64, torch.randint(4, (count,), generator=generator)


def call(name, prediction, target, **hyper):
    return getattr(ordinal, name)(prediction, target, **hyper)


def gradient(name, prediction, target, **hyper):
    leaf = prediction.clone().requires_grad_()
    return torch.autograd.grad(call(name, leaf, target, **hyper).sum(), leaf)[0]


def same(actual, expected, rtol=1e-9, atol=1e-14):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [0.5, 3.0, 20.0])
def test_a_loss_is_its_equation(name, scale):
    """Value and gradient are those in 60 digits, in float64 and in float32."""
    for hyper in HYPER.get(name, [{}]):
        prediction, target = batch(name, 1, 4, scale)
        values, slopes = exact(globals()[name], prediction.tolist(), target.tolist(), **hyper)
        for dtype, digits in ((torch.float64, 1e-9), (torch.float32, 2e-5)):
            z = prediction.to(dtype)
            same(call(name, z, target, **hyper).reshape(-1), values, digits, digits / 10)
            same(gradient(name, z, target, **hyper).flatten(), slopes, digits, digits / 10)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(name, dtype):
    """At 0 and at 1e4, mixed and equal, value and gradient are finite."""
    for seed in range(6):
        prediction, target = batch(name, seed, 8)
        sizes = torch.tensor([0.0, 1.0, 30.0, 1e4])[torch.arange(8) * seed % 4]
        far = (prediction.sign() * sizes[:, None]).to(dtype)
        assert call(name, far, target).isfinite().all()
        assert gradient(name, far, target).isfinite().all()


def test_extremes_have_the_values_of_the_formula():
    """Sure mistakes cost their logits, and keep their gradient where the formula has one."""
    far, last = torch.tensor([[1e4, -1e4, -1e4]], dtype=torch.float64), torch.tensor([3])
    same(call("coral", far, last), [2e4])
    same(call("corn", far, last), [2e4])
    same(call("ordinal_hinge", far, last), [2e4 + 2])
    same(call("cumulative_link", -far[:, :1].expand(1, 3), last), [1e4])
    same(gradient("coral", far, last), [[0.0, -1.0, -1.0]])
    same(call("cumulative_link", torch.tensor([[30.0, -29.0]]), torch.tensor([1])), [59.0], 1e-6)
    sure = torch.tensor([[1e4, 0, 0, 0]] * 3, dtype=torch.float64)
    same(call("emd", sure, torch.tensor([0, 1, 3])), [0.0, 1.0, 3.0])
    same(call("weighted_kappa", sure, torch.tensor([0, 0, 0])), 1.0)


# ---- neighbours ----------------------------------------------------------------------------------
def test_two_classes_are_binary():
    z, y = torch.linspace(-4, 4, 9, dtype=torch.float64), torch.arange(9) % 2
    for name in ("coral", "corn", "cumulative_link"):
        same(call(name, z[:, None], y), binary.cross_entropy(z, y.double()))
    same(call("ordinal_hinge", z[:, None], y), binary_margins.hinge(z, y.double()))
    two = torch.stack([torch.zeros_like(z), z], 1)
    same(call("emd", two, y), binary.squared_error(z, y.double()))


def test_limits_are_the_neighbours():
    """sord at a large scale, and the baseline, are the multiclass cross entropy."""
    z, y = batch("sord", 3, 20)
    expected = multiclass.cross_entropy(z, y)
    same(call("sord", z, y, scale=200.0), expected)
    same(call("cross_entropy", z, y), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_the_classes_may_be_reversed(name):
    """With outputs reversed, thresholds also negated; corn alone is another model then."""
    z, y = batch(name, 4, 20)
    turned = -z.flip(-1) if name in THRESHOLDS else z.flip(-1)
    if name == "cumulative_link":  # in its cuts: the gaps are the same, the other way round
        cuts = ordinal._cuts(z)
        turned = torch.cat([-cuts[:, -1:], z[:, 1:].flip(-1)], 1)
    values = call(name, turned, 3 - y)
    if name == "corn":
        assert not torch.allclose(values, call(name, z, y))
    else:
        same(values, call(name, z, y))


def test_weighted_kappa_of_what_is_constant_is_1():
    """Of predictions, and of the batch's classes, where no gradient is left."""
    z, y = batch("weighted_kappa", 5, 12)
    same(call("weighted_kappa", z[:1].expand(12, 4), y), 1.0)
    one_class = torch.full((12,), 2)
    same(call("weighted_kappa", z, one_class), 1.0)
    same(gradient("weighted_kappa", z, one_class), torch.zeros(12, 4))


@pytest.mark.parametrize("name", ["corn", "cumulative_link"])
def test_a_likelihood_is_that_of_its_link(name):
    """-log p_y, with the probabilities that the link makes of the outputs."""
    z, y = batch(name, 6, 20, 1.0)
    p = declaration_of(getattr(ordinal, name)).link(z)
    same(call(name, z, y), -p.gather(1, y[:, None]).squeeze(1).log())


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_link_gives_probabilities(name):
    """At least 0 and with the sum 1, also of thresholds that are not in order."""
    p = declaration_of(getattr(ordinal, name)).link(batch(name, 7, 50)[0])
    assert p.shape == (50, 4)
    assert (p >= 0).all()
    same(p.sum(-1), torch.ones(50))


@pytest.mark.parametrize("name", ["coral", "cumulative_link"])
def test_a_head_makes_consistent_ranks(name):
    """One score moves all thresholds or cuts alike."""
    declared = declaration_of(getattr(ordinal, name))
    scores, free = torch.linspace(-3, 3, 7, dtype=torch.float64), torch.tensor([0.5, -1.0, 2.0])
    outputs = declared.head(scores, free.double())
    assert outputs.shape == (7, declared.outputs(4))
    cuts = ordinal._cuts(outputs) if name == "cumulative_link" else outputs
    same(cuts - scores[:, None], (cuts[:1] - scores[0]).expand(7, 3))


@pytest.mark.parametrize("name", LOSSES)
def test_models_start_at_the_shares_of_their_training_classes(name):
    """Whatever the outputs; a class without an example counts as half of one."""
    declared = declaration_of(get_loss(name, task="ordinal"))
    target = torch.tensor([0] * 3 + [1] * 10 + [3] * 6)
    start = Ordinal((2,), 4).start(target, declared)
    shares = Ordinal((2,), 4).estimate(start, declared.link)
    torch.testing.assert_close(shares, torch.tensor([3.0, 10.0, 0.5, 6.0]) / 19.5)


@pytest.mark.parametrize("name", ["coral", "corn", "cross_entropy"])
def test_each_replica_starts_at_its_own_shares(name):
    """In the free numbers of a head, where the loss has one, else in the last bias."""
    words = [f"loss={name}", "dataset=graded", "seeds=2", "tracking=none", "corruption=imbalance"]
    (config,), _ = configurations(words)
    splits, declared = data(config, [0, 1]), declaration_of(get_loss(name, task="ordinal"))
    stack = Stack(make_recipe(config, splits), splits, [0, 1])
    end = "free" if declared.head else "bias"
    numbers = [p for n, p in zip(stack.names, stack.stacked, strict=True) if n.endswith(end)]
    own = [splits.task.start(splits.train_targets(r), declared) for r in range(2)]
    assert torch.equal(numbers[-1].detach(), torch.stack(own))


# ---- the task ------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(4))
def test_metrics_are_those_of_their_references(seed):
    """Of each replica, scikit-learn's kappa and plain loops; ties go to the lower class."""
    rng = np.random.default_rng(seed)
    p, y = rng.dirichlet(np.ones(4), (2, 30)), rng.integers(0, 4, (2, 30))
    p[:, :6] = 0.25
    scores = score(metrics_of(FOUR), torch.from_numpy(p), torch.from_numpy(y))
    for r in range(2):
        decided = p[r].argmax(-1)
        off = np.abs(decided - y[r])
        reached = y[r][:, None] <= np.arange(4)
        expected = {
            "quadratic_weighted_kappa": cohen_kappa_score(y[r], decided, weights="quadratic"),
            "mean_absolute_error": off.mean(),
            "accuracy": (off == 0).mean(),
            "accuracy_within_1": (off < 2).mean(),
            "ranked_probability_score": ((p[r].cumsum(1) - reached) ** 2).sum(1).mean(),
        }
        assert list(scores) == list(expected)
        for name, value in expected.items():
            assert scores[name][r].item() == pytest.approx(value, abs=1e-12), name


def test_kappa_of_one_class_alone_is_unknown():
    """Decided and true: nothing is left that chance would not give."""
    p = torch.eye(4, dtype=torch.float64)[torch.zeros(1, 10, dtype=torch.int64)]
    scores = score(metrics_of(FOUR), p, torch.zeros(1, 10, dtype=torch.int64))
    assert scores["quadratic_weighted_kappa"].isnan().all()
    assert scores["mean_absolute_error"] == 0


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (np.array([0, 1, 0, 1]), "at least three classes"),
        (np.array([0, 1, 3, 1]), "without a gap"),
        (np.array([0.0, 1.0, 2.0, 1.0]), "integers"),
    ],
)
def test_data_without_three_classes_in_order_are_refused(targets, words):
    with pytest.raises(UserError, match=words):
        Ordinal.of(np.zeros((4, 2)), targets)


@pytest.mark.parametrize(
    ("name", "width", "label", "words"),
    [("cross_entropy", 4, 4, "class 4"), ("coral", 3, 4, "class 4"), ("coral", 3, -1, "-1")],
)
def test_a_class_that_there_is_not_is_refused(name, width, label, words):
    """A loss of thresholds has one class more than outputs, one of logits as many."""
    loss = get_loss(name, task="ordinal")
    last = 3 if name == "coral" else width - 1
    assert loss(torch.zeros(2, width), torch.tensor([0, last])).isfinite().all()
    with pytest.raises(UserError, match=words):
        loss(torch.zeros(2, width), torch.tensor([0, label]))


# ---- data ----------------------------------------------------------------------------------------
def test_graded_is_the_proportional_odds_model():
    """Each threshold has the same weights, of the length that is asked for, and its own cut."""
    sample = ordered.graded(np.random.default_rng(0), samples=40_000, features=3, classes=4)
    cuts = ordered.cuts_of(4, 3.0, 1.5)
    np.testing.assert_allclose(cuts, [-3, -0.6, 3])
    for k, cut in enumerate(cuts):
        fit = LogisticRegression(C=1e6).fit(sample.inputs, sample.targets > k)
        assert np.linalg.norm(fit.coef_) == pytest.approx(3.0, rel=0.05)
        assert fit.intercept_[0] == pytest.approx(-cut, abs=0.1)


SETS = [("abalone", 4177, 10, 6), ("party", 944, 8, 7), ("marriage", 6366, 8, 5)]


@pytest.mark.parametrize(("name", "rows", "features", "classes"), SETS)
def test_real_sets_are_what_they_say(name, rows, features, classes):
    try:
        sample = getattr(ordered, name)(np.random.default_rng(0))
    except UserError as error:
        pytest.skip(str(error))
    assert sample.inputs.shape == (rows, features)
    task = Ordinal.of(sample.inputs, sample.targets)
    assert task.num_classes == classes


def test_a_set_whose_package_is_absent_says_how_to_have_it(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(wheels, "distribution", absent)
    with pytest.raises(UserError, match=r"^dataset=party .* pip install --no-deps statsmodels\.$"):
        ordered.party(np.random.default_rng(0))


STEP = np.arange(30)
WORDS = np.array(["low", "high", "medium"])[STEP % 3]


def read(tmp_path, y, **parameters):
    """A table with this target, read as ordinal."""
    file = tmp_path / "table.csv"
    pd.DataFrame({"x": STEP * 0.5, "y": y}).to_csv(file, index=False)
    options = {"task": "ordinal", **parameters}
    return files.csv(np.random.default_rng(0), path=str(file), target="y", **options)


def test_a_table_of_grades_is_read_in_their_order(tmp_path):
    """Numbers have an order, also with gaps; text has the one that is given."""
    assert read(tmp_path, 10 - 2 * (STEP % 3)).targets[:4].tolist() == [2, 1, 0, 2]
    sample = read(tmp_path, WORDS, order=("low", "medium", "high"))
    assert sample.task == "ordinal"
    assert sample.targets[:4].tolist() == [0, 2, 1, 0]


@pytest.mark.parametrize(
    ("y", "parameters", "words"),
    [
        (WORDS, {}, r"order is not known; give dataset.order=\[high,low,medium\]"),
        (WORDS, {"order": ("low", "high")}, "holds high, low, medium; give each once"),
        (STEP % 3, {"order": ("0", "1", "2"), "task": None}, "give dataset.task=ordinal"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(tmp_path, y, parameters, words):
    with pytest.raises(UserError, match=words):
        read(tmp_path, y, **parameters)
