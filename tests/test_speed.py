"""The measurement of speed runs to its end, and writes what its README shows."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lossbench.datasets import published
from lossbench.training.replicas import folded

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


def test_losses_that_no_map_takes_are_folded_to_the_numbers_of_the_loop(monkeypatch):
    """Ten as public code has them; values, and gradients in predictions."""
    monkeypatch.syspath_prepend(PLACE)
    unmapped = importlib.import_module("unmapped").UNMAPPED
    assert sum(map(len, unmapped.values())) == 10
    generator = torch.Generator().manual_seed(0)
    for data, losses in unmapped.items():
        shape = (4, 16, 3) if data == "dataset=blobs" else (4, 16)
        prediction = torch.randn(shape, generator=generator) * 3
        target = torch.randint(shape[-1] % 16 or 2, (4, 16), generator=generator)
        target = target if prediction.ndim == 3 else target.float()
        for loss in losses:
            leaf = prediction.clone().requires_grad_()
            with pytest.raises(Exception, match=r"."):
                torch.vmap(loss)(leaf, target)
            pairs = zip(leaf, target, strict=True)
            looped = torch.stack([loss(p, t).mean() for p, t in pairs])
            (expected,) = torch.autograd.grad(looped.sum(), leaf)
            once = folded(loss, leaf, target)
            (gradient,) = torch.autograd.grad(once.sum(), leaf)
            torch.testing.assert_close(once, looped)
            torch.testing.assert_close(gradient, expected)


def test_a_quick_look_at_folding_writes_table_and_readme(here, monkeypatch):
    monkeypatch.syspath_prepend(PLACE)
    monkeypatch.setattr(sys, "argv", ["folds.py", "--quick", "--out", "."])
    importlib.import_module("folds").main()
    table = pd.read_csv("folds.csv")
    assert len(table) == 3
    assert (table.difference < 1e-5).all()
    assert "| `huber_by_index` |" in Path("README.md").read_text()


def test_both_read_the_made_set_alike(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(PLACE)
    root = importlib.import_module("cifar").make_set(tmp_path, 10)
    sample = published.torchvision(np.random.default_rng(0), set="CIFAR10", root=str(root))
    images, labels = importlib.import_module("plain_cifar").read(root, ["test_batch"])
    assert np.array_equal(sample.inputs[50:], images.numpy())
    assert np.array_equal(sample.targets[50:], labels.numpy())
