"""CSV and Parquet: what is inferred, and what is refused with which reason."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Whole

from lossbench.contract import Sample, UserError
from lossbench.datasets import corruptions, files, prepare, reading
from lossbench.datasets.splitting import draw_rows


def read(path: Path, **options) -> Sample:
    return files.csv(np.random.default_rng(0), path=str(path), **{"target": "y", **options})


def about(sample: Sample, words: str) -> list[str]:
    return [note for note in sample.notes if words in note]


def frame(rows: int = 20, **columns) -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(rows) * 1.5, "y": np.arange(rows) % 2} | columns)


@pytest.fixture(params=["csv", "parquet"])
def save(request, tmp_path):
    """Writes a table as CSV or Parquet and gives its path."""

    def write(data: pd.DataFrame) -> Path:
        path = tmp_path / f"table.{request.param}"
        data.to_csv(path, index=False) if request.param == "csv" else data.to_parquet(path)
        return path

    return write


def test_columns_become_numbers(save):
    """Numbers as they are, true and false 1 and 0, text one column per level in sorted order."""
    data = frame(
        flag=np.arange(20) % 4 == 0,
        colour=["red", "blue"] * 10,
        count=np.arange(20),
    )
    sample = read(save(data))
    assert sample.task == "binary"
    assert sample.inputs.shape == (20, 5)
    assert np.array_equal(sample.inputs[:, 0], data["x"])
    assert np.array_equal(sample.inputs[:, 1], data["flag"])
    assert np.array_equal(sample.inputs[:, 2], data["colour"] == "blue")
    assert np.array_equal(sample.inputs[:, 3], data["colour"] == "red")
    assert np.array_equal(sample.inputs[:, 4], data["count"])
    splits = Whole(prepare(lambda rng: sample, lambda task: corruptions.none, [0, 1, 2]))
    assert splits.train[0].shape == (3, 12, 5)


STEP = np.arange(40)
TARGETS = [
    # column, task asked for -> task, first targets
    (STEP % 2, None, "binary", [0, 1, 0]),
    (STEP % 2 * 2 - 1, None, "binary", [0, 1, 0]),
    (STEP % 2 == 0, None, "binary", [1, 0, 1]),
    (np.array(["yes", "no"])[STEP % 2], None, "binary", [1, 0, 1]),
    (np.array(["b", "c", "a"])[STEP % 3], None, "multiclass", [1, 2, 0]),
    (STEP % 3 + 5, None, "multiclass", [0, 1, 2]),
    (STEP % 2, "multiclass", "multiclass", [0, 1, 0]),
    (STEP % 2, "regression", "regression", [0, 1, 0]),
    (STEP % 2 + 0.5, "binary", "binary", [0, 1, 0]),
    (STEP, None, "regression", [0, 1, 2]),
    (STEP / 8, None, "regression", [0, 0.125, 0.25]),
    (STEP % 2 + 0.5, None, "regression", [0.5, 1.5, 0.5]),
]


@pytest.mark.parametrize(("column", "asked", "task", "first"), TARGETS)
def test_the_target_poses_its_task(save, column, asked, task, first):
    """Text, true/false and at most 20 integers are classes in sorted order, else numbers."""
    sample = read(save(frame(40, y=column)), task=asked)
    assert sample.task == task
    assert sample.targets[:3].tolist() == first


@pytest.mark.parametrize(("levels", "task"), [(20, "multiclass"), (21, "regression")])
def test_twenty_integers_are_classes_and_more_are_numbers(save, levels, task):
    assert read(save(frame(210, y=np.arange(210) % levels))).task == task


DAYS = pd.date_range("2024-01-01", periods=20).astype(str)
REFUSED_TABLES = [
    (frame(), {"target": "z"}, ["dataset.target=z", "x, y"]),
    (frame().rename(columns={"y": "label"}), {"target": "lable"}, ["Did you mean label"]),
    (frame(9), {}, ["9 rows", "at least 10"]),
    (frame()[["y"]], {}, ["a feature"]),
    (frame(x=[1.0, None, None] + [2.0] * 17), {}, ["x (2)", "2 of 20", "data row 2"]),
    (frame(y=[1.0] * 15 + [None] * 5), {}, ["'y' is missing in 5 of 20", "row 16"]),
    (frame(x=[1.0, np.inf] * 10), {}, ["'x'", "10 infinite"]),
    (frame(60, x=[f"id{i}" for i in range(60)]), {}, ["60 distinct", "50", "drop=[x]"]),
    (frame(x=DAYS), {}, ["'x'", "dates", "2024-01-01"]),
    (frame(x=["01.02.2024", "13.02.2024"] * 10), {}, ["'x'", "dates"]),
    (frame(x=["1", "2", "3", "?"] * 5), {}, ["'x'", "'?'", "5 rows"]),
    (frame(x=["1", "NA", "NA", "null"] * 5), {}, ["'x'", "'NA', 'null'", "15 rows"]),
    (frame(x=["9,750", "850"] * 10), {}, ["thousands", "'9,750'", "write 9750", "9.750"]),
    (frame(x=["9,750,000", "1,250.5"] * 10), {}, ["thousands", "write 9750000"]),
    (
        frame(x=["-0,5", "1,75"] * 10),
        {},
        ["decimal comma", "'-0,5'", "=comma, or write a point, -0.5"],
    ),
    (
        frame(x=["1.250,5", "?"] * 10),
        {},
        ["decimal=comma dataset.thousands=point", "point, 1250.5"],
    ),
    (frame(x=["1.250.000", "3"] * 10), {}, ["points between thousands", "write 1250000"]),
    (frame(x=["1 250", "3"] * 10), {}, ["dataset.thousands=space", "write 1250"]),
    (frame(x=["$1,250", "$3"] * 10), {}, ["'$1,250'", "write 1250"]),
    (frame(x=["12 %", "3 %"] * 10), {}, ["a unit", "'12 %'", "write 12"]),
    (frame(y=["0,5", "1,5"] * 10), {}, ["'y'", "decimal comma"]),
    (frame(y=["only"] * 20), {}, ["'y'", "one value only", "only"]),
    (frame(y=[3] * 20), {}, ["one value only"]),
    (frame(y=["a"] * 17 + ["rare"] * 3), {}, ["class rare has 3 rows"]),
    (frame(y=[1] * 17 + [8] * 3), {}, ["class 8 has 3 rows", "dataset.task=regression"]),
    (frame(40, y=[f"c{i}" for i in range(40)]), {}, ["40 distinct", "dataset.task=multiclass"]),
    (frame(), {"features": ["z"]}, ["dataset.features=z", "x, y"]),
    (frame(), {"features": ["x", "y"]}, ["dataset.features=y", "target"]),
    (frame(x=[None] * 20), {"missing": "impute"}, ["'x'", "empty", "drop=[x]"]),
    (frame(y=["a", "b"] * 9 + ["a", None]), {"missing": "impute"}, ["'y' is missing in 1"]),
    (frame(y=["a", "b"] * 10), {"positive": "c"}, ["dataset.positive=c", "a and b"]),
    (frame(y=["a", "b", "c", "c"] * 5), {"positive": "c"}, ["3 distinct", "multiclass", "two"]),
    (frame(), {"drop": ["z"]}, ["dataset.drop=z", "x, y"]),
    (frame(), {"drop": ["y"]}, ["dataset.drop=y", "target"]),
    (frame(), {"drop": ["x"]}, ["a feature"]),
    (frame(y=["a", "b"] * 10), {"task": "regression"}, ["not numbers"]),
    (frame(y=np.arange(20) % 4), {"task": "binary"}, ["4 distinct", "two"]),
]


@pytest.mark.parametrize(("data", "options", "words"), REFUSED_TABLES)
def test_a_table_that_cannot_be_used_is_refused_by_column(save, data, options, words):
    """The file, the column, what it holds and what to do, in one line."""
    path = save(data)
    with pytest.raises(UserError) as error:
        read(path, **options)
    message = str(error.value)
    assert all(word in message for word in [path.name, *words]), message
    assert message.count("\n") <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"features": ["x"], "drop": ["z"]}, "dataset.drop.*dataset.features.*give one"),
        ({"thousands": "point"}, "dataset.thousands=point is the decimal sign"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(save, options, words):
    with pytest.raises(UserError, match=words):
        read(save(frame(z=np.arange(20))), **options)


def test_all_columns_that_cannot_be_features_are_named_at_once(save):
    """A line for each, and one that leaves them all out."""
    data = frame(60, when=list(DAYS) * 3, customer=[f"c{i}" for i in range(60)])
    with pytest.raises(UserError) as error:
        read(save(data))
    lines = str(error.value).splitlines()
    assert ["'when'" in lines[0], "'customer'" in lines[1]] == [True, True]
    assert lines[2] == "dataset.drop=[when,customer] leaves all of them out."
    assert read(save(data), features=["x"]).inputs.shape == (60, 1)


# --- gaps ---------------------------------------------------------------------------------------


def test_gaps_are_left_open_and_marked(save):
    """NaN in a number, in every level of a text; after all features a column for each gappy one."""
    data = frame(
        x=[1.0, None, 3.0, 10.0] * 5,
        land=["DE", "NA", None, "DE"] * 5,
        z=STEP[:20],
        flag=[True, None, False, True] * 5,
    )
    sample = read(save(data), missing="impute")
    assert sample.inputs.shape == (20, 1 + 2 + 1 + 1 + 3)
    assert np.isnan(sample.inputs).any(0).tolist() == [True, True, True, False, True] + [False] * 3
    assert sample.inputs[:4, 5:].tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert sample.fill(sample.inputs).tolist() == [3, 1, 0, 0, 1, 0, 0, 0]
    assert "15 missing values in x, land, flag: filled" in about(sample, "missing")[0]
    splits = Whole(prepare(lambda rng: sample, lambda task: corruptions.none, [0, 1]))
    assert splits.train[0].isfinite().all()


def test_what_stands_for_a_gap_in_numbers_is_read_as_one(tmp_path):
    """Said in a note; in a column of text it is text."""
    path = tmp_path / "table.csv"
    frame(x=["1", "NA", "?", "2.5"] * 5, land=["NA", "DE"] * 10).to_csv(path, index=False)
    sample = read(path, missing="impute")
    assert sample.inputs.shape == (20, 1 + 2 + 1)
    assert sample.fill(sample.inputs)[0] == 1.75
    assert "column 'x': 'NA', '?' in 10 rows read as missing" in about(sample, "read as")[0]


def test_a_column_without_any_value_in_training_is_filled(tmp_path):
    """By zero, which its column of gaps marks."""
    path = tmp_path / "table.csv"
    frame(x=[5.0] + [None] * 19, z=STEP[:20]).to_csv(path, index=False)
    sample = read(path, missing="impute")
    assert sample.fill(sample.inputs[1:]).tolist() == [0, 0, 0]


# --- spelling -----------------------------------------------------------------------------------

SPELLINGS = [
    # cells, separator, signs -> numbers
    (["1.250,5", "-3"], ";", {"decimal": "comma", "thousands": "point"}, [1250.5, -3]),
    (["0,5", "-1,75"], ";", {"decimal": "comma"}, [0.5, -1.75]),
    (["1 250", "3"], "\t", {"thousands": "space"}, [1250, 3]),
    (['"1,250,000"', '"9,750.5"'], ",", {"thousands": "comma"}, [1250000, 9750.5]),
    (["1'250", "12"], "|", {"thousands": "apostrophe"}, [1250, 12]),
    (["1.25", "0.5"], ";", {"decimal": "comma"}, [1.25, 0.5]),
    (["1.250", "2.500"], ";", {"decimal": "comma", "thousands": "point"}, [1250, 2500]),
]


@pytest.mark.parametrize(("cells", "separator", "signs", "numbers"), SPELLINGS)
def test_numbers_are_read_with_the_signs_that_are_given(tmp_path, cells, separator, signs, numbers):
    """In the column separator of the first line; what no sign fits stays as it was."""
    path = tmp_path / "table.csv"
    rows = [separator.join([cells[i % 2], "no" if i % 3 else "yes"]) for i in range(20)]
    path.write_text("\n".join([separator.join(["x", "y"]), *rows]))
    sample = read(path, **signs)
    assert sample.inputs[:2, 0].tolist() == numbers
    assert sample.task == "binary"


def test_parquet_text_is_read_with_the_signs_that_are_given(tmp_path):
    """And a regression's target, next to gaps."""
    path = tmp_path / "table.parquet"
    frame(x=["1.250,5", "n/a"] * 10, y=["0,5", "1,5"] * 10).to_parquet(path)
    sample = read(path, decimal="comma", thousands="point", missing="impute")
    assert sample.task == "regression"
    assert sample.targets[:2].tolist() == [0.5, 1.5]
    assert sample.fill(sample.inputs)[0] == 1250.5


