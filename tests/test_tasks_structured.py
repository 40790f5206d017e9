"""Metrics of structured tasks: against outside references, and worked out by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn import metrics as reference
from structured_tasks import (
    IDENTITIES,
    LABELS,
    MASKS,
    NAN,
    PAIRS,
    PIXELS,
    RANKS,
    SHARES,
    STEPS,
    batch,
    scored,
    seeded,
)
from torch.nn import functional as F
from torchmetrics.functional.classification import binary_calibration_error
from torchmetrics.functional.text import word_error_rate

from lossbench.tasks.binary import Binary
from lossbench.tasks.embedding import Embedding, satisfied_triplets
from lossbench.tasks.multiclass import Multiclass
from lossbench.tasks.regression import Regression
from lossbench.tasks.scores import equal_error_rate
from lossbench.tasks.sequence import decoded, edit_distance

# --- against outside references -----------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@seeded
def test_labels_score_as_scikit_learn_scores_them(seed):
    """Macro averages over labels, exact matches and errors per label, for each replica."""
    estimate, target = batch(LABELS, seed, (2,), 40)
    target[:, :2] = torch.tensor([[0.0], [1.0]])  # no label is constant
    scores = scored(LABELS, estimate, target)
    for r in range(2):
        p, y = estimate[r].numpy(), target[r].numpy()
        expected = {
            "average_precision": reference.average_precision_score(y, p, average="macro"),
            "exact_match": reference.accuracy_score(y, p > 0.5),
            "hamming": reference.hamming_loss(y, p > 0.5),
            "f1": reference.f1_score(y, p > 0.5, average="macro", zero_division=0),
            "log_loss": sum(reference.log_loss(y[:, k], p[:, k]) for k in range(4)),
        }
        for name, value in expected.items():
            assert scores[name][r].item() == pytest.approx(value, rel=1e-6, abs=1e-9), name
        confident = torch.maximum(estimate[r], 1 - estimate[r]).flatten()
        correct = ((estimate[r] > 0.5) == (target[r] > 0.5)).long().flatten()
        ece = binary_calibration_error(confident, correct, n_bins=15)
        assert scores["ece"][r].item() == pytest.approx(ece.item(), rel=1e-5)


@settings(max_examples=15, deadline=None)
@seeded
def test_distributions_score_as_scipy_scores_them(seed):
    """KL divergence and cross-entropy differ by the entropy of the target."""
    estimate, target = batch(SHARES, seed)
    scores = scored(SHARES, estimate, target)
    kl = F.kl_div(estimate.log(), target, reduction="none").sum(-1).mean(-1)
    entropy = -(target * target.log()).sum(-1).mean(-1)
    assert torch.allclose(scores["kl"], kl)
    assert torch.allclose(scores["cross_entropy"], kl + entropy)
    assert torch.allclose(scores["perplexity"], (kl + entropy).exp())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(4, 60), grid=st.sampled_from([3, 10, 1000]))
def test_equal_error_rate_is_where_the_roc_curve_meets_the_falling_diagonal(seed, n, grid):
    """scikit-learn's curve, interpolated; on a coarse grid most scores are tied."""
    rng = np.random.default_rng(seed)
    score, positive = rng.integers(0, grid, (2, n)) / grid, rng.integers(0, 2, (2, n)) == 1
    positive[:, :2] = [True, False]
    ours = equal_error_rate(torch.from_numpy(score), torch.from_numpy(positive))
    for r in range(2):
        acceptance, hits, _ = reference.roc_curve(positive[r], score[r], drop_intermediate=False)
        meeting = brentq(lambda x, a=acceptance, h=hits: 1 - x - np.interp(x, a, h), 0, 1)
        assert ours[r].item() == pytest.approx(meeting, abs=1e-9)


@settings(max_examples=15, deadline=None)
@seeded
def test_recall_is_found_by_sorting_the_others_by_cosine(seed):
    """For each example alone, with numpy: is a mate among the k nearest others?"""
    estimate, target = batch(IDENTITIES, seed, (2,), 20)
    scores = scored(IDENTITIES, estimate, target)
    for r, k in itertools.product(range(2), (1, 5)):
        cosine, label = (estimate[r] @ estimate[r].T).numpy(), target[r].numpy()
        found = []
        for i in range(20):
            others = np.delete(np.argsort(-cosine[i]), np.argsort(-cosine[i]).tolist().index(i))
            if (label == label[i]).sum() > 1:
                found.append((label[others[:k]] == label[i]).any())
        assert scores[f"recall_at_{k}"][r].item() == pytest.approx(np.mean(found))


