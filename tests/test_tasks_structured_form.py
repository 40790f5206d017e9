"""The form of structured tasks: replicas, examples, refusals, facts, the order of an epoch."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
    TASKS,
    batch,
    every_task,
    scored,
    strip,
)
from torch.nn import functional as F

from lossbench.contract import UserError
from lossbench.metrics import metrics_of
from lossbench.tasks.distribution import Distribution
from lossbench.tasks.embedding import Embedding
from lossbench.tasks.generative import Generative
from lossbench.tasks.multilabel import Multilabel
from lossbench.tasks.pairs import Pairs
from lossbench.tasks.ranking import Ranking
from lossbench.tasks.segmentation import Segmentation
from lossbench.tasks.sequence import Sequence

# --- replicas -----------------------------------------------------------------------------------


@every_task
def test_a_replica_scores_the_same_alone_and_in_a_stack(task):
    """Bit for bit, in float32, for a stack of one as well."""
    estimate, target = batch(task, 0, (5,), 33)
    estimate = estimate.float()
    target = target.to(task.target_dtype)
    stacked = scored(task, estimate, target)
    for r in range(5):
        for rows in (r, slice(r, r + 1)):
            for name, value in scored(task, estimate[rows], target[rows]).items():
                assert torch.equal(value.reshape(()), stacked[name][r]), name


@every_task
@pytest.mark.parametrize("broken", [NAN, float("inf")])
def test_a_diverged_replica_scores_nan_and_leaves_the_others_alone(task, broken):
    """A single estimate that is not finite makes all of its replica's metrics NaN."""
    estimate, target = batch(task, 1)
    clean = scored(task, estimate, target)
    estimate[1].view(-1)[7] = broken
    for name, value in scored(task, estimate, target).items():
        assert math.isnan(value[1])
        assert torch.equal(value[[0, 2]], clean[name][[0, 2]]), name


# --- the contract -------------------------------------------------------------------------------


@every_task
def test_the_example_is_valid_and_always_the_same(task):
    """It passes the task's own check, fits its shapes, and draws no random numbers."""
    state = torch.get_rng_state()
    prediction, target = task.example()
    task.check(prediction, target)
    type(task).like(prediction, target).check(prediction, target)
    assert prediction.shape == (8, *task.output_shape(1))
    assert target.dtype == task.target_dtype
    assert torch.equal(task.example()[0], prediction)
    assert torch.equal(torch.get_rng_state(), state)
    scores = scored(task, task.estimate(prediction, None), target)
    assert list(scores) == [metric.name for metric in task.metrics]
    assert metrics_of(task)[task.primary].direction != 0
    assert all(score.isfinite() for score in scores.values())


@every_task
def test_a_link_replaces_the_default(task):
    """A loss that says how its predictions are read is believed; angles still need no length."""
    prediction, _ = task.example()
    read = task.estimate(prediction, torch.neg)
    expected = F.normalize(-prediction, dim=-1) if task is IDENTITIES else -prediction
    assert torch.equal(read, expected)


@every_task
def test_one_output_per_target_is_all_there_is(task):
    """A loss that needs more than the task gives is refused by the task's name."""
    with pytest.raises(UserError, match=f"{task.name}.*outputs=7"):
        task.output_shape(7)


def test_a_sequence_may_have_no_label():
    """Next to others that have some; its target is zeros."""
    targets = torch.cat([strip([0] * 9, []), strip([0] * 9, [1])]).numpy()
    assert Sequence.of(np.zeros((2, 9, 2)), targets).num_classes == 2
    STEPS.check(torch.zeros(2, 9, 4), torch.from_numpy(targets))