# --- given splits -------------------------------------------------------------------------------


def rows_of(sample: Sample) -> list[set[float]]:
    """The first feature of each part of a seed, which tells rows apart."""
    task = prepare(lambda rng: sample, lambda task: corruptions.none, [0]).task
    rows = draw_rows(sample, task, np.random.default_rng(0))
    return [set(sample.inputs[part, 0]) for part in rows]


def test_a_column_may_say_the_split(save):
    """It is no feature; in words that people use, upper case or not."""
    words = np.array(["Train", " valid", "TEST", "training"])[STEP % 4]
    sample = read(save(frame(40, part=words)), split="part")
    assert sample.inputs.shape == (40, 1)
    expected = [set(1.5 * STEP[np.isin(STEP % 4, part)]) for part in ([0, 3], [1], [2])]
    assert rows_of(sample) == expected


def test_validation_is_drawn_where_the_column_says_train_and_test(save):
    sample = read(save(frame(40, part=np.where(STEP < 30, "train", "test"))), split="part")
    train, validation, test = rows_of(sample)
    assert test == set(1.5 * STEP[30:])
    assert (len(train), len(validation)) == (24, 6)
    assert about(sample, "the test split has 5 rows of the class 0, fewer than 50: each is 20.0%")


def test_a_second_file_may_be_the_test(save, tmp_path):
    """Columns in any order, further ones ignored; rows of it that are in the first are counted."""
    path = save(frame(40, land=["DE", "FR"] * 20))
    other = pd.DataFrame({"more": 1, "land": ["IT", "DE"] * 6, "y": [0, 1] * 6, "x": 0.0})
    other.to_csv(tmp_path / "held.csv", index=False)
    sample = read(path, test=str(tmp_path / "held.csv"))
    assert sample.inputs.shape == (52, 1 + 3)
    assert sample.split.tolist() == [0] * 40 + [2] * 12
    (note,) = about(read(path, test=str(path)), "are in the other splits too")
    assert "40 of 40 rows of the test" in note
    assert f"{path.name} + {path.name}" in note