@settings(max_examples=15, deadline=None)
@seeded
def test_ranks_of_pairs_count_each_identity_once(seed):
    """For each left alone, with numpy: the place of its identity among the best of every one."""
    estimate, target = batch(PAIRS, seed, (2,), 20)
    scores = scored(PAIRS, estimate, target)
    for r in range(2):
        score = (estimate[r, :, 0] @ estimate[r, :, 1].T).numpy()
        label, ranks = target[r].numpy(), []
        for i in range(20):
            best = {k: score[i, label == k].max() for k in np.unique(label)}
            ranks.append(1 + sorted(best, key=best.__getitem__, reverse=True).index(label[i]))
        ranks = np.array(ranks)
        assert scores["recall_at_1"][r].item() == pytest.approx((ranks <= 1).mean())
        assert scores["recall_at_5"][r].item() == pytest.approx((ranks <= 5).mean())
        assert scores["mean_reciprocal_rank"][r].item() == pytest.approx((1 / ranks).mean())


@settings(max_examples=15, deadline=None)
@seeded
def test_masks_score_as_scikit_learn_scores_them(seed):
    """Dice is F1 and IoU the Jaccard index of each image."""
    estimate, target = batch(MASKS, seed, (2,), 6)
    target[..., 0, 0] = 1  # no mask is empty
    scores = scored(MASKS, estimate, target)
    for r in range(2):
        p, y = estimate[r].flatten(1).numpy(), target[r].flatten(1).numpy()
        dice = [reference.f1_score(y[i], p[i] > 0.5) for i in range(6)]
        iou = [reference.jaccard_score(y[i], p[i] > 0.5) for i in range(6)]
        assert scores["dice"][r].item() == pytest.approx(np.mean(dice))
        assert scores["iou"][r].item() == pytest.approx(np.mean(iou))
        accuracy = reference.accuracy_score(y.ravel(), p.ravel() > 0.5)
        assert scores["pixel_accuracy"][r].item() == pytest.approx(accuracy)
        log_loss = reference.log_loss(y.ravel(), p.ravel())
        assert scores["log_loss"][r].item() == pytest.approx(log_loss)


@settings(max_examples=30, deadline=None)
@seeded
def test_label_errors_are_those_of_torchmetrics(seed):
    """The word error rate of each sequence alone; decoding as itertools would do it."""
    estimate, target = batch(STEPS, seed, (2,), 8)
    scores = scored(STEPS, estimate, target)
    for r in range(2):
        rates = []
        for i in range(8):
            runs = [k for k, _ in itertools.groupby(estimate[r, i].argmax(-1).tolist())]
            said = " ".join(str(k) for k in runs if k)
            meant = " ".join(str(k) for k in target[r, i, 1].tolist() if k)
            rates.append(word_error_rate(said, meant).item())
        assert scores["label_error_rate"][r].item() == pytest.approx(np.mean(rates), rel=1e-6)
        exact = np.mean([rate == 0 for rate in rates])
        assert scores["sequence_accuracy"][r].item() == pytest.approx(exact)


@settings(max_examples=15, deadline=None)
@seeded
def test_the_elbo_is_that_of_torch_distributions(seed):
    """Bernoulli likelihood of the pixels, and the divergence of two normals."""
    estimate, target = batch(PIXELS, seed)
    scores = scored(PIXELS, estimate, target)
    p, mean, log_variance = estimate.split([5, 2, 2], -1)
    surprise = F.binary_cross_entropy(p, target, reduction="none").sum(-1).mean(-1)
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    kl = torch.distributions.kl_divergence(posterior, prior).sum(-1).mean(-1)
    assert torch.allclose(scores["reconstruction"], surprise)
    assert torch.allclose(scores["kl"], kl)
    assert torch.allclose(scores["negative_elbo"], surprise + kl)


def test_satisfied_triplets_are_counted_one_by_one():
    estimate, target = torch.sin(torch.arange(36.0) ** 2).reshape(12, 3), torch.arange(12) % 4
    cosine = (estimate := F.normalize(estimate, dim=-1)) @ estimate.T
    satisfied = [
        bool(cosine[a, p] > cosine[a, n])
        for a, p, n in itertools.product(range(12), repeat=3)
        if a != p and target[a] == target[p] and target[a] != target[n]
    ]
    assert satisfied_triplets(estimate, target) == pytest.approx(np.mean(satisfied))
    same_point = torch.ones(2, 4, 3), torch.arange(4).expand(2, 4) // 2
    assert satisfied_triplets(*same_point).tolist() == [0, 0]


