"""Comparisons selected, grouped and printed: every format says the same, and cuts no number."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from made_results import BASE, BETTER, RNG, SAME, on, result
from rich.console import Console
from scipy import stats

from lossbench import results
from lossbench.cli import main
from lossbench.commands.running import _note_others
from lossbench.comparison import (
    Group,
    compare,
    datasets,
    doses,
    grouped,
    rank_losses,
    value_at,
    where,
)
from lossbench.configuration.claims import Claim
from lossbench.contract import UserError
from lossbench.looks import INK
from lossbench.report import tables
from lossbench.report.export import as_json
from lossbench.report.figures import assign_looks, draw_pictures, write_figures
from lossbench.report.grid import Column
from lossbench.report.paper import WIDTHS, write_for_paper
from lossbench.report.printed import print_comparisons
from lossbench.results import duplicates
from lossbench.statistics import Interval
from lossbench.verdicts import Decision, Finding

LOSSES = {"cross_entropy": BASE, "focal": BETTER, "poly": SAME}
NOTE = "a column was read as numbers"  # of training, with each result
LONG = "a_loss_with_a_name_of_forty_letters_here"


def studied():
    """Three losses on three datasets, each at two rates of noise."""
    return [
        result(loss, values + 0.01 * place - rate, sections=on(name, rate))
        for place, name in enumerate(("moons", "blobs", "digits"))
        for rate in (0.4, 0.05)
        for loss, values in LOSSES.items()
    ]


def printed(found, width=100, encoding="utf-8", **how) -> str:
    out = io.BytesIO()
    with io.TextIOWrapper(out, encoding) as stream:
        print_comparisons(found, Console(file=stream, width=width), **how)
        stream.flush()
        return out.getvalue().decode(encoding)


def test_a_column_has_its_head_where_numbers_stand_below_long_names():
    lines = printed(compare([result(LONG, BETTER), result("cross_entropy", BASE)]), 60).splitlines()
    heads = lines[: lines.index("─" * 60)]
    assert "loss" in heads


def test_that_seeds_are_too_few_for_all_settings_is_said_once():
    few = [
        result(loss, values[:3], sections=on(name, 0.05))
        for name in ("moons", "blobs")
        for loss, values in LOSSES.items()
    ]
    sentence = "3 seeds can never reach p = .05 in 4 comparisons: 8 are needed (seeds=8)."
    for found in (compare(few), compare(few[:3])):
        said = " ".join(printed(found).split())
        assert said.count("can never reach") == 1
        assert sentence.replace("4", "2").replace("8", "7") in said or sentence in said


# --- filters and groups ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "kept"),
    [
        (["dataset=moons"], 6),
        (["dataset=moons,blobs"], 12),
        (["corruption.rate=0.40"], 9),
        (["corruption.rate=5e-2", "loss=focal"], 3),
        (["task=multiclass", "tuning=untuned"], 18),
        (["corruption=label_noise"], 18),
    ],
)
def test_filters_keep_what_meets_all_of_them(conditions, kept):
    assert len(where(studied(), conditions)) == kept


def test_the_value_under_a_key_is_written_as_on_the_command_line():
    facts = {"a": {"b": None, "c": True, "d": [1, 2], "e": "text"}, "f": {"name": "focal"}}
    values = [value_at(facts, key) for key in ("a.b", "a.c", "a.d", "a.e", "f", "g")]
    assert values == ["null", "true", "[1, 2]", "text", "focal", "-"]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("dataset=mons", "Did you mean moons"),
        ("datset=moons", "Did you mean dataset"),
        ("corruption.rate=0.3", "0.05, 0.4"),
        ("dataset", "expected KEY=VALUE"),
        ("dataset=", "expected KEY=VALUE"),
        ("=moons", "expected KEY=VALUE"),
    ],
)
def test_a_filter_that_keeps_nothing_is_refused_with_what_there_is(condition, said):
    with pytest.raises(UserError, match=said):
        where(studied(), [condition])


def test_grouping_gives_a_line_for_each_value_numbers_ascending():
    found = compare(studied())
    by_rate = grouped(found, "corruption.rate")
    assert [list(group.comparisons) for group in by_rate] == [["0.05", "0.4"]] * 3
    assert {group.fixed["dataset"]["name"] for group in by_rate} == {"moons", "blobs", "digits"}
    (group,) = doses(where_dataset(found, "moons"))
    assert "focal: better than the baseline at 0.05, 0.4, of 2 compared." in group.conclusion
    assert not any(line.startswith("cross_entropy") for line in group.conclusion)
    with pytest.raises(UserError, match=r"--by corruption.rat: .*corruption.rate"):
        grouped(found, "corruption.rat")


def where_dataset(found, name):
    return [c for c in found if c.setting["dataset"]["name"] == name]


def noisy(**noise):
    """All losses under label noise of these parameters."""
    sections = {"corruption": {"name": "label_noise", **noise}}
    return [result(loss, values, sections=sections) for loss, values in LOSSES.items()]


def test_a_group_differs_in_its_key_alone():
    """Two kinds of noise at two rates each are two groups by the rate."""
    made = [(k, r) for k in ("symmetric", "asymmetric") for r in (100, 20)]
    found = compare([r for kind, rate in made for r in noisy(kind=kind, rate=rate)])
    groups = grouped(found, "corruption.rate")
    assert [group.fixed["corruption"]["kind"] for group in groups] == ["asymmetric", "symmetric"]
    assert [list(group.comparisons) for group in groups] == [["20", "100"]] * 2


def test_only_several_strengths_or_datasets_make_a_group():
    """One dataset is none, and true or false is no strength of a corruption."""
    assert datasets(compare(noisy(rate=0.1))) == []
    found = compare([r for whole in (True, False) for r in noisy(whole=whole)])
    assert len(grouped(found, "corruption.whole")) == 1
    assert doses(found) == []


def test_a_sweep_over_any_number_is_one_group_and_no_group_of_datasets():
    def of(samples, rate):
        parts = {"dataset": {"name": "moons", "samples": samples}}
        parts["optimizer"] = {"name": "adam", "lr": rate}
        return [result(loss, BASE[:6], sections=parts) for loss in ("cross_entropy", "focal")]

    found = compare([*of(100, 0.1), *of(300, 0.1), *of(1000, 0.1)])
    (group,) = [
        block.shown for block in tables.list_blocks(found) if isinstance(block.shown, Group)
    ]
    assert (group.key, [*group.comparisons]) == ("dataset.samples", ["100", "300", "1000"])
    (data,) = datasets(found)
    assert [name.split()[-1] for name in data.comparisons] == [
        "samples=100",
        "samples=300",
        "samples=1000",
    ]
    (picture,) = draw_pictures(group, assign_looks(found))
    assert picture.title == "Sensitivity to dataset.samples"
    assert [group.key for group in doses(compare([*of(100, 0.1), *of(100, 0.2)]))] == [
        "optimizer.lr"
    ]
    assert doses(compare([*of(100, None), *of(100, 0.2)])) == []


def test_one_dataset_with_two_parameters_is_two_lines():
    made = [
        result(loss, values, sections={"dataset": {"name": "blobs", "spread": spread}})
        for spread in (1.0, 2.0)
        for loss, values in LOSSES.items()
    ]
    (group,) = grouped(compare(made), "dataset")
    assert list(group.comparisons) == ["blobs spread=1.0", "blobs spread=2.0"]


# --- several datasets -----------------------------------------------------------------------


def test_ranks_over_datasets_are_scipys_and_a_diverged_loss_ranks_last():
    made, scores = [], RNG.standard_normal((6, 4))
    for number, row in enumerate(scores):
        for loss, value in zip("abcd", row, strict=True):
            made.append(result(loss, value + 0.1 * BASE, sections=on(f"data{number}")))
    (group,) = datasets(compare(made))
    found = rank_losses(group)
    expected = stats.rankdata(-scores, axis=1).mean(axis=0)
    assert [found.ranks[loss] for loss in "abcd"] == pytest.approx(expected)
    assert found.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    spoilt = [
        result("a", r.seeds["test/accuracy"], diverged=range(20), sections=on("data0"))
        if r.config.loss.name == "a" and r.config.dataset.name == "data0"
        else r
        for r in made
    ]
    (group,) = datasets(compare(spoilt))
    assert group.comparisons["data0"].rows[-1].label == "a"


def test_the_interquartile_gain_over_datasets_is_that_of_the_pooled_scores():
    clean = where(studied(), ["corruption.rate=0.05"])
    (group,) = datasets(compare(clean))
    gain = rank_losses(group).gains["focal"]
    pooled = [np.concatenate([v + 0.01 * k for k in range(3)]) for v in (BETTER, BASE)]
    middle = [stats.trim_mean(values, 0.25) for values in pooled]
    assert gain.estimate == pytest.approx(middle[0] - middle[1])
    assert gain.low > 0


def test_a_dataset_of_more_seeds_weighs_no_more_in_the_gain():
    """Of eight and twenty seeds the first eight of each."""
    made = [
        result(loss, values[:seeds], sections=on(name))
        for name, seeds in (("moons", 8), ("blobs", 20))
        for loss, values in (("cross_entropy", BASE), ("focal", BETTER + 0.1 * (seeds == 8)))
    ]
    (group,) = datasets(compare(made))
    pooled = [np.append(BETTER[:8] + 0.1, BETTER[:8]), np.tile(BASE[:8], 2)]
    middle = [stats.trim_mean(values, 0.25) for values in pooled]
    assert rank_losses(group).gains["focal"].estimate == pytest.approx(middle[0] - middle[1])


def test_the_interquartile_gain_is_at_the_epoch_that_is_compared_with_failures_at_chance():
    made = where(studied(), ["corruption.rate=0.05"])
    for each in made:
        each.summary["chance"] = 0.5
        if each.config.loss.name == "focal":
            each.seeds.loc[:9, "test_best/accuracy"] = np.nan
            each.seeds.loc[:9, "status"] = "diverged"
    (group,) = datasets(compare(made, at="best"))
    gain = rank_losses(group).gains["focal"]
    scores = {name: [] for name in LOSSES}
    for each in made:
        scores[each.config.loss.name].append(each.seeds["test_best/accuracy"].fillna(0.5))
    focal, base = (stats.trim_mean(np.ravel(scores[x]), 0.25) for x in ("focal", "cross_entropy"))
    assert gain.estimate == pytest.approx(focal - base)


def test_too_few_datasets_are_said_with_the_number_needed():
    (group,) = datasets(compare(where(studied(), ["corruption.rate=0.05"])))
    assert "nothing can be concluded from ranks below" not in rank_losses(group).conclusion[0]
    two = compare(where(studied(), ["corruption.rate=0.05", "dataset=moons,blobs"]))
    (group,) = datasets(two)
    (said,) = rank_losses(group).conclusion
    assert "nothing can be concluded from ranks below 3 datasets" in said


def test_ranks_that_lie_apart_show_nothing_where_friedmans_test_does_not():
    (group,) = datasets(compare(where(studied(), ["corruption.rate=0.05"])))
    ranking = replace(rank_losses(group), ranks={"a": 1.0, "b": 3.0}, critical_difference=0.5)
    assert "a ranks above b" in replace(ranking, p=0.04).conclusion[0]
    assert "No loss is shown to rank above" in replace(ranking, p=0.06).conclusion[0]


def test_comparisons_ranks_and_robustness_are_drawn(tmp_path):
    drawn = write_figures(compare(studied()), tmp_path / "figures", "study")
    numbers = {"": 6, "-robustness": 3, "-ranks": 2}
    assert [file.name for file in drawn] == [
        f"study{kind}{f'-{number}' if number else ''}.png"
        for kind, count in numbers.items()
        for number in range(count)
    ]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in drawn)


def test_a_loss_looks_the_same_in_every_figure():
    found = assign_looks(compare(studied()))
    assert set(found) == set(LOSSES)
    assert len({look.colour for look in found.values()}) == len(LOSSES)
    assert found["cross_entropy"].colour == INK


def test_defaults_and_tuned_stand_side_by_side():
    tuned = [result(loss, values + 0.01, trials=16) for loss, values in LOSSES.items()]
    found = compare([*(result(loss, values) for loss, values in LOSSES.items()), *tuned])
    said = printed(found)
    assert re.search(rf"tuned with 16 trials x 3 seeds +{(BETTER + 0.01).mean():.4f} \+", said)
    assert re.search(rf"untuned +{BETTER.mean():.4f} \+", said)


# --- formats --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_one_seed_shows_its_numbers_without_an_interval():
    """One value has no interval, and the text has no NaN in its place."""
    found = compare([result("focal", [0.7]), result("cross_entropy", [0.5])])
    text = printed(found, everything=True)
    assert "difference +0.2000, p = 1.0000" in " ".join(text.split())
    assert re.search(r"focal +0\.7000 +\+0\.2000 ", text)
    assert "nan" not in text


def test_every_format_shows_the_same_numbers():
    found = compare([result(loss, values) for loss, values in LOSSES.items()])
    content = json.loads(as_json(found))
    rows = {(row["loss"], row["metric"]): row for row in content["rows"]}
    lines = list(csv.DictReader(io.StringIO(tables.FORMATS["csv"](found, None))))
    assert len(lines) == len(rows) == 6
    texts = [tables.FORMATS[f](found, None) for f in ("markdown", "latex")]
    shown = printed(found)
    for line in lines:
        row = rows[line["loss"], line["metric"]]
        for name in ("mean", "low", "high", "best_epoch_mean"):
            assert float(line[name]) == row[name]
        if row["metric"] == "accuracy":
            assert row["best_epoch_mean"] == pytest.approx(row["mean"] + 0.001)
            half = (row["high"] - row["low"]) / 2
            assert f"{row['mean']:.3f} ±{half:.3f}" in shown
            assert all(f"{row['mean']:.4f}" in text for text in texts)
            assert all(f"{row['best_epoch_mean']:.4f}" in text for text in texts)
    assert rows["focal", "accuracy"]["difference_mean"] == pytest.approx((BETTER - BASE).mean())


def test_csv_has_one_head_and_says_what_settings_differ_in():
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(compare(studied())))))
    assert len(lines) == 18 * 2
    assert {line["corruption.rate"] for line in lines} == {"0.05", "0.4"}
    assert {line["dataset"] for line in lines} == {"moons", "blobs", "digits"}


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_no_text_of_a_csv_is_a_formula(name):
    found = compare([result("cross_entropy", BASE), result(name, SAME - 1)])
    lines = list(csv.DictReader(io.StringIO(tables.as_csv(found))))
    assert {line["loss"] for line in lines} == {"cross_entropy", f"'{name}"}
    (number,) = [x["difference_mean"] for x in lines if x["verdict"] == "worse"]
    assert float(number) < 0


def test_latex_and_markdown_escape_what_has_a_meaning_there():
    found = compare([result("cross_entropy", BASE), result(r"a_b%&#{x}|y*\z", SAME)])
    latex, markdown = tables.as_latex(found, None), tables.as_markdown(found, None)
    assert r"a\_b\%\&\#\{x\}|y*\textbackslash{}z} & " in latex
    assert r"| a_b%&#{x}\|y\*\\z | " in markdown
    for line in latex.split("We trained")[0].splitlines():
        assert line.startswith(("%", "\\")) or line.endswith(r"\\") or not line
    for line in markdown.splitlines():
        if line.startswith("|") and "---" not in line:
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 8, 9, 3)


def test_a_table_for_a_paper_has_caption_label_and_columns_of_numbers_that_lead_in_bold():
    values = {"cross_entropy": BASE, "focal": BETTER, "[b]": BASE - 0.1}
    made = compare([result(loss, each) for loss, each in values.items()])
    first, *_ = tables.as_latex(made, None).split(r"\end{table}")
    head, body = first.split(r"\midrule")
    assert r"\caption{dataset $\cdot$ " in head
    assert r"\label{tab:lossbench-1}" in head
    assert r"\begin{tabular}{@{}lS[table-format=1.4]r" in head
    assert "S[table-format=+1.4, retain-explicit-plus]" in head
    assert rf"\textbf{{focal}} & {{\bfseries {BETTER.mean():.4f}}} & " in body
    assert f"\ncross\\_entropy & {BASE.mean():.4f} & " in body
    assert "\n{[}b] & " in body, "a bracket after a line's end would begin an argument"
    assert r" & {baseline} & " in body


def test_a_caption_speaks_of_its_own_table_alone():
    runs = [result(loss, BASE, trials=9) for loss in ("cross_entropy", "focal", "poly")]
    for run in runs:
        run.seeds["test/log_loss"] = SAME[::-1]
    said = re.findall(r"\\caption\{(.+)\}", tables.as_latex(compare(runs), None))
    first, *others = said
    assert "p is corrected over 2 comparisons" in first
    assert [each.partition(". ")[0] for each in others] == [
        "Other metrics",
        "P(better) for every pair",
        "Tuning",
    ]
    for each, words in zip(others, ("interval", "ahead of", "validation data"), strict=True):
        assert words in each
        assert "p is corrected" not in each
        assert "differences are to" not in each


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX on this machine")
def test_latex_compiles_and_its_tables_fit_an_article(tmp_path):
    made = compare([result(loss, values) for loss, values in LOSSES.items()])
    packages = r"\usepackage{booktabs, siunitx}"
    text = tables.as_latex(made, None)
    parts = [r"\documentclass{article}", packages, r"\begin{document}", text, r"\end{document}"]
    (tmp_path / "a.tex").write_text("\n".join(parts))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_methods_name_versions_seeds_tests_and_what_they_cite():
    made = compare([result(loss, values) for loss, values in LOSSES.items()])
    latex, markdown = tables.as_latex(made, None), tables.as_markdown(made, None)
    (text,) = (line for line in markdown.splitlines() if line.startswith("We trained"))
    assert "with lossbench 0 [@lossbench]" in text
    assert "20 seeds (numbers 0 to 19), untuned" in text
    assert "by Holm's method [@holm1979] over 2 comparisons" in text
    assert "resampled" not in text, "each seed draws new data"
    assert r"Holm's method~\cite{holm1979} over" in latex
    cited = set(re.findall(r"\[@(\w+)\]", text))
    for written in (markdown, latex):
        assert set(re.findall(r"@(?:software|article|inproceedings)\{(\w+)", written)) == cited


def test_methods_say_each_hyper_parameter_that_was_neither_tuned_nor_is_in_the_label():
    gammas = [result("focal", values, gamma=g, alpha=0.3) for g, values in ((1, BASE), (5, SAME))]
    tuned = result("poly", BETTER, trials=16, epsilon=1.0, floor=2)
    tuned.summary["tuning"]["chosen"]["loss.epsilon"] = 0.7
    for made, losses in (
        (compare(gammas), "focal gamma=1 (alpha=0.3), focal gamma=5 (alpha=0.3)"),
        (
            compare([result("hinge", BASE), tuned], mixed_budgets=True),
            "hinge, poly tuned (floor=2)",
        ),
    ):
        assert f"We trained {losses} with" in tables.as_markdown(made, None)


@pytest.mark.parametrize("form", ["pdf", pytest.param("svg", marks=pytest.mark.slow)])
def test_each_picture_of_a_paper_is_as_wide_as_a_column_and_as_a_page(form, tmp_path):
    made = compare([result(loss, values) for loss, values in LOSSES.items()])
    files = [write_for_paper(made, [], tmp_path / place, "study", form) for place in "ab"]
    titles = ("paired-differences", "cost-and-quality")
    names = [f"study-{title}-{width}.{form}" for title in titles for width in WIDTHS]
    assert [[file.name for file in each] for each in files] == [names, names]
    first, second = ([file.read_bytes() for file in each] for each in files)
    assert first == second, "written again it is the same file"
    for content, inches in zip(first, [*WIDTHS.values()] * len(titles), strict=True):
        pattern = (
            rb"MediaBox \[ ?0 0 ([\d.]+)" if form == "pdf" else rb'<svg [^>]*width="([\d.]+)pt'
        )
        assert float(re.search(pattern, content)[1]) == pytest.approx(72 * inches, abs=0.01)


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("everything", [False, True])
def test_every_line_fits_and_no_name_and_no_number_is_cut(width, everything):
    made = [
        result("cross_entropy", BASE),
        result(LONG, SAME, diverged=[1]),
        result("[b]", BETTER),
        result("focal", BASE - 0.01, gamma=2.0, alpha=0.25),
    ]
    found = compare([*made, result("focal", SAME, gamma=1.0)])
    text = printed(found, width, everything=everything)
    assert max(map(len, text.splitlines())) <= width
    assert {LONG, "[b]", "cross_entropy", "gamma=2.0"} <= set(text.split())
    assert f"{BETTER.mean():.3f} ±0.004" in text
    assert "…" not in text


def test_a_loss_stands_above_its_numbers_where_there_is_no_room_next_to_it():
    found = compare([result("cross_entropy", BASE), result(LONG, SAME)])
    assert re.search(rf"^{LONG}\n  0\.\d+ ±", printed(found, 60), re.M)
    assert re.search(rf"^{LONG}  0\.\d+ ±", printed(found, 100), re.M)


def test_the_answer_stands_in_the_first_line_and_the_question_before_the_table():
    found = compare([result("cross_entropy", BASE), result("focal", BETTER)])
    first, *rest = printed(found, question="Which is best?\n").splitlines()
    assert first.startswith("focal wins: +0.02")
    assert rest.index("Which is best?") < next(i for i, x in enumerate(rest) if x[:4] == "loss")


def test_one_loss_is_not_explained_as_a_comparison():
    text = printed(compare([result("focal", BASE)]))
    assert "accuracy on the test split after the last epoch, more is better.\n" in text
    assert not re.search("difference|paired|verdict", text)


def test_columns_are_explained_once_for_settings_of_different_sizes():
    made = []
    for size, data in ((100, "wine"), (300, "digits")):
        for name, values in (("cross_entropy", BASE), ("focal", SAME)):
            one = result(name, values, sections=on(data))
            examples = {"drawn": "split", "learnt": size, "test": size}
            made.append(replace(one, summary={**one.summary, "examples": examples}))
    text = " ".join(printed(compare(made), 60).split())
    assert text.count("paired by seed") == 1
    assert "p here is on the examples there are" in text
    assert text.count("in place of p") == 1


def test_only_marks_that_a_table_has_are_explained():
    made = [
        result(name, values, sections=on(data))
        for data in ("moons", "wine")
        for name, values in (("cross_entropy", BASE), ("focal", BETTER))
    ]
    assert "\n+ better, b baseline\n" in printed(compare(made))


@pytest.mark.parametrize(
    ("head", "width"), [("root mean squared error", 13), ("accuracy\xa0%", 10), ("", 0)]
)
def test_a_head_takes_two_lines_at_most(head, width):
    assert Column(head, ("1",)).least == max(width, 1)


def test_the_picture_of_an_interval_lies_where_its_numbers_do():
    """Here the whole interval is above zero, and the baseline has nothing but the zero."""
    found = compare([result("cross_entropy", BASE), result("focal", BETTER)])
    lines = {line.split()[0]: line for line in printed(found).splitlines() if line.split()}
    zero = lines["cross_entropy"].index("│")
    assert lines["loss"][zero] == "0"
    assert lines["focal"][zero] == "│"
    assert zero < lines["focal"].index("─") < lines["focal"].index("●")


def test_what_is_open_has_the_seeds_that_would_settle_it_in_place_of_p():
    found = compare([result("cross_entropy", BASE), result("poly", SAME)])
    row, text = found[0].row("poly"), printed(found)
    assert re.search(rf"^poly .* {row.settled_on_new_by:,} seeds$", text, re.M)
    assert f"- {row.settled_on_new_by:,} seeds would settle poly" in text


def test_a_terminal_without_such_letters_gets_others():
    found = compare([result("cross_entropy", BASE), result("focal", BETTER)])
    assert "?" not in printed(found, encoding="ascii", everything=True)


def test_a_metric_that_says_what_another_says_is_named_and_not_shown():
    """Unless it was asked for by name."""
    made = [result("cross_entropy", BASE), result("focal", BETTER)]
    for each in made:
        each.summary["directions"]["zero_one_error"] = -1
        each.seeds["test/zero_one_error"] = 1 - each.seeds["test/accuracy"]
    found = compare(made)
    text = printed(found, everything=True)
    assert "zero_one_error is 1 - accuracy" in text
    assert "zero one" not in text
    assert "zero one" not in tables.FORMATS["markdown"](found, None)
    assert duplicates(made, "accuracy") == {
        "log_loss": "1 - accuracy",
        "zero_one_error": "1 - accuracy",
    }
    asked = [replace(r, config=replace(r.config, metrics=("zero_one_error",))) for r in made]
    assert "zero_one_error" not in duplicates(asked, "accuracy")
    assert duplicates([result("focal", [0.5, 0.5, 0.5])], "accuracy") == {}


def test_means_without_their_diverged_seeds_are_starred():
    made = [result("cross_entropy", BASE), result("focal", BETTER, diverged=[0, 1])]
    said = printed(compare(made))
    assert f"{BETTER[2:].mean():.3f}* ±" in said
    assert f"{BASE.mean():.3f} ±" in said
    assert "- focal: Diverged: 2 of 20 seeds of focal" in said


# --- the command ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the study's results in it."""
    folder = tmp_path_factory.mktemp("study") / "results"
    folder.mkdir()
    for number, made in enumerate(studied()):
        made.summary.update(key=f"key{number:02}", sources={}, notes=[NOTE])
        results.write(replace(made, key=f"key{number:02}"), folder)
    return folder.parent


