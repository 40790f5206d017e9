"""What a claim can say besides a difference of two sides: each form from planted results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from test_claims import BASE, decided, planted

from lossbench import statistics
from lossbench.configuration.claims import FORMS, read_claims
from lossbench.contract import UserError
from lossbench.report.claim_figures import draw_claims
from lossbench.report.decisions import render_text
from lossbench.verdicts import refuse_unknown_metrics
from lossbench.verdicts.contrasts import Columns, correlations

RNG = np.random.default_rng(1)
FLAT = BASE - BASE.mean() + 0.8


def noise(size: float = 0.003) -> np.ndarray:
    drawn = RNG.standard_normal(20)
    return size * (drawn - drawn.mean())


def by_gamma(*values: float) -> list:
    """Runs of focal whose accuracy has these means, at gamma 0, 1, 2, ..."""
    return [planted("f", FLAT + v + noise(), gamma=float(g)) for g, v in enumerate(values)]


def in_sets(*gains: float) -> list:
    """Runs of two losses on as many data sets, that differ by these means."""
    found = []
    for number, gain in enumerate(gains):
        for loss, shift in (("a", gain), ("b", 0.0)):
            found.append(planted(loss, FLAT + shift + noise(1e-4), ratio=0.1 * (number + 1)))
    return found


def test_every_test_on_the_page_about_claims_can_be_read():
    """As it stands there, with the metric that an example's claim gives."""
    page = (Path(__file__).parent.parent / "docs/how-to/own-claim.md").read_text()
    whole = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])
    rows = re.findall(r"^\| `(\{.*\})` \|", page, re.M)
    (claim,) = read_claims(
        [{**whole["claims"][0], "tests": [yaml.safe_load(row) for row in rows]}], "page"
    )
    assert {type(test) for test in claim.tests} == set(FORMS.values())


def test_a_ratio_is_tested_on_either_bound():
    """By the first side less the bound times the second, with Fieller's interval of the ratio."""
    found = [planted("a", 0.4 + noise()), planted("b", FLAT)]
    test = {"ratio": "a", "to": "b", "metric": "accuracy"}
    for bounds, verdict in (
        ({"at_least": 0.45}, "SUPPORTED"),
        ({"at_most": 0.45}, "REFUTED"),
        ({"at_most": 0.5}, "OPEN"),
        ({"at_least": 0.45, "at_most": 0.55}, "SUPPORTED"),
        ({"at_least": 0.55, "at_most": 0.65}, "REFUTED"),
    ):
        decision = decided(found, {**test, **bounds})
        assert decision.verdict == verdict, bounds
    interval = decision.findings[0].difference
    assert interval.estimate == pytest.approx(0.5)
    assert interval.low < 0.5 < interval.high < 0.51
    assert "ratio of accuracy: a over b at least 0.55" in " ".join(
        render_text([decision], 100, everything=True).split()
    )
    assert draw_claims([decision]) == []


def test_the_interval_of_a_ratio_holds_the_ratios_that_a_t_test_does_not_refuse():
    x, y = 1.5 + noise(0.3), 2 + noise(0.3)
    interval = statistics.ratio_interval(x, y)
    for bound in (interval.low, interval.high):
        assert stats.ttest_1samp(x - bound * y, 0).pvalue == pytest.approx(0.05)
    assert np.isnan(statistics.ratio_interval(x, y - 2).low)


def test_a_spread_is_the_distance_from_the_median_of_seeds():
    wide = FLAT + 10 * (FLAT - 0.8)
    found = [planted("a", wide), planted("b", FLAT)]
    test = {"metric": "accuracy", "spread": True}
    assert decided(found, {"more": "a", "than": "b", **test}).verdict == "SUPPORTED"
    assert decided(found, {"better": "a", "than": "b", **test}).verdict == "REFUTED"
    twice = decided(found, {"ratio": "a", "to": "b", "at_least": 2, **test})
    assert twice.verdict == "SUPPORTED"
    assert twice.findings[0].difference.estimate == pytest.approx(11)


