"""Replicas: alone or among others the same numbers; one that diverges harms nobody."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from support import sampled
from torch import Tensor, nn

from lossbench import training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.training import latest_point, layers, outcome, roads
from lossbench.training.chunks import FEWEST, in_chunks, most_replicas
from lossbench.training.recipe import History
from lossbench.training.sampling import balanced_order, orders_of
from lossbench.training.stack import Stack

torch.set_num_threads(1)


def configured(*words: str) -> Configuration:
    return configurations(["tracking=none", "trainer.device=cpu", *words])[0][0]


def stack_of(config: Configuration, seeds: list[int], **replaced: Any) -> Stack:
    """A trained stack, its recipe changed where asked."""
    splits = training.data(config, seeds)
    recipe = training.make_recipe(config, splits)
    if "loss" in replaced:  # which asks for nothing, unless said
        replaced = {"facts": (), "call_facts": (), **replaced}
    recipe = type(recipe)(**{**vars(recipe), **replaced})
    stack = Stack(recipe, splits, seeds)
    training.fit(stack, config, lambda done: None)
    return stack


def test_a_loss_that_fails_in_training_says_where():
    """In two lines: the epoch and the step, and what it said."""

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        if calls.append(0) or len(calls) > 9:
            raise ValueError("a batch\nneeds both classes")
        return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")

    calls: list[int] = []
    config = configured("dataset=moons", "loss=cross_entropy", "trainer.max_epochs=9")
    with pytest.raises(RuntimeError, match="epoch 1, step 8: ValueError: a batch needs both") as e:
        stack_of(config, [0], loss=lambda facts: loss)
    assert "trainer.sampler=balanced" in str(e.value).splitlines()[1]


def tables(config: Configuration, seeds: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    result = training.train(config, seeds)
    return result.seeds, result.curves


SETTINGS = [
    ["dataset=digits", "loss=cross_entropy"],
    ["dataset=digits", "loss=crammer_singer", "optimizer=sgd", "corruption=imbalance"],
    ["dataset=moons", "loss=focal", "model.hidden=[37,51]", "trainer.batch_size=33"],
    ["dataset=breast_cancer", "loss=hinge", "model=linear", "regularizer=l1"],
    ["dataset=diabetes", "loss=huber", "optimizer=adamw", "corruption=outliers"],
    ["dataset=wine", "loss=brier", "trainer.precision=64-true"],
    ["dataset=moons", "schedule=one_cycle", "optimizer=sgd", "trainer.clip_norm=0.1"],
]


@pytest.mark.parametrize("words", sampled(SETTINGS, 3), ids=lambda words: " ".join(words))
def test_a_seed_alone_equals_the_same_seed_among_32_bit_for_bit(words):
    config = configured("trainer.max_epochs=2", *words)
    rows, curves = tables(config, list(range(32)))
    for alone in ([7], [0, 30, 31]):
        own_rows, own_curves = tables(config, alone)
        among = rows[rows.seed.isin(alone)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own_rows, among, check_exact=True)
        expected = curves[curves.seed.isin(alone)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own_curves, expected, check_exact=True)


def test_results_do_not_depend_on_how_many_replicas_are_trained_as_one():
    config = configured("dataset=moons", "loss=focal", "trainer.max_epochs=2")
    whole = tables(config, list(range(7)))
    for most in (1, 3, 5):
        trainer = replace(config.trainer, max_replicas=most)
        cut = tables(replace(config, trainer=trainer), list(range(7)))
        for one, other in zip(whole, cut, strict=True):
            keys = [c for c in ("epoch", "metric", "seed") if c in one.columns]
            one, other = (t.sort_values(keys).reset_index(drop=True) for t in (one, other))
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_chunks_keep_every_seed_in_order_and_are_of_equal_size_but_for_one():
    for seeds, most in itertools.product(range(1, 40), range(1, 45)):
        chunks = in_chunks(list(range(seeds)), most)
        sizes = [len(chunk) for chunk in chunks]
        assert list(itertools.chain(*chunks)) == list(range(seeds))
        assert max(sizes) <= most
        assert max(sizes) - min(sizes) <= 1
        assert len(chunks) == -(-seeds // most)


def test_larger_models_and_batches_are_trained_in_smaller_stacks():
    def most(*words: str) -> int:
        config = configured("dataset=digits", *words)
        splits = training.data(config, [0])
        return most_replicas(Stack(training.make_recipe(config, splits), splits, [0]), False)

    small, wide, long = most(), most("model.hidden=[512,512]"), most("trainer.batch_size=512")
    assert small > 32
    assert small > wide >= FEWEST
    assert small > long >= FEWEST


def test_fewer_examples_than_a_batch_are_trained_in_one():
    """trainer.batch_size is the most examples in a batch, not a number that the data must reach."""
    numbers = [
        tables(
            configured("dataset=wine", "trainer.max_epochs=2", f"trainer.batch_size={size}"), [0]
        )
        for size in (107, 5000)
    ]
    for exact, larger in zip(*numbers, strict=True):
        pd.testing.assert_frame_equal(exact, larger, check_exact=True)


def test_seeds_that_pose_different_tasks_are_refused_also_in_different_stacks(tmp_path):
    (tmp_path / "odd.py").write_text(ODD)
    config = configured(
        f"dataset={tmp_path}/odd.py:odd", "trainer.max_epochs=1", "trainer.max_replicas=1"
    )
    with pytest.raises(UserError, match="a dataset must pose one task for every seed"):
        training.train(config, list(range(8)))


ODD = """
import numpy as np
from lossbench.contract import Sample