@pytest.fixture
def command(place, monkeypatch, capsys):
    """The command line in that folder, in this process: exit code, output, errors."""
    monkeypatch.chdir(place)

    def run(*words):
        return main(list(words)), *capsys.readouterr()

    return run


def test_a_machine_reads_stdout_and_a_person_stderr(place, command):
    code, out, errors = command("compare", "--format", "csv", "--where", "corruption.rate=0.05")
    lines = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert {line["loss"] for line in lines} == set(LOSSES)
    assert len(lines) == 18
    (figure,) = (place / "results" / "figures").glob("*-ranks.png")
    assert str(figure.relative_to(place)) in errors


def test_what_was_noted_in_training_stands_below_the_tables_once(command):
    code, out, _ = command("compare", "--where", "corruption.rate=0.05")
    assert code == 0
    assert out.count(NOTE) == 1


def test_what_is_chosen_by_hand_is_corrected_over_with_what_could_have_been(command):
    """Six settings of three losses are 12 comparisons, and 18 where each could be the baseline."""
    conditions = ("--where", "corruption.rate=0.05", "--where", "loss=cross_entropy,focal")
    _, out, _ = command("compare", "--format", "markdown", *conditions)
    note = "- --where leaves out 12 of 18 results: p is corrected over them too."
    assert out.count(note) == 3
    assert out.count("are corrected over all 12 comparisons") == 3
    _, out, _ = command("compare", "--format", "markdown", "--baseline", "focal")
    assert out.count("- --baseline focal: p is corrected over each loss against each.") == 6
    assert out.count("are corrected over all 18 comparisons") == 6
    _, out, _ = command("compare", "--format", "markdown", "--baseline", "cross_entropy")
    assert out.count("are corrected over all 12 comparisons") == 6
    assert "--" not in out.replace("---", "")


