"""The results folder: its parts in order, what is held against what, and the code behind it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_results import result, written
from scipy import stats
from support import put

from lossbench import registry, results, run
from lossbench.comparison import compare
from lossbench.comparison.select import grouped
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.results import predictions, sources
from lossbench.results.bands import bands
from lossbench.results.predictions import PerSeed


@pytest.fixture
def config(here):
    (config,), _ = configurations(["dataset=blobs", "seeds=4", "tracking=none"])
    return config


def code(config, **other: str) -> dict[str, str]:
    return {**sources.code_of_run(config, "multiclass"), **other}


def part(config, *seeds, **other):
    return written(config, seeds, sources=code(config, **other))


# --- parts --------------------------------------------------------------------------------------


def test_parts_are_read_in_the_order_in_which_they_were_written(config):
    """The eleventh, KEY-10, stands after the third, KEY-2."""
    written_in_order = [part(config, 0) for _ in range(12)]
    (listed,) = results.by_key(written_in_order[0].parent)
    assert listed == written_in_order == results.parts(listed[0].parent, config.key)


def test_a_damaged_part_is_moved_aside_and_those_after_it_move_up(config):
    first, second, third = (part(config, seed) for seed in range(3))
    aside = results.move_aside(second)
    assert aside.name == f".damaged-{second.name}"
    assert [list(results.read(place).seeds.seed) for place in (first, second)] == [[0], [2]]
    assert not third.exists()
    assert results.places(first.parent) == [first, second]


def test_of_changed_code_only_what_was_written_last_counts(config):
    """Whole results and the seeds that are missing are of one code each."""
    parts = [part(config, 0, loss="old"), part(config, 1), part(config, 3)]
    assert list(results.whole(parts).seeds.seed) == [1, 3]
    assert list(results.whole(parts[:2]).seeds.seed) == [1]
    assert results.missing_seeds(config, parts[0].parent) == [0, 2]


def test_code_that_is_as_it_was_before_gets_its_results_back(config):
    parts = [part(config, 0), part(config, 1, loss="tried")]
    assert list(results.whole(parts).seeds.seed) == [0]


def test_a_file_that_is_as_it_was_before_gets_its_results_back(here, command):
    """And what is compared although its code has changed is named."""
    words = ["dataset=blobs", "loss=own.py:f", "seeds=1", "tracking=none"]
    for text in ("return p", "return 2 * p"):
        put(here, {"own.py": f"def f(p, t, /): {text}\n"})
        registry.refresh()
        (edited,), _ = configurations(words)
        part(edited, 0)
    put(here, {"own.py": "def f(p, t, /): return p\n"})
    registry.refresh()
    (config,), _ = configurations(words)
    (held,) = results.by_configuration(here / "results")
    assert held == results.parts(here / "results", config.key)
    assert "has changed" not in command("compare").err
    put(here, {"own.py": "def f(p, t, /): return 3 * p\n"})
    registry.refresh()
    said = command("compare").err
    assert "1 of 1 results: the code of loss=own.py:f has changed since" in said


def test_of_a_seed_that_was_trained_again_the_last_counts():
    first, again = result("focal", [0.5, 0.6, 0.7]), result("focal", [0.1], seeds=[1])
    merged = results.merged([first, again])
    assert merged.seeds.seed.tolist() == [0, 1, 2] == list(merged.config.seeds)
    assert merged.seeds["test/accuracy"].tolist() == [0.5, 0.1, 0.7]
    assert merged.summary["seconds"] == 2


def test_a_result_that_was_changed_after_writing_is_refused(config):
    place = part(config, 0)
    table = pd.read_parquet(place / "seeds.parquet")
    table["test/accuracy"] = 1.0
    table.to_parquet(place / "seeds.parquet", index=False)
    with pytest.raises(UserError, match=r"seeds\.parquet is not as it was written"):
        results.read(place)


def test_a_result_that_was_renamed_is_refused_where_names_count(config):
    """And read where it is named, as a copy elsewhere is."""
    place = part(config, 0)
    renamed = place.rename(place.with_name("another"))
    with pytest.raises(UserError, match=f"it is a result of {config.key}, whose name it does not"):
        results.everything(place.parent)
    assert results.read(renamed).key == config.key


@pytest.mark.parametrize("look", [results.read, results.described])
def test_a_result_whose_configuration_was_edited_is_refused(look, config):
    file = part(config, 0) / "config.yaml"
    file.write_text(file.read_text().replace("blobs", "moons"))
    with pytest.raises(UserError, match=r"config\.yaml is not as it was written"):
        look(file.parent)


def test_a_curve_is_the_mean_over_the_seeds_that_have_a_value():
    values = [1.0, 2.0, 6.0, np.nan]
    curves = pd.DataFrame({"seed": range(4), "epoch": 1, "metric": "x", "value": values})
    (band,) = bands(curves).to_dict("records")
    half = stats.t.isf(0.025, 2) * np.std(values[:3], ddof=1) / np.sqrt(3)
    assert band["seeds"] == 3
    assert [band["mean"], band["low"], band["high"]] == pytest.approx([3, 3 - half, 3 + half])


# --- predictions --------------------------------------------------------------------------------


def kept(seeds, values):
    return PerSeed(tuple(seeds), lambda: {"test": np.array(values)})


def test_predictions_are_put_together_by_seed_and_the_first_part_counts():
    parts = [kept([0, 2], [[0.0], [2.0]]), kept([2, 1], [[9.0], [1.0]])]
    assert predictions.of_seeds(parts, [2, 0, 1])["test"].tolist() == [[2], [0], [1]]
    assert predictions.of_seeds(parts, [1])["test"].tolist() == [[1]]
    assert predictions.of_seeds(parts, [0, 3]) is None
    assert predictions.of_seeds([], []) is None


def test_predictions_that_were_changed_after_writing_are_refused(tmp_path):
    file = tmp_path / "predictions.npz"
    predictions.write([kept([0, 1], [[0.0], [1.0]])], [1, 0], file)
    digest = predictions.sha256(file)
    (stored,) = predictions.stored(file, (1, 0), {file.name: digest})
    assert stored.load()["test"].tolist() == [[1], [0]]
    np.savez(file, test=np.zeros((2, 1)))
    with pytest.raises(UserError, match="not as it was written"):
        stored.load()


def test_predictions_of_some_seeds_only_are_not_written(tmp_path):
    file = tmp_path / "predictions.npz"
    predictions.write([kept([0], [[0.0]])], [0, 1], file)
    assert predictions.stored(file, (0, 1), {}) == ()


# --- code ---------------------------------------------------------------------------------------

TASK = """
class Mine:
    name = "mine"
    version{annotation} = 3