def test_a_group_stays_together(save):
    """Its column is no feature, and repeats within it are no leak."""
    data = frame(100, patient=[f"p{i // 4}" for i in range(100)], y=np.arange(100) // 4 % 2)
    data.loc[data.index % 4 == 3, "x"] = data["x"].shift(1)
    sample = read(save(data), group="patient")
    assert sample.inputs.shape == (100, 1)
    assert about(sample, "repeat") == []
    parts = rows_of(sample)
    patients = [{data["patient"][data["x"] == x].iloc[0] for x in part} for part in parts]
    assert [len(part) for part in patients] == [15, 5, 5]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]
    assert "dataset.group=patient_id keeps its rows together" in "".join(
        read(save(data.rename(columns={"patient": "patient_id"}))).notes
    )


SPLIT_FAULTS = [
    ({"split": "z"}, ["dataset.split=z", "no column"]),
    ({"split": "land"}, ["'land'", "'de', 'fr'", "train", "validation", "test"]),
    ({"split": "one"}, ["'one'", "train only"]),
    ({"split": "y"}, ["dataset.split=y is the target"]),
    ({"group": "y"}, ["dataset.group=y is the target"]),
    ({"group": "part", "split": "part"}, ["dataset.group=part is the split"]),
    ({"group": "land", "drop": ["land"]}, ["dataset.drop=land is the group"]),
    ({"group": "gaps"}, ["group 'gaps' is missing in 20 of 40", "row 2"]),
    ({"split": "part", "test": "table.csv"}, ["dataset.test", "dataset.split", "one of them"]),
    ({"test": "other.csv"}, ["dataset.test=", "other.csv", "no column 'land', 'part'"]),
    ({"test": "nowhere.csv"}, ["dataset.test=", "nowhere.csv", "No such file"]),
    ({"test": "table.txt"}, ["dataset.test=", "suffix must be"]),
]