def odd(rng, /):
    classes = int(rng.integers(3, 6))
    return Sample(rng.standard_normal((120, 2)), np.arange(120) % classes, "multiclass")
"""


def poisoned(inner: Any, marker: float) -> Any:
    """A loss that becomes NaN for the replica whose data carry the marker."""

    def loss(prediction: Tensor, target: Tensor, *, class_counts: Tensor) -> Tensor:
        values = inner(prediction, target)
        return torch.where(class_counts[0] == marker, torch.nan, 1.0) * values

    return loss


def test_a_diverging_replica_leaves_the_others_bit_identical_and_has_no_numbers():
    words = ["dataset=digits", "corruption=label_noise", "trainer.max_epochs=3"]
    config, seeds = configured(*words), list(range(8))
    splits = training.data(config, seeds)
    counts = [int((target == 0).sum()) for target in splits.first("train")[1]]
    victim = next(i for i, c in enumerate(counts) if counts.count(c) == 1)
    recipe = training.make_recipe(config, splits)
    bad = partial(poisoned, recipe.loss({}), counts[victim])
    sound, ill = (
        stack_of(config, seeds),
        stack_of(config, seeds, loss=lambda facts: bad(), facts=("class_counts",)),
    )
    others = [i for i in range(8) if i != victim]
    for name in sound.state:
        assert (
            torch.equal(sound.state[name][others], ill.state[name][others]) or name not in ill.state
        )
    assert ill.history.diverged_epoch[victim] == 1
    assert (ill.history.diverged_epoch[others] == -1).all()
    rows, curves, _ = outcome._tables(ill.history, seeds)
    assert rows.status[victim] == "diverged"
    assert rows.filter(like="test").iloc[victim].isna().all()
    assert (curves[curves.seed == seeds[victim]].epoch == 0).all()


def test_weights_that_are_not_finite_are_divergence_though_the_loss_is():
    stack = stack_of(configured("dataset=moons", "trainer=short"), [0, 1, 2])
    stack.stacked[0].data[1] = torch.inf
    stack._mark_diverged(torch.zeros(3))
    assert (stack.history.diverged_epoch >= 0).tolist() == [False, True, False]


def test_no_epoch_after_divergence_is_the_best():
    stack = stack_of(configured("dataset=moons", "trainer=short"), [0, 1])
    stack.history.best_epoch.fill_(-1)
    stack.history.best_score.fill_(-torch.inf)
    stack.history.diverged_epoch[0] = 1
    stack.validation_step()
    assert stack.history.best_epoch[0] == -1
    assert stack.history.best_epoch[1] > 0


class Spy:
    """Keeps what the loss was shown."""

    def __init__(self, draws: bool) -> None:
        self.draws, self.targets, self.first = draws, [], None

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        noise = torch.rand(()) if self.draws else 0.5
        if prediction.requires_grad:
            self.targets.append(target.detach().clone())
            if self.first is None:
                self.first = prediction.detach().clone()
        return (prediction**2).sum(-1) * noise + target


def test_two_losses_see_the_same_weights_data_and_order_also_when_one_draws_random_numbers():
    config = configured("dataset=digits", "trainer.max_epochs=2", "optimizer=sgd")
    spies = [Spy(draws=False), Spy(draws=True)]
    stacks = [stack_of(config, [3, 4], loss=lambda facts, spy=spy: spy) for spy in spies]
    assert [s.draws for s in stacks] == [False, True]
    assert not any(s.unmapped for s in stacks)
    orders = [
        orders_of(s.splits, s.seeds, epoch, balanced=False) for s in stacks for epoch in (0, 1)
    ]
    assert torch.equal(orders[0], orders[2])
    assert torch.equal(orders[1], orders[3])
    assert not torch.equal(orders[0], orders[1])  # another epoch
    assert not torch.equal(orders[0][0], orders[0][1])  # another seed
    assert torch.equal(*(s.splits.first("train")[0] for s in stacks))
    fresh = [Stack(s.recipe, training.data(config, [3, 4]), [3, 4]) for s in stacks]
    for name in fresh[0].state:
        assert torch.equal(fresh[0].state[name], fresh[1].state[name])


def test_a_loss_that_draws_random_numbers_gives_a_seed_the_same_draws_alone_and_among_others():
    config = configured("dataset=digits", "trainer.max_epochs=2")
    alone = stack_of(config, [5], loss=lambda facts: Spy(draws=True))
    among = stack_of(config, [1, 5, 2], loss=lambda facts: Spy(draws=True))
    for name in alone.state:
        assert torch.equal(alone.state[name][0], among.state[name][1])


def test_each_seed_begins_with_weights_of_its_own():
    config = configured("dataset=moons", "trainer=short")
    splits = training.data(config, [0, 1])
    stack = Stack(training.make_recipe(config, splits), splits, [0, 1])
    first = next(iter(stack.state.values()))
    assert not torch.equal(first[0], first[1])


def test_scores_are_free_of_what_training_drops():
    config = configured("dataset=moons", "trainer=short")
    make = training.make_recipe(config, training.data(config, [0, 1])).model
    stack = stack_of(config, [0, 1], model=lambda: nn.Sequential(make(), nn.Dropout(0.9)))
    stack.form[0].train()
    scores = stack.score(stack.state, "validation")
    stack.form[0].eval()
    for name, values in stack.score(stack.state, "validation").items():
        assert torch.equal(values, scores[name])


def test_training_leaves_the_global_generator_where_it_was():
    config = configured("dataset=moons", "loss=focal", "trainer.max_epochs=1")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    training.train(config, [0, 1])
    assert torch.equal(before, torch.get_rng_state())


class Unmappable(nn.Module):
    """Branches on data, which cannot be mapped."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        logits = self.inner(inputs)
        return logits * 1.0 if logits.sum().item() > 0 else logits


