"""The task of lists: its losses, their neighbours and extremes, its metrics, its data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score
from structured_equations import along, exact, mean, mp, sigmoid
from structured_equations import softmax as shares

from lossbench import get_loss, run
from lossbench.contract import UserError
from lossbench.datasets import arrays, lists
from lossbench.losses import lists as losses
from lossbench.losses import preference
from lossbench.metrics import metrics_of, score
from lossbench.models.mlp import mlp
from lossbench.tasks.list_ranking import ListRanking

TASK = ListRanking((6, 4))


# ---- the equations, in 60 digits and plain loops -------------------------------------------------
def of_lists(function):
    """Of a function of the scores and grades of the items that there are: one of the batch."""

    def batched(s, y, **hyper):
        values = []
        for scores, grades in along(s, y):
            kept = [(a, b) for a, b in along(scores, grades) if b >= 0]
            values.append(function([a for a, _ in kept], [mp.mpf(b) for _, b in kept], **hyper))
        return values

    return batched


def pairs(y):
    return [(i, j) for i, j in itertools.product(range(len(y)), repeat=2) if y[i] > y[j]]


def sp(x):
    return mp.log(1 + mp.exp(x))


def ideal(y):
    return dcg(sorted(y, reverse=True), range(1, len(y) + 1))


def dcg(y, ranks):
    return mp.fsum((2**g - 1) / mp.log(1 + r, 2) for g, r in along(y, ranks))


@of_lists
def listnet(s, y):
    return -mp.fsum(g * mp.log(p) for g, p in along(shares(y), shares(s))) if s else mp.mpf(0)


@of_lists
def softmax(s, y):
    total = mp.fsum(y)
    return -mp.fsum(g * mp.log(p) for g, p in along(y, shares(s))) / total if total else mp.mpf(0)


@of_lists
def listmle(s, y):
    order = sorted(range(len(y)), key=lambda i: -y[i])
    ordered = [s[i] for i in order]
    return mp.fsum(mp.log(mp.fsum(map(mp.exp, ordered[k:]))) - x for k, x in enumerate(ordered))


@of_lists
def ranknet(s, y, sigma=1):
    return mean(sp(-mp.mpf(sigma) * (s[i] - s[j])) for i, j in pairs(y))


@of_lists
def pairwise_hinge(s, y, margin=1):
    return mean(max(mp.mpf(0), mp.mpf(margin) - (s[i] - s[j])) for i, j in pairs(y))


def _fixed(y):
    """|D_ij| of the given order of scores: held fixed where the gradient is taken."""

    def at(s):
        order = sorted(range(len(s)), key=lambda i: -s[i])
        rank = {i: place + 1 for place, i in enumerate(order)}
        return {
            (i, j): abs((2 ** y[i] - 2 ** y[j]) / ideal(y))
            * abs(1 / mp.log(1 + rank[i], 2) - 1 / mp.log(1 + rank[j], 2))
            for i, j in pairs(y)
        }

    return at


@of_lists
def lambdarank(s, y, sigma=1):
    return mp.fsum(d * sp(-mp.mpf(sigma) * (s[i] - s[j])) for (i, j), d in _fixed(y)(s).items())


@of_lists
def approx_ndcg(s, y, temperature=0.1):
    def rank(i):
        others = [j for j in range(len(s)) if j != i]
        return 1 + mp.fsum(sigmoid((s[j] - s[i]) / mp.mpf(temperature)) for j in others)

    return 1 - dcg(y, map(rank, range(len(s)))) / ideal(y) if any(y) else mp.mpf(0)


LOSSES = {
    "listnet": [{}],
    "softmax": [{}],
    "listmle": [{}],
    "ranknet": [{}, {"sigma": 3.0}],
    "pairwise_hinge": [{}, {"margin": 2.5}],
    "lambdarank": [{}, {"sigma": 3.0}],
    "approx_ndcg": [{}, {"temperature": 0.7}],
}


def batch(seed, scale=1.0, count=4, length=5):
    """Random lists, one without an item and one of grades 0, with unequal grades between."""
    generator = torch.Generator().manual_seed(seed)
    s = torch.randn(count, length, generator=generator, dtype=torch.float64) * scale
    y = torch.randint(0, 4, (count, length), generator=generator).double()
    y[1, -2:], y[2], y[3] = -1, -1, 0
    return s, y


def same(actual, expected, digits=1e-9, least=1e-12):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=digits, atol=least)


def value_and_slope(name, s, y, **hyper):
    leaf = s.clone().requires_grad_()
    values = getattr(losses, name)(leaf, y, **hyper)
    return values.detach(), torch.autograd.grad(values.sum(), leaf)[0]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [1.0, 15.0])
def test_a_loss_is_its_equation(name, scale):
    """Value and gradient are those in 60 digits, in float64 and in float32."""
    s, y = batch(int(scale), scale)
    for hyper in LOSSES[name]:
        values, slopes = exact(globals()[name], s.tolist(), y.tolist(), **hyper)
        for dtype, digits in ((torch.float64, 1e-9), (torch.float32, 5e-5)):
            found, slope = value_and_slope(name, s.to(dtype), y.to(dtype), **hyper)
            same(found, values, digits, digits)
            largest = max(1.0, *map(abs, slopes))
            same(slope.flatten(), slopes, digits, digits * largest)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(name, dtype):
    """At 0 and at 1e4, mixed and equal, value and gradient are finite."""
    for seed in range(4):
        s, y = batch(seed, 1.0, 8)
        sizes = torch.tensor([0.0, 1.0, 30.0, 1e4])[torch.arange(40).reshape(8, 5) * seed % 4]
        far = (s.sign() * sizes).to(dtype)
        assert all(part.isfinite().all() for part in value_and_slope(name, far, y.to(dtype)))


# ---- neighbours ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", LOSSES)
def test_what_stands_where_there_is_no_item_counts_for_nothing(name):
    """Nor does a constant added to all scores, nor how many places are empty."""
    s, y = batch(3)
    value, slope = value_and_slope(name, s, y)
    other, _ = value_and_slope(name, torch.where(y < 0, 77.0, s), y)
    same(other, value)
    assert not slope[y < 0].any()
    assert value[2] == 0
    moved, _ = value_and_slope(name, s + 5, y)
    same(moved, value)
    padded, _ = value_and_slope(
        name, torch.nn.functional.pad(s, (0, 3)), torch.nn.functional.pad(y, (0, 3), value=-1)
    )
    same(padded, value)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_items_does_not_matter(name):
    """But to listmle among equal grades."""
    s, _ = batch(4)
    y = torch.tensor([0.0, 2.0, 1.0, 5.0, 3.0]).double().expand_as(s)
    order = torch.tensor([3, 0, 4, 1, 2])
    same(value_and_slope(name, s[:, order], y[:, order])[0], value_and_slope(name, s, y)[0])


def test_of_two_items_three_losses_are_one():
    """That of the lead of the better: dpo of the task ranking."""
    s = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 4, dtype=torch.float64)
    expected = preference.dpo(s, y[:, 0])
    for name in ("listmle", "ranknet", "softmax"):
        same(value_and_slope(name, s, y)[0], expected)


def test_near_temperature_0_it_is_what_the_ndcg_lacks():
    s, y = batch(5)
    y = torch.where(y < 0, 0.0, y)
    lacking = 1 - ndcg_score(2**y - 1, s)
    found = losses.approx_ndcg(s, y, temperature=1e-4)
    assert found.mean().item() * 4 == pytest.approx((lacking * 4 - 2), abs=1e-9)


# ---- metrics -------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed):
    """Of each replica; with equal scores for the NDCG, without for the mean precision."""
    rng = np.random.default_rng(seed)
    s, y = rng.integers(0, 4, (2, 7, 12)) / 2.0, rng.integers(0, 5, (2, 7, 12)).astype(float)
    y[:, 0] = 0.0  # left out
    y[:, 1, 1:] = 0.0
    y[:, 1, 0] = 3.0
    scores = score(metrics_of(TASK), torch.from_numpy(s), torch.from_numpy(y))
    apart = s + rng.uniform(0, 0.1, s.shape)
    untied = score(metrics_of(TASK), torch.from_numpy(apart), torch.from_numpy(y))
    for r in range(2):
        for k in (5, 10):
            expected = np.mean([ndcg_score([2**b - 1], [a], k=k) for a, b in along(s[r], y[r])][1:])
            assert scores[f"ndcg_{k}"][r].item() == pytest.approx(expected, abs=1e-12)
        precision = [average_precision_score(b > 0, a) for a, b in along(apart[r][1:], y[r][1:])]
        assert untied["map"][r].item() == pytest.approx(np.mean(precision), abs=1e-12)
        first = [min(_ranks(a)[b > 0]) for a, b in along(apart[r][1:], y[r][1:])]
        assert untied["mrr"][r].item() == pytest.approx(np.mean([1 / f for f in first]), abs=1e-12)


def _ranks(row):
    return 1 + (row[None] > row[:, None]).sum(1)


def test_of_equal_scores_items_of_grade_0_stand_first_and_empty_places_do_not_count():
    s = torch.tensor([[[1.0, 1, 1, 0, 9], [0, 0, 0, 0, 0]]])
    y = torch.tensor([[[2.0, 0, 1, 0, -1], [-1, -1, -1, -1, -1]]])
    scores = score(metrics_of(TASK), s, y)
    same(scores["mrr"], [1 / 2])
    same(scores["map"], [(1 / 2 + 2 / 3) / 2], 1e-6)
    flat = score(metrics_of(TASK), torch.zeros_like(s), y)
    discounts = 1 / np.log2(np.arange(2, 6))
    same(flat["ndcg_10"], [4 * discounts.mean() / (3 + discounts[1])], 1e-6)
    nothing = score(metrics_of(TASK), s, torch.zeros_like(y))
    assert all(value.isnan().all() for value in nothing.values())


# ---- the task ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        ((3, 4, 2), np.array([[0, 1, 2, -2]] * 3), "target holds -2"),
        ((3, 4, 2), np.array([[0, 1, 2, np.nan]] * 3), "target holds nan"),
        ((3, 4, 2), np.array([[0, 1, 2, 130]] * 3), "holds 130 .*give grades from 0 to 100"),
        ((3, 4, 2), np.array([[1, 1, -1, -1]] * 3), "no list has two different grades"),
        ((3, 5, 2), np.array([[0, 1, 2, 3]] * 3), r"give \(N, L, F\) and \(N, L\)"),
        ((3, 4), np.array([[0, 1, 2, 3]] * 3), r"give \(N, L, F\) and \(N, L\)"),
    ],
)
def test_invalid_data_are_refused(inputs, targets, words):
    with pytest.raises(UserError, match=words):
        ListRanking.of(np.zeros(inputs), targets)


def test_a_batch_that_breaks_the_contract_is_refused():
    loss = get_loss("listnet", task="list_ranking")
    assert loss(torch.zeros(2, 3), torch.tensor([[0.0, 1, -1]] * 2)).shape == (2,)
    with pytest.raises(UserError, match="target holds -3"):
        loss(torch.zeros(2, 3), torch.full((2, 3), -3.0))
    with pytest.raises(UserError, match="each"):
        loss(torch.zeros(2, 3), torch.zeros(2))


def test_every_item_is_scored_by_the_same_rule():
    """Whatever else is in its list, and wherever it stands."""
    torch.manual_seed(0)
    model = TASK.assemble(mlp, 1)
    x = torch.randn(3, 6, 4)
    together = model(x)
    assert together.shape == (3, 6)
    same(model(x.flip(1)).flip(1), together, 1e-5, 1e-6)
    same(model(x[:, :1].expand_as(x))[:, 0], together[:, 0], 1e-5, 1e-6)


# ---- data ----------------------------------------------------------------------------------------
def test_graded_lists_are_what_they_say():
    sample = lists.graded_lists(np.random.default_rng(0), samples=2000, noise=0.5, longest=12)
    known = sample.targets >= 0
    assert set(known.sum(1)) == set(range(8, 13))
    shares = [(sample.targets[known] >= k).mean() for k in range(5)]
    np.testing.assert_allclose(shares, 0.5 ** np.arange(5), atol=0.01)
    assert not sample.inputs[~known].any()
    slope = np.linalg.lstsq(sample.inputs[known], sample.targets[known] - 0.9375, rcond=None)[0]
    truth = ndcg_score(
        2 ** np.maximum(sample.targets, 0) - 1, np.where(known, sample.inputs @ slope, -99), k=10
    )
    assert f"about {truth:.2f}" in sample.notes[0]
    with pytest.raises(UserError, match=r"dataset.shortest=9: expected at most"):
        lists.graded_lists(np.random.default_rng(0), shortest=9, longest=8)


def test_training_comes_near_to_the_order_by_what_made_the_data(tmp_path):
    """Sorting by that is worth 0.92 or 0.93."""
    words = ["dataset=graded_lists", "model=linear", "trainer.max_epochs=6", "seeds=2"]
    words += ["optimizer.lr=0.03", "tracking=none", f"results.dir={tmp_path}"]
    seeds = run("loss=softmax", *words).seeds
    assert (seeds["test/ndcg_10"] > 0.9).all()


def test_films_are_what_they_say():
    try:
        sample = lists.movielens(np.random.default_rng(0))
    except UserError as error:
        pytest.skip(str(error))
    assert sample.inputs.shape == (4604, 20, 22)
    assert len(np.unique(sample.groups)) == 943
    assert sorted(np.unique(sample.targets)) == [0, 1, 2, 3, 4]
    assert np.isfinite(sample.inputs).all()
    ListRanking.of(sample.inputs, sample.targets)


def test_arrays_of_lists_are_read(tmp_path):
    """With their grades as they are, and features too: places of a list are no features."""
    x, y = np.random.default_rng(0).normal(size=(30, 4, 3)), np.arange(120).reshape(30, 4) % 5 - 1
    np.savez(tmp_path / "lists.npz", x=x, y=y)
    file = str(tmp_path / "lists.npz")
    sample = arrays.arrays(np.random.default_rng(0), path=file, task="list_ranking")
    assert sample.task == "list_ranking"
    assert sample.standardise is False
    assert (sample.targets == y).all()