REFUSED = [
    # task, prediction, target, what the error must name
    (LABELS, torch.zeros(8, 4), torch.zeros(8), ["(8, 4)", "(8,)", "(..., N, 4)"]),
    (LABELS, torch.zeros(8, 4), torch.zeros(8, 4) - 1, ["-1", "32 of 32"]),
    (LABELS, torch.zeros(8, 4), torch.zeros(8, 4).bool(), ["torch.bool"]),
    (LABELS, torch.zeros(4), torch.zeros(4), ["(4,)"]),
    (SHARES, torch.zeros(2, 3), torch.ones(2, 3), ["2 of 2", "sum to 1", "3"]),
    (SHARES, torch.zeros(2, 3), torch.tensor([[2.0, -1.0, 0.0]] * 2), ["outside [0, 1]"]),
    (SHARES, torch.zeros(2, 3), torch.tensor([[NAN, 1.0, 0.0]] * 2), ["nan"]),
    (SHARES, torch.zeros(2, 3), torch.zeros(2).long(), ["(2,)"]),
    (IDENTITIES, torch.zeros(4, 2), torch.zeros(4).long(), ["(4, 2)", "(..., N, 3)"]),
    (IDENTITIES, torch.zeros(4, 3), torch.zeros(4), ["torch.float32", "torch.int64"]),
    (IDENTITIES, torch.zeros(4, 3), torch.zeros(4).long() - 2, ["-2", "4 of 4"]),
    (PAIRS, torch.zeros(4, 3), torch.zeros(4).long(), ["(4, 3)", "(..., N, 2, 3)"]),
    (PAIRS, torch.zeros(4, 2, 3), torch.zeros(4).long() - 1, ["-1"]),
    (RANKS, torch.zeros(4), torch.zeros(4), ["(4,)", "(..., N, 2)"]),
    (RANKS, torch.zeros(4, 2), -torch.ones(4), ["-1", "ranks higher"]),
    (RANKS, torch.zeros(4, 2), torch.full((4,), 0.5), ["0.5", "4 of 4", "ranks higher"]),
    (MASKS, torch.zeros(8, 1, 3, 4), torch.zeros(8, 3, 4), ["(8, 1, 3, 4)", "(..., N, 3, 4)"]),
    (MASKS, torch.zeros(8, 3, 4), torch.full((8, 3, 4), -100.0), ["-100", "96 of 96", "255"]),
    (STEPS, torch.zeros(1, 9, 4), torch.zeros(1, 9).long(), ["(1, 9)", "(..., N, 2, 9)"]),
    (STEPS, torch.zeros(9, 1, 4), strip([0] * 9, [1]), ["(9, 1, 4)"]),
    (STEPS, torch.zeros(1, 9, 4), strip([0] * 9, [4]), ["4", "0 to 3"]),
    (STEPS, torch.zeros(1, 9, 4), strip([0] * 9, [0, 1]), ["after a 0"]),
    (STEPS, torch.zeros(1, 9, 4), strip([0] * 9, [1, 0, 2]), ["after a 0"]),
    (STEPS, torch.zeros(1, 9, 4), strip([0] * 9, [1, 1, 1, 2, 2, 2]), ["needs 10", "are 9"]),
    (PIXELS, torch.zeros(8, 8), torch.zeros(8, 5), ["(8, 8)", "5 + 2Z"]),
    (PIXELS, torch.zeros(8, 9), torch.full((8, 5), 16.0), ["16", "[0, 1]"]),
    *[
        (task, task.example()[0].long(), task.example()[1], ["torch.int64", "floats"])
        for task in TASKS
    ],
]


@pytest.mark.parametrize(("task", "prediction", "target", "words"), REFUSED)
def test_an_invalid_batch_is_refused_in_one_line(task, prediction, target, words):
    """Shapes that would broadcast, wrong types and values out of range are named, not guessed."""
    with pytest.raises(UserError) as error:
        task.check(prediction, target)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in [task.name, *words]), str(error.value)


def test_a_sequence_that_just_fits_is_valid():
    """Five labels, four repeats: nine steps."""
    STEPS.check(torch.zeros(1, 9, 4), strip([0] * 9, [1] * 5))


