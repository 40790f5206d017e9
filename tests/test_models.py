"""Models: shapes, what they see, replicas mapped and looped, refusals with a reason."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from lossbench.contract import UserError
from lossbench.models.adapted import adapted, sized
from lossbench.models.attention import transformer
from lossbench.models.convolutional import conv, unet
from lossbench.models.linear import linear
from lossbench.models.mlp import mlp
from lossbench.models.residual import resnet
from lossbench.models.sequential import gru, temporal_conv
from lossbench.models.tabular import tabular
from lossbench.models.two_sided import bilinear, keeps_sides_apart, pair_scorer, two_tower
from lossbench.models.variational import vae
from lossbench.registry import installed, load
from lossbench.tasks.generative import Generative
from lossbench.tasks.pairs import Pairs
from lossbench.tasks.ranking import Ranking

MODELS = [
    # model, input shape, output shape, whether replicas can be mapped
    (linear, (3, 2), (), True),
    (mlp, (1, 8, 8), (10,), True),
    (conv, (1, 8, 8), (10,), True),
    (conv, (2, 7, 5), (), True),
    (unet, (1, 16, 16), (16, 16), True),
    (partial(unet, channels=(3, 4, 5)), (2, 9, 14), (9, 14), True),
    (two_tower, (2, 6), (2, 4), True),
    (bilinear, (2, 6), (2, 4), True),
    (pair_scorer, (2, 6), (2,), True),
    (pair_scorer, (2, 3, 2), (2, 4), True),
    (temporal_conv, (20, 3), (20, 11), True),
    (gru, (20, 3), (20, 11), False),
    (vae, (6,), (6 + 2 * 2,), True),
    (partial(resnet, width=4), (3, 8, 8), (10,), True),
    (partial(resnet, width=3, depth=18, norm="group"), (1, 9, 7), (), True),
    (tabular, (7,), (3,), True),
    (transformer, (5, 3), (5, 4), True),
    (partial(transformer, patch=2), (3, 8, 6), (2, 3), True),
]
NAMES = [f"{getattr(m, '__name__', 'deep')} {i} {o}" for m, i, o, _ in MODELS]
every_model = pytest.mark.parametrize(("model", "inputs", "outputs", "mapped"), MODELS, ids=NAMES)


@every_model
def test_a_model_keeps_its_shapes_and_learns_with_every_parameter(model, inputs, outputs, mapped):
    """(B, *input_shape) -> (B, *output_shape), in evaluation for a batch of one as well."""
    module = model(inputs, outputs)
    assert module.eval()(torch.randn(1, *inputs)).shape == (1, *outputs)
    prediction = module.train()(torch.randn(3, *inputs))
    assert prediction.shape == (3, *outputs)
    prediction.square().sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@every_model
def test_replicas_are_mapped_with_the_numbers_of_each_alone(model, inputs, outputs, mapped):
    """What cannot be mapped says so, and does not give other numbers."""
    modules = [model(inputs, outputs).eval() for _ in range(3)]
    parameters, buffers = stack_module_state(modules)
    state = {**parameters, **buffers}
    batch = torch.randn(3, 4, *inputs)

    def one(parameters, inputs):
        return functional_call(modules[0], parameters, (inputs,))

    if not mapped:
        with pytest.raises(RuntimeError, match=r"[Bb]atching rule"):
            vmap(one)(state, batch)
        return
    alone = torch.stack([module(part) for module, part in zip(modules, batch, strict=True)])
    assert torch.allclose(vmap(one)(state, batch), alone, rtol=1e-4, atol=1e-6)


@every_model
def test_an_example_does_not_depend_on_the_rest_of_its_batch(model, inputs, outputs, mapped):
    """In evaluation: no statistics of the batch anywhere."""
    module, batch = model(inputs, outputs).eval(), torch.randn(5, *inputs)
    assert torch.allclose(module(batch)[2:3], module(batch[2:3]), rtol=1e-4, atol=1e-6)


def test_the_bilinear_model_scores_with_one_matrix():
    """Without its offsets the inner product of both sides is x1' W x2, W = U'V."""
    model = bilinear((2, 6), (2, 4))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    inputs = torch.randn(5, 2, 6)
    left, right = model(inputs).unbind(1)
    expected = torch.einsum("bi,ij,bj->b", inputs[:, 0], weights[0].T @ weights[1], inputs[:, 1])
    assert torch.allclose((left * right).sum(-1), expected, atol=1e-5)


@pytest.mark.parametrize("backbone", [mlp, linear, two_tower, bilinear, pair_scorer])
def test_no_side_of_a_pair_sees_the_other(backbone):
    """Any backbone is used on each side alone, or retrieval would be won by looking."""
    model = Pairs((2, 6), 4).assemble(backbone, 1)
    inputs = torch.randn(5, 2, 6)
    other = inputs.clone()
    other[:, 1] = torch.randn(5, 6)
    assert torch.equal(model(inputs)[:, 0], model(other)[:, 0])
    assert not torch.allclose(model(inputs)[:, 1], model(other)[:, 1])
    assert model.training
    assert keeps_sides_apart(backbone((2, 6), (2, 4)), (2, 6)) == (backbone not in (mlp, linear))


@pytest.mark.parametrize("backbone", [mlp, linear, pair_scorer])
def test_both_items_of_a_ranking_get_the_same_scorer(backbone):
    """Items in the other order have their scores in the other order."""
    model = Ranking((2, 6)).assemble(backbone, 1)
    inputs = torch.randn(5, 2, 6)
    assert model(inputs).shape == (5, 2)
    assert torch.allclose(model(inputs.flip(1)), model(inputs).flip(1), atol=1e-6)


def test_towers_of_their_own_are_no_ranking():
    """A scorer for each place would learn the place."""
    with pytest.raises(UserError, match="model=pair_scorer"):
        Ranking((2, 6)).assemble(two_tower, 1)


def test_a_model_that_fits_a_task_as_it_is_stays_as_it_is():
    """A pair scorer is not wrapped once more, nor a tower."""
    assert set(Ranking((2, 6)).assemble(pair_scorer, 1).state_dict()) == set(
        pair_scorer((2, 6), (2,)).state_dict()
    )
    shapes = [p.shape for p in Pairs((2, 6), 4).assemble(bilinear, 1).parameters()]
    assert shapes == [p.shape for p in bilinear((2, 6), (2, 4)).parameters()]


def test_the_autoencoder_draws_in_training_and_decodes_the_mean_in_evaluation():
    """The posterior does not depend on the draw; the reconstruction does, in training only."""
    task = Generative((6,), 6, 2)
    model, inputs = task.assemble(vae, 1), torch.rand(4, 6)
    first, second = model(inputs), model(inputs)
    assert torch.equal(first[:, 6:], second[:, 6:])
    assert not torch.equal(first[:, :6], second[:, :6])
    model.eval()
    assert torch.equal(model(inputs), model(inputs))
    assert torch.equal(model(inputs)[:, :6], model.decoder(first[:, 6:8]))


def test_any_backbone_becomes_an_autoencoder():
    """A perceptron's reconstruction would not go through the latents; a vae stays as it is."""
    task = Generative((6,), 6, 2)
    model = task.assemble(mlp, 1)
    assert model(torch.rand(3, 6)).shape == (3, 10)
    first, second = model.eval()(torch.rand(2, 6)).split(1)
    assert torch.allclose(model.decoder(first[:, 6:8]), first[:, :6], atol=1e-6)
    assert not torch.equal(first, second)
    assert model.encoder(torch.rand(3, 6)).shape == (3, 4)
    shapes = [p.shape for p in task.assemble(vae, 1).parameters()]
    assert shapes == [p.shape for p in vae((6,), (10,)).parameters()]


