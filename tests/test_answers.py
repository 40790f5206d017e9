"""The answer in a line: a winner only where one is shown, and by how much."""

from __future__ import annotations

import re
from dataclasses import replace

import made_results
import numpy as np
import pytest
from made_results import BASE, BETTER, SAME, on

from lossbench.comparison import compare
from lossbench.comparison.answers import answer
from lossbench.report.tables import as_markdown

WORSE = BASE - (BETTER - BASE)
FAR = BETTER + 0.03
TINY = BASE + 1e-5 * np.arange(20)


def result(loss, values, **others):
    """A result whose accuracy is known to be a share."""
    made = made_results.result(loss, values, **others)
    return replace(made, summary={**made.summary, "bounds": {"accuracy": [0, 1]}})


CE = result("cross_entropy", BASE)


def of(*made, **how):
    return answer(compare([CE, *made], baseline="cross_entropy", **how))


@pytest.mark.parametrize(
    ("made", "how", "headline"),
    [
        ([result("focal", BETTER)], {}, "focal wins: +2.0 points of accuracy over cross_entropy"),
        (
            [result("focal", BETTER)],
            {"metric": "log_loss"},
            "focal wins: 0.0203 less log_loss than cross_entropy",
        ),
        (
            [result("focal", BETTER), result("poly", BETTER + SAME - BASE)],
            {},
            "2 losses beat cross_entropy, first poly: +2.2 points of accuracy",
        ),
        (
            [result("focal", WORSE), result("poly", WORSE - 0.01)],
            {},
            "cross_entropy wins: +2.0 points of accuracy over focal",
        ),
        ([result("poly", SAME)], {}, "Not settled: poly or cross_entropy in accuracy"),
        (
            [result("poly", SAME), result("focal", WORSE)],
            {},
            "No winner yet: no loss is shown to beat cross_entropy in accuracy",
        ),
        (
            [result("focal", BASE)],
            {},
            "No difference: each loss gave the results of cross_entropy, seed for seed",
        ),
        (
            [result("focal", TINY)],
            {"same_within": 0.01},
            "No difference in accuracy that matters: focal leads by less than 1 point",
        ),
        (
            [result("focal", TINY)],
            {"same_within": 0.01875},
            "No difference in accuracy that matters: focal leads by less than 1.875 points",
        ),
        (
            [result("focal", SAME)],
            {"same_within": 0.01},
            "No difference in accuracy that matters: all are practically the same as cross_entropy",
        ),
        (
            [result("focal", np.full(20, np.nan))],
            {},
            "No answer: accuracy is undefined on these data",
        ),
    ],
)
def test_the_headline_claims_what_the_verdicts_do(made, how, headline):
    assert of(*made, **how).headline == headline


def test_no_difference_is_named_where_seeds_that_diverged_decide_against_it():
    """Worse on the eight seeds on which both finished; the baseline diverged on twelve."""
    ill = result("cross_entropy", BASE, diverged=range(12))
    shown = answer(compare([ill, result("focal", BASE - 0.001)], baseline="cross_entropy"))
    assert shown.headline == "focal wins over cross_entropy in accuracy: seeds diverged"


def test_what_the_headline_says_is_open_is_not_said_again():
    assert not [line for line in of(result("poly", SAME)).details if "poly" in line]


def test_of_one_loss_its_value_is_said_and_what_to_run():
    shown = answer(compare([CE]))
    assert shown.headline == f"cross_entropy: accuracy {100 * BASE.mean():.1f} %"
    assert shown.details == ("There is one loss: run another on the same data to compare it with.",)


def test_sentences_and_tables_have_one_unit():
    """Shares are in per cent and points, in words, on a terminal and in a table for a paper."""
    found = compare([CE, result("focal", BETTER), result("poly", SAME)], same_within=0.02)
    gain = f"{100 * (BETTER - BASE).mean():+.2f}"
    words = " ".join(found[0].conclusion)
    assert f"by {gain} points (simultaneous" in words
    assert "within 2 points" in words
    assert "0.0" not in re.sub(r"p = [\d.e-]+", "", words)
    table = as_markdown(found, None)
    assert "p is corrected over 2 comparisons" in table
    assert "| mean % |" in table
    assert f"| {100 * BETTER.mean():.2f} |" in table
    assert f"| {gain} |" in table


def test_a_loss_that_is_not_told_apart_from_another_does_not_win():
    shown = of(result("focal", BETTER), result("poly", np.where(BASE > 0.8, FAR, BASE - 0.02)))
    assert shown.headline == "focal beats cross_entropy: +2.0 points of accuracy"
    assert "Not told apart from poly." in shown.details


def test_the_baseline_that_is_beaten_is_no_rival_where_a_noisy_loss_has_the_best_mean():
    noisy = BASE + 0.04 + np.resize([0.11, -0.11], 20)
    (comparison,) = compare([CE, result("focal", BETTER), result("poly", noisy)])
    assert comparison.leading == ("poly", "focal", "cross_entropy")
    assert "Not told apart from poly." in answer([comparison]).details


def test_of_several_settings_the_wins_are_counted():
    made = [
        result(name, values, sections=on(data))
        for data, focal in (("a", FAR), ("b", SAME), ("c", FAR))
        for name, values in (("cross_entropy", BASE), ("focal", focal), ("poly", SAME))
    ]
    shown = answer(compare(made))
    assert shown.headline == "focal beats cross_entropy in 2 of 3 settings"
    assert shown.details == ("poly: not settled in any of 3.",)


def test_losses_that_did_alike_in_several_settings_are_named_together():
    losses = {"cross_entropy": BASE, "focal": SAME, "poly": SAME[::-1]}
    made = [result(n, v, sections=on(d)) for d in ("moons", "wine") for n, v in losses.items()]
    shown = answer(compare(made))
    assert shown.headline == "No loss is shown to beat cross_entropy in any of 2 settings"
    assert shown.details == ("poly and focal: not settled in any of 2.",)


def test_of_several_settings_what_is_the_same_or_identical_is_not_called_open():
    losses = {"cross_entropy": BASE, "focal": SAME, "poly": BASE}
    made = [result(n, v, sections=on(d)) for d in ("moons", "wine") for n, v in losses.items()]
    details = answer(compare(made, same_within=0.01)).details
    assert set(details) == {
        "focal: practically the same in 2 of 2.",
        "poly: identical in 2 of 2.",
    }


def test_ties_are_counted_in_the_headline():
    shown = of(result("focal", BASE + 0.01 * (np.arange(20) % 2)))
    assert any("better on 10 of 20 seeds, 10 ties." in line for line in shown.details)