# --- values by hand -----------------------------------------------------------------------------

HALF, ROOT, LOG_2 = [[0.5, 0.5]], math.sqrt(0.5), math.log(2)
HEARD, UNSAID = [[[0, 1, 0], [0, 0, 1]], [[1, 0, 0]] * 2], [[[0, 0]] * 2] * 2
BY_HAND = [
    # metric, task, estimate, target, value
    ("average_precision", LABELS, [[0.9, 0.1], [0.2, 0.3]], [[1.0, 0.0], [0.0, 0.0]], 1),
    ("average_precision", LABELS, [[0.9], [0.2]], [[0.0], [0.0]], NAN),
    ("log_loss", LABELS, HALF, [[1.0, 0.0]], 2 * math.log(2)),
    ("exact_match", LABELS, [[0.9, 0.9], [0.9, 0.1]], [[1.0, 0.0], [1.0, 0.0]], 1 / 2),
    ("hamming", LABELS, [[0.9, 0.9], [0.9, 0.1]], [[1.0, 0.0], [1.0, 0.0]], 1 / 4),
    ("kl", SHARES, HALF, [[1.0, 0.0]], math.log(2)),
    ("kl", SHARES, [[0.25, 0.75]], [[0.25, 0.75]], 0),
    ("kl", SHARES, [[0.0, 1.0]], [[1.0, 0.0]], -math.log(1e-12)),
    ("perplexity", SHARES, [[0.25] * 4], [[1.0, 0.0, 0.0, 0.0]], 4),
    ("total_variation", SHARES, HALF, [[1.0, 0.0]], 1 / 2),
    # a collapsed embedding finds nobody
    ("recall_at_1", IDENTITIES, [[1.0, 0.0]] * 4, [0, 0, 1, 1], 0),
    ("equal_error_rate", IDENTITIES, [[1.0, 0.0]] * 4, [0, 0, 1, 1], 1 / 2),
    ("recall_at_1", IDENTITIES, [[1.0, 0.0], [ROOT, ROOT], [0.0, 1.0]], [0, 1, 2], NAN),
    ("recall_at_1", IDENTITIES, [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 0, 1], 1),
    ("intra_class_angle", IDENTITIES, [[1.0, 0.0], [ROOT, ROOT], [-1.0, 0.0]], [0, 0, 1], 45),
    (
        "inter_class_angle",
        IDENTITIES,
        [[1.0, 0.0], [ROOT, ROOT], [-1.0, 0.0]],
        [0, 0, 1],
        (180 + 135) / 2,
    ),
    ("intra_class_angle", IDENTITIES, [[1.0, 0.0], [0.0, 1.0]], [0, 1], NAN),
    ("recall_at_1", PAIRS, [[[1.0], [1.0]], [[-1.0], [-2.0]]], [0, 1], 1),
    ("recall_at_1", PAIRS, [[[1.0], [1.0]]] * 2, [0, 1], 0),
    ("recall_at_1", PAIRS, [[[1.0], [1.0]]] * 2, [0, 0], 1),
    ("mean_reciprocal_rank", PAIRS, [[[1.0], [1.0]]] * 2, [0, 1], 1 / 2),
    ("accuracy", RANKS, [[2.0, 1.0], [2.0, 1.0], [0.0, 0.0]], [1.0, 0.0, 1.0], 1 / 3),
    ("kendall_tau", RANKS, [[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]], [1.0, 1.0, 0.0], 1 / 3),
    ("kendall_tau", RANKS, [[0.0, 0.0]], [1.0], 0),
    ("log_loss", RANKS, [[0.0, 0.0]], [1.0], math.log(2)),
    ("log_loss", RANKS, [[3.0, 2.0]], [0.0], math.log1p(math.e)),
    ("dice", MASKS, [[[0.9, 0.9, 0.1]]], [[[1.0, 0.0, 0.0]]], 2 / 3),
    ("iou", MASKS, [[[0.9, 0.9, 0.1]]], [[[1.0, 0.0, 0.0]]], 1 / 2),
    ("dice", MASKS, [[[0.1, 0.5]]], [[[0.0, 0.0]]], 1),  # both empty
    ("iou", MASKS, [[[0.1, 0.5]]], [[[0.0, 0.0]]], 1),
    ("dice", MASKS, [[[0.1, 0.1]]], [[[1.0, 0.0]]], 0),
    (
        "negative_elbo",
        PIXELS,
        [[0.5] * 5 + [1.0, 0.0, 0.0, 0.0]],
        [[1.0] * 5],
        5 * LOG_2 + 0.5,
    ),
    ("kl", PIXELS, [[0.5] * 5 + [0.0, 0.0, 1.0, 0.0]], [[1.0] * 5], (math.e - 2) / 2),
    ("squared_error", PIXELS, [[0.5] * 5 + [0.0] * 4], [[1.0] * 5], 1 / 4),
    ("active_units", PIXELS, [[0.5] * 5 + [x, 7.0, 0.0, 0.0] for x in (0, 1)], [[1.0] * 5] * 2, 1),
    # the additions to the older tasks
    ("zero_one_error", Binary((2,)), [0.5, 0.6], [1.0, 1.0], 1 / 2),
    ("perplexity", Binary((2,)), [0.5, 0.5], [1.0, 0.0], 2),
    ("perplexity", Multiclass((2,), 3), [[1 / 3] * 3], [0], 3),
    ("coverage", Regression((2,)), [0.0, 1.0, 2.0], [1.0, 1.0, 1.0], 2 / 3),
    ("pinball_10", Regression((2,)), [0.0, 2.0], [1.0, 1.0], (0.1 + 0.9) / 2),
    ("pinball_90", Regression((2,)), [0.0, 0.0], [1.0, 1.0], 0.9),
    ("label_error_rate", STEPS, HEARD, UNSAID, 1.0),
    (
        "sequence_accuracy",
        STEPS,
        [[[0, 1, 0], [0, 0, 1]], [[1, 0, 0]] * 2],
        [[[0, 0]] * 2] * 2,
        0.5,
    ),
]


