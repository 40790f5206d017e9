"""What `list` prints of what is installed, at any width."""

from __future__ import annotations

import pytest
from support import put

from lossbench import registry
from lossbench.cli import main

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


def test_an_experiment_that_cannot_be_read_is_broken(here, capsys):
    put(here, {"experiments/ill/experiment.yaml": "quesiton: why\n"})
    assert main(["list", "experiments"]) == 0
    assert "broken: experiments/ill/experiment.yaml: quesiton" in capsys.readouterr().out
    assert main(["list", "experiments", "--verify"]) == 3
