"""Models of timm and torchvision by name, where these are installed."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from lossbench import registry
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.training import data, make_recipe, train
from lossbench.training.stack import Stack

torch.set_num_threads(1)
LIBRARIES = ("timm", "torchvision")


def installed(library: str):
    there = importlib.util.find_spec(library) is not None
    return pytest.param(library, marks=pytest.mark.skipif(not there, reason="not installed"))


INSTALLED = [installed(library) for library in LIBRARIES]


def config_of(words: str):
    fixed = "tracking=none trainer.device=cpu trainer.max_epochs=1 trainer.batch_size=512 seeds=2"
    return configurations([*fixed.split(), *words.split()])[0][0]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_is_not_there_is_refused_in_a_line(library):
    if importlib.util.find_spec(library):
        pytest.skip("installed")
    with pytest.raises(UserError, match=f"{library} is not installed; pip install {library}"):
        registry.find("model", f"{library}:resnet18")


@pytest.mark.parametrize("library", INSTALLED)
def test_a_model_sees_the_channels_and_has_the_outputs_of_the_task(library):
    """One channel and ten classes, under the names of the library's own weights; it is mapped."""
    config = config_of(f"model={library}:resnet18 dataset=digit_images loss=focal")
    splits = data(config, [0, 1])
    stack = Stack(make_recipe(config, splits), splits, [0, 1])
    shapes = {n: tuple(p.shape[1:]) for n, p in stack.state.items()}
    assert shapes["model.model.conv1.weight"] == (64, 1, 7, 7)
    assert shapes["model.model.fc.weight"] == (10, 512)
    assert stack.predictions(stack.state, stack.first_batch()[0]).shape == (2, 8, 10)
    result = train(config, [0, 1])
    assert list(result.seeds.status) == ["finished"] * 2
    assert result.summary["mapped"]


@pytest.mark.parametrize("library", INSTALLED)
def test_a_model_that_it_does_not_have_is_refused_with_the_nearest(library):
    config = config_of(f"model={library}:resnet1 dataset=digit_images loss=focal")
    with pytest.raises(UserError, match=f"{library} has no such model. Did you mean resnet"):
        make_recipe(config, data(config, [0])).model()


@pytest.mark.parametrize("library", INSTALLED)
def test_a_model_of_images_is_refused_for_a_table(library):
    config = config_of(f"model={library}:resnet18 dataset=wine loss=focal")
    with pytest.raises(UserError, match="resnet18"):
        make_recipe(config, data(config, [0])).model()
