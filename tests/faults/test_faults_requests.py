"""Requests that are well formed and cannot be met: said before anything is trained."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support import QUICK, sampled

COLUMNS = "x,y,z\n" + "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(60))
OWN = "dataset=csv dataset.path=own.csv dataset.target=z"

ROWS = [
    (
        "F20-regression",
        "dataset=diabetes loss=cross_entropy",
        "",
        "the data pose the task regression",
    ),
    ("F20-classes", "loss=huber", "", "the data pose the task binary"),
    ("F15", "corruption=label_noise corruption.rate=0.95", "", "give a rate in [0, 0.5)"),
    ("F32-label", OWN + " dataset.task=binary", COLUMNS + "1,1,7\n" * 9, "binary needs two"),
    ("F32-text", OWN, COLUMNS.replace(",0\n", ",zero\n", 3), "z"),
    ("F41-nan", OWN, COLUMNS + ",1,1\n" * 3, "missing values in x (3), 3 of 63 rows"),
    ("F41-infinite", OWN, COLUMNS + "inf,1,1\n", "column 'x' has 1 infinite values in 61 rows"),
    ("F41-target", OWN, COLUMNS + "1,1,\n", "target 'z' is missing in 1 of 61 rows"),
    ("F42-one", OWN, COLUMNS.replace(",1\n", ",0\n"), "has one value only"),
    ("F42-few", OWN, COLUMNS + "1,1,7\n", "class 7 has 1 rows; give at least 5"),
    ("F45", "loss=sup_con", "", "the data pose the task binary"),
]


@pytest.mark.parametrize(("words", "table", "said"), sampled(ROWS, 2, named=True))
def test_what_only_the_data_can_tell_is_refused(words, table, said, refused):
    files = {"own.csv": table} if table else {}
    assert said in refused("run", *QUICK, *words.split(), files=files)


def test_f20_all_that_fails_in_a_sweep_is_said_before_the_first_is_trained(refused, here):
    """A loss for another task, and a model that cannot take its input: neither is begun."""
    model = (
        "import torch\n"
        "def narrow(input_shape, output_shape, /, *, width: int = 3):\n"
        "    return torch.nn.Linear(width, 1)\n"
    )
    words = ("-m", "loss=cross_entropy,huber,mine.py:column")
    loss = "def column(p, t, /, *, a: float = 1.0):\n    return p[:, None] - t\n"
    said = refused("run", *words, *QUICK, files={"mine.py": loss}, lines=9)
    assert "2 of 3 runs cannot be trained, so none was started" in said
    assert "loss=huber is for the task regression" in said
    assert "returned shape (8, 8)" in said
    words = ("-m", "model=mlp,narrow.py:narrow")
    said = refused("run", *words, *QUICK, files={"narrow.py": model}, lines=2)
    assert "1 of 2 runs cannot be trained" in said
    assert "model=narrow.py:narrow fails on a few examples: RuntimeError: mat1 and mat2" in said


PLACES = [
    ("F22", "results.dir=" + "x" * 300, 4, "File name too long"),
    ("F23-missing", "results.dir=/proc/nowhere", 4, "cannot be written"),
    ("F23-file", "results.dir=file", 4, "cannot be written"),
    ("F23-blank", "results.dir=a b/ü", 2, "must be in quotes of its own: \"results.dir='a b/ü'\""),
]


@pytest.mark.parametrize(
    ("words", "code", "said"), [pytest.param(w, c, s, id=i) for i, w, c, s in PLACES]
)
def test_a_place_that_cannot_be_written_ends_it(words, code, said, refused):
    assert said in refused("run", *QUICK, words, code=code, files={"file": "text"})


def test_f23_a_folder_that_may_not_be_written_ends_it(refused, here):
    """A read-only file system where this is root, whom no mode of a folder stops."""
    (here / "locked").mkdir(mode=0o500)
    place = "/proc" if os.geteuid() == 0 else "locked"
    assert "cannot be written" in refused("run", *QUICK, f"results.dir={place}/a", code=4)


def test_f23_blanks_letters_and_links_are_taken(command, here):
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    said = command("run", *QUICK, "results.dir='link/a b/ü'")
    assert said.code == 0, said
    assert len(list(Path("real/a b/ü").glob("*/seeds.parquet"))) == 1


def test_f41_a_constant_feature_is_no_fault(command):
    rows = np.random.default_rng(0).normal(size=60)
    table = "x,c,z\n" + "".join(f"{x:.3f},1,{i % 2}\n" for i, x in enumerate(rows))
    words = (*OWN.split(), "trainer.batch_size=9")
    said = command("run", *QUICK, *words, files={"own.csv": table})
    assert said.code == 0, said


def test_f43_a_last_batch_of_one_never_meets_batch_normalisation(command):
    """601 examples and batches of 100 are cut evenly; batches of one are refused by the model."""
    model = (
        "import torch\n"
        "def normed(input_shape, output_shape, /, *, width: int = 8):\n"
        "    return torch.nn.Sequential(torch.nn.Linear(2, width), torch.nn.BatchNorm1d(width),\n"
        "                               torch.nn.Linear(width, 1), torch.nn.Flatten(0))\n"
    )
    words = ("model=normed.py:normed", "trainer.batch_size=599", "trainer.max_epochs=1")
    said = command("run", *QUICK, *words, files={"normed.py": model})
    assert said.code == 0, said
    said = command(
        "run", "-m", *QUICK, *words[:1], "loss=cross_entropy,focal", "trainer.batch_size=1"
    )
    assert said.code == 2
    assert "Expected more than 1 value per channel" in said.err