REFUSED = [
    (conv, (64,), (10,), ["model=conv", "(64,)", "model=mlp"]),
    (unet, (64,), (64,), ["model=unet", "(64,)"]),
    (unet, (1, 8, 8), (10,), ["model=unet", "(8, 8)", "(10,)", "model=conv"]),
    (partial(unet, channels=()), (1, 8, 8), (8, 8), ["model.channels"]),
    (two_tower, (6,), (4,), ["model=two_tower", "(6,)"]),
    (bilinear, (3, 6), (3, 4), ["model=bilinear", "(3, 6)"]),
    (pair_scorer, (2, 6), (), ["model=pair_scorer", "()"]),
    (temporal_conv, (20, 3), (11,), ["model=temporal_conv", "(11,)"]),
    (partial(temporal_conv, kernel=4), (20, 3), (20, 11), ["model.kernel=4", "3 or 5"]),
    (gru, (64,), (10,), ["model=gru", "(64,)"]),
    (vae, (6,), (7,), ["model=vae", "6 + 2Z", "(7,)"]),
    (vae, (6,), (6,), ["model=vae"]),
    (resnet, (64,), (10,), ["model=resnet", "(64,)"]),
    (transformer, (64,), (10,), ["model=transformer", "(64,)", "tabular"]),
    (transformer, (1, 9, 8), (10,), ["model.patch=4", "9 x 8"]),
    (partial(transformer, heads=3), (5, 3), (10,), ["model.width=32", "model.heads=3"]),
]


@pytest.mark.parametrize(("model", "inputs", "outputs", "words"), REFUSED)
def test_a_model_refuses_shapes_that_it_is_not_for(model, inputs, outputs, words):
    """What it is for, what it was given, what to use instead."""
    with pytest.raises(UserError) as error:
        model(inputs, outputs)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_layers_that_learn_their_size_from_inputs_are_as_if_it_had_been_given():
    def make(last: type[nn.Module], *size: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), last(*size, 10))

    lazy = sized(partial(adapted, partial(make, nn.LazyLinear)), (1, 4, 4), (10,))
    torch.testing.assert_close(lazy.state_dict()["model.1.weight"], make(nn.Linear, 16)[1].weight)


@pytest.mark.parametrize(("depth", "millions"), [(18, 11.173962), (20, 0.27), (56, 0.85)])
def test_a_residual_network_has_the_published_number_of_parameters(depth, millions):
    count = sum(p.numel() for p in resnet((3, 32, 32), (10,), depth=depth).parameters())
    assert count / 1e6 == pytest.approx(millions, rel=1e-9 if depth == 18 else 0.02)


def test_every_installed_model_loads():
    """What packaging promises is there."""
    assert {m.__name__ for m in (linear, mlp, conv, unet, vae, gru)} <= {
        plugin.name for plugin in installed("model")
    }
    assert all(callable(load(plugin)) for plugin in installed("model"))
