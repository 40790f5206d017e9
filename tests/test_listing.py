"""What `list` prints of what is installed, at any width."""

from __future__ import annotations

import json
import sys

import pytest
from support import put

from lossbench import registry
from lossbench.cli import main
from lossbench.contract import UserError

KINDS = ["losses", "datasets", "corruptions", "models", "regularizers", "optimizers", "schedules"]
KINDS += ["augmentations", "tasks"]


@pytest.mark.parametrize("kind", [*KINDS, "configs", "experiments"])
def test_each_entry_has_a_line_that_describes_it_within_the_width(kind, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    entries = [n for n, line in enumerate(lines) if not line.startswith(" ")]
    assert len(entries) >= 3
    for entry in entries:
        assert lines[entry + 1].startswith("    "), lines[entry]


def test_a_loss_is_listed_with_its_tasks_and_the_first_line_of_its_docstring(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    main(["list"])
    out = capsys.readouterr().out
    loss = registry.load(registry.find_for_task("brier", "multiclass"))
    entry = out[out.index("brier ") :].splitlines()
    assert entry[0].split()[1] == "multiclass"
    assert entry[1].strip() == loss.__doc__.splitlines()[0]


def test_a_loss_of_several_tasks_has_a_sentence_for_each_that_differs(capsys):
    main(["list", "losses", "--format", "json"])
    (focal,) = [e for e in json.loads(capsys.readouterr().out) if e["name"] == "focal"]
    lines = dict(line.split(": ", 1) for line in focal["description"].splitlines())
    assert [*lines] == ["binary, multiclass", "multilabel", "segmentation, semantic_segmentation"]
    assert "fades out the labels" in lines["multilabel"]


def test_losses_of_one_task_are_listed_with_what_they_do_there(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["list", "losses", "--task", "multilabel", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    known = {p.name for p in registry.installed("loss") if p.task in ("multilabel", None)}
    assert {entry["name"] for entry in listed} == known
    (focal,) = [entry for entry in listed if entry["name"] == "focal"]
    assert focal["description"].endswith("fades out the labels that are already right.")
    assert main(["list", "models", "--task", "multilabel"]) == 2
    assert "list models: --task is of losses" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "name"), [([], "NAME"), (["--task", "binary"], "binary")])
def test_a_list_of_metrics_says_where_those_of_a_task_are(words, name, capsys):
    assert main(["list", "metrics", *words]) == 0
    assert f"always measures: lossbench show task={name}." in capsys.readouterr().out


def test_an_experiment_that_cannot_be_read_is_broken(here, capsys):
    put(here, {"experiments/ill/experiment.yaml": "quesiton: why\n"})
    assert main(["list", "experiments"]) == 0
    assert "broken: experiments/ill/experiment.yaml: quesiton" in capsys.readouterr().out
    assert main(["list", "experiments", "--verify"]) == 3


LIBRARY = {
    "made/__init__.py": "raise RuntimeError('a listing imports nothing')\n",
    "made/losses/__init__.py": "from .dice import *\n",
    "made/losses/dice.py": """
import torch

class DiceLoss(torch.nn.Module):
    \"\"\"Overlap of :math:`p` and y. More of it.\"\"\"
    def forward(self, input, target): ...

class BaseLoss(torch.nn.Module):
    def forward(self, input, target): ...

def _dice_loss(input, target): ...
def get_loss(name, target): ...
def tally_of_hits(input, target): ...
def helper(a, b): ...
""",
    "made/tests/test_losses.py": "import torch\ndef some_loss(input, target): ...\n",
    "made-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n",
}


@pytest.fixture
def library(here, monkeypatch):
    """A package as pip puts it, whose import fails."""
    record = "".join(f"{name},,\n" for name in LIBRARY)
    put(here, {f"site/{n}": t for n, t in {**LIBRARY, "made-1.0.dist-info/RECORD": record}.items()})
    monkeypatch.syspath_prepend(here / "site")
    registry.refresh()
    yield
    registry.refresh()


def test_losses_of_libraries_are_found_in_their_text_by_the_names_that_are_typed(
    library, monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["list", "losses", "--all"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 60
    assert "made 1.0 · 2 losses\n  made.losses:DiceLoss\n      Overlap of p and y\n" in out
    assert "  torch.nn:SmoothL1Loss\n" in out
    assert "  torch.nn.functional:cross_entropy\n" in out
    assert "made" not in sys.modules


def test_a_listing_is_for_programs_too(library, capsys):
    assert main(["list", "losses", "--all", "--format", "json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    made = [entry for entry in entries if entry["package"] == "made 1.0"]
    assert [entry["name"] for entry in made] == [
        "made.losses:DiceLoss",
        "made.losses:tally_of_hits",
    ]
    focal = next(entry for entry in entries if entry["name"] == "focal")
    assert "multiclass" in focal["tasks"]


def test_a_name_that_only_a_library_has_is_said(library):
    with pytest.raises(UserError, match=r"Did you mean loss=made.losses:tally_of_hits\?"):
        registry.find("loss", "tally_of_hits")


def test_all_is_of_losses(capsys):
    assert main(["list", "models", "--all"]) == 2
    assert "--all is of losses" in capsys.readouterr().err