@pytest.mark.parametrize(("options", "words"), SPLIT_FAULTS)
def test_a_split_that_cannot_be_used_is_refused(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    land, part = ["DE", "FR"] * 20, ["train"] * 20 + ["test"] * 20
    data = frame(40, land=land, part=part, one="train", gaps=["a", None] * 20)
    data.to_csv("table.csv", index=False)
    data.to_csv("table.txt", index=False)
    frame().to_csv("other.csv", index=False)
    with pytest.raises(UserError) as error:
        read(Path("table.csv"), **options)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


# --- the class that counts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "positive", "first"),
    [
        (["churned", "stayed"], "churned", [1, 0]),
        (["churned", "stayed"], "stayed", [0, 1]),
        ([True, False], False, [0, 1]),
        ([2, 1], 1, [0, 1]),
        ([2, 1], "2", [1, 0]),
    ],
)
def test_the_class_that_counts_may_be_named(save, column, positive, first):
    """As the cell holds it, or as the command line reads it."""
    sample = read(save(frame(y=column * 10)), positive=positive)
    assert sample.targets[:2].tolist() == first
    assert about(sample, "class 1, which") == []


def test_a_class_that_the_test_split_has_too_few_of_is_named(save):
    """With what one row is worth; not where there are enough."""
    few = read(save(frame(400, y=np.where(np.arange(400) % 10, "stayed", "churned"))))
    (note,) = about(few, "the test split")
    assert "about 8 rows of the class 'churned', fewer than 50: each is 12.5%" in note
    enough = read(save(frame(600)))
    assert about(enough, "the test split") == []


