"""Files of plugins import what is next to them, keep apart, and are imported once."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from lossbench import registry
from lossbench.contract import UserError
from lossbench.registry import identity

OWN = """
import helpers
COUNT = open({count!r}, 'a').write('.')
def loss():
    import late
    return helpers.NAME + late.NAME
"""


def write(folder: Path, name: str) -> Path:
    """A file with two neighbours, whose loss gives the name twice."""
    folder.mkdir(exist_ok=True)
    file = folder / "own.py"
    file.write_text(OWN.format(count=str(folder / "count")))
    for neighbour in ("helpers", "late"):
        (folder / f"{neighbour}.py").write_text(f"NAME = {name!r}\n")
    return file


def load(file: Path) -> Any:
    return registry.load(registry.Plugin("task", "x", str(file), "loss"))


@pytest.fixture(autouse=True)
def as_before():
    """The path and the modules of before."""
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


def test_a_file_imports_its_neighbours_at_the_top_and_in_functions(tmp_path):
    assert load(write(tmp_path, "a"))() == "aa"


def test_files_and_neighbours_of_one_name_are_kept_apart(tmp_path):
    files = [write(tmp_path / name, name) for name in ("a", "b")]
    first, second = [load(file) for file in files]
    assert (second(), first()[0]) == ("bb", "a")
    assert [load(file)() for file in [*files, *files]] == ["aa", "bb", "aa", "bb"]
    assert pickle.loads(pickle.dumps(first)) is first


def test_a_file_is_imported_once_until_it_or_a_neighbour_is_edited(tmp_path):
    file = write(tmp_path, "a")
    for _ in range(3):
        load(file)
        registry.refresh()
    assert (tmp_path / "count").read_text() == "."
    (tmp_path / "helpers.py").write_text("NAME = 'changed'\n")
    registry.refresh()
    assert load(file)() == "changeda"


def test_an_edit_within_a_second_that_keeps_the_size_is_seen(tmp_path, monkeypatch):
    """Python's compiled code is told apart by whole seconds and size alone."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "own.py"
    for number, text in enumerate(
        ("def loss():\n    return 1\n", "def loss():\n    return 2\n"), 1
    ):
        file.write_text(text)
        os.utime(file, ns=(0, 10**18 + number))
        registry.refresh()
        assert load(file)() == number


def test_a_package_that_is_edited_is_imported_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for value in (1, 22):
        (tmp_path / "edited_package.py").write_text(f"def loss(): return {value}\n")
        registry.refresh()
        plugin = registry.Plugin("task", "x", "edited_package", "loss")
        assert registry.load(plugin)() == value


def test_what_a_process_trains_keeps_the_digest_of_the_code_that_it_imported(tmp_path):
    file = write(tmp_path, "a")
    plugin = registry.Plugin("task", "x", str(file), "loss")
    registry.load(plugin)
    digest = identity.code_of(plugin)
    (tmp_path / "helpers.py").write_text("NAME = 'changed'\n")
    assert identity.code_of(plugin) == digest
    registry.refresh()
    assert identity.code_of(plugin) != digest


def test_a_folder_of_files_hides_no_installed_module_afterwards(tmp_path):
    (tmp_path / "colorsys.py").write_text("HIDDEN = True\n")
    sys.modules.pop("colorsys", None)
    load(write(tmp_path, "a"))
    import colorsys

    assert not hasattr(colorsys, "HIDDEN")


def test_a_file_that_fails_is_tried_again(tmp_path):
    file = write(tmp_path, "a")
    text = file.read_text()
    file.write_text("raise RuntimeError('no luck')")
    with pytest.raises(UserError, match="RuntimeError: no luck"):
        load(file)
    file.write_text(text)
    registry.refresh()
    assert load(file)() == "aa"
