"""Test curves: kept apart, so that nothing chooses by them; and what papers would have said."""

from __future__ import annotations

import io
import itertools
import json
import math
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from made_results import BASE, BETTER, SAME, result
from rich.console import Console
from scipy import stats
from support import QUICK, once, sampled

from lossbench import results, training
from lossbench.comparison import compare, peeking, peeking_tax
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.report import tables
from lossbench.report.html import Words, render_page
from lossbench.report.printed import print_comparisons
from lossbench.results import Result
from lossbench.training import tuning

DRAWING = """\
import torch

def drawing(logits, target, /):
    values = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    return (1 + torch.rand(())) * values
"""
SETTINGS = [
    ["dataset=digits", "seeds=3", "trainer.max_replicas=2"],
    ["dataset=diabetes", "loss=huber", "seeds=2", "corruption=outliers"],
    ["dataset=wine", "loss=drawing.py:drawing", "seeds=2", "metrics=[ece]"],
    ["dataset=diabetes", "loss=squared_error", "optimizer=sgd", "optimizer.lr=0.7", "seeds=3"],
]


@pytest.fixture(autouse=True)
def _own_folder(here: Path) -> None:
    (here / "drawing.py").write_text(DRAWING)


def configured(*words: str) -> Configuration:
    common = ["tracking=none", "trainer.device=cpu", "trainer.max_epochs=4"]
    return configurations([*common, *words])[0][0]


def peeking_of(config: Configuration) -> Configuration:
    return replace(config, trainer=replace(config.trainer, peek=True))


# --- test curves ----------------------------------------------------------------------------------
@pytest.mark.parametrize("words", sampled(SETTINGS, 2), ids=lambda words: " ".join(words))
def test_keeping_test_curves_changes_no_other_number(words):
    """Neither scores nor the best epoch nor curves, bit for bit, nor the key."""
    config = configured(*words)
    plain = training.train(config, list(config.seeds))
    peeked = training.train(peeking_of(config), list(config.seeds))
    assert plain.key == peeked.key
    assert plain.summary | {"seconds": 0} == peeked.summary | {"seconds": 0}
    for name in ("seeds", "curves", "details"):
        pd.testing.assert_frame_equal(
            getattr(plain, name), getattr(peeked, name), check_exact=True, obj=name
        )
    assert plain.test_curves.empty
    assert not peeked.test_curves.empty


@pytest.mark.parametrize("words", SETTINGS, ids=lambda words: " ".join(words))
def test_test_curves_hold_every_epoch_of_what_the_test_split_is_scored_by(words):
    """Their last epoch and the best on validation data are the result's own test scores.

    Next to them stands the same of the training split, from before training on.
    """
    config = peeking_of(configured(*words))
    result = training.train(config, list(config.seeds))
    curves = result.test_curves.set_index(["metric", "seed", "epoch"]).value.sort_index()
    metrics = {f"test/{name}" for name in result.summary["directions"]}
    of_training = {metric.replace("test/", "train/") for metric in metrics}
    assert set(result.test_curves.metric) == metrics | of_training
    for row in result.seeds[result.seeds.status == "finished"].to_dict("records"):
        for metric in metrics:
            of_seed = curves[metric, row["seed"]]
            assert list(of_seed.index) == [1, 2, 3, 4]
            assert of_seed[4] == row[metric]
            assert of_seed[row["best_epoch"]] == row[metric.replace("test/", "test_best/")]
            of_training = curves[metric.replace("test/", "train/"), row["seed"]]
            assert list(of_training.index) == [0, 1, 2, 3, 4]
    for row in result.seeds[result.seeds.status == "diverged"].to_dict("records"):
        ended = result.test_curves[result.test_curves.seed == row["seed"]]
        assert (ended.epoch < row["diverged_epoch"]).all()


def test_training_scores_are_on_the_labels_that_are_trained_on():
    """A network that has learnt wrong labels by heart is right on them."""
    words = ("dataset=blobs", "dataset.samples=60", "dataset.features=40", "seeds=2")
    noise = ("corruption=label_noise", "corruption.rate=0.4")
    config = peeking_of(configured(*words, *noise, "trainer.max_epochs=60", "optimizer.lr=0.01"))
    result = training.train(config, [0, 1])
    last = result.test_curves.groupby("metric").value.last()
    assert last["train/accuracy"] > 0.95
    assert last["test/accuracy"] < 0.9


