"""A result is run again from what was logged, and it is said how far it is the same."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lossbench import results
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.paths import sha256
from lossbench.reproduce import TOLERANCE, changes, differences, find, refuse_places, verdict
from lossbench.results import Result
from lossbench.tracking.syncing import sync
from lossbench.training.tuning import train_and_write

LOSS = """\
def cubic(logits, target, /, *, scale: float = 1.0):
    return scale * (1 - logits.softmax(-1).gather(-1, target[:, None]).squeeze(-1)) ** 3
"""
RUN = ("dataset=wine", "loss=mine.py:cubic", "seeds=[3,1]", "trainer.max_epochs=3")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, empty_store):
    """A folder in which one configuration was trained and shown to MLflow."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "results").mkdir()
    shutil.copy(empty_store, folder / "results" / "mlflow.db")
    (folder / "mine.py").write_text(LOSS)
    with contextlib.chdir(folder):
        config = configurations(RUN)[0][0]
        train_and_write(config, list(config.seeds), results.open_folder("results"))
        sync(folder / "results")
    return folder


def place_of(folder: Path) -> Path:
    (file,) = folder.glob("results/*/seeds.parquet")
    return file.parent


def content(folder: Path) -> dict[str, bytes]:
    """Every file of the results but the store's own."""
    files = [f for f in folder.rglob("results/**/*") if f.is_file() and "mlflow.db" not in f.name]
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


def edit(place: Path, name: str, **values: object) -> None:
    """Change what a YAML file of a result says, as one who knows of the digests would."""
    file = place / f"{name}.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **values}))
    summary = yaml.safe_load((place / "summary.yaml").read_text())
    summary["sha256"][file.name] = sha256(file)
    (place / "summary.yaml").write_text(yaml.safe_dump(summary))


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of the trained folder, to be changed."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_a_run_of_mlflow_is_reproduced_to_the_bit_and_nothing_stored_is_touched(
    trained, command, tmp_path, monkeypatch
):
    monkeypatch.chdir(trained)
    with sqlite3.connect(trained / "results" / "mlflow.db") as store:
        ((run_id,),) = store.execute("select run_uuid from runs").fetchall()
    before = content(trained)
    words = ("reproduce", run_id, "--uri", f"sqlite:///{trained}/results/mlflow.db")
    done = command(*words, "--results", str(tmp_path), "--trust", "--format", "json")
    rows = results.read(place_of(trained))
    count = len(rows.curves) + 2 * sum("/" in name for name in rows.seeds)
    verdict = f"Identical: all {count} numbers of 2 seeds, to the bit."
    assert done.code == 0, done.err
    assert json.loads(done.out) == {
        **{"key": rows.key, "same": True, "verdict": verdict, "changes": []},
        **{"numbers": count, "different": 0},
    }
    assert verdict in done.err
    assert json.loads(command("sync", "--format", "json").out) == {"delivered": 0}
    assert content(trained) == before
    assert not list(tmp_path.iterdir())


def test_changed_code_and_versions_are_named_and_where_numbers_part(copied, command):
    place = place_of(copied)
    versions = yaml.safe_load((place / "versions.yaml").read_text())
    edit(place, "versions", torch="2.0.1", numpy="1.9")
    edit(place, "config", trainer={"max_epochs": 3, "batch_size": 64, "precision": "32-true"})
    (copied / "mine.py").write_text(LOSS.replace("** 3", "** 4"))
    before = content(copied)
    done = command("reproduce", place.name, "--trust")
    assert done.code == 3, done.err
    assert f"torch 2.0.1 -> {versions['torch']}" in done.out
    assert f"numpy 1.9 -> {versions['numpy']}" in done.out
    said = " ".join(done.out.split())
    assert "the code of loss=mine.py:cubic" in said
    assert "Differs since epoch 1 of seed 1 in train/loss (" in said
    assert "pandas" not in said
    assert content(copied) == before
    assert max(map(len, done.out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("place", "refused"), [("{here}/mine.csv", True), ("results/mine.csv", False)]
)
def test_a_file_outside_the_results_folder_is_read_only_on_trust(place, refused, copied):
    """Of a stranger's result, which may name any file of this machine."""
    path = place.format(here=copied)
    dataset = {"name": "csv", "path": path, "target": "y"}
    edit(place_of(copied), "config", dataset=dataset, loss={"name": "cross_entropy"})
    (copied / path).write_text("x,y\n1,2\n")
    folder = copied / "results"
    old = find(place_of(copied).name, folder, None)
    with contextlib.chdir(copied):
        if not refused:
            refuse_places(old, "it", folder)
            return
        with pytest.raises(UserError) as caught:
            refuse_places(old, "it", folder)
    assert f"a file outside the results folder, dataset.path={path}, which" in str(caught.value)
    assert "add --trust" in str(caught.value)


def test_an_unknown_name_gets_one_line(copied, command):
    done = command("reproduce", "no-such-run")
    assert done.code == 2
    assert "no-such-run: neither a result nor a run in" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_run_that_gave_no_result_and_a_folder_without_a_store_are_refused(copied, tmp_path):
    folder = copied / "results"
    with sqlite3.connect(folder / "mlflow.db") as store:
        ((run_id,),) = store.execute("select run_uuid from runs").fetchall()
        store.execute("update runs set status = 'KILLED'")
    with pytest.raises(UserError, match="the run is KILLED and has no result"):
        find(run_id, folder, None)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="has no MLflow store either"):
        find(run_id, empty, None)
    assert not list(empty.iterdir())
    (empty / "mlflow.db").write_bytes(b"no database")
    with pytest.raises(UserError, match="neither a result nor a run"):
        find(run_id, empty, None)