def test_a_difference_may_be_larger_than_it_is_elsewhere():
    found = in_sets(0.03, 0.01)
    test = {"better": "a", "than": "b", "metric": "accuracy"}
    here, there = {"corruption.ratio": 0.1}, {"corruption.ratio": 0.2}
    more = decided(found, {**test, "where": here, "beyond": there})
    assert more.verdict == "SUPPORTED"
    assert more.findings[0].difference.estimate == pytest.approx(0.02)
    assert decided(found, {**test, "where": there, "beyond": here}).verdict == "REFUTED"
    assert (
        decided(found, {**test, "where": here, "beyond": there, "by": 0.025}).verdict == "REFUTED"
    )


@pytest.mark.parametrize(
    ("gain", "by", "verdict"),
    [
        (-0.005, 0.01, "SUPPORTED"),
        (-0.02, 0.01, "REFUTED"),
        (0.02, 0.01, "SUPPORTED"),
        (-0.01, 0.01, "OPEN"),
    ],
)
def test_one_side_may_be_claimed_not_to_be_worse(gain, by, verdict):
    found = [planted("a", FLAT + gain + noise()), planted("b", FLAT)]
    test = {"not_worse": "a", "than": "b", "metric": "accuracy", "by": by}
    assert decided(found, test).verdict == verdict
    assert decided([found[1], planted("a", FLAT)], test).verdict == "SUPPORTED", "the very same"


def test_over_a_key_each_of_its_values_counts_once():
    """By Wilcoxon's test on one mean each; fewer than six are not tested."""
    gains = (0.01, 0.02, 0.03, 0.01, 0.04, 0.02, 0.03, 0.05)
    test = {"better": "a", "than": "b", "metric": "accuracy", "over": "corruption.ratio"}
    decision = decided(in_sets(*gains), test)
    assert decision.verdict == "SUPPORTED"
    assert decision.findings[0].p == pytest.approx(stats.wilcoxon(gains).pvalue)
    assert "each corruption.ratio counts once), 8 of them" in decision.findings[0].text
    assert decided(in_sets(*gains[:4], *(-g for g in gains[4:])), test).verdict == "OPEN"
    few = decided(in_sets(*gains[:5]), test)
    assert few.verdict == "OPEN"
    assert "fewer than six are not tested" in few.findings[0].text
    same = {"equal": "a", "to": "b", "metric": "accuracy", "over": "corruption.ratio"}
    assert decided(in_sets(*gains), {**same, "within": 0.1}).verdict == "SUPPORTED"
    assert decided(in_sets(*gains), {**same, "within": 0.001}).verdict == "REFUTED"


def test_over_a_key_nothing_is_found_where_one_value_has_no_seed_in_common():
    *others, last = in_sets(*[0.02] * 7)
    apart = replace(last, seeds=last.seeds.assign(seed=last.seeds.seed + 100))
    test = {"better": "a", "than": "b", "metric": "accuracy", "over": "corruption.ratio"}
    decision = decided([*others, apart], test)
    assert (decision.verdict, decision.findings[0].difference) == ("OPEN", None)
    assert decision.findings[0].text.endswith("no seed in common")


def test_a_signed_rank_test_is_that_of_scipy_and_holds_with_ties():
    values = RNG.standard_normal(9) + 0.5
    assert statistics.signed_rank_test(values) == pytest.approx(stats.wilcoxon(values).pvalue)
    assert statistics.signed_rank_test([1.0] * 6) == pytest.approx(2 / 2**6)
    assert np.isnan(statistics.signed_rank_test([1.0] * 5))


@pytest.mark.parametrize(
    ("means", "test", "verdict"),
    [
        ((0.0, 0.01, 0.02, 0.03), {"trend": "rising"}, "SUPPORTED"),
        ((0.0, 0.01, 0.02, 0.03), {"trend": "falling"}, "REFUTED"),
        ((0.0, 0.01, 0.02, 0.03), {"trend": "rising", "by": 0.02}, "REFUTED"),
        ((0.0, 0.01, 0.01, 0.0), {"trend": "rising"}, "OPEN"),
    ],
)
def test_a_trend_is_the_slope_over_ascending_numbers(means, test, verdict):
    decision = decided(by_gamma(*means), {"metric": "accuracy", "over": "loss.gamma", **test})
    assert decision.verdict == verdict
    expected = np.polyfit(range(4), means, 1)[0]
    assert decision.findings[0].difference.estimate == pytest.approx(expected, abs=1e-9)