def test_tuning_neither_reads_test_curves_nor_keeps_any():
    """Ledger, trials and the chosen training are those without them."""
    config = configured("dataset=wine", "loss=focal", "seeds=2", "tune.trials=3", "tune.seeds=2")
    plain, peeked = (tuning.train(c, [0, 1]) for c in (config, peeking_of(config)))
    ledgers = [r.summary["tuning"] | {"seconds": 0} for r in (plain, peeked)]
    assert ledgers[0] == ledgers[1]
    assert plain.tuning is not None
    assert peeked.tuning is not None
    pd.testing.assert_frame_equal(plain.tuning, peeked.tuning, check_exact=True)
    pd.testing.assert_frame_equal(plain.seeds, peeked.seeds, check_exact=True)
    assert set(peeked.test_curves.seed) == {0, 1}, "no tuning seed"


def test_a_result_is_trained_again_for_test_curves_only_where_they_are_asked_for(command):
    """It says so, every other table stays as it was, and it is done once."""
    words = ("run", "-m", "loss=cross_entropy,focal", *QUICK)

    def tables() -> list[dict[str, Any]]:
        content = json.loads(command("compare", "--format", "json").out)
        return [{**row, "seconds": None} for row in content["rows"]]

    assert command(*words).code == 0
    before = tables()
    again = command(*words, "seeds=1", "trainer.peek=true")
    assert "focal on moons: 1 seed without test curves, trained again" in again.out, again.err
    assert tables() == before
    for made in results.everything(Path("results")):
        assert set(made.test_curves.seed) == {0}
        assert len(made.seeds) == 2
        assert results.missing_seeds(made.config, Path("results")) == [1]
        plain = replace(made.config, trainer=replace(made.config.trainer, peek=False))
        assert results.missing_seeds(plain, Path("results")) == []


# --- papers, by a second road ---------------------------------------------------------------------
STUDIES = {
    "digits": (["loss=cross_entropy,focal,label_smoothing"], ["dataset=digits"], "accuracy"),
    "diabetes": (
        ["loss=squared_error,huber,absolute_error"],
        ["dataset=diabetes", "optimizer=sgd", "optimizer.lr=0.6"],
        "root_mean_squared_error",
    ),
}


@pytest.fixture(scope="module", params=STUDIES)
def study(request: pytest.FixtureRequest, shared: Path) -> tuple[Path, str]:
    """A results folder of three losses on seven seeds with test curves, and the metric."""
    losses, words, metric = STUDIES[request.param]

    def make(folder: Path) -> None:
        folder.mkdir()
        for loss in losses[0].removeprefix("loss=").split(","):
            config = peeking_of(configured(f"loss={loss}", *words, "seeds=7"))
            results.write(training.train(config, list(config.seeds)), folder)

    return once(shared / f"peeking-{request.param}", make), metric


def test_every_number_is_what_plain_pandas_computes_from_the_files(study, command):
    """Each paper's verdicts over all choices of seeds, and the inflation; on finite data too."""
    folder, metric = study
    done = command("compare", "--peek", "--format", "json", "--results", str(folder))
    content = json.loads(done.out)
    (tax,) = content["peek"]
    verdicts = {row["loss"]: row["verdict"] for row in content["rows"] if row["metric"] == metric}
    columns = read_columns(folder, metric)
    base = columns.pop(tax["baseline"])
    papers = {(p["label"], p["epoch"], p["seeds"]): p for p in tax["papers"]}
    assert {(*key, n) for key in itertools.product(columns, EPOCHS) for n in (1, 3, 5, 7)} == set(
        papers
    )
    for (label, epoch, seeds), paper in papers.items():
        expected = told(gains(columns[label][epoch], base[epoch], metric), seeds, verdicts[label])
        shown = {name: paper[name] for name in expected}
        assert shown == pytest.approx(expected, abs=1e-12), (label, epoch, seeds)
    columns[tax["baseline"]] = base
    for shown in tax["inflation"]:
        by_epoch = columns[shown["label"]]
        values = (by_epoch["test"] - by_epoch[shown["over"]]).abs().dropna()
        half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
        assert shown["estimate"] == pytest.approx(values.mean())
        assert shown["high"] - shown["low"] == pytest.approx(2 * half)
    assert len(tax["inflation"]) == 6


EPOCHS = ("test", "last", "best")


def read_columns(folder: Path, metric: str) -> dict[str, pd.DataFrame]:
    """By loss the metric of each seed by each rule for the epoch, from the files alone."""
    columns = {}
    for place in folder.iterdir():
        seeds = pd.read_parquet(place / "seeds.parquet").set_index("seed")
        curves = pd.read_parquet(place / "test_curves.parquet").query(f"metric == 'test/{metric}'")
        by_seed = curves.pivot(index="seed", columns="epoch", values="value")
        peeked = by_seed.max(axis=1) if metric == "accuracy" else by_seed.min(axis=1)
        finished = seeds.status == "finished"
        loss = yaml.safe_load((place / "config.yaml").read_text())["loss"]["name"]
        columns[loss] = pd.DataFrame(
            {
                "test": peeked.where(finished),
                "last": seeds[f"test/{metric}"],
                "best": seeds[f"test_best/{metric}"],
            }
        )
    return columns


