"""What is installed is what is in the checkout, and the public contract is what it says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Annotated, get_origin

import pytest
import yaml
from environments import Environment
from test_layers import imported

import lossbench
import lossbench.contract

ROOT = Path(__file__).parent.parent
PUBLIC = {"lossbench.contract", "lossbench.tasks", "lossbench.testing"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """An sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("built")
    build = [sys.executable, "-m", "build", "--no-isolation", "-o", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return folder


@pytest.mark.slow
def test_the_wheel_far_from_any_checkout_has_commands_configurations_and_experiments(
    built, tmp_path
):
    environment = Environment(tmp_path)
    environment.install(*built.glob("*.whl"))
    place = environment.run(environment.python, "-c", "import lossbench; print(lossbench.__file__)")
    assert str(tmp_path) in place
    assert "quickstart" in environment.lossbench("list", "experiments")
    configs = list(
        yaml.safe_load_all(environment.lossbench("run", "--cfg", "experiment=quickstart"))
    )
    assert len(configs) == 5
    words = ("dataset=moons", "trainer=short", "seeds=2", "tracking=none")
    said = environment.lossbench("run", *words)
    environment.close()
    assert "cross_entropy" in said


def test_the_wheel_that_the_sdist_gives_holds_every_file_of_the_checkout(built):
    (wheel,) = built.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    hints = "plugins/*/pyproject.toml"  # a loss that a package next door has is proposed by name
    folders = ["lossbench", "conf", "experiments", hints]
    listing = ["git", "ls-files", "-co", "--exclude-standard", *folders]
    files = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    expected = {f if f.startswith("lossbench/") else f"lossbench/{f}" for f in files.splitlines()}
    assert held == expected
    assert "lossbench/py.typed" in held


def test_the_version_is_the_one_of_the_package():
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert lossbench.__version__ == said
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert cited == said


def test_the_contract_lists_what_it_offers_and_offers_what_it_lists():
    tree = ast.parse(Path(lossbench.contract.__file__).read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    values = vars(lossbench.contract).items()
    defined |= {k for k, v in values if get_origin(v) is Annotated}
    defined |= {k for k, v in values if isinstance(v, str) and k.isupper()}
    lines = re.findall(r"^(\w[\w, ]*?) {2,}\S", lossbench.contract.__doc__ or "", re.M)
    documented = {name for names in lines for name in names.split(", ")}
    assert defined == set(lossbench.contract.__all__) == documented


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("plugins/*/lossbench_*/**/*.py")), ids=lambda f: f.stem
)
def test_plugins_use_only_the_public_contract(file):
    ours = {m for m in imported(file) if m.split(".")[0] == "lossbench"}
    assert {".".join(m.split(".")[:2]) for m in ours} <= PUBLIC


def test_no_pin_in_the_project_and_every_pin_in_the_constraints():
    text = (ROOT / "pyproject.toml").read_text()
    assert "==" not in text
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)


@pytest.mark.slow
def test_each_extra_can_be_installed_with_the_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = f".[{','.join(project['optional-dependencies'])}]"
    resolve = ["-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-build-isolation"]
    command = [sys.executable, *resolve, "-c", "constraints.txt", wanted]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode and "ResolutionImpossible" not in done.stderr:
        pytest.skip(f"no index of packages can be asked: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