@pytest.mark.parametrize(("name", "task", "estimate", "target", "value"), BY_HAND)
def test_metric_is_the_value_worked_out_by_hand(name, task, estimate, target, value):
    """Small cases: ties, empty masks, absent labels, the floor, a collapsed embedding."""
    estimate = torch.tensor(estimate, dtype=torch.float64)
    target = torch.tensor(target, dtype=torch.int64 if task.target_dtype == torch.int64 else None)
    if isinstance(task, Embedding):
        estimate = task.estimate(estimate, None)
    score = scored(task, estimate, target)[name]
    assert score.item() == pytest.approx(value, abs=1e-6, nan_ok=True)


SPOKEN = [
    # path, labels meant, decoded, errors
    ([0, 1, 1, 0, 2], [1, 2], [1, 2], 0),
    ([1, 1, 1, 1, 1], [1, 1], [1], 1),
    ([1, 0, 1, 0, 0], [1, 1], [1, 1], 0),
    ([0, 0, 0, 0, 0], [1, 2, 3], [], 3),
    ([1, 2, 3, 1, 2], [1], [1, 2, 3, 1, 2], 4),
    ([1, 2, 3, 0, 0], [2, 3, 1], [1, 2, 3], 2),
    ([3, 0, 0, 0, 3], [1, 2], [3, 3], 2),
    ([1, 0, 0, 2, 2], [], [1, 2], 2),
    ([0, 0, 0, 0, 0], [], [], 0),
]


@pytest.mark.parametrize(("path", "meant", "said", "errors"), SPOKEN)
def test_a_path_is_read_without_repeats_and_blanks(path, meant, said, errors):
    """Greedy decoding, then insertions, deletions and substitutions."""
    labels = decoded(torch.tensor(path))
    assert labels.tolist() == said + [0] * (5 - len(said))
    reference = torch.tensor(meant + [0] * (5 - len(meant)))
    assert edit_distance(labels, reference).item() == errors


def test_pairs_are_drawn_where_there_are_too_many(monkeypatch):
    """The subsample is the same at every call, and its angles are near those of all pairs."""
    estimate, target = batch(IDENTITIES, 3, (2,), 120)
    everything = scored(IDENTITIES, estimate, target)
    monkeypatch.setattr("lossbench.tasks.embedding.MOST_PAIRS", 3000)
    some, again = (scored(IDENTITIES, estimate, target) for _ in range(2))
    for name in ("intra_class_angle", "inter_class_angle", "equal_error_rate"):
        assert torch.equal(some[name], again[name])
        assert not torch.equal(some[name], everything[name])
        assert torch.allclose(some[name], everything[name], rtol=0.05)
    assert torch.equal(some["recall_at_1"], everything["recall_at_1"])
