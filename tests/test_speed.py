"""The measurement of speed runs to its end, and writes what its README shows."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pandas as pd

PLACE = Path(__file__).parent.parent / "experiments" / "speed"


def test_a_quick_measurement_writes_table_plot_and_readme_with_every_way(
    here, empty_store, monkeypatch
):
    (here / "README.md").write_text(
        "before\n<!-- written by measure.py -->\nold\n<!-- written by measure.py -->\nafter\n"
    )
    monkeypatch.syspath_prepend(PLACE)
    store = shutil.copy(empty_store, here / "mlflow.db")
    monkeypatch.setattr(importlib.import_module("contestants"), "STORE", store)
    monkeypatch.setattr(sys, "argv", ["measure.py", "--quick", "--out", "."])
    importlib.import_module("measure").main()
    table = pd.read_csv("table.csv")
    assert set(zip(table.way, table.seeds, strict=True)) == {
        ("bare loop", 3),
        ("bare loop, DataLoader", 2),
        ("usual way", 2),
        ("lossbench", 1),
        ("lossbench", 8),
        ("floor", 1),
        ("floor", 8),
    }
    assert (table.best_s > 0).all()
    assert (table.above_floor[table.way != "floor"] > 1).all()
    text = Path("README.md").read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| usual way | 1 |" in text
    assert Path("cost.png").stat().st_size > 10_000