X, TWO = np.zeros((4, 2)), np.zeros((4, 2, 3))
INVALID = [
    (Multilabel, X, np.array([0, 1, 1, 0]), ["(4,)", "(4, L)"]),
    (Multilabel, X, np.array([[0, 1], [0, 0], [0, 1], [0, 1]]), ["label 0 is 0"]),
    (Multilabel, X, np.array([[0, 2], [1, 0], [0, 1], [0, 1]]), ["2", "0 and 1"]),
    (Distribution, X, np.full((4, 3), 0.5), ["4 of 4", "sum to 1"]),
    (Distribution, X, np.ones((4, 1)), ["at least two"]),
    (Embedding, X, np.array([0, 0, 2, 2]), ["0, 2", "without a gap"]),
    (Embedding, X, np.array([0.0, 0.0, 1.0, 1.0]), ["float64", "integers"]),
    (Embedding, X, np.arange(4), ["no identity has two examples"]),
    (Pairs, X, np.arange(4), ["(4, 2)", "(N, 2, F)"]),
    (Pairs, TWO, np.arange(3), ["(3,)", "(4,)"]),
    (Ranking, np.zeros((4, 3, 2)), np.array([0, 1, 1, 0]), ["(4, 3, 2)"]),
    (Ranking, TWO, np.array([-1, 1, 1, -1]), ["-1", "0 and 1"]),
    (Segmentation, np.zeros((4, 1, 3, 3)), np.zeros((4, 2, 2)), ["(4, 2, 2)", "(N, H, W)"]),
    (Segmentation, np.zeros((4, 1, 3, 3)), np.full((4, 3, 3), 255), ["every pixel", "255"]),
    (Segmentation, np.zeros((4, 1, 3, 3)), np.full((4, 3, 3), 254), ["254", "0 and 1"]),
    (Sequence, np.zeros((4, 5, 2)), np.zeros((4, 2, 6), int), ["(4, 2, 6)", "(N, 2, T)"]),
    (Sequence, np.zeros((4, 5, 2)), np.zeros((4, 2, 5), int), ["0 to 0", "from 1"]),
    (Sequence, np.zeros((4, 2, 2)), np.ones((4, 2, 2), int), ["needs 3 steps", "are 2"]),
    (Generative, X, np.full((4, 2), 16.0), ["16", "[0, 1]"]),
]


@pytest.mark.parametrize(("kind", "inputs", "targets", "words"), INVALID)
def test_invalid_data_pose_no_task(kind, inputs, targets, words):
    """Targets that a task cannot take are refused by value, type or shape."""
    with pytest.raises(UserError) as error:
        kind.of(inputs, targets)
    assert all(word in str(error.value) for word in [kind.name, *words]), str(error.value)


def test_facts_are_what_losses_ask_for():
    """Numbers of classes, labels and dimensions."""
    assert IDENTITIES.facts(torch.tensor([0, 1, 4]))["class_counts"].tolist() == [1, 1, 0, 0, 1]
    assert IDENTITIES.facts(torch.tensor([0]))["embedding_dim"] == 3
    assert PIXELS.facts(torch.zeros(1, 5)) == {"latent_dim": 2}
    steps = STEPS.facts(torch.tensor([[[0, 1, 3, 1], [2, 2, 2, 2]]]))
    assert steps["num_classes"] == 4
    assert steps["class_counts"].tolist() == [1, 2, 0, 1]
    pixels = MASKS.facts(torch.tensor([[[0.0, 1.0, 255.0]], [[0.0, 0.0, 1.0]]]))
    assert pixels["class_counts"].tolist() == [3, 2]


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=2, max_size=7), seed=st.integers(0, 2**32))
def test_an_epoch_of_identities_runs_in_fours(sizes, seed):
    """Every example once; each identity in runs of four, but for one shorter run."""
    identities = np.repeat(np.arange(len(sizes)), sizes)
    target = torch.from_numpy(np.random.default_rng(seed).permutation(identities))
    order = IDENTITIES.order(target, torch.Generator().manual_seed(seed))
    assert order.sort().values.equal(torch.arange(len(target)))
    lengths: dict[int, list[int]] = {}
    for identity, run in itertools.groupby(target[order].tolist()):
        lengths.setdefault(identity, []).append(len(list(run)))
    for identity, size in enumerate(sizes):
        # neighbouring runs of one identity look like one
        assert sum(length % 4 != 0 for length in lengths[identity]) <= (size % 4 != 0)
    again = IDENTITIES.order(target, torch.Generator().manual_seed(seed))
    assert order.equal(again)
