"""The example notebooks: they run from top to bottom, and hold no outputs of another day."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import lossbench

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read_code(notebook: Path) -> list[str]:
    """The code of each cell; that it has outputs or is not valid Python fails."""
    cells = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    return ["".join(cell["source"]) for cell in cells]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_valid_and_imports_what_there_is(notebook):
    trees = [ast.parse(code) for code in read_code(notebook)]
    nodes = (node for tree in trees for node in ast.walk(tree))
    imports = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.module == "lossbench"]
    assert imports
    assert {each.name for node in imports for each in node.names} <= set(lossbench.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code in read_code(notebook):
        exec(code, names)
    assert any(tmp_path.glob("results/*/seeds.parquet"))
