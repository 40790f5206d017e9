"""A model starts from the weights of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from lossbench import training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.models.mlp import mlp
from lossbench.training.fitting import data, fit
from lossbench.training.recipe import make_recipe
from lossbench.training.stack import Stack

torch.set_num_threads(1)
SMALL = (
    "dataset=wine model.hidden=[4] seeds=2 trainer.max_epochs=1 trainer.device=cpu tracking=none"
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configured(words: str) -> Configuration:
    return configurations([*SMALL.split(), *words.split()])[0][0]


def saved(file: str, outputs: int = 3) -> dict[str, torch.Tensor]:
    """The weights of a perceptron for wine, written to a file."""
    tensors = mlp((13,), (outputs,), hidden=[4]).state_dict()
    if not file.endswith(".safetensors"):
        torch.save(tensors if "inner" not in file else {"state_dict": tensors, "epoch": 3}, file)
        return tensors
    header, numbers = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        part = tensor.numpy().tobytes()
        offsets = [len(numbers), len(numbers) + len(part)]
        header[name] = {"dtype": "F32", "shape": [*tensor.shape], "data_offsets": offsets}
        numbers += part
    text = json.dumps(header).encode()
    Path(file).write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return tensors


@pytest.mark.parametrize("file", ["w.pt", "w.safetensors", "inner.pth"])
def test_every_seed_starts_from_the_weights_of_a_file(file):
    """A state_dict, one inside a checkpoint, and safetensors."""
    tensors = saved(file)
    config = configured(f"model.weights={file}")
    splits = data(config, [0, 1])
    recipe = make_recipe(config, splits)
    state = Stack(recipe, splits, [0, 1]).state
    for name, tensor in tensors.items():
        assert torch.equal(state[f"model.{name}"], torch.stack([tensor, tensor]))
    assert "model.weights: 4 of 4 tensors." in recipe.notes


def test_a_last_layer_of_another_size_starts_anew_and_what_is_frozen_stays():
    """Ten classes in the file, three in the data; only what the file gave is frozen."""
    tensors = saved("w.pt", outputs=10)
    config = configured("model.weights=w.pt model.frozen=true")
    splits = data(config, [0, 1])
    recipe = make_recipe(config, splits)
    stack = Stack(recipe, splits, [0, 1])
    last = [name for name in tensors if tensors[name].shape[0] == 10]
    begin = {name: stack.state[f"model.{name}"].clone() for name in last}
    assert not torch.equal(begin[last[0]][0], begin[last[0]][1])
    fit(stack, config, lambda done: None)
    for name, tensor in tensors.items():
        now = stack.state[f"model.{name}"]
        assert torch.equal(now, begin[name] if name in last else tensor.expand_as(now)) == (
            name not in last
        )
    assert any(f"2 of 4 tensors; {last[0]}, {last[1]} start anew" in n for n in recipe.notes)


def test_the_key_is_of_the_content_of_the_file():
    """Another place changes nothing, other weights do; none leaves the key as it was."""
    for seed, file in enumerate(["a.pt", "b.pt"]):
        torch.manual_seed(seed)
        saved(file)
    Path("c.pt").write_bytes(Path("a.pt").read_bytes())
    a, b, c, none = (configured(w and f"model.weights={w}.pt").key for w in ("a", "b", "c", ""))
    assert a == c
    assert len({a, b, none}) == 3
    assert "weights" not in configured("").numbers["model"]


REFUSED = [
    ("model.weights=none.pt", "none.pt: it cannot be read: No such file or directory."),
    ("model.frozen=true", "give model.weights too"),
    ("model.weights=text.pt", "it cannot be read"),
    ("model.weights=text.safetensors", "it cannot be read"),
    ("model.weights=whole.pt", "it holds more than tensors; save model.state_dict()"),
    ("model.weights=list.pt", "it holds no tensors by name"),
    (
        "model.weights=other.pt",
        "no tensor has a name and shape of the model's. It has weight, bias",
    ),
    ("model.weights=all.pt model.frozen=true", "none is left to train"),
]


@pytest.mark.parametrize(("words", "expected"), REFUSED)
def test_weights_that_do_not_serve_are_refused_in_a_line(here, words, expected):
    """Files that are not there, hold code or other tensors; and nothing to freeze or to train."""
    for name in ("text.pt", "text.safetensors"):
        (here / name).write_text("weights of mine, as a text that is no file of tensors")
    torch.save(nn.Linear(2, 2), "whole.pt")
    torch.save([torch.ones(2)], "list.pt")
    torch.save(nn.Linear(2, 2).state_dict(), "other.pt")
    saved("all.pt")
    with pytest.raises(UserError) as error:
        training.train(configured(words), [0])
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
