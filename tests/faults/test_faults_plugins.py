"""Packages that are broken in every way, really installed: each hurts only who asks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said, put

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
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Said]:
    """The command line in an environment of its own, into which broken packages are installed."""
    folder = tmp_path_factory.mktemp("stranger")
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    outer = sysconfig.get_path("purelib")
    (site / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})")
    entries = {f"bad_{name}": f"bad_losses.{name}:mine" for name in BODIES}
    entries |= {"bad_gone": "bad_losses.gone:mine", "focal": "bad_losses.lacks:x"}
    install(folder, site, "bad-losses", entries, BODIES)
    evil = site / "malformed-1.0.dist-info"
    evil.mkdir()
    (evil / "METADATA").write_text("Metadata-Version: 2.1\nName: malformed\nVersion: 1.0\n")
    (evil / "entry_points.txt").write_text("[lossbench.losses.binary]\njust a line\n")

    def run(*words: str) -> Said:
        done = subprocess.run(
            [str(folder / "venv" / "bin" / "python"), "-m", "lossbench.cli", *words],
            cwd=folder,
            env={**os.environ, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def install(folder: Path, site: Path, name: str, entries: dict, bodies: dict) -> None:
    """Build and install a package with the real installer."""
    module = name.replace("-", "_")
    lines = [f"{key} = {json.dumps(value)}" for key, value in entries.items()]
    project = (
        "[build-system]\nrequires = ['hatchling']\nbuild-backend = 'hatchling.build'\n"
        f"[project]\nname = '{name}'\nversion = '1.2'\n"
        "[project.entry-points.'lossbench.losses.binary']\n" + "\n".join(lines)
    )
    files = {f"{module}/{key}.py": text for key, text in bodies.items()}
    put(folder / name, {"pyproject.toml": project, f"{module}/__init__.py": "", **files})
    words = ["install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site)]
    command = [sys.executable, "-m", "pip", *words, str(folder / name)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


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
    told = stranger("run", f"loss={loss}", "dataset=moons", "tracking=none", "trainer=short")
    assert told.code == 2, told
    assert said in told.err
    assert "bad-losses" in told.err
    assert len(told.err.splitlines()) <= 2


def test_f24_f26_doctor_names_every_broken_package_and_nothing_else_is_hurt(stranger):
    """Also one whose metadata make Python's own entry_points() raise for all."""
    said = stranger("doctor")
    assert said.code == 0, said
    assert "6 broken" in said.out
    assert "malformed: entry_points.txt cannot be read" in said.out
    assert "SystemExit: 0" in said.out
    assert "Traceback" not in said.err


def test_f26_f28_others_train_beside_them_and_with_the_same_bits(stranger):
    """MLflow cannot be imported beside the malformed package: that is told, and costs nothing."""
    words = ("dataset=moons", "trainer=short", "seeds=3", "launcher.workers=1")
    alone = stranger("run", "loss=squared_error", *words, "results.dir=alone", "tracking=none")
    assert alone.code == 0, alone
    words = (*words, "results.dir=beside")
    beside = stranger("run", "-m", "loss=bad_meddles,squared_error", *words)
    assert beside.code == 0, beside
    assert "Traceback" not in beside.err
    row = next(line for line in alone.out.splitlines() if "squared_error " in line)
    assert row.split()[1] in beside.out
