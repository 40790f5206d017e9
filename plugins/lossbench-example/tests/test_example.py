"""What the plugin brings can be named in a run, and is what it says."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from lossbench_example.datasets import spirals
from lossbench_example.models import tanh_mlp

from lossbench import run

SHORT = ("trainer=short", "seeds=3")


def test_without_noise_every_point_lies_on_the_arm_of_its_class():
    sample = spirals(np.random.default_rng(0), samples=101, turns=2.0, noise=0.0)
    x, y = sample.inputs.T
    expected = 4 * np.pi * np.hypot(x, y) + np.pi * sample.targets
    assert np.allclose(np.exp(1j * expected), np.exp(1j * np.arctan2(y, x)))
    assert abs(2 * sample.targets.sum() - 101) == 1
    assert sample.task == "binary"


def test_a_generator_decides_the_points():
    drawn = [spirals(np.random.default_rng(seed)).inputs for seed in (3, 3, 4)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize(("outputs", "shape"), [((), (7,)), ((3,), (7, 3)), ((2, 4), (7, 2, 4))])
def test_a_model_has_the_shapes_that_it_is_asked_for(outputs, shape):
    model = tanh_mlp((5, 2), outputs, hidden=(8,))
    assert model(torch.zeros(7, 5, 2)).shape == shape


def test_dataset_and_model_are_named_in_a_run(tmp_path):
    result = run("dataset=spirals", "model=tanh_mlp", *SHORT, f"results.dir={tmp_path}")
    expected = {"name": "spirals", "samples": 1000, "turns": 1.0, "noise": 0.02}
    assert result.config.dataset.mapping == expected
    assert result.config.model.mapping == {"name": "tanh_mlp", "hidden": [64, 64]}
    assert list(result.seeds.status) == ["finished"] * 3


def test_a_configuration_file_of_the_plugin_is_named_like_any_other(tmp_path):
    words = ("dataset=spirals_hard", "dataset.samples=200", "model=tanh_mlp")
    result = run(*words, *SHORT, f"results.dir={tmp_path}")
    expected = {"name": "spirals", "samples": 200, "turns": 2.0, "noise": 0.04}
    assert result.config.dataset.mapping == expected


def test_the_configuration_file_is_found_without_importing_the_plugin():
    program = (
        "import sys; from lossbench.cli import main; main(sys.argv[1:]);"
        "assert not [m for m in sys.modules if m.startswith('lossbench_example')]"
    )
    words = ["run", "--cfg", "dataset=spirals_hard"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "turns: 2.0" in done.stdout