def test_losses_that_met_the_same_data_and_were_not_asked_for_are_counted(place):
    """Of nine results on moons at three noise rates those of focal are not asked for."""
    asked = [r for r in results.everything(place / "results") if r.config.loss.name != "focal"]
    whole = compare(results.everything(place / "results"))
    (note,) = {line for c in _note_others(compare(asked), place / "results") for line in c.notes}
    assert note.startswith("1 other run of this setting is stored: p is corrected over what this")
    assert not any(c.notes for c in _note_others(whole, place / "results"))


def test_runs_that_were_judged_by_another_metric_are_counted(place):
    """The same losses on the same data, asked for again by another metric."""
    by_other = [
        replace(
            r,
            key=f"{r.key[:-1]}_",
            summary={**r.summary, "numbers": {**numbers, "metric": "brier"}},
        )
        for r in results.everything(place / "results")
        if (numbers := r.summary["numbers"])
    ]
    notes = [note for c in _note_others(compare(by_other), place / "results") for note in c.notes]
    assert [note.partition(" of this")[0] for note in notes] == ["3 other runs"] * 6


def test_a_program_gets_the_number_behind_each_verdict_on_a_claim():
    finding = Finding("a - b", "REFUTED", Interval(-0.1, -0.2, math.inf), p=0.01, seeds=20)
    claim = Claim("one", "a is better", "nobody", (), verdict="OPEN")
    found = compare([result(loss, values) for loss, values in LOSSES.items()])
    decision = Decision(claim, "REFUTED", (), (finding,))
    (row,) = json.loads(as_json(found, decisions=[decision]))["claims"]
    assert (row["id"], row["verdict"], row["on_record"]) == ("one", "REFUTED", "OPEN")
    (test,) = row["tests"]
    assert (test["p"], test["difference_mean"], test["difference_low"]) == (0.01, -0.1, -0.2)
    assert test["difference_high"] is None


def test_a_heading_leaves_out_what_is_not_set():
    dataset = {"name": "csv", "path": "a.csv", "task": None, "drop": [], "header": False}
    title = tables.describe_setting({"dataset": dataset})
    assert title == "csv (path a.csv, header False)"


def test_missing_runs_are_reported_next_to_what_a_machine_reads(command):
    code, out, errors = command("compare", "quickstart", "--format", "json")
    assert (code, out) == (2, "")
    assert "5 of 5 runs are missing" in errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--where dataset=mons", "Did you mean moons?"),
        ("--where rate=1", "there is no such key"),
        ("--by rate", "there is no such key"),
        ("--same-within 0", "expected a number above 0"),
        ("dataset=moons", "--where"),
        ("--metric acuracy", "Did you mean accuracy?"),
        ("--baseline foccal", "Did you mean focal?"),
    ],
)
def test_a_faulty_comparison_gets_one_line(words, said, command):
    code, out, errors = command("compare", *words.split())
    assert (code, out) == (2, "")
    assert said in errors
    assert len(errors.splitlines()) == 1