def test_rows_that_repeat_are_counted(save):
    data = frame(x=[1.0, 2.0] * 10)
    assert "18 of 20 rows repeat an earlier one" in about(read(save(data)), "repeat")[0]
    assert about(read(save(frame())), "repeat") == []


def test_a_missing_value_is_an_empty_cell_and_text_stays_text(save):
    """What pandas takes for missing is a level like others in a column of text."""
    land = ["NA", "None", "null", "DE"] * 5
    sample = read(save(frame(land=land)))
    assert sample.inputs.shape == (20, 1 + 4)
    assert sample.inputs[:, 1:].sum(0).tolist() == [5.0] * 4


def test_a_whole_number_of_too_many_digits_is_no_date(tmp_path):
    """26 digits: said to be that, with the way out."""
    path = tmp_path / "table.csv"
    path.write_text("x,key,y\n" + "".join(f"{i}.5,{10**25 + i},{i % 2}\n" for i in range(20)))
    with pytest.raises(
        UserError, match=r"'key' holds whole numbers of up to 26 digits.*drop=\[key"
    ):
        read(path)
    assert read(path, drop=["key"]).inputs.shape == (20, 1)


def test_one_cell_that_is_no_number_is_named_however_the_others_are_written(tmp_path):
    path = tmp_path / "table.csv"
    cells = [*(f"1.{i:03},5" for i in range(59)), "13,4x"]
    path.write_text("x;y\n" + "".join(f"{cell};{i % 2}\n" for i, cell in enumerate(cells)))
    for spelling in ({}, {"decimal": "comma", "thousands": "point"}):
        with pytest.raises(UserError, match="'x' is numbers except '13,4x' in 1 rows"):
            read(path, **spelling)


# --- columns that had better be left out --------------------------------------------------------

