"""What follows a word on the command line, as the shells ask for it; they are in test_plugins."""

from __future__ import annotations

import pytest

from lossbench.cli import main

ROWS = [
    ("lossbench repr", ["reproduce"]),
    ("lossbench run loss=squared_l", ["loss=squared_log_error"]),
    ("lossbench run -m loss=hinge,squared_h", ["loss=hinge,squared_hinge"]),
    ("lossbench run loss=focal --dr", ["--dry-run"]),
    ("lossbench run --dry-run loss=focal loss.", ["loss.alpha=", "loss.gamma="]),
    (
        "lossbench run -m loss=poly,focal loss.",
        [
            "loss.alpha=",
            "loss.focal.alpha=",
            "loss.focal.gamma=",
            "loss.gamma=",
            "loss.poly.epsilon=",
        ],
    ),
    (
        "lossbench run -m corruption=none,imbalance corruption.imbalance.kind=s",
        ["corruption.imbalance.kind=step"],
    ),
    ("lossbench run corruption=imbalance corruption.kind=s", ["corruption.kind=step"]),
    ("lossbench run trainer.max_e", ["trainer.max_epochs="]),
    ("lossbench run trainer=s", ["trainer=short"]),
    ("lossbench run trainer.device=c", ["trainer.device=cpu"]),
    ("lossbench run metri", ["metric=", "metrics="]),
    ("lossbench run experiment=quick", ["experiment=quickstart"]),
    ("lossbench compare quick", ["quickstart"]),
    ("lossbench compare --format m", ["markdown"]),
    ("lossbench list mo", ["models"]),
    ("lossbench show smooth_h", ["smooth_hinge"]),
    ("lossbench completion z", ["zsh"]),
    ("lossbench reproduce abc", ["abcdef"]),
    ("lossbench reproduce --results others x", ["xyz"]),
    ("lossbench nothing x", []),
]


@pytest.mark.parametrize(("line", "wanted"), ROWS, ids=[line for line, _ in ROWS])
def test_a_word_is_completed_from_what_is_there(line, wanted, tmp_path, monkeypatch, capfd):
    for place in ("results/abcdef", "others/xyz"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "seeds.parquet").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMP_WORDS", line)
    for shell in ("bash", "zsh", "fish"):
        monkeypatch.setenv("_LOSSBENCH_COMPLETE", f"{shell}_complete")
        assert main() == 0
        assert capfd.readouterr().out.splitlines() == (wanted or [""])
