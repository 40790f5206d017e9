"""Rows of a table as the items of lists."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lossbench.contract import UserError
from lossbench.datasets import prepare
from lossbench.datasets.corruptions import none
from lossbench.datasets.files import csv

RNG = np.random.default_rng(0)


def shop(file, count=30, **columns):
    """A table of items of lists of three to eight, shuffled, and which rows are of each list."""
    rng = np.random.default_rng(0)
    query = np.repeat([f"q{n}" for n in range(count)], rng.integers(3, 9, count))
    x = rng.normal(size=(len(query), 2)) * [1, 1000] + [0, 5000]
    frame = pd.DataFrame({"query": query, "a": x[:, 0], "b": x[:, 1]})
    frame = frame.assign(grade=(x > [0, 5000]).sum(1), **columns)
    frame = frame.sample(frac=1, random_state=0, ignore_index=True)
    frame.to_csv(file, index=False)
    return frame


def read(file, **fields):
    return csv(
        RNG, path=str(file), target="grade", task="list_ranking", **{"query": "query", **fields}
    )


def test_rows_of_a_table_are_items_of_lists_in_the_order_of_the_file(tmp_path):
    """Each row is one item; what is past the end of a list is not."""
    frame = shop(tmp_path / "shop.csv")
    sample = read(tmp_path / "shop.csv")
    assert sample.inputs.shape == (30, 8, 2)
    for number, (_, rows) in enumerate(frame.groupby("query", sort=False)):
        assert sample.targets[number].tolist() == [*rows.grade, *[-1] * (8 - len(rows))]
        np.testing.assert_allclose(sample.inputs[number, : len(rows)], rows[["a", "b"]])
    assert "shop.csv: 30 lists of 3 to 8 items." in sample.notes
    frame.assign(grade=frame.grade > 1).to_csv(tmp_path / "shop.csv", index=False)
    clicked = read(tmp_path / "shop.csv").targets
    assert (clicked == np.where(sample.targets < 0, -1, sample.targets > 1)).all()


def test_features_are_standardised_over_the_items_of_training(tmp_path):
    """All places of a list alike; what pads it has no part in it, and is finite."""
    frame = shop(tmp_path / "shop.csv")
    splits = prepare(lambda rng: read(tmp_path / "shop.csv"), lambda task: none, [0])
    inputs, targets = splits.first("train")
    items = inputs[targets >= 0]
    torch.testing.assert_close(items.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(items.std(0, correction=0), torch.ones(2))
    assert inputs.isfinite().all()
    assert splits.train.size + splits.validation.size + splits.test.size == 30
    assert len(frame) > len(items)


def test_gaps_and_text_of_items_are_read_as_in_any_table(tmp_path):
    frame = shop(tmp_path / "shop.csv", kind=lambda f: np.where(f.a > 0, "new", "old"))
    frame.loc[frame.index % 5 == 0, "b"] = np.nan
    frame.to_csv(tmp_path / "shop.csv", index=False)
    sample = read(tmp_path / "shop.csv", missing="impute")
    assert sample.inputs.shape == (30, 8, 5)  # a, b, two levels and whether b is missing
    splits = prepare(lambda rng: sample, lambda task: none, [0])
    assert splits.first("train")[0].isfinite().all()


def test_lists_are_in_the_part_of_their_items(tmp_path):
    """A column may say which, and a second file may have lists of the same names."""
    frame = shop(tmp_path / "shop.csv", part=lambda f: np.where(f["query"] < "q2", "test", "train"))
    sample = read(tmp_path / "shop.csv", split="part")
    assert (sample.split == 2).sum() == (frame.groupby("query").part.first() == "test").sum()
    both = read(tmp_path / "shop.csv", test=str(tmp_path / "shop.csv"), drop=("part",))
    assert both.split.tolist() == [0] * 30 + [2] * 30
    grouped = read(tmp_path / "shop.csv", group="part")
    assert len(grouped.groups) == 30


REFUSED = [
    ({"query": None}, {}, "need each other; give both or neither"),
    ({"query": "part"}, {"part": 1}, "names 1 lists; give at least 10"),
    (
        {"split": "part"},
        {"part": lambda f: np.where(f.a > 0, "test", "train")},
        "differ in dataset",
    ),
    ({}, {"grade": lambda f: f.a}, r"grades are below 0 \(-"),
    ({"query": "nix"}, {}, "dataset.query=nix: no column of"),
]


@pytest.mark.parametrize(("fields", "columns", "words"), REFUSED)
def test_tables_that_hold_no_lists_are_refused_in_a_line(tmp_path, fields, columns, words):
    frame = shop(tmp_path / "shop.csv")
    frame.assign(**columns).to_csv(tmp_path / "shop.csv", index=False)
    with pytest.raises(UserError, match=words) as error:
        read(tmp_path / "shop.csv", **fields)
    assert "\n" not in str(error.value)