def test_a_rank_correlation_is_over_runs_and_tested_over_seeds():
    found = by_gamma(0.0, 0.01, 0.02, 0.03)
    test = {"metric": "accuracy", "to": "ece", "where": {"loss": "f"}}
    decision = decided(found, {"correlation": "negative", **test})
    assert decision.verdict == "SUPPORTED"
    assert decision.findings[0].difference.estimate == pytest.approx(-1)
    assert decided(found, {"correlation": "positive", **test}).verdict == "REFUTED"
    columns = np.stack([r.seeds["test/accuracy"] for r in found])
    for result, other in zip(found, RNG.standard_normal((4, 20)), strict=True):
        result.seeds["test/overconfidence"] = other
    drawn = np.stack([r.seeds["test/overconfidence"] for r in found])
    weak = decided(found, {"correlation": "positive", **test, "to": "overconfidence"})
    each = [stats.spearmanr(*pair).statistic for pair in zip(columns.T, drawn.T, strict=True)]
    assert weak.findings[0].difference.estimate == pytest.approx(np.mean(each))


def curved(loss: str, reached: list[int], split: str = "val", peek: bool = False):
    """A result whose curve of accuracy is 1 from these epochs on, of ten; 0 is never."""
    made = planted(loss, FLAT[: len(reached)])
    trainer = replace(made.config.trainer, max_epochs=10, peek=peek)
    config = replace(made.config, trainer=trainer)
    rows = [
        (seed, epoch, f"{split}/accuracy", float(0 < first <= epoch))
        for seed, first in enumerate(reached)
        for epoch in range(11)
    ]
    curves = pd.DataFrame(rows, columns=["seed", "epoch", "metric", "value"])
    made.seeds["best_epoch"] = 2
    kept = {"curves": curves} if split == "val" else {"test_curves": curves}
    return replace(made, key=config.key, config=config, **kept)


def test_epochs_until_a_threshold_are_compared_and_those_that_never_come_reported():
    """What never came may have come later: only verdicts that hold then are given."""
    test = {"metric": "val/accuracy", "reaches": 0.9}
    early, late = [2, 3] * 6, [6, 7] * 6
    found = [curved("a", early), curved("b", late)]
    decision = decided(found, {"better": "a", "than": "b", **test})
    assert decision.verdict == "SUPPORTED"
    assert decision.findings[0].difference.estimate == pytest.approx(-4)
    assert decided(found, {"ratio": "b", "to": "a", "at_least": 1.5, **test}).verdict == "SUPPORTED"
    never = [curved("a", early), curved("b", [0, 0, *late[2:]])]
    slower = decided(never, {"more": "b", "than": "a", **test})
    assert slower.verdict == "SUPPORTED", "b can only be slower still"
    assert "2 of a side did not get there" in " ".join(
        render_text([slower], 100, everything=True).split()
    )
    assert decided(never, {"less": "b", "than": "a", **test}).verdict == "REFUTED"
    assert decided(never, {"ratio": "b", "to": "a", "at_most": 9, **test}).verdict == "OPEN"
    assert decided(never, {"equal": "b", "to": "a", "within": 9, **test}).verdict == "OPEN"


def test_the_training_split_is_read_after_the_last_epoch_or_at_the_best():
    found = [curved("a", [4] * 8, "train"), curved("b", [1] * 8, "train")]
    found[1].seeds["test/ece"] += 0.01
    test = {"metric": "train/accuracy"}
    assert decided(found, {"equal": "a", "to": "b", "within": 0.1, **test}).verdict == "SUPPORTED"
    assert decided(found, {"less": "a", "than": "b", "at": "best", **test}).verdict == "SUPPORTED"
    needs = [{"of": "a", "metric": "train/accuracy", "at_least": 0.9}]
    holds = {"more": "b", "than": 0.1, "metric": "accuracy"}
    assert decided(found, holds, requires=needs).verdict == "SUPPORTED"