def test_what_cannot_be_mapped_is_run_replica_by_replica_and_says_so():
    config = configured("dataset=digits", "trainer.max_epochs=1")
    stack = stack_of(config, [0, 1], model=Unmappable)
    assert "vmap" in (stack.unmapped or "")
    plain = stack_of(
        config, [0, 1], model=lambda: nn.ModuleDict({"inner": nn.Linear(64, 10)})["inner"]
    )
    assert plain.unmapped is None
    torch.testing.assert_close(stack.state["model.inner.weight"], plain.state["model.weight"])


def test_a_model_of_large_convolutions_is_run_replica_by_replica_for_the_same_numbers(monkeypatch):
    """Those of the map to rounding, and of a seed alone bit for bit; decided by sizes alone."""
    config = configured("dataset=digit_images", "model=conv", "model.channels=[24]")
    config = replace(config, trainer=replace(config.trainer, max_epochs=1))
    assert stack_of(config, [5]).unmapped == "on a CPU a model of this size costs less so"
    (rows, _), (alone, own_curves) = tables(config, [1, 5]), tables(config, [5])
    own = rows[rows.seed == 5].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone, check_exact=True)
    monkeypatch.setattr(roads, "LARGE", torch.inf)
    _, mapped = tables(config, [5])
    pd.testing.assert_frame_equal(own_curves, mapped, rtol=1e-3)