NOISE = np.random.default_rng(0).normal(size=40).round(3)
KINDS = np.repeat(["a", "b"], 20)
SHUFFLED = np.random.default_rng(1).permutation(40)
SUSPECTS = [
    # column, its name, target -> what the note says, or nothing
    (np.arange(1, 41), "Id", KINDS, "is the row number and gives the class away"),
    (np.arange(1, 41), "n", KINDS[SHUFFLED], "is the row number, and is a feature"),
    (SHUFFLED, "n", KINDS[SHUFFLED], "numbers the rows"),
    (STEP**2 + 7, "stamp", KINDS, "rises from row to row and gives the class away"),
    (STEP / 8, "second", KINDS, "rises evenly from row to row"),
    (SHUFFLED**2 + 7, "n", KINDS[SHUFFLED], "differs in every row and gives the class away"),
    (SHUFFLED // 4 + 100, "shop_id", KINDS[SHUFFLED], "is named like an identifier"),
    ([f"r{i}" for i in STEP], "row", KINDS, "differs in every row"),
    (["train", "train", "test", "val"] * 10, "part", KINDS, "which split a row belongs to (test, "),
    (STEP % 5, "fold", KINDS, "is named like a split"),
    (np.repeat(["x", "y", "z", "u"], 10), "code", KINDS, "each of its 4 values occurs in one"),
    (NOISE * 3 + 1, "again", NOISE, "is the target, up to its unit"),
    (1 - NOISE * 3, "turned", NOISE, "is the target, up to its unit"),
    (NOISE, "noise", KINDS, None),
    (STEP % 2, "flag", KINDS, None),
    (SHUFFLED * 37 % 91, "width", KINDS, None),
    (["red", "blue"] * 20, "colour", KINDS, None),
    ([None] * 20 + ["a", "b"] * 10, "reason", KINDS, "gives the class away by its gaps"),
    (np.abs(NOISE) + (KINDS == "b") * 9, "later", KINDS, "each class has a range of its values"),
    (np.where(STEP == 17, 1e6, NOISE), "income", KINDS, "holds 1e+06 next to 90% of values within"),
    (np.exp(2 * NOISE), "skewed", KINDS, None),
]


@pytest.mark.parametrize(("column", "name", "target", "words"), SUSPECTS)
def test_a_column_that_had_better_be_left_out_is_named(save, column, name, target, words):
    """Trained on all the same, with a note that says what it is and how to leave it out."""
    data = pd.DataFrame({"z": np.sin(STEP * STEP), name: column, "y": target})
    path = save(data)
    missing = "impute" if data[name].isna().any() else None
    notes = about(read(path, missing=missing), repr(name))
    if words is None:
        assert notes == []
        return
    (note,) = notes
    assert all(part in note for part in [path.name, repr(name), words, f"dataset.drop=[{name}]"])
    left = read(path, drop=[name])
    assert about(left, "and is a feature") == []
    assert left.inputs.shape == (40, 1)


READINGS = [
    (STEP % 2 * 1.0, None, "2 distinct numbers, read as a regression; dataset.task=binary"),
    (STEP % 7 * 1.0, None, "7 distinct numbers, read as a regression; dataset.task=multiclass"),
    (STEP % 7, None, "7 whole numbers, read as classes; dataset.task=ordinal"),
    (STEP % 7, "multiclass", None),
    (STEP % 2, None, None),
    (STEP % 8 / 8, None, None),
    (KINDS, None, "class 1, which recall and f1 count, is 'b' (50% of the rows); "),
]


@pytest.mark.parametrize(("target", "task", "words"), READINGS)
def test_how_a_target_was_read_is_noted_where_it_could_be_meant_otherwise(
    tmp_path, target, task, words
):
    """Counts are read as classes and labels with a point as numbers: the note says what to give."""
    path = tmp_path / "table.csv"
    pd.DataFrame({"x": NOISE, "y": target}).to_csv(path, index=False)
    notes = about(read(path, task=task), "the target")
    assert [words in note for note in notes] == ([True] if words else [])


HEAD = "x,y\n" + "1.5,0\n2.5,1\n" * 10
BROKEN_FILES = [
    ("a.csv", b"", ["empty"]),
    ("a.csv", b"\n\n", ["empty"]),
    ("a.csv", b"x,y\n", ["0 rows"]),
    ("a.csv", (HEAD + "1,2,3\n").encode(), ["line 22", "3 fields", "header 2"]),
    ("a.csv", (HEAD + "1\n").encode(), ["line 22", "1 fields"]),
    ("a.csv", ("x,y\n" + "1,2,3\n" * 20).encode(), ["line 2", "3 fields"]),
    ("a.csv", HEAD.replace("x", "y").encode(), ["two columns", "'y'"]),
    ("a.csv", HEAD.replace("x", "").encode(), ["column 1 has no name", "index"]),
    ("a.csv", (HEAD + '"open,1\n').encode(), ["line 22"]),
    ("a.csv", bytes(range(256)) * 20, ["byte 128 is not UTF-8", "save it as UTF-8"]),
    ("a.csv", HEAD.encode("utf-16"), ["byte 0 is not UTF-8"]),
    ("a.csv", b"\x00\x01\x02" * 400, ["column 1", "not text"]),
    ("a.parquet", b"", ["cannot be read"]),
    ("a.parquet", HEAD.encode(), ["cannot be read"]),
    ("a.parquet", b"PAR1" + bytes(200) + b"PAR1", ["cannot be read"]),
    ("a.pkl", HEAD.encode(), ["suffix", ".csv", ".parquet"]),
    ("a", HEAD.encode(), ["suffix"]),
]


@pytest.mark.parametrize(("name", "content", "words"), BROKEN_FILES)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path, name, content, words):
    """Empty, ragged, garbage or of another format: the file and, in a CSV, the line."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read(path)
    message = str(error.value)
    assert all(word in message for word in [str(path), *words]), message
    assert message.count("\n") <= 1


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path):
    """By their path and the reason; nobody waits for a pipe to be written."""
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match=r"pipe\.csv.*not a regular file"):
        read(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match=r"nowhere\.csv.*No such file"):
        read(tmp_path / "nowhere.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv.*[Dd]irectory"):
        read(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (pd.date_range("2024-01-01", periods=20), ["datetime64", "a number of days"]),
        ([[1, 2]] * 20, ["object", "convert it", "drop=[x]"]),
        ([b"raw"] * 20, ["object"]),
    ],
)
def test_parquet_types_that_are_no_features_are_refused(tmp_path, column, words):
    """Dates, lists and bytes are named by their type."""
    path = tmp_path / "table.parquet"
    frame(x=column).to_parquet(path)
    with pytest.raises(UserError) as error:
        read(path)
    assert all(word in str(error.value) for word in ["'x'", *words]), str(error.value)


def test_parquet_categories_and_nullable_types_are_read(tmp_path):
    """Categories are what they stand for; pandas' nullable integers and booleans are numbers."""
    data = frame(
        kind=pd.Categorical(["a", "b"] * 10),
        level=pd.Categorical([1, 2] * 10),
        whole=pd.array(range(20), dtype="Int64"),
        flag=pd.array([True, False] * 10, dtype="boolean"),
    )
    data.to_parquet(tmp_path / "table.parquet")
    assert read(tmp_path / "table.parquet").inputs.shape == (20, 1 + 2 + 1 + 1 + 1)


