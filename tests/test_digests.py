"""What decides numbers is noticed when it changes, and what cannot matter is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossbench import registry
from lossbench.contract import UserError
from lossbench.digests import content_digest

DATASET = """
from lossbench.contract import File, Folder
def mine(rng, /, *, tables: list[File], images: Folder | None = None, noise: float = 0.1):
    ...
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, **files: str) -> None:
    """Write files, named without their suffix .csv."""
    for name, content in files.items():
        file = folder / f"{name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


# --- files and folders that a parameter names ---------------------------------------------------


def identity(here: Path, **values: object) -> dict:
    (here / "own.py").write_text(DATASET)
    return registry.identity("dataset", "own.py:mine", values)


def test_the_content_of_each_file_and_folder_counts(here):
    put(here, a="1", b="2")
    put(here / "images" / "cats", one="pixels")
    values = {"tables": ["a.csv", "b.csv"], "images": "images", "noise": 0.1}
    before = identity(here, **values)
    put(here, b="3")
    changed = identity(here, **values)
    assert changed != before
    put(here / "images" / "cats", two="pixels")
    assert identity(here, **values) != changed


def test_where_files_are_and_how_their_path_is_written_does_not_count(here):
    put(here, a="1")
    put(here / "elsewhere", other="1")
    paths = ("a.csv", "./a.csv", str(here / "a.csv"), "elsewhere/other.csv")
    assert len({str(identity(here, tables=[path])) for path in paths}) == 1


def test_files_that_a_system_hides_in_a_folder_do_not_count(here):
    put(here / "images", one="pixels")
    before = content_digest("images", "folder", "dataset.images")
    (here / "images" / ".DS_Store").write_text("icons")
    assert content_digest("images", "folder", "dataset.images") == before


REFUSED = [
    ("gone.csv", "file", "there is no such file"),
    ("images", "file", "is a folder, not a regular file"),
    ("a.csv", "folder", "is a file, not a folder"),
    ("/dev/zero", "file", "is a pipe or device, not a regular file"),
]


@pytest.mark.parametrize(("path", "place", "said"), REFUSED)
def test_a_place_that_cannot_be_read_is_refused_in_a_line(here, path, place, said):
    put(here, a="1")
    (here / "images").mkdir()
    with pytest.raises(UserError, match=f"dataset.path={path}.*{said}"):
        content_digest(path, place, "dataset.path")


# --- what came from elsewhere -------------------------------------------------------------------


def test_code_and_files_that_a_result_names_are_refused_without_running_them(here):
    (here / "evil.py").write_text("open('canary', 'w')\ndef f(*args, **more): ...\n")
    choices = {
        "loss": {"name": "evil.py:f", "gamma": 2.0},
        "dataset": {"name": "csv", "path": "/etc/passwd", "target": "x", "task": None},
        "model": {"name": "linear"},
    }
    with pytest.raises(UserError, match=r"loss=evil.py:f, dataset.path=/etc/passwd.*\n.*--trust"):
        registry.refuse_untrusted(choices, "results/abc")
    assert not (here / "canary").exists()
    registry.refuse_untrusted({"model": choices["model"]}, "results/abc")
