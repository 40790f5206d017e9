"""What the plugin brings can be named in a run, and is what it says."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from lossbench_example.datasets import spirals, whirls
from lossbench_example.losses import von_mises
from lossbench_example.metrics import within_15_degrees
from lossbench_example.models import tanh_mlp
from lossbench_example.tasks import mean_angular_error, mean_cosine
from scipy.stats import vonmises

from lossbench import compare, run
from lossbench.cli import main
from lossbench.contract import UserError
from lossbench.testing import loss_checks

test_von_mises_is_valid = loss_checks("von_mises", task="angle")
test_squared_chord_is_valid = loss_checks("squared_chord", task="angle")
test_sum_of_losses_of_the_task_is_valid = loss_checks("sum", task="angle")

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
    assert result.config.model.mapping.items() >= {"name": "tanh_mlp", "hidden": [64, 64]}.items()
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


# ---- a task of its own -------------------------------------------------------------------------
DEGREES = [
    # estimates, targets, mean error, mean cosine, share within 15 degrees
    ([0, 90], [0, 0], 45, 0.5, 0.5),
    ([179], [-179], 2, 0.9994, 1),
    ([-170, 20], [170, 0], 20, 0.9397, 0),
    ([0, 0], [180, -180], 180, -1, 0),
]


@pytest.mark.parametrize(("estimate", "target", "error", "cosine", "share"), DEGREES)
def test_metrics_of_angles_go_the_shorter_way_round(estimate, target, error, cosine, share):
    pair = [torch.deg2rad(torch.tensor(each, dtype=torch.float64)) for each in (estimate, target)]
    assert mean_angular_error(*pair).item() == pytest.approx(error)
    assert mean_cosine(*pair).item() == pytest.approx(cosine, abs=1e-4)
    assert within_15_degrees(*pair).item() == pytest.approx(share)


def test_von_mises_is_the_negative_log_likelihood_of_scipy():
    vector, target = torch.randn(9, 2, dtype=torch.float64), torch.linspace(-3, 3, 9).double()
    length, angle = vector.norm(dim=1).numpy(), torch.atan2(vector[:, 1], vector[:, 0]).numpy()
    expected = -vonmises.logpdf(target.numpy(), length, loc=angle) - np.log(2 * np.pi)
    assert np.allclose(von_mises(vector, target).numpy(), expected)


def test_whirls_turn_against_each_other():
    sample = whirls(np.random.default_rng(0), samples=4000, concentration=1e6)
    place = sample.inputs[:, 0] + 1j * sample.inputs[:, 1]
    for centre, sense in ((-1, 1), (1, -1)):
        rows = np.abs(np.abs(place - centre) - 0.3) < 0.1  # where the other whirl is far
        expected = 1j * sense * (place[rows] - centre)
        assert (np.cos(sample.targets[rows] - np.angle(expected)) > 0.9).all()
    assert np.abs(sample.targets).max() <= np.pi


def test_the_loss_of_the_task_is_shown_with_its_picture(capsys):
    main(["show", "von_mises"])
    text = capsys.readouterr().out
    assert "for angle" in text
    assert "the task's own: direction of the vector" in text
    assert "degrees from the target to the prediction" in text


def test_losses_of_the_task_are_trained_and_compared(tmp_path):
    """All seeds learn, a metric is added by name, and a report says who wins."""
    words = ("dataset=whirls", "model=tanh_mlp", "trainer=short", "trainer.max_epochs=30")
    words += ("seeds=6", "metrics=[within_15_degrees]", f"results.dir={tmp_path}")
    results = [run(f"loss={loss}", *words) for loss in ("von_mises", "squared_chord")]
    for result in results:
        assert result.summary["mapped"]
        assert (result.seeds["test/mean_angular_error"] < 45).all()  # 90 by chance
        assert result.seeds["test/within_15_degrees"].between(0.2, 1).all()
    (comparison,) = compare(results, baseline="squared_chord")
    assert comparison.metric == "mean_angular_error"
    assert {row.label for row in comparison.rows} == {"von_mises", "squared_chord"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("loss=cross_entropy", "the data pose the task angle"),
        ("loss=von_mises corruption=label_noise", "num_classes"),
        ("loss=von_mises metrics=[auroc]", "mean_angular_error"),
    ],
)
def test_what_does_not_fit_the_task_is_refused(words, reason, tmp_path):
    with pytest.raises(UserError, match=reason):
        run(*words.split(), "dataset=whirls", *SHORT, f"results.dir={tmp_path}")