def gains(one: pd.Series, other: pd.Series, metric: str) -> list[float]:
    """By how much one is better; one that diverged is further below the worst than all range."""
    sign = 1 if metric == "accuracy" else -1
    scores = pd.DataFrame({"one": sign * one, "other": sign * other})
    lowest, highest = np.nanmin(scores), np.nanmax(scores)
    scores = scores.fillna(lowest - (highest - lowest))
    return list(scores.one - scores.other)


def told(gains: list[float], seeds: int, verdict: str) -> dict[str, Any]:
    """What papers say, choice by choice."""
    means, tested = [], []
    for chosen in itertools.combinations(gains, seeds):
        mean = sum(chosen) / seeds
        sign = "" if abs(mean) < 1e-12 else "better" if mean > 0 else "worse"
        means.append(sign)
        found = seeds > 1 and sign and stats.ttest_1samp(chosen, 0).pvalue <= 0.05
        tested.append(sign if found else "")
    shown = verdict if verdict in ("better", "worse") else ""
    opposite = {"better": "worse", "worse": "better"}.get(shown)
    count, once = len(means), seeds == 1
    return {
        "choices": count,
        "total": math.comb(len(gains), seeds),
        "better": means.count("better") / count,
        "worse": means.count("worse") / count,
        "t_better": None if once else tested.count("better") / count,
        "t_worse": None if once else tested.count("worse") / count,
        "flips": sum(word != shown for word in means) / count,
        "t_flips": None if once else sum(word != shown for word in tested) / count,
        "reversed": means.count(opposite) / count if opposite else 0.0,
    }


# --- papers, on made results ----------------------------------------------------------------------
def curved(made: Result, lift: float = 0.0) -> Result:
    """The result with test curves: lifted at the second epoch, what it is at the last."""
    rows = [
        (seed, epoch, f"test/{name}", value + sign * lift * (epoch == 2))
        for name, sign in made.summary["directions"].items()
        for seed, value in zip(made.seeds.seed, made.seeds[f"test/{name}"], strict=True)
        for epoch in (1, 2, 3)
    ]
    return replace(
        made, test_curves=pd.DataFrame(rows, columns=["seed", "epoch", "metric", "value"])
    )


def printed(comparisons: Any, width: int = 60) -> str:
    out = io.StringIO()
    print_comparisons(comparisons, Console(file=out, width=width), peek=True)
    return out.getvalue()


def test_a_loss_whose_test_curve_peaks_higher_is_called_better_and_inflated():
    """The honest verdict is open; every paper at the best test epoch says better."""
    made = [curved(result("cross_entropy", BASE), 0.001), curved(result("focal", SAME), 0.05)]
    (comparison,) = compare(made)
    assert comparison.row("focal").verdict == "open"
    tax = peeking_tax(comparison)
    assert tax is not None
    peeked = [paper for paper in tax.papers if paper.epoch == "test"]
    assert [paper.seeds for paper in peeked] == [1, 3, 5, 20]
    assert all(paper.better == paper.flips == 1 and paper.reversed == 0 for paper in peeked)
    assert tax.inflation["focal"]["last"].estimate == pytest.approx(0.05)
    assert tax.inflation["focal"]["best"].estimate == pytest.approx(0.049)


@pytest.mark.parametrize(
    ("verdict", "flips", "t_flips", "opposite"),
    [
        ("better", 0.4, 0.8, 0.3),
        ("worse", 0.7, 0.9, 0.6),
        *[(word, 0.9, 0.3, 0.0) for word in ("open", "same", "better here", "identical")],
    ],
)
def test_a_verdict_flips_where_it_is_not_the_comparisons(verdict, flips, t_flips, opposite):
    """Reversed is only better for worse and worse for better."""
    paper = peeking.Paper("focal", "default", "last", 3, 5, 10, 10, 0.6, 0.3, 0.2, 0.1, verdict)
    shown = (paper.flips, paper.t_flips, paper.reversed)
    assert shown == pytest.approx((flips, t_flips, opposite))


def test_too_many_choices_are_drawn_from_a_fixed_stream_and_that_is_said():
    """Each drawn choice has different seeds, all equally often."""
    values = np.random.default_rng(1).normal(0.8, 0.01, (2, 60))
    made = [curved(result(n, v)) for n, v in zip(("cross_entropy", "focal"), values, strict=True)]
    (comparison,) = compare(made)
    tax = peeking_tax(comparison)
    assert tax is not None
    counts = {paper.seeds: (paper.choices, paper.total) for paper in tax.papers}
    assert counts[3] == (34_220, 34_220)
    assert counts[5] == (20_000, math.comb(60, 5))
    drawn = peeking._choices(60, 5)
    assert (np.diff(drawn) > 0).all()
    assert np.bincount(drawn.ravel()) / 20_000 == pytest.approx(np.full(60, 5 / 60), abs=0.01)
    assert "20,000 from a fixed random stream of 5,461,512 of 5 out of 60" in " ".join(
        printed([comparison]).split()
    )
    assert peeking_tax(comparison) == tax


