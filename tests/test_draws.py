"""Random numbers of replicas, and models that draw them or keep statistics of their batches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from support import sampled
from test_stack import configured, stack_of, tables
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench import training
from lossbench.training import layers
from lossbench.training.draws import Draws, key_at, normal, uniform
from lossbench.training.sampling import orders_of
from lossbench.training.stack import Stack

KEY = torch.tensor(7)
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, output_shape):
        super().__init__()
        self.enter = nn.Conv2d(1, 6, 3, padding=1, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.whole = nn.Dropout2d(0.1)
        self.leave = nn.Sequential(
            nn.Flatten(), nn.Linear(96, 17), nn.BatchNorm1d(17), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(17, *output_shape), nn.Dropout(0.01),
        )

    def forward(self, images):
        return self.leave(self.whole(self.norm(self.enter(images)).relu()))
"""


# ---- numbers -----------------------------------------------------------------------------------
def test_the_numbers_are_those_of_splitmix64_on_every_machine():
    """Vigna's C code, from state 7 - 0x9E3779B97F4A7C15, gives these 64 bits first."""
    state, mask = 7, 2**64 - 1
    expected = []
    for _ in range(4):
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        expected.append((((z ^ (z >> 31)) >> 41) + 0.5) / 2**23)
        state = (state + 0x9E3779B97F4A7C15) & mask
    assert uniform(KEY, (4,)).tolist() == expected


@pytest.mark.parametrize(
    "draw",
    [
        lambda: uniform(KEY, (10**6,)),
        lambda: torch.cat([uniform(key_at(KEY, step), (50,)) for step in range(3_000)]),
        lambda: torch.cat([uniform(key_at(torch.tensor(k), 1), (50,)) for k in range(3_000)]),
    ],
    ids=["positions", "steps", "keys"],
)
def test_numbers_are_uniform_and_do_not_depend_on_their_neighbours(draw):
    numbers = draw().numpy()
    assert stats.chisquare(np.histogram(numbers, 64, (0, 1))[0]).pvalue > 1e-3
    pairs = np.histogram2d(numbers[:-1:2], numbers[1::2], 16, [(0, 1), (0, 1)])[0]
    assert stats.chisquare(pairs.ravel()).pvalue > 1e-3
    assert numbers.min() > 0
    assert numbers.max() < 1


def test_normal_numbers_are_normal():
    assert stats.kstest(normal(KEY, (10**5,)).numpy(), "norm").pvalue > 1e-3


CALLS = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "module": nn.Dropout(0.3),
    "in place": lambda x: F.dropout(x.clone(), 0.3, inplace=True),
    "channels": lambda x: F.dropout2d(x, 0.3),
    "rand": lambda x: torch.rand(3, 4) * x.sum(),
    "size": lambda x: torch.rand((), dtype=torch.float64) * x.sum(),
    "randn_like": torch.randn_like,
    "rand_like": torch.rand_like,
    "bernoulli": lambda x: torch.bernoulli(x * 0 + 0.5),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_what_pytorch_is_asked_for_is_the_same_mapped_and_alone_and_differs_by_draw(call):
    keys, inputs = torch.tensor([3, 11, 5]), torch.ones(3, 2, 6, 4, 5)

    def drawn(key: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        with Draws(key):
            return call(own), call(own)

    first, second = torch.func.vmap(drawn)(keys, inputs)
    for r, key in enumerate(keys):
        alone = drawn(key, inputs[r])
        assert torch.equal(alone[0], first[r])
        assert torch.equal(alone[1], second[r])
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    shape, dtype = call(inputs[0]).shape, call(inputs[0]).dtype
    assert (first.shape[1:], first.dtype) == (shape, dtype)


def test_dropout_keeps_its_share_and_the_mean_and_drops_channels_whole():
    inputs = torch.ones(50, 40, 3, 3)
    with Draws(KEY):
        values, channels = F.dropout(inputs, 0.3), F.dropout2d(inputs, 0.3)
        assert F.dropout(inputs, 0.3, training=False) is inputs
        assert (F.dropout(inputs, 1.0) == 0).all()
    for dropped in (values, channels):
        torch.testing.assert_close(dropped.unique(), torch.tensor([0, 1 / 0.7]))
        assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert (channels == channels[..., :1, :1]).all()
    assert not (values == values[..., :1, :1]).all()


def test_a_draw_with_its_own_generator_is_left_to_it():
    with Draws(KEY):
        drawn = torch.rand(3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(1)))


