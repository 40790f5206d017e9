"""From Python: the same losses, runs and comparisons as on the command line."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import lossbench
from lossbench import registry
from lossbench.contract import UserError


def test_a_loss_by_name_takes_its_hyper_parameters_by_keyword():
    focal = lossbench.get_loss("focal", task="binary")
    logits, target = torch.zeros(2), torch.tensor([0.0, 1.0])
    torch.testing.assert_close(focal(logits, target, gamma=0.0), torch.full((2,), 2.0).log())


@pytest.mark.parametrize(
    ("name", "task", "prediction", "target", "said"),
    [
        ("hinge", "binary", torch.zeros(2), torch.tensor([-1.0, 1.0]), "-1"),
        ("hinge", "binary", torch.zeros(2), torch.tensor([0.5, 1.0]), "hard labels"),
        ("focal", "multilabel", torch.zeros(1, 2), torch.tensor([[0.5, 1.0]]), "hard labels"),
        ("focal", "segmentation", torch.zeros(1, 1, 2), torch.full((1, 1, 2), 0.5), "hard labels"),
        ("cross_entropy", "multiclass", torch.zeros(2, 3), torch.tensor([0, 3]), "out of range"),
        ("squared_error", "regression", torch.zeros(2, 1), torch.zeros(2), "shape"),
        ("squared_log_error", "regression", torch.zeros(2), torch.tensor([-2.0, 0]), "-2"),
    ],
)
def test_an_invalid_batch_is_refused_with_the_reason(name, task, prediction, target, said):
    with pytest.raises(UserError, match=said):
        lossbench.get_loss(name, task=task)(prediction, target)


OUTSIDE = [
    # loss, task, keywords, what the error names
    ("smooth_hinge", "binary", {"gamma": 0.0}, "gamma"),
    ("smooth_hinge", "binary", {"gamma": "a"}, "gamma"),
    ("smooth_hinge", "binary", {"gama": 1.0}, "gamma"),
    ("quantile", "regression", {"q": 1.5}, "q"),
    ("cross_entropy", "multiclass", {"class_weight": [1.0, -1.0]}, "class_weight"),
    ("crammer_singer", "multiclass", {"cost": [[0.0, -1.0], [1.0, 0.0]]}, "loss.cost"),
    ("crammer_singer", "multiclass", {"cost": [[1.0] * 4] * 4}, "diagonal"),
    ("crammer_singer", "multiclass", {"cost": [[-k % 4.0 for k in range(4)]] * 4}, "diagonal"),
    ("infogain", "multiclass", {"matrix": [[1.0, -1.0, 0, 0]] * 4}, "loss.matrix"),
    ("arcface", "embedding", {"num_classes": 3, "embedding_dim": 2, "scale": -1.0}, "scale"),
]


@pytest.mark.parametrize(("name", "task", "keywords", "word"), OUTSIDE)
def test_a_hyper_parameter_outside_its_range_is_refused(name, task, keywords, word):
    """Of functions and of modules; of class weights and costs too."""
    loss = lossbench.get_loss(name, task=task)
    kind = registry.load(registry.find("task", task)[0])
    batch = () if name == "arcface" else kind.small().example()
    with pytest.raises(UserError, match=word):
        loss(*batch, **keywords)


def test_a_loss_with_weights_checks_its_batches_too():
    """Its instances are modules of the class itself, which can be copied and kept."""
    module = lossbench.get_loss("arcface", task="embedding")(num_classes=3, embedding_dim=2)
    embedding, target = torch.randn(4, 2), torch.tensor([0, 1, 2, 0])
    again = pickle.loads(pickle.dumps(copy.deepcopy(module)))
    assert torch.equal(again(embedding, target), module(embedding, target))
    with pytest.raises(UserError, match="-1"):
        again(embedding, target - 1)


def test_a_run_is_trained_once_and_then_read(tmp_path):
    words = ("loss=focal", "dataset=moons", "trainer=short", "seeds=3", f"results.dir={tmp_path}")
    first = lossbench.run(*words)
    stamps = {f: f.stat().st_mtime_ns for f in tmp_path.glob("*/*")}
    again = lossbench.run(*words)
    assert first.seeds.equals(again.seeds)
    assert stamps == {f: f.stat().st_mtime_ns for f in tmp_path.glob("*/*")}
    other = lossbench.run("loss=hinge", *words[1:])
    (comparison,) = lossbench.compare([first, other], baseline="hinge")
    assert [row.label for row in comparison.rows if row.verdict == "baseline"] == ["hinge"]


def test_changed_code_of_a_loss_is_trained_again(tmp_path):
    file = tmp_path / "mine.py"
    text = "def mine(logits, target, /):\n    return (logits.sigmoid() - target) ** {}\n"
    words = (f"loss={file}:mine", "dataset=moons", "trainer=short", "seeds=2")
    trained = []
    for power in (2, 4):
        file.write_text(text.format(power))
        trained.append(lossbench.run(*words, f"results.dir={tmp_path / 'results'}"))
    assert not trained[0].curves.value.equals(trained[1].curves.value)


def test_a_regression_loss_with_weights_may_declare_its_targets(tmp_path, monkeypatch):
    """Targets are held against them, and trained on as they are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom lossbench.contract import declare\n"
        "@declare(target='(-5, inf)')\n"
        "class Scaled(torch.nn.Module):\n"
        "    def __init__(self, *, power: float = 2.0):\n"
        "        super().__init__()\n"
        "        self.scale, self.power = torch.nn.Parameter(torch.ones(())), power\n"
        "    def forward(self, prediction, target):\n"
        "        return self.scale * (prediction - target).abs() ** self.power\n"
    )
    words = ("dataset=diabetes", "trainer=short", "seeds=2", "tracking=none")
    made = lossbench.run(*words, "loss=mine.py:Scaled")
    assert list(made.seeds.status) == ["finished", "finished"]


def test_words_in_a_list_are_refused_in_a_line():
    with pytest.raises(UserError, match="given a list: give words"):
        lossbench.run(["loss=focal"])