def masked(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Cross-entropy written by a boolean index, which cannot be mapped."""
    losses = nn.functional.cross_entropy(prediction, target, reduction="none")
    capped = losses.clone()
    capped[losses > 2] = 2 * losses[losses > 2] - 2
    return capped


def compared(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Its rows know the largest of their batch."""
    losses = masked(prediction, target)
    return losses * losses.max()


def test_a_loss_that_cannot_be_mapped_is_called_once_on_the_rows_of_all_replicas():
    """The numbers are those of the loop to rounding, and of a seed alone bit for bit."""
    config = configured("dataset=digits", "trainer.max_epochs=2")
    folded = stack_of(config, [1, 5, 2], loss=lambda facts: masked)
    assert folded.folded
    assert folded.unmapped is None
    assert "rows of all replicas at once" in folded.history.notes[0]
    alone = stack_of(config, [5], loss=lambda facts: masked)
    for name in alone.state:
        assert torch.equal(alone.state[name][0], folded.state[name][1])
    batch = folded.first_batch()
    looped = folded.looped(folded.objective, folded.state, *batch)
    torch.testing.assert_close(folded.objectives(folded.state, *batch), looped)


def test_a_loss_of_which_the_mapped_values_are_others_is_run_replica_by_replica():
    """Here it is one that counts its calls."""
    calls = []

    def counted(prediction: Tensor, target: Tensor, /) -> Tensor:
        calls.append(1)
        return nn.functional.cross_entropy(prediction, target, reduction="none") * len(calls)

    stack = stack_of(
        configured("dataset=digits", "trainer.max_epochs=1"), [0, 1], loss=lambda _: counted
    )
    assert "mapped values differ by" in (stack.unmapped or "")


def fails_beyond_reason(prediction: Tensor, target: Tensor, /) -> Tensor:
    """An index that rounding moves out of bounds where predictions are absurdly large."""
    if prediction.abs().max() > 1e9:
        raise IndexError("index -1 is out of bounds")
    return masked(prediction, target)


def test_a_loss_that_fails_at_absurd_predictions_is_folded():
    """It would fail in a loop as well; until then its rows are its own."""
    config = configured("dataset=digits", "trainer.max_epochs=1")
    assert stack_of(config, [1, 2], loss=lambda facts: fails_beyond_reason).folded


@pytest.mark.parametrize("least", [6, 1000])
def test_a_loss_that_asks_for_examples_of_a_class_is_tried_on_a_whole_batch(least):
    """A few may have too few; where a batch has too few as well, that is said."""

    def asking(prediction: Tensor, target: Tensor, /) -> Tensor:
        assert target.sum() >= least, "too few positive examples"
        return nn.functional.binary_cross_entropy_with_logits(prediction, target)

    config = configured("dataset=moons", "trainer.max_epochs=1", "trainer.batch_size=64")
    if least == 6:
        assert stack_of(config, [1, 2], loss=lambda facts: asking).history.curves
    else:
        with pytest.raises(UserError, match="first 64 training examples: too few"):
            stack_of(config, [1, 2], loss=lambda facts: asking)


def refusing(prediction: Tensor, target: Tensor, /) -> Tensor:
    """A loss that is meant for numbers, and says so."""
    if prediction.isnan().any():
        raise ValueError("NaN")
    return masked(prediction, target)


def test_a_loss_that_refuses_what_is_not_a_number_is_folded_without_diverged_replicas():
    """The one that has diverged is left out, has the loss NaN, and moves no other."""
    stack = stack_of(
        configured("dataset=digits", "trainer.max_epochs=1"), [1, 2, 3], loss=lambda facts: refusing
    )
    assert stack.folded
    inputs, target = stack.first_batch()
    prediction = stack.predictions(stack.state, inputs).detach()
    sound = stack.folded_loss(prediction, target)
    prediction[1, 0] = torch.nan
    leaf = prediction.requires_grad_()
    losses = stack.folded_loss(leaf, target)
    losses[[0, 2]].sum().backward()
    assert losses[1].isnan()
    torch.testing.assert_close(losses[[0, 2]], sound[[0, 2]])
    assert leaf.grad[[0, 2]].any()
    assert not leaf.grad[1].any()


def branching(prediction: Tensor, target: Tensor, /) -> Tensor:
    """Its rows know whether any of their batch has diverged."""
    losses = masked(prediction, target)
    return losses if prediction.sum().item() < 1e9 else 2 * losses


@pytest.mark.parametrize("loss", [compared, branching])
def test_a_loss_that_looks_at_the_whole_batch_is_not_called_on_the_rows_of_others(loss):
    config = configured("dataset=digits", "trainer.max_epochs=1")
    stack = stack_of(config, [1, 2], loss=lambda facts: loss)
    assert not stack.folded
    assert "vmap" in (stack.unmapped or "")


LAYERS = [
    nn.Linear(5, 3),
    nn.Linear(5, 3, bias=False),
    nn.Sequential(
        nn.Flatten(), nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 6), nn.Unflatten(1, (2, 3))
    ),
    nn.Sequential(nn.Sequential(nn.Linear(5, 4), nn.Tanh()), nn.LayerNorm(4), nn.Linear(4, 1)),
    nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Linear(1, 4), nn.Flatten(1), nn.Flatten(0)),
    nn.Sequential(nn.Unflatten(-1, (1, 5, 1)), nn.Conv2d(1, 2, 1), nn.LeakyReLU(), nn.Flatten()),
]


