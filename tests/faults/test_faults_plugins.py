"""Packages that are broken in every way, really installed: each hurts only who asks for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pandas as pd
import pytest
from environments import Environment
from support import put

BODIES = {
    "raises": "raise RuntimeError('no luck today')",
    "needs": "import nowhere_at_all",
    "lacks": "x = 1",
    "wrong": "def mine(:",
    "leaves": "import sys; sys.exit(0)",
    "meddles": (
        "import random, numpy, torch\n"
        "torch.set_default_dtype(torch.float64); torch.manual_seed(1); random.seed(1)\n"
        "torch.set_num_threads(3); torch.set_grad_enabled(False); numpy.random.seed(1)\n"
        "def mine(p, t, /, *, a: float = 1.0):\n    return (p - t) ** 2\n"
    ),
}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment of its own, into which broken packages are installed."""
    made = Environment(tmp_path_factory.mktemp("stranger"))
    entries = {f"bad_{name}": f"bad_losses.{name}:mine" for name in BODIES}
    entries |= {"bad_gone": "bad_losses.gone:mine", "focal": "bad_losses.lacks:x"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in entries.items()]
    project = (
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        "[project]\nname = 'bad-losses'\nversion = '1.2'\n"
        "[project.entry-points.'lossbench.losses.binary']\n" + "\n".join(lines)
    )
    files = {f"bad_losses/{key}.py": text for key, text in BODIES.items()}
    package = made.folder / "bad-losses"
    put(package, {"pyproject.toml": project, "bad_losses/__init__.py": "", **files})
    made.install(package)
    yield made
    made.close()


USED = [
    ("F24-raises", "bad_raises", "RuntimeError: no luck today"),
    ("F24-needs", "bad_needs", "No module named 'nowhere_at_all'"),
    ("F24-lacks", "bad_lacks", "has no attribute 'mine'"),
    ("F24-syntax", "bad_wrong", "SyntaxError"),
    ("F24-module", "bad_gone", "No module named 'bad_losses.gone'"),
    ("F25", "bad_leaves", "SystemExit: 0"),
    ("F27", "focal", "bad-losses and lossbench both provide it. Choose with loss=bad-losses:focal"),
]


@pytest.mark.parametrize(("loss", "said"), [pytest.param(n, s, id=i) for i, n, s in USED])
def test_a_broken_plugin_that_is_asked_for_gets_one_line(loss, said, stranger):
    told = stranger.command(
        "run", f"loss={loss}", "dataset=moons", "tracking=none", "trainer=short"
    )
    assert told.code == 2, told
    assert said in told.err
    assert "bad-losses" in told.err
    assert len(told.err.splitlines()) <= 2


def test_f24_doctor_names_every_broken_package_and_nothing_else_is_hurt(stranger):
    said = stranger.command("doctor")
    assert said.code == 3, said
    assert "7 broken" in said.out
    assert "SystemExit: 0" in said.out
    assert "Traceback" not in said.err


def test_f28_others_train_beside_one_that_meddles_with_the_same_bits(stranger):
    words = ("dataset=moons", "trainer=short", "seeds=3", "launcher.workers=1", "tracking=none")
    alone = stranger.command("run", "loss=squared_error", *words, "results.dir=alone")
    assert alone.code == 0, alone
    words = ("-m", "loss=bad_meddles,squared_error", *words)
    beside = stranger.command("run", *words, "results.dir=beside")
    assert beside.code == 0, beside
    told = " ".join(beside.out.split())
    assert "loss=bad_meddles of bad-losses 1.2 (bad_losses.meddles:mine) changed Python's" in told
    assert "torch's default dtype" in told
    (one,) = stranger.folder.glob("alone/*/curves.parquet")
    (other,) = stranger.folder.glob(f"beside/{one.parent.name}/curves.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(other), check_exact=True)


def test_f26_a_package_that_python_cannot_read_is_named(stranger):
    """Nobody can call entry_points() beside it, so Lightning and MLflow cannot be imported."""
    place = stranger.site / "malformed-1.0.dist-info"
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: malformed\nVersion: 1.0\n",
        "entry_points.txt": "[lossbench.losses.binary]\njust a line\n",
    }
    put(place, files)
    stranger.close()
    try:
        assert "focal" in stranger.command("list", "losses").out
        for words in (("run", "loss=squared_error", "dataset=moons"), ("doctor",)):
            said = stranger.command(*words)
            assert said.code == 4, said
            assert "the installed package malformed has an entry_points.txt" in said.err
            assert "pip uninstall malformed" in said.err
    finally:
        shutil.rmtree(place)
        stranger.close()