@pytest.mark.parametrize("cells", [1, 40, 60])
def test_parquet_is_the_same_however_much_is_read_at_a_time(tmp_path, monkeypatch, cells):
    """A column, two or three of five at once."""
    data = frame(colour=["red", "blue"] * 10, z=[1.0, np.nan] * 10, count=range(20))
    data.set_index("x", drop=False).rename_axis("row").to_parquet(tmp_path / "table.parquet")
    whole = reading.read_table(tmp_path / "table.parquet", reading.PLAIN, "path")
    monkeypatch.setattr(reading, "CELLS", cells)
    parts = reading.read_table(tmp_path / "table.parquet", reading.PLAIN, "path")
    assert list(parts) == list(data)
    for name in data:
        pd.testing.assert_series_equal(whole[name], data[name])
        pd.testing.assert_series_equal(parts[name], data[name])


def test_windows_habits_are_read(tmp_path):
    """A byte-order mark, CRLF line ends, blanks after commas, blank lines and quoted commas."""
    path = tmp_path / "table.csv"
    path.write_bytes(("\ufeffx, y\r\n\r\n" + '"a,b", 0\r\n"c", 1\r\n' * 10).encode())
    sample = read(path)
    assert sample.inputs.shape == (20, 2)
    assert Counter(sample.targets.tolist()) == {0: 10, 1: 10}


def test_a_changed_file_is_read_again(tmp_path):
    """Seeds share one reading of a file, until the file changes."""
    path = tmp_path / "table.csv"
    frame().to_csv(path, index=False)
    first = read(path)
    assert read(path) is first
    frame(30).to_csv(path, index=False)
    assert len(read(path).inputs) == 30


@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=300), suffix=st.sampled_from(["csv", "parquet"]))
def test_garbage_never_causes_a_traceback(tmp_path_factory, content, suffix):
    """Any bytes are read or refused as the user's error."""
    path = tmp_path_factory.mktemp("garbage") / f"table.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError):
        read(path)