@pytest.mark.parametrize("module", LAYERS, ids=str)
def test_layers_of_all_replicas_at_once_give_values_and_gradients_of_each_alone(module):
    torch.manual_seed(0)
    inputs = torch.randn(3, 7, 5)
    stacked = {
        n: torch.randn(3, *p.shape, requires_grad=True) for n, p in module.named_parameters()
    }
    together = layers.stacked(module, stacked, inputs)
    (together**2).sum().backward()
    for r in range(3):
        own = {n: p[r].detach().requires_grad_() for n, p in stacked.items()}
        alone = torch.func.functional_call(module, own, (inputs[r],))
        torch.testing.assert_close(together[r], alone)
        (alone**2).sum().backward()
        for name, parameter in own.items():
            torch.testing.assert_close(stacked[name].grad[r], parameter.grad)


class Scaled(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(prediction * self.scale, target, reduction="none")


def test_a_loss_with_weights_of_its_own_is_trained_for_each_replica():
    config = configured("dataset=digits", "trainer.max_epochs=1")
    stack = stack_of(config, [0, 1], loss=lambda facts: Scaled())
    scale = stack.state["loss.scale"]
    assert (scale != 1).all()
    assert scale[0] != scale[1]
    assert stack.weights
    assert all(n.startswith("model.") and n.endswith("weight") for n in stack.weights)


def test_the_weights_of_a_loss_are_drawn_by_seed_and_its_noise_by_step():
    config = configured("dataset=digits", "trainer=short")
    splits = training.data(config, [0, 1])
    make = partial(nn.Linear, 10, 10)
    stack = Stack(
        replace(training.make_recipe(config, splits), loss=lambda facts: make()), splits, [0, 1]
    )
    first, second = stack.state["loss.weight"]
    assert not torch.equal(first, second)
    draws = [stack.looped(lambda row: torch.rand(()), torch.zeros(2, 1))]
    stack.steps_done += 1
    draws.append(stack.looped(lambda row: torch.rand(()), torch.zeros(2, 1)))
    assert len(set(torch.cat(draws).tolist())) == 4


def test_the_training_loss_is_the_mean_over_examples_in_batches_of_any_size():
    """Without a step that is the loss of the whole training split."""
    words = ["dataset=wine", "trainer.max_epochs=1", "trainer.batch_size=50", "optimizer=sgd"]
    stack = stack_of(configured(*words, "optimizer.lr=1e-12", "trainer.precision=64-true"), [0, 1])
    inputs, targets = stack.splits.first("train")
    whole = stack.objectives(stack.state, inputs.to(stack.stacked[0].dtype), targets)
    (seen,) = (v for _, name, v in stack.history.curves if name == "train/loss")
    torch.testing.assert_close(seen, whole.detach().cpu(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("classes", [3, 16])
def test_embeddings_are_scored_through_the_logits_of_the_loss_however_many_classes(classes):
    """Also where an embedding has as many numbers as there are classes."""
    data = ["dataset=blobs", f"dataset.classes={classes}", "dataset.samples=200"]
    config = configured(*data, "loss=center", "trainer.max_epochs=1")
    stack = stack_of(config, [0, 1])
    inputs, _ = stack.splits.first("test")
    scored, embeddings = (
        stack.all_scored(stack.state, inputs),
        stack.predictions(stack.state, inputs),
    )
    weight, bias = stack.state["loss.weight"], stack.state["loss.bias"]
    torch.testing.assert_close(scored, embeddings @ weight.mT + bias[:, None])


def test_a_balanced_epoch_visits_each_class_alike_and_a_class_round_by_round():
    labels = torch.tensor([0] * 70 + [1] * 25 + [2] * 5)
    order = balanced_order(labels, torch.Generator().manual_seed(3))
    visits = torch.bincount(order, minlength=100)
    shares = [visits[labels == label] for label in range(3)]
    assert [share.sum().item() for share in shares] == [33, 33, 34]
    assert [(s.min().item(), s.max().item()) for s in shares] == [(0, 1), (1, 2), (6, 7)]
    assert labels[order[:30]].bincount(minlength=3).min() > 3, "shuffled"


def test_a_balanced_epoch_is_trained_on_and_the_same_alone():
    words = ["dataset=moons", "corruption=imbalance", "trainer.max_epochs=1"]
    config = configured(*words, "trainer.sampler=balanced")
    (_, curves), (_, own) = (tables(config, seeds) for seeds in ([0, 1, 2], [1]))
    expected = curves[curves.seed == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, expected, check_exact=True)
    assert not curves.value.equals(tables(configured(*words), [0, 1, 2])[1].value)
    with pytest.raises(UserError, match=r"sampler=balanced needs one class .* task regression"):
        training.train(
            configured("dataset=diabetes", "loss=huber", "trainer.sampler=balanced"), [0]
        )


SCHEDULES = [
    ("sinking", "schedule={file}:sinking gives -0.01 at 51 % of training"),
    ("words", "schedule={file}:words gives 'slow' at 0 % of training"),
]


@pytest.mark.parametrize(("name", "reason"), SCHEDULES)
def test_a_schedule_that_gives_no_factor_is_refused_with_what_it_gave(name, reason, tmp_path):
    (file := tmp_path / "mine.py").write_text(
        "def sinking(progress, /):\n    return round(0.5 - progress, 2)\n"
        "def words(progress, /):\n    return 'slow'\n"
    )
    config = configured("dataset=moons", f"schedule={file}:{name}")
    with pytest.raises(UserError, match=reason.format(file=file)):
        training.train(config, [0])


def test_a_schedule_is_refused_for_an_optimiser_without_a_learning_rate(tmp_path):
    (file := tmp_path / "mine.py").write_text(NO_RATE)
    config = configured("dataset=moons", f"optimizer={file}:still", "trainer.max_epochs=1")
    assert (training.train(config, [0]).seeds.status == "finished").all()
    config = configured("dataset=moons", f"optimizer={file}:still", "schedule=cosine")
    with pytest.raises(UserError, match=r"schedule=cosine: optimizer=.* has no lr"):
        training.tried_recipe(config, training.data(config, [0]))


NO_RATE = """
import torch

class Still(torch.optim.Optimizer):
    def step(self, closure=None):
        pass

def still(parameters, /):
    return Still(parameters, {})
"""


@pytest.mark.parametrize(
    "words", [["dataset=wine"], ["dataset=diabetes", "loss=squared_error"]], ids=str
)
def test_the_best_epoch_is_chosen_by_the_primary_metric_on_validation(words):
    words = [*words, "trainer.max_epochs=12", "optimizer.lr=0.05"]
    result = training.train(configured(*words), [0, 1, 2])
    primary = result.summary["primary"]
    direction = result.summary["directions"][primary]
    curves = result.curves
    validation = curves[(curves.metric == f"val/{primary}") & (curves.epoch > 0)]
    for row in result.seeds.itertuples():
        own = direction * validation[validation.seed == row.seed].set_index("epoch").value
        assert row.best_epoch == own.idxmax()
        best = result.seeds.set_index("seed").loc[row.seed, f"val_best/{primary}"]
        assert best == pytest.approx(direction * own.max())


@pytest.mark.parametrize("words", [[], ["schedule=cosine", "trainer.clip_norm=0.3"]], ids=str)
def test_stacked_training_equals_a_plain_loop(words):
    """Second road: an ordinary model, optimiser, scheduler and loop on one seed's data."""
    plain = ["dataset=digits", "trainer.max_epochs=2", "optimizer=sgd", "optimizer.lr=0.01"]
    config = configured(*plain, *words)
    stack = stack_of(config, [3, 9])
    fresh = Stack(stack.recipe, training.data(config, [9]), [9])
    model = stack.recipe.model()
    weights = layers.under(fresh.state, "model.")
    model.load_state_dict({n: p[0].detach() for n, p in weights.items()})
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    inputs, targets = (part[0] for part in fresh.splits.first("train"))
    per_epoch = -(-len(targets) // 64)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2 * per_epoch)
    for epoch in range(2):
        order = orders_of(fresh.splits, fresh.seeds, epoch, balanced=False)[0]
        for index in order.tensor_split(per_epoch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[index]), targets[index]).backward()
            if words:
                nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            optimizer.step()
            if words:
                cosine.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(stack.state[f"model.{name}"][1], parameter, rtol=1e-4, atol=1e-6)


def test_training_beats_the_untrained_model():
    result = training.train(configured("dataset=digits", "trainer.max_epochs=5"), [0, 1, 2])
    curve = result.curves[result.curves.metric == "val/accuracy"].groupby("epoch").value.mean()
    assert curve.iloc[-1] > 0.8 > 0.3 > curve.iloc[0]
    assert np.isfinite(result.seeds["test/accuracy"]).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_accuracy_of_the_cpu():
    words = ["dataset=digits", "trainer.max_epochs=5"]
    cpu = training.train(configured(*words), [0, 1]).seeds["test/accuracy"]
    gpu = training.train(configurations([*words, "trainer.device=gpu"])[0][0], [0, 1]).seeds[
        "test/accuracy"
    ]
    assert np.abs(cpu - gpu).max() < 0.02


def test_the_latest_point_is_the_mean_over_what_has_not_diverged_and_is_no_idle_replica():
    history = History(torch.tensor([-1, 2, -1, -1]), torch.zeros(4), torch.zeros(4))
    history.curves = [
        (1, "train/loss", torch.tensor([9.0, 9.0, 9.0, 9.0])),
        (2, "val/accuracy", torch.tensor([0.25, 7.0, 0.75, 7.0])),
        (2, "train/loss", torch.tensor([1.0, torch.nan, 3.0, 7.0])),
    ]
    assert latest_point(history, 3) == (2, {"train/loss": 2.0, "val/accuracy": 0.5})