def test_a_side_may_have_an_epoch_or_a_metric_of_its_own():
    (found,) = [planted("a", FLAT)]
    found.seeds["test_best/accuracy"] = FLAT + 0.02 + noise()
    stopped = {"better": {"loss": "a", "at": "best"}, "than": "a", "metric": "accuracy"}
    decision = decided([found], {**stopped, "by": 0.01})
    assert decision.verdict == "SUPPORTED"
    assert "a at the best epoch better than a at the last epoch by" in " ".join(
        render_text([decision], 100, everything=True).split()
    )
    other = {"more": "a", "than": {"loss": "a", "metric": "ece"}, "metric": "accuracy", "by": 0.5}
    assert decided([found], other).verdict == "SUPPORTED"


@pytest.mark.parametrize(("at", "words"), [("last", ""), ("best", " at the best epoch")])
def test_what_a_claim_requires_is_said_with_its_epoch(at, words):
    (found,) = [planted("a", FLAT)]
    found.seeds["test_best/accuracy"] = FLAT
    needs = [{"of": "a", "metric": "accuracy", "at": at, "at_least": 0.1}]
    holds = {"more": "a", "than": 0.1, "metric": "accuracy"}
    (required,) = decided([found], holds, requires=needs).requirements
    assert required.text.startswith(f"requires accuracy of loss=a at least 0.1{words}")
    assert ("epoch" in required.text) == bool(words)


@pytest.mark.parametrize(("by", "verdict"), [(0.01, "SUPPORTED"), (0.03, "NOT APPLICABLE")])
def test_a_difference_may_be_what_a_claim_requires(by, verdict):
    """It is judged by itself, outside of the family."""
    found = [planted("a", FLAT + 0.02 + noise()), planted("b", FLAT)]
    better = {"better": "a", "than": "b", "metric": "accuracy"}
    decision = decided(found, better, requires=[{**better, "by": by}])
    assert decision.verdict == verdict
    assert decision.findings[0].p == decided(found, better).findings[0].p


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"ratio": "a", "to": "b", "metric": "ece"}, "tests[0]: expected at_least or at_most"),
        ({"ratio": "a", "to": 2, "metric": "ece", "at_most": 1}, "to=2: expected a mapping"),
        (
            {"trend": "up", "metric": "ece", "over": "loss.gamma"},
            "trend=up: expected one of rising",
        ),
        ({"trend": "rising", "metric": "ece"}, "over is required"),
        ({"trend": "rising", "metric": "ece", "over": "loss"}, "expected at least 3 runs"),
        (
            {"better": "a", "than": "b", "metric": "ece", "over": "loss.gama"},
            "over=loss.gama: these runs have no such key",
        ),
        ({"better": "a", "than": "b", "metric": "ece", "how": "more"}, "how: there is no such key"),
        ({"correlation": "positive", "metric": "ece"}, "to is required"),
        (
            {"better": "a", "than": "b", "metric": "ece", "reaches": 1},
            "test metrics are not read by epoch. Give metric: val/ece",
        ),
        ({"better": "a", "than": {"loss": "b", "at": "first"}, "metric": "ece"}, "at=first: expe"),
        (
            {"better": "a", "than": "b", "metric": "ece", "over": "dataset"},
            "do not differ in it",
        ),
        ({"better": "a", "than": "b", "metric": "ece", "spread": "yes"}, "spread=yes: expected"),
        ({"better": "a", "than": "b", "metric": "train/ece"}, "trainer.peek: true"),
        ({"better": "a", "than": "b", "metric": "train/eec"}, "Did you mean ece?"),
    ],
)
def test_a_malformed_form_is_refused_in_a_line(test, words, monkeypatch):
    found = [planted("a", FLAT), planted("b", FLAT)]
    names = {"accuracy", "ece"}
    monkeypatch.setattr("lossbench.verdicts._metrics_of", lambda config: names)
    claim = {"id": "one", "text": "t", "source": "s", "tests": [test]}

    def read_and_check() -> None:
        refuse_unknown_metrics(read_claims([claim], "file"), [r.config for r in found])

    with pytest.raises(UserError) as caught:
        read_and_check()
    assert words in str(caught.value)
    assert "claim one" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rank_correlation_is_0_where_one_side_ties_over_all_runs():
    values = np.array([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0], [4.0, 1.0], [5.0, 2.0], [6.0, 3.0]])
    columns = Columns((), (), np.ones(6), values, values < 0)
    assert correlations(columns).tolist() == [1.0, 0.0]