def test_one_tuned_loss_against_an_untuned_baseline_is_held_against_both_tuned():
    """Tuning gains .02 for both losses, so that only the paper sees a difference."""
    losses = {"cross_entropy": BASE, "focal": SAME}
    untuned = [curved(result(name, values)) for name, values in losses.items()]
    tuned = [curved(result(name, values + 0.02, trials=8)) for name, values in losses.items()]
    comparisons = compare([*untuned, *tuned])
    taxes = {c.setting["tuning"]: peeking_tax(c, comparisons) for c in comparisons}
    kinds = {budget: [*dict.fromkeys(p.tuning for p in t.papers)] for budget, t in taxes.items()}
    both = "tuned with 8 trials x 3 seeds"
    assert kinds == {"untuned": ["default"], both: ["all tuned", "own tuned"]}
    alone = [p for p in taxes[both].papers if p.tuning == "own tuned" and p.seeds == 20]
    assert all(p.better == p.t_better == p.flips == 1 and p.verdict == "open" for p in alone)
    assert peeking.missing_budget(comparisons) is None
    assert peeking.missing_budget(compare(untuned)) == "tune.trials=16"
    assert peeking.missing_budget(compare(tuned)) == "tune.trials=0"


def test_what_test_curves_hold_changes_nothing_without_peek():
    """No table, sentence or part of the page, whatever stands in them."""
    plain = [result(*pair) for pair in (("cross_entropy", BASE), ("focal", BETTER), ("poly", SAME))]
    one, other = compare(plain), compare([curved(made, 0.1 * len(made.key)) for made in plain])
    for form, write in tables.FORMATS.items():
        assert write(one, None, False) == write(other, None, False), form
    pages = [render_page(each, Words("t")) for each in (one, other)]
    folds = [re.findall(r"<details><summary>Peeking tax.*?</details>", p, re.DOTALL) for p in pages]
    assert [len(fold) for fold in folds] == [0, 1]
    assert "".join(pages[1].replace(folds[1][0], "").split()) == "".join(pages[0].split())


def test_the_tables_fit_60_columns_and_define_a_papers_verdict():
    """Whatever the losses are called."""
    made = [curved(result(name, BASE), 0.1) for name in ("cross_entropy", "a_loss" * 7)]
    text = printed(compare(made))
    text = text[text.index("Peeking tax") :]
    assert max(map(len, text.splitlines())) <= 60
    assert "Student's paired test on these has p <= .05" in " ".join(text.split())
    rows = [line.split()[-4:] for line in text.splitlines() if line.rstrip().endswith("%")]
    assert [row for row in rows if "all" in row] == [["all", "0%", "0%", "0%"]] * 3


@pytest.mark.parametrize("study", ["digits"], indirect=True)
def test_without_test_curves_peek_exits_with_the_command_that_adds_them(study, command, here):
    """The command trains the very runs, with peek; for a metric added later it trains all again."""
    shutil.copytree(study[0], here / "results")
    csv = command("compare", "--peek", "--format", "csv")
    assert (csv.code, csv.out) == (2, "")
    (here / "mine.py").write_text(
        "from lossbench.contract import metric\n"
        "@metric(direction=1)\ndef mine(estimate, target, /):\n"
        "    return -(estimate.flatten(1).mean(1) - target.double().flatten(1).mean(1)).abs()\n"
    )
    later = command("compare", "--peek", "--metric", "mine.py:mine")
    assert later.code == 2
    assert "trainer.peek=true 'metrics=[mine.py:mine]' --rerun (and 2 more likewise)" in later.err
    (here / "bare").mkdir()
    for made in results.everything(here / "results"):
        trainer = replace(made.config.trainer, peek=False)
        results.write(replace(made, config=replace(made.config, trainer=trainer)), here / "bare")
    done = command("compare", "--peek", "--results", "bare")
    assert done.code == 2
    assert "3 of 3 runs have no test curves; train them with: lossbench run" in done.err
    words = shlex.split(done.err.partition("lossbench run ")[2].partition(" (and")[0])
    (config,), _ = configurations(words)
    assert config.trainer.peek
    assert config.results.dir == "bare"
    assert len(" ".join(words)) < 200
    assert config.key in {made.key for made in results.everything(here / "results")}