DAMAGES = [
    ("seeds.parquet", b"PAR1", "damaged"),
    ("curves.parquet", b"", "damaged"),
    ("config.yaml", b"loss: {name: focal}\n", "config lacks seeds"),
    ("config.yaml", b"\xff\xfe", "damaged"),
    ("summary.yaml", b"- 1\n", "summary lacks key"),
    ("summary.yaml", b"3\n", "damaged"),
    ("versions.yaml", b"", "damaged"),
    ("versions.yaml", b"a: [", "damaged"),
]


@pytest.mark.parametrize(
    ("name", "bad", "said"), DAMAGES, ids=[f"{n} {b!r}" for n, b, _ in DAMAGES]
)
def test_a_damaged_result_is_refused_in_a_line(name, bad, said, copied):
    place = place_of(copied)
    (place / name).write_bytes(bad)
    with pytest.raises(UserError, match=said) as refused:
        results.read(place)
    assert len(str(refused.value).splitlines()) == 1


def changed(result: Result, epoch: int, seed: int, metric: str, by: float) -> Result:
    """The result with one number of its curves moved."""
    curves = result.curves.copy()
    chosen = (curves.epoch == epoch) & (curves.seed == seed) & (curves.metric == metric)
    assert chosen.sum() == 1
    curves.loc[chosen, "value"] += by
    return replace(result, curves=curves)


def test_a_difference_within_tolerance_is_reported_with_its_size(trained):
    old = results.read(place_of(trained))
    same, words = verdict(old, differences(old, changed(old, 2, 3, "val/log_loss", 3e-5)))
    assert same
    assert words.startswith("Within tolerance: the largest difference is ")
    assert "at epoch 2 of seed 3 in val/log_loss" in words


def test_the_first_number_beyond_tolerance_is_named_whatever_the_order_of_rows(trained):
    old = results.read(place_of(trained))
    moved = changed(changed(old, 2, 3, "val/log_loss", 0.01), 3, 1, "val/accuracy", 0.5)
    moved = changed(moved, 0, 1, "val/log_loss", TOLERANCE / 100)
    moved = replace(moved, curves=moved.curves.sample(frac=1, random_state=0))
    same, words = verdict(old, differences(old, moved))
    assert not same
    assert words.startswith("Differs since epoch 2 of seed 3 in val/log_loss (")
    assert "at epoch 3 of seed 1 in val/accuracy" in words


def test_a_seed_that_diverges_only_now_is_a_difference(trained):
    old = results.read(place_of(trained))
    seeds = old.seeds.copy()
    seeds.loc[seeds.seed == 3, [name for name in seeds if "/" in name]] = float("nan")
    curves = old.curves[(old.curves.seed != 3) | (old.curves.epoch < 2)]
    now = replace(old, seeds=seeds, curves=curves)
    for pair in ((old, now), (now, old)):
        same, words = verdict(old, differences(*pair))
        assert not same
        assert words.startswith("Differs since epoch 2 of seed 3")
        assert "nan" in words
    assert verdict(now, differences(now, now))[0], "not a number twice is the same"


def test_a_final_number_alone_and_a_metric_that_is_new(trained):
    old = results.read(place_of(trained))
    seeds = old.seeds.assign(**{"test/accuracy": 0.5, "test/new": 1.0})
    extra = pd.DataFrame({"seed": [3], "epoch": [1], "metric": ["val/new"], "value": [1.0]})
    now = replace(old, seeds=seeds, curves=pd.concat([old.curves, extra]))
    pairs = differences(old, now)
    assert not pairs.metric.str.endswith("new").any()
    assert verdict(old, pairs)[1].startswith("Differs since the end of seed 1 in test/accuracy")


def test_what_was_not_logged_then_is_a_change(trained):
    old = results.read(place_of(trained))
    assert not list(changes(old, old))
    versions = {name: v for name, v in old.versions.items() if name != "threads"}
    said = list(changes(replace(old, versions=versions, key="0" * 12), old))
    assert said[0] == "Changed since: threads not logged -> 1"
    assert said[1].startswith(f"Changed since: the key 000000000000 -> {old.key}")
