"""`lossbench suggest`: what the atlas says of data of a shape, and how good such words are."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lossbench import atlas
from lossbench.configuration.experiments import read_experiment
from lossbench.contract import UserError

PLAIN = {"inputs": 10, "outputs": 3, "rarest": 1.0, "tails": 3.0, "zeros": 0.0, "wrong_labels": 0.0}


def made_table(gains: dict[str, dict[str, float]], rows: dict[str, int]) -> pd.DataFrame:
    """A table of data sets with so many rows and the gains of two losses, all of them shown."""
    records = [
        {
            **{"task": "multiclass", "dataset": name, "data": name, "loss": loss},
            **{"baseline": "cross_entropy", "gain": gain, "rows": rows[name], **PLAIN},
            "verdict": "better" if gain > 0 else "worse" if gain < 0 else "baseline",
        }
        for name, by_loss in gains.items()
        for loss, gain in {"cross_entropy": 0.0, **by_loss}.items()
    ]
    return pd.DataFrame(records)


SMALL = {name: {"focal": 0.2, "poly": -0.1} for name in "abc"}
LARGE = {name: {"focal": -0.2, "poly": 0.1} for name in "xyz"}
TABLE = made_table(
    {**SMALL, **LARGE}, {name: 100 if name in SMALL else 10_000 for name in "abcxyz"}
)


@pytest.mark.parametrize(
    ("rows", "worth", "poor"), [(120, "focal", "poly"), (9_000, "poly", "focal")]
)
def test_what_was_better_on_the_nearest_data_is_worth_trying(rows, worth, poor):
    suggestion = atlas.suggest(TABLE, "multiclass", {"rows": rows, **PLAIN})
    assert suggestion.worth == (worth,)
    assert suggestion.poor == (poor,)
    assert suggestion.near.data.nunique() == atlas.NEAREST


def test_a_loss_that_was_worse_on_one_of_them_is_not_suggested():
    table = made_table({**SMALL, "c": {"focal": -0.01}}, dict.fromkeys("abc", 100))
    assert atlas.suggest(table, "multiclass", {"rows": 100, **PLAIN}).worth == ()


def test_a_data_set_that_is_scored_says_nothing_on_itself():
    gains = {**{name: {"focal": -0.1} for name in "abc"}, "odd": {"focal": 0.5}}
    scored = atlas.score(made_table(gains, dict.fromkeys(gains, 100))).set_index("data")
    assert scored.loc["odd", "rule_loss"] == "cross_entropy"
    assert scored.loc["odd", ["usual", "rule"]].tolist() == [0.5, 0.5]
    assert scored.loc["a", "overall"] == pytest.approx(0.1)  # focal, which is best in the mean


def test_the_advantage_counts_each_data_set_once():
    scored = pd.DataFrame(
        {"dataset": ["a", "a", "a", "b", "c"], "usual": [3.0, 3, 3, 0, 0], "rule": 0.0}
    )
    assert atlas.advantage(scored, "usual").estimate == 1.0


def test_a_task_that_is_not_in_the_atlas_is_refused_by_name():
    with pytest.raises(UserError, match="no data of the task embedding"):
        atlas.suggest(TABLE, "embedding", {"rows": 10, **PLAIN})


SHAPES = [  # integer classes or not, targets, what is seen of them
    (True, [0, 0, 0, 1], {"outputs": 2, "rarest": 1 / 3}),
    (True, [[0, 1], [0, 1], [1, 0], [0, 0]], {"outputs": 2, "rarest": 1 / 3}),
    (False, [0.0, 0, 3, 5], {"outputs": 1, "zeros": 0.5, "rarest": 1}),
    (False, [[5.0, 1], [7, 0]], {"outputs": 2, "zeros": 0.25}),
    (False, [[5.0, np.nan], [7, 0]], {"outputs": 2, "zeros": 1 / 3}),
    (False, [[0, 1], [np.nan, 1], [1, 0], [0, 0], [0, np.nan]], {"rarest": 1 / 3}),
]


@pytest.mark.parametrize(("classes", "targets", "seen"), SHAPES)
def test_the_shape_of_targets(classes, targets, seen):
    shape = atlas._shape_of_targets(np.array(targets, dtype=float), classes=classes)
    assert {name: shape[name] for name in seen} == pytest.approx(seen)


# ---- the committed table -----------------------------------------------------------------------
def test_the_atlas_is_whole():
    table = atlas.read_atlas()
    assert table.data.nunique() >= 20
    assert table.loss.nunique() >= 40
    assert (table.seeds == 20).all()
    assert not table[["task", "verdict", *atlas.SHAPE]].isna().any(axis=None)
    baselines = table[table.verdict == "baseline"]
    assert len(baselines) == table.data.nunique()
    assert all(claim.verdict for claim in read_experiment("atlas").claims)


def test_data_with_a_rare_class_are_near_data_with_one_though_their_sizes_differ():
    shape = {**PLAIN, "rows": 180, "inputs": 4, "outputs": 1, "rarest": 0.08 / 0.92}
    near = atlas.suggest(atlas.read_atlas(), "binary", shape).near
    assert near.dataset.iloc[0] == "rare_blobs"


# ---- the command -------------------------------------------------------------------------------
def test_the_command_names_what_it_rests_on(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    done = command("suggest", "dataset=wine", "corruption=label_noise")
    assert done.code == 0, done
    assert done.out.startswith("wine: ")
    assert "1. wine, label_noise" in done.out
    assert "How good is that?" in done.out
    assert max(map(len, done.out.splitlines())) <= 60


def test_a_program_reads_the_answer_and_the_score(command):
    said = json.loads(command("suggest", "dataset=rare_blobs", "--format", "json").out)
    assert (said["task"], said["usual"], said["shape"]["rows"]) == ("binary", "cross_entropy", 3000)
    assert {row["task"] for row in said["nearest"]} == {"binary"}
    scored = json.loads(command("suggest", "--score", "--format", "json").out)
    assert {"dataset", "usual", "overall", "rule"} <= scored[0].keys()


def test_data_of_the_user_are_judged_by_their_shape(command):
    rng = np.random.default_rng(0)
    lines = [f"{x:.3f},{y:.3f},{x + y:.3f}" for x, y in rng.standard_normal((200, 2))]
    done = command(
        *["suggest", "dataset=csv", "dataset.path=my.csv", "dataset.target=c"],
        files={"my.csv": "\n".join(["a,b,c", *lines])},
    )
    assert done.code == 0, done
    assert "These data: regression, 120 rows to train on, 2 inputs" in done.out


REFUSED = [
    ([], "name the data, such as dataset=digits"),
    (["dataset=digits", "loss=focal"], "loss: suggest looks at data alone"),
    (
        ["dataset=digit_identities"],
        "nothing to suggest: the atlas has no data of the task embedding",
    ),
    (["dataset=digitz"], "digitz"),
]


@pytest.mark.parametrize(("words", "reason"), REFUSED)
def test_what_cannot_be_answered_is_refused(command, words, reason):
    done = command("suggest", *words)
    assert done.code == 2, done
    assert reason in done.err
    assert len(done.err.splitlines()) <= 2


def test_the_score_says_whether_the_rule_beats_the_others(command):
    done = command("suggest", "--score")
    assert done.code == 0, done
    assert done.out.count("The rule has ") == 2
    assert max(map(len, done.out.splitlines())) <= 100