"""


def test_the_code_of_a_run_is_that_of_each_choice_and_of_its_own_metric(config, here):
    """A change of one loss is a change of the code of the loss alone."""
    used = sources.code_of_run(config, "multiclass")
    assert set(used) == {"task", *config.decisive_kinds}
    assert used["task"] == "lossbench 1"
    other = replace(config, loss=replace(config.loss, name="focal"))
    changed = sources.code_of_run(other, "multiclass")
    assert [kind for kind in used if used[kind] != changed[kind]] == ["loss"]
    (here / "own.py").write_text("def half(estimate, target, /):\n    return estimate / 2\n")
    measured = sources.code_of_run(replace(config, metric="own.py:half"), "multiclass")
    assert measured.keys() - used.keys() == {"metric"}
    assert measured["metric"] == sources.code_of_metrics(["own.py:half"], "multiclass")["half"]


def test_metrics_of_the_task_itself_have_no_code_of_their_own():
    assert sources.code_of_metrics(["accuracy"], "multiclass") == {}


@pytest.mark.parametrize("annotation", ["", ": int"])
def test_the_version_of_a_task_is_read_without_importing_it(annotation, here):
    (here / "mine.py").write_text(TASK.format(annotation=annotation) + "raise SystemExit\n")
    plugin = registry.Plugin("task", "mine", str(here / "mine.py"), "Mine")
    assert sources._numeric_version(plugin) == 3


def test_results_of_a_table_before_and_after_an_edit_are_told_apart(here, command):
    rows = [f"{i % 7},{i % 3},{'ab'[i % 2]}" for i in range(40)]
    words = ("dataset=csv", "dataset.path=t.csv", "dataset.target=y", "trainer=short", "seeds=2")
    for loss, first in (("cross_entropy", "1,1,a"), ("focal", "9,9,b")):
        put(here, {"t.csv": "\n".join(["x,z,y", first, *rows])})
        run(*words, f"loss={loss}", "tracking=none")
    done = command("compare")
    assert done.code == 0, done.err
    assert len(set(re.findall(r"t\.csv \(content \w{6}\)", done.out))) == 2


def test_settings_that_are_written_alike_and_differ_otherwise_are_both_there():
    """As of two numeric versions, which no configuration names."""
    first, second = result("focal", [0.8, 0.9]), result("focal", [0.7, 0.8])
    second = replace(
        second, summary={**second.summary, "numbers": {**first.config.numbers, "version": 1}}
    )
    comparisons = compare([first, second])
    (by_dataset,) = grouped(comparisons, "dataset")
    assert len(by_dataset.comparisons) == len(grouped(comparisons, "tuning")[0].comparisons) == 2