# ---- models ------------------------------------------------------------------------------------
@pytest.fixture
def net(tmp_path) -> str:
    (tmp_path / "net.py").write_text(NET)
    return f"model={tmp_path}/net.py:Net"


WITH_NORM = [
    ["{net}"],
    ["model=tabular", "model.hidden=[17,9]"],
    ["model=transformer", "model.patch=2", "model.width=12"],
    ["model=resnet", "model.width=3"],
]


@pytest.mark.parametrize("words", sampled(WITH_NORM, 4))
def test_a_model_with_batch_norm_and_dropout_is_mapped_alone_as_among_others(words, net):
    words = [word.format(net=net) for word in words]
    config = configured("dataset=digit_images", "trainer.max_epochs=1", *words)
    rows, curves = tables(config, list(range(6)))
    for alone in ([3], [0, 5]):
        own_rows, own_curves = tables(config, alone)
        among = rows[rows.seed.isin(alone)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own_rows, among, check_exact=True)
        expected = curves[curves.seed.isin(alone)].reset_index(drop=True)
        pd.testing.assert_frame_equal(own_curves, expected, check_exact=True)
    assert training.train(config, [0]).summary["mapped"]


class Normed(nn.Sequential):
    def __init__(self) -> None:
        layers = [nn.Flatten(), nn.Linear(64, 9), nn.BatchNorm1d(9, momentum=0.3), nn.Tanh()]
        super().__init__(*layers, nn.Linear(9, 10))


def test_batch_norm_in_a_stack_equals_a_plain_loop_in_training_and_evaluation():
    words = ["dataset=digits", "trainer.max_epochs=2", "optimizer=sgd", "optimizer.lr=0.01"]
    stack = stack_of(configured(*words), [3, 9], model=Normed)
    assert stack.unmapped is None
    fresh = Stack(stack.recipe, training.data(configured(*words), [9]), [9])
    model = Normed()
    weights = layers.under(fresh.state, "model.")
    model.load_state_dict({n: p[0].detach() for n, p in weights.items()})
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    inputs, targets = (part[0] for part in fresh.splits.first("train"))
    steps = 0
    for epoch in range(2):
        for index in orders_of(fresh.splits, fresh.seeds, epoch, balanced=False)[0].tensor_split(
            -(-len(targets) // 64)
        ):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[index]), targets[index]).backward()
            optimizer.step()
            steps += 1
    for name, value in model.state_dict().items():
        torch.testing.assert_close(stack.state[f"model.{name}"][1], value, rtol=1e-4, atol=1e-5)
    assert stack.state["model.2.num_batches_tracked"].tolist() == [steps, steps]
    tested, _ = stack.splits.first("test", 50)
    scored = stack.estimate(stack.state, tested)[1]
    with torch.no_grad():
        expected = model.eval()(tested[1]).softmax(-1)
    torch.testing.assert_close(scored, expected, rtol=1e-3, atol=1e-4)


def test_the_best_epoch_keeps_its_own_statistics():
    words = ["dataset=digits", "trainer.max_epochs=4", "optimizer.lr=0.03"]
    stack = stack_of(configured(*words), [0, 1, 2, 3], model=Normed)
    per_epoch = stack.state["model.2.num_batches_tracked"][0] // 4
    assert torch.equal(
        stack.best["model.2.num_batches_tracked"], per_epoch * stack.history.best_epoch
    )


class Attentive(nn.Module):
    """Its attention drops by a way that is not listed."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.leave = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.leave(self.inner(inputs.unflatten(1, (8, 8))).flatten(1))


def test_what_draws_in_an_unknown_way_is_run_one_by_one_with_the_seeds_own_numbers():
    config = configured("dataset=digits", "trainer.max_epochs=1")
    alone, among = (stack_of(config, seeds, model=Attentive) for seeds in ([5], [1, 5]))
    assert "random" in alone.unmapped
    for name in alone.state:
        assert torch.equal(alone.state[name][0], among.state[name][1])
