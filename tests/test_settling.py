"""seeds=auto: looks at growing numbers of seeds, until each comparison is settled."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from made_results import BASE, BETTER, SAME, result
from rich.console import Console
from support import put

from lossbench import statistics
from lossbench.api import run
from lossbench.comparison import compare
from lossbench.configuration.experiments import configurations, read_experiment
from lossbench.configuration.settings import Settle
from lossbench.contract import UserError
from lossbench.publish import without_result
from lossbench.sweep.settling import GROWTH, goes_on, plan_looks, settle

CODE = """from lossbench.losses.multiclass import cross_entropy

def same(logits, target):
    return cross_entropy(logits, target)

def reverse(logits, target):
    return -cross_entropy(logits, target).clip(max=3)
"""
LOSSES = "loss=cross_entropy,mine.py:same,mine.py:reverse,focal"
WORDS = ("dataset=blobs", "dataset.samples=200", "trainer.max_epochs=3", "tracking=none")
AUTO = (*WORDS, "launcher.workers=1", "seeds=auto", "settle.most_seeds=24")


@given(some.integers(1, 60), some.integers(6, 2_000), some.none() | some.integers(1, 12))
def test_looks_grow_from_the_fewest_seeds_that_bring_a_verdict(family, most, given_looks):
    looks = plan_looks(family, most, given_looks)
    assert looks == sorted(set(looks))
    assert looks[-1] == most
    assert len(looks) <= (given_looks or len(looks))
    if len(looks) > 1:
        assert len(looks) * family * statistics.smallest_p(looks[0]) <= 0.05
    if given_looks is None:
        assert all(after <= GROWTH * before + 1 for before, after in itertools.pairwise(looks))


@pytest.mark.parametrize(
    ("values", "look", "margin", "most", "expected"),
    [
        (BETTER, 1, None, 60, False),  # better
        (BASE, 1, None, 60, False),  # identical
        (SAME, 1, None, 20, True),
        (SAME, 2, None, 60, True),  # 89 seeds would do
        (SAME, 2, None, 20, False),
        (SAME, 2, 0.0001, 20, True),  # it may be the same within the margin
    ],
)
def test_a_comparison_goes_on_while_more_seeds_may_settle_it(values, look, margin, most, expected):
    results = result("cross_entropy", BASE), result("focal", values)
    (comparison,) = compare(results, same_within=margin)
    assert goes_on(comparison.row("focal"), look, margin, most) is expected


def test_what_cannot_be_judged_on_new_data_gets_no_more_seeds_once_it_holds_on_these():
    results = [result("cross_entropy", BASE), result("focal", BETTER)]
    unknown = [replace(r, summary={**r.summary, "examples": {}}) for r in results]
    (comparison,) = compare(unknown)
    assert comparison.row("focal").verdict == "better here"
    assert not goes_on(comparison.row("focal"), 1, None, 60)


def test_the_margin_that_results_were_asked_for_with_is_that_of_their_comparison():
    results = [result("cross_entropy", BASE), result("focal", SAME)]
    settle_within = Settle(most_seeds=60, margin=0.05, looks=None)
    asked = [replace(r, config=replace(r.config, settle=settle_within)) for r in results]
    assert compare(results)[0].row("focal").verdict == "open"
    assert compare(asked)[0].row("focal").verdict == "same"
    assert compare(asked, same_within=1e-6)[0].row("focal").verdict == "open"


def settled(folder: Path) -> tuple[list[str], dict[str, int]]:
    """What a sweep with seeds=auto in the folder concludes, and how many seeds each loss has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        configs, _ = configurations((LOSSES, *AUTO, "dataset.separation=1"), sweep=True)
        _, results = settle(configs, None, Console(quiet=True))
    (comparison,) = compare(results)
    return comparison.conclusion, {row.label: row.seeds for row in comparison.rows}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which all was settled, and what was concluded there."""
    folder = tmp_path_factory.mktemp("settled")
    (folder / "mine.py").write_text(CODE)
    return folder, *settled(folder)


def test_losses_that_are_settled_keep_their_seeds_and_the_others_get_more(finished):
    _, conclusion, seeds = finished
    first, second = plan_looks(3, 24)[:2]
    assert seeds["mine.py:same"] == seeds["mine.py:reverse"] == first
    assert seeds["focal"] == seeds["cross_entropy"] >= second
    assert any("mine.py:reverse is worse" in line for line in conclusion)


def test_a_sweep_that_was_killed_goes_on_to_the_same_conclusion(finished, tmp_path):
    """With a loss trained for the second look and its baseline not."""
    folder, conclusion, seeds = finished
    shutil.copytree(folder, tmp_path / "again")
    held = tmp_path / "again" / "results"
    kept = next(held.glob("*-1"))
    for place in [*held.glob("*-1"), *held.glob("*-2"), *held.glob("*-3")]:
        if place != kept:
            shutil.rmtree(place)
    assert settled(tmp_path / "again") == (conclusion, seeds)


def test_seeds_that_were_there_before_the_looks_were_planned_are_a_look_more(finished, tmp_path):
    """Whether or not anything is trained: p is multiplied by it, and a sentence says so."""
    shutil.copytree(finished[0], tmp_path / "before")
    for place in (tmp_path / "before" / "results").glob("*/summary.yaml"):
        if not place.parent.name.endswith(("-1", "-2", "-3")):
            place.write_text(place.read_text().replace("planned_looks: 4", "planned_looks: 1"))
    conclusion, _ = settled(tmp_path / "before")
    assert any("besides, there were seeds 1 time: p is multiplied by 5." in x for x in conclusion)


def test_the_command_prints_a_line_for_each_look_and_then_the_comparison(finished, here, command):
    shutil.copytree(finished[0], here, dirs_exist_ok=True)
    done = command("run", "-m", LOSSES, *AUTO, "dataset.separation=1")
    assert done.code == 0, done.err
    first, *_ = plan_looks(3, 24)
    assert f"Look 1 of at most 4, {first} seeds:" in done.out
    assert "mine.py:reverse on blobs: worse" in done.out
    assert "Worse: mine.py:reverse." in " ".join(done.out.split())
    assert "Training" not in done.out


def test_compare_reports_the_looks_that_were_planned(finished, command, tmp_path):
    done = command("compare", "--results", str(finished[0] / "results"))
    assert "4 looks at whether there is a difference were planned" in done.out, done.err
    assert "p is multiplied by 4." in " ".join(done.out.split())


def test_a_dry_run_prices_the_most_seeds_that_may_be_trained(command):
    done = command("run", "--dry-run", "-m", "loss=cross_entropy,focal", *AUTO)
    assert "seeds=auto: losses are compared at 8, 12, 17, 24 seeds" in done.out, done.err
    assert "0/24   seeds  focal" in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "loss=cross_entropy,focal", "seeds=atuo"), "or seeds=auto"),
        (("-m", "loss=cross_entropy,focal", *AUTO, "settle.most_seeds=3"), "settle.most_seeds=3"),
        (("loss=focal", *AUTO), "here is one loss"),
        (("-m", "loss=cross_entropy,focal", *WORDS, "seeds=auto,5"), "for all runs of a command"),
        (("-m", "loss=cross_entropy,focal", *AUTO, "--rerun"), "--rerun"),
    ],
)
def test_what_cannot_be_settled_is_refused_in_a_line(words, said, command):
    done = command("run", *words)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_runs_without_a_result_are_trained_by_the_name_of_their_experiment(here):
    """A run alone has nothing to be settled against."""
    put(here, {"experiments/x/experiment.yaml": "overrides: {seeds: auto, loss: [focal, poly]}\n"})
    assert without_result(read_experiment("x"), here) == ["lossbench run experiment=x"]


def test_a_single_run_from_python_is_refused_what_only_several_settle(here):
    with pytest.raises(UserError, match="seeds=auto is for `lossbench run` with several losses"):
        run("loss=focal", "seeds=auto")
