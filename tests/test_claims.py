"""Claims: each verdict from planted results, read from YAML, checked by a real process."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from support import sampled

from lossbench import registry, statistics
from lossbench.configuration import Configuration
from lossbench.configuration.claims import Identity, matches, read_claims
from lossbench.configuration.experiments import (
    configurations,
    experiment_files,
    read_experiment,
)
from lossbench.contract import UserError
from lossbench.metrics import metrics_of
from lossbench.report.claim_figures import draw_claims, write_decisions
from lossbench.report.decisions import render_text
from lossbench.results import Result
from lossbench.verdicts import decide, refuse_unknown_metrics, task_of_dataset

BASICS = {k: {"name": k} for k in ("dataset", "model", "regularizer", "optimizer")}
TRAINER = {"max_epochs": 1, "batch_size": 1, "precision": "32-true"}
DIRECTIONS = {"accuracy": 1, "ece": -1, "overconfidence": 0}
RNG = np.random.default_rng(0)
BASE = 0.8 + 0.01 * RNG.standard_normal(20)
NOISE = 0.005 * RNG.standard_normal(20)


def planted(loss: str, values, ratio: float | None = None, **hyper) -> Result:
    """A result whose accuracy is these values; the ece mirrors it, overconfidence is it less .75"""
    values = np.array(values, dtype=float)
    corruption = {"name": "none"} if ratio is None else {"name": "imbalance", "ratio": ratio}
    loss_section = {"name": loss, **hyper}
    sections = {**BASICS, "corruption": corruption, "trainer": TRAINER, "loss": loss_section}
    config = Configuration.read({**sections, "tune": {"trials": 0}, "seeds": range(len(values))})
    rows = pd.DataFrame({"seed": np.arange(len(values)), "status": "finished"})
    rows["test/accuracy"], rows["test/ece"] = values, 1 - values
    rows["test/overconfidence"] = values - 0.75
    summary = {"task": "multiclass", "primary": "accuracy", "directions": DIRECTIONS}
    summary["examples"] = {"drawn": "anew", "learnt": 80, "test": 20}
    empty = pd.DataFrame({"seed": [], "epoch": [], "metric": [], "value": []})
    return Result(config.key, config, rows, empty, summary, {})


def decided(found: list[Result], *tests: dict, **claim):
    """The decision on one claim of these tests, all runs being trained."""
    written = {"id": "one", "text": "t", "source": "s", "tests": list(tests), **claim}
    (decision,) = decide(read_claims([written], "file"), [r.config for r in found], found)
    return decision


@pytest.mark.parametrize(
    ("lost", "verdict", "words"),
    [(10, "SUPPORTED", "10 diverged and are left out"), (20, "OPEN", "20 diverged")],
)
def test_a_requirement_on_seeds_that_diverged_reports_them(lost, verdict, words):
    values = np.where(np.arange(20) < lost, np.nan, BASE)
    needed = {"of": {"loss": "a"}, "metric": "accuracy", "at_least": 0.5}
    decision = decided([planted("a", values), planted("b", BASE)], better(), requires=[needed])
    (requirement,) = decision.requirements
    assert (requirement.verdict, requirement.diverged) == (verdict, lost)
    assert words in " ".join(render_text([decision], 100, everything=True).split())


def refusal(*tests, **claim) -> str:
    with pytest.raises(UserError) as caught:
        decided([planted("a", BASE), planted("b", BASE)], *tests, **claim)
    assert "\n" not in str(caught.value)
    assert "claim one" in str(caught.value)
    return str(caught.value)


def better(by: float = 0.0, **keys) -> dict:
    return {"better": "a", "than": "b", "metric": "accuracy", "by": by, **keys}


def equal(within: float) -> dict:
    return {"equal": "a", "to": "b", "metric": "accuracy", "within": within}


HOLDS, FAILS = better(), {"better": "b", "than": "a", "metric": "accuracy"}


@pytest.mark.parametrize(
    ("gain", "test", "verdict"),
    [
        (0.02, better(), "SUPPORTED"),
        (-0.02, better(), "REFUTED"),
        (0.0, better(), "OPEN"),
        (0.02, better(by=0.01), "SUPPORTED"),
        (0.02, better(by=0.03), "REFUTED"),  # better, but by less than claimed
        (0.0, better(by=0.01), "REFUTED"),  # practically the same
        (0.01, better(by=0.01), "OPEN"),
        (0.0, equal(0.01), "SUPPORTED"),
        (0.02, equal(0.01), "REFUTED"),
        (-0.02, equal(0.01), "REFUTED"),
        (0.01, equal(0.01), "OPEN"),
        (0.02, {"better": "b", "than": "a", "metric": "ece"}, "REFUTED"),
        (0.02, {"better": "a", "than": "b", "metric": "ece"}, "SUPPORTED"),
        (0.02, {"less": "a", "than": "b", "metric": "ece"}, "SUPPORTED"),
        (0.02, {"more": "a", "than": "b", "metric": "overconfidence"}, "SUPPORTED"),
        (0.02, {"more": "a", "than": 0.8, "metric": "accuracy"}, "SUPPORTED"),
        (0.02, {"less": "a", "than": 0.8, "metric": "accuracy"}, "REFUTED"),
        (-0.02, {"less": "a", "than": 0.8, "metric": "accuracy"}, "SUPPORTED"),
    ],
)
def test_a_planted_difference_gives_the_verdict(gain, test, verdict):
    """Beyond the margin, within it, in the other direction, and too near to say."""
    centred = NOISE - NOISE.mean()
    base = BASE - BASE.mean() + 0.8
    found = [planted("a", base + gain + centred), planted("b", base)]
    decision = decided(found, test)
    assert decision.verdict == verdict
    assert (decision.findings[0].seeds_needed is not None) <= (verdict == "OPEN")


def test_in_a_claim_of_the_worse_direction_a_failure_does_not_count_as_chance():
    """Else a loss that diverges would support the claim that its accuracy is less."""
    found = [planted("a", np.where(np.arange(20) == 3, np.nan, BASE - 0.02)), planted("b", BASE)]
    for result in found:
        result.summary["chance"] = 0.1
    decision = decided(found, {"less": "a", "than": "b", "metric": "accuracy"})
    assert decision.verdict == "OPEN"


def test_the_numbers_behind_a_verdict_are_those_of_scipy():
    found = [planted("a", BASE + 0.002 + NOISE), planted("b", BASE)]
    finding = decided(found, better(), equal(0.01)).findings[0]
    difference = 0.002 + NOISE
    low, high = stats.t.interval(0.975, 19, difference.mean(), stats.sem(difference))
    assert finding.difference.estimate == pytest.approx(difference.mean())
    assert (finding.difference.low, finding.difference.high) == pytest.approx((low, high))
    sampled = stats.permutation_test(
        (difference,), np.mean, permutation_type="samples", n_resamples=50_000, rng=0
    )
    assert finding.p == pytest.approx(sampled.pvalue, rel=0.2)  # Holm doubles the smaller one only


def test_more_claims_make_each_harder_to_support():
    """The family of Holm's correction is every test of every claim."""
    found = [planted("a", BASE + 0.003 + NOISE), planted("b", BASE)]
    alone = decided(found, better()).findings[0].p
    written = [{"id": str(i), "text": "t", "source": "s", "tests": [better()]} for i in range(10)]
    among = decide(read_claims(written, "file"), [r.config for r in found], found)
    assert alone <= 0.05
    assert among[0].findings[0].p == pytest.approx(10 * alone)


@pytest.mark.parametrize(("of_result", "of_claim", "times"), [(3, 1, 3), (1, 4, 4), (3, 4, 4)])
def test_looks_at_growing_numbers_of_seeds_are_counted(of_result, of_claim, times):
    """p is multiplied by them, the interval is wider, and more seeds are one look more."""
    once = decided([planted("a", BASE + 0.001 + NOISE), planted("b", BASE)], better()).findings[0]
    looked = planted("a", BASE + 0.001 + NOISE)
    looked.summary["looks"] = of_result
    found = [looked, planted("b", BASE)]
    finding = decided(found, better(), looks=of_claim).findings[0]
    assert finding.p == pytest.approx(min(1, times * once.p))
    half = stats.t.isf(0.025 / times, 19) * stats.sem(0.001 + NOISE)
    assert finding.difference.high == pytest.approx(np.mean(0.001 + NOISE) + half)
    needed = statistics.seeds_to_settle(0.001 + NOISE, comparisons=times + 1)
    assert finding.seeds_needed == needed


def test_looks_are_counted_in_a_test_that_is_required():
    found = [planted("a", BASE + 0.001 + NOISE), planted("b", BASE)]
    once = decided(found, better(), requires=[better()]).requirements[0].p
    found[0].summary["looks"] = 3
    assert decided(found, better(), requires=[better()]).requirements[0].p == pytest.approx(
        3 * once
    )


def test_more_seeds_are_counted_for_all_tests_of_the_family():
    """Requirements and identities are not of it."""
    found = [planted("a", BASE + 0.001 + NOISE), planted("b", BASE)]
    finding = decided(found, better(), better()).findings[0]
    assert finding.seeds_needed == statistics.seeds_to_settle(0.001 + NOISE, comparisons=2 * 2)


@pytest.mark.parametrize(("at", "verdict"), [("last", "SUPPORTED"), ("best", "REFUTED")])
def test_a_claim_is_of_the_epoch_that_it_names(at, verdict):
    found = [planted("a", BASE + 0.02 + NOISE), planted("b", BASE)]
    for result, shift in zip(found, (-0.02, 0.02), strict=True):
        result.seeds["test_best/accuracy"] = BASE + shift + NOISE * (shift > 0)
    assert decided(found, better(), at=at).verdict == verdict


def test_claims_are_paired_by_seed_whatever_rows_there_are():
    """Rows in reverse order, and of other seeds too, change nothing."""
    a, b = planted("a", BASE + 0.003 + NOISE), planted("b", BASE)
    expected = decided([a, b], better()).findings[0]
    more = pd.concat([a.seeds[::-1], a.seeds[:3].assign(seed=[97, 98, 99])], ignore_index=True)
    finding = decided([replace(a, seeds=more[::-1]), b], better()).findings[0]
    assert (finding.p, finding.seeds) == (expected.p, 20)


def test_claims_on_splits_of_one_data_set_are_judged_on_new_data():
    found = [planted("a", BASE + 0.003 + NOISE), planted("b", BASE)]
    for result in found:
        result.summary["examples"] = {"drawn": "split", "learnt": 80, "test": 20}
    d = 0.003 + NOISE
    extra = 0.25 * d.var(ddof=1)
    finding = decided(found, better()).findings[0]
    assert finding.p == pytest.approx(statistics.new_data_test(d, extra))
    finding = decided(found, equal(0.008)).findings[0]
    assert finding.p == pytest.approx(statistics.equivalence_test(d, 0.008, extra=extra))


def test_no_seeds_are_named_for_a_claim_that_more_seeds_of_one_data_set_do_not_settle():
    found = [planted("a", BASE + 0.001 + NOISE), planted("b", BASE)]
    assert decided(found, better()).findings[0].seeds_needed is not None
    for result in found:
        result.summary["examples"] = {"drawn": "split", "learnt": 80, "test": 20}
    assert decided(found, better()).findings[0].seeds_needed is None


def test_a_claim_needs_all_of_its_tests_and_falls_with_one():
    found = [planted("a", BASE + 0.02 + NOISE), planted("b", BASE), planted("c", BASE + NOISE)]
    undecided = {"better": "c", "than": "b", "metric": "accuracy"}
    assert decided(found, HOLDS, HOLDS).verdict == "SUPPORTED"
    assert decided(found, HOLDS, undecided).verdict == "OPEN"
    assert decided(found, HOLDS, undecided, FAILS).verdict == "REFUTED"


def test_the_very_same_results_refute_that_one_is_better():
    found = [planted("a", BASE), planted("b", BASE)]
    assert decided(found, better()).verdict == "REFUTED"
    assert decided(found, equal(0.001)).verdict == "SUPPORTED"


def test_a_diverged_seed_counts_against_the_loss_that_diverged():
    values = np.where(np.arange(20) < 12, np.nan, BASE + 0.02)
    decision = decided([planted("a", values), planted("b", BASE)], better())
    assert decision.verdict != "SUPPORTED"
    assert decision.findings[0].diverged == 12
    assert "12 diverged" in render_text([decision], 100, everything=True)


def test_a_diverged_seed_counts_against_a_claim_of_less_of_what_is_good_too():
    """Chance accuracy would speak for it."""
    found = [planted("a", np.where(np.arange(20) < 12, np.nan, BASE)), planted("b", BASE)]
    for result in found:
        result.summary["chance"] = 0.1
    assert decided(found, {"less": "a", "than": "b", "metric": "accuracy"}).verdict != "SUPPORTED"


@pytest.mark.parametrize(
    ("bound", "verdict"),
    [
        ({"at_least": 0.02}, "SUPPORTED"),
        ({"at_least": 0.2}, "NOT APPLICABLE"),
        ({"at_most": 0.02}, "NOT APPLICABLE"),
        ({"at_least": 0.0499}, "OPEN"),
    ],
)
def test_a_claim_without_its_precondition_is_not_applicable(bound, verdict):
    """The whole interval must be beyond the bound, or on the other side of it."""
    base = BASE - BASE.mean() + 0.8  # over-confident by 0.05
    found = [planted("a", base + 0.02 + NOISE), planted("b", base)]
    requires = [{"of": "b", "metric": "overconfidence", **bound}]
    assert decided(found, better(), requires=requires).verdict == verdict


def test_what_is_not_trained_yet_leaves_a_claim_open():
    found = [planted("a", BASE), planted("b", BASE)]
    written = [{"id": "one", "text": "t", "source": "s", "tests": [better()]}]
    (decision,) = decide(read_claims(written, "f"), [r.config for r in found], found[:1])
    assert decision.verdict == "OPEN"
    assert "not trained" in render_text([decision], 100, everything=True)


def test_a_side_is_singled_out_by_any_key_of_its_configuration():
    found = [planted("a", BASE + 0.1 * ratio + NOISE, ratio) for ratio in (0.1, 0.5)]
    found += [planted("a", BASE), planted("b", BASE, power=2.0)]
    sides = {"better": {"corruption.ratio": 0.5}, "than": {"corruption.ratio": 0.1}}
    assert decided(found, {**sides, "metric": "accuracy"}, where={"loss": "a"}).verdict == (
        "SUPPORTED"
    )
    assert matches(found[3].config.mapping, {"loss": "b", "loss.power": 2, "corruption": "none"})
    assert not matches(found[3].config.mapping, {"loss.gamma": 2})


# --- identities ---------------------------------------------------------------------------------

REGRESSION = {"task": "regression", "prediction": [0.0, 0.0], "target": [30, -30]}


POPULATION = {"task": "binary", "prediction": 0, "target": [1, 0], "weights": [0.8, 0.2]}
POPULATION |= {"tolerance": 1e-4}
SHARES = [0.45, 0.3, 0.25]
CLASSES = {"task": "multiclass", "prediction": [[0, 0, 0], [1, 0, 0]], "target": [0, 1, 2]}
CLASSES |= {"weights": SHARES, "tolerance": 1e-4}


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        ({"loss": "squared_error", **REGRESSION, "expect": 900}, "SUPPORTED"),
        ({"loss": "squared_error", **REGRESSION, "expect": 900.001}, "REFUTED"),
        ({"loss": "squared_error", **REGRESSION, "expect": 900.1, "tolerance": 0.2}, "SUPPORTED"),
        ({"loss": "squared_error", **REGRESSION, "differs_from": {"target": [-30, 30]}}, "REFUTED"),
        ({"loss": "squared_error", **REGRESSION, "differs_from": {"target": [1, 1]}}, "SUPPORTED"),
        ({"loss": "huber", **REGRESSION, "of": "gradient", "expect": [-1, 1]}, "SUPPORTED"),
        (
            {
                "loss": {"name": "huber", "delta": 2},
                **REGRESSION,
                "expect": {"loss": "absolute_error", "times": 2, "plus": -2},
            },
            "SUPPORTED",
        ),
        (
            {
                "loss": {"name": "focal", "gamma": 0},
                "task": "multiclass",
                "prediction": [[0, 1, 2]],
                "target": [1],
                "of": "gradient",
                "expect": {"loss": "cross_entropy"},
            },
            "SUPPORTED",
        ),
        ({"loss": "hinge", **POPULATION, "of": "minimiser", "expect": 1}, "SUPPORTED"),
        ({"loss": "hinge", **POPULATION, "of": "estimate", "expect": 0.8}, "REFUTED"),
        ({"loss": "squared_hinge", **POPULATION, "of": "estimate", "expect": 0.8}, "SUPPORTED"),
        ({"loss": "logistic", **POPULATION, "expect": 0.6931472}, "SUPPORTED"),
        ({"loss": "logistic", **POPULATION, "of": "gradient", "expect": -0.3}, "SUPPORTED"),
        ({"loss": "focal", **CLASSES, "of": "estimate", "differs_from": SHARES}, "SUPPORTED"),
        ({"loss": "brier", **CLASSES, "of": "estimate", "expect": SHARES}, "SUPPORTED"),
        ({"loss": "focal", **CLASSES, "of": "choice", "expect": [1, 0, 0]}, "SUPPORTED"),
        ({"loss": "crammer_singer", **CLASSES, "of": "choice", "expect": [1, 0, 0]}, "REFUTED"),
        (
            {
                "loss": {"name": "quantile", "q": 0.8},
                "task": "regression",
                "prediction": 0,
                "target": [1, 2, 9],
                "weights": [1, 1, 1],
                "of": "minimiser",
                "expect": 9,
                "tolerance": 1e-4,
            },
            "SUPPORTED",
        ),
    ],
)
def test_an_identity_is_decided_by_its_tolerance(test, verdict):
    """Values and gradients against numbers and against other losses, without any result."""
    assert decided([], test).verdict == verdict


def test_identities_leave_the_correction_of_the_others_alone():
    found = [planted("a", BASE + 0.003 + NOISE), planted("b", BASE)]
    identity = {"loss": "squared_error", **REGRESSION, "expect": 900}
    alone, together = decided(found, better()), decided(found, better(), identity)
    assert together.findings[0].p == alone.findings[0].p
    assert together.findings[1].p is None


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ({"better": "a", "metric": "accuracy"}, "tests[0].than is required"),
        (
            {"better": "a", "than": "b"},
            "tests[0].metric is required: name one, such as metric: accuracy",
        ),
        (better(buy=1), "tests[0].buy: there is no such key. Did you mean by?"),
        (better(by="much"), "tests[0].by=much: expected a number"),
        ({"than": "b"}, "tests[0]: expected one of the keys better"),
        ("a > b", "tests[0]=a > b: expected a mapping"),
        (
            {"better": "c", "than": "b", "metric": "accuracy"},
            "loss=c: expected one run of",
        ),
        ({**better(), "metric": "acuracy"}, "Did you mean accuracy?"),
        ({**better(), "metric": "overconfidence"}, "claim less or more"),
        ({"loss": "huber", **REGRESSION}, "expected one of the keys expect and differs_from"),
        ({"loss": "huber", **REGRESSION, "of": "minimiser", "expect": 1}, "weights is required"),
        ({"loss": "hubber", **REGRESSION, "expect": 1}, "Did you mean huber?"),
        (
            {"loss": {"name": "huber", "dleta": 1}, **REGRESSION, "expect": 1},
            "Did you mean delta?",
        ),
        ({"loss": "huber", **REGRESSION, "expect": {"time": 2}}, "time: there is no such key"),
        ({"loss": "huber", **REGRESSION, "expect": {"times": "x"}}, "must be numbers"),
        ({"loss": "huber", **REGRESSION, "expect": "x"}, "must be numbers"),
        ({"loss": "huber", **REGRESSION, "prediction": [[0, 1], [2]], "expect": 1}, "must be num"),
        (better(than=True), "tests[0].than=True: expected a mapping"),
    ],
)
def test_a_malformed_test_is_refused_by_claim_and_key(test, said):
    assert said in refusal(test)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"tests": []}, "tests: expected at least one test"),
        ({"tests": [HOLDS], "verdict": "TRUE"}, "verdict=TRUE: expected one of SUPPORTED"),
        ({"tests": [HOLDS], "proof": "eval"}, "proof: there is no such key"),
        ({"tests": [HOLDS], "requires": [{"of": "a", "metric": "ece"}]}, "at_least or at_most"),
    ],
)
def test_a_malformed_claim_is_refused_by_id_and_key(claim, said):
    with pytest.raises(UserError, match="claim one") as caught:
        read_claims([{"id": "one", "text": "t", "source": "s", **claim}], "file.yaml")
    assert said in str(caught.value)


def test_a_side_that_means_two_runs_is_refused():
    found = [planted("a", BASE, 0.1), planted("a", BASE, 0.5), planted("b", BASE)]
    with pytest.raises(UserError, match="expected one run of the experiment, 2"):
        decided(found, better())


def test_two_claims_of_one_id_are_refused():
    claim = {"id": "one", "text": "t", "source": "s", "tests": [HOLDS]}
    with pytest.raises(UserError, match="two claims"):
        read_claims([claim, claim], "file.yaml")


# --- the figure ---------------------------------------------------------------------------------


def test_each_test_has_a_row_with_its_verdict_in_words_colour_and_margin():
    found = [planted("a", BASE + 0.02), planted("b", BASE), planted("c", BASE + NOISE)]
    tests = (better(0.01), {**better(), "better": "c"}, {**equal(0.05), "equal": "c"})
    decision = decided(found, *tests)
    (forest,) = draw_claims([decision], in_words=True)
    assert [row.label.split()[0] for row in forest.rows] == ["SUPPORTED", "OPEN", "SUPPORTED"]
    assert len({row.label for row in forest.rows}) == 3
    assert [row.margin for row in forest.rows] == [0.01, 0.0, 0.05]
    needs = {"of": {"loss": "a"}, "metric": "accuracy", "at_least": 0.99}
    (excluded,) = draw_claims([decided(found, better(), requires=[needs])], in_words=True)
    assert excluded.rows[0].label.startswith("NOT APPLICABLE")
    unsure = {**needs, "at_least": float(np.mean(BASE + 0.02))}
    (open_,) = draw_claims([decided(found, better(), requires=[unsure])], in_words=True)
    assert open_.rows[0].label.startswith("OPEN")
    looks = {row.look for row in (*forest.rows, *excluded.rows)}
    assert len(looks) == 3


def test_claims_without_a_measured_test_have_no_figure(tmp_path):
    identity = {"loss": "squared_error", "task": "regression", "prediction": 1, "target": 0}
    decision = decided([planted("a", BASE)], {**identity, "expect": 1})
    assert decision.verdict == "SUPPORTED"
    assert write_decisions([decision], tmp_path / "claims.png") is None
    assert not list(tmp_path.iterdir())


# --- the command line ---------------------------------------------------------------------------

STUDY = """
    question: Is one better?
    overrides: {dataset: moons, dataset.samples: 200, trainer: short, trainer.max_epochs: 1}
    sweeps:
      - {loss: [cross_entropy, focal], seeds: 8}
      - {loss: exponential, dataset.noise: 0.3, seeds: 8}
    claims:
      - {id: gamma-nothing, text: focal without gamma, source: algebra, verdict: SUPPORTED, tests: [
          {loss: {name: focal, gamma: 0}, task: binary, prediction: 1, target: 1,
           expect: {loss: cross_entropy}}]}
      - {id: good, text: it is perfect, source: nobody, verdict: REFUTED, metric: accuracy,
         tests: [{more: focal, than: 1.5}]}
"""


@pytest.fixture
def study(tmp_path):
    """Writes the study, with replacements, into the folder in which commands run."""

    def write(*changes: tuple[str, str]) -> None:
        text = textwrap.dedent(STUDY)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "experiments" / "study" / "experiment.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return write


@pytest.mark.slow
def test_check_gives_exit_code_3_when_a_verdict_is_not_the_one_on_record(study, command):
    """The study uses a preset of a folder of its own, which each command is given."""
    preset = ("trainer: short", "trainer: brief")
    study(preset)
    words, mine = ("compare", "study", "--config-dir", "mine"), ("--config-dir", "mine")
    files = {"mine/trainer/brief.yaml": "defaults: [short]\n"}
    trained = command("run", "experiment=study", "tracking=none", *mine, files=files)
    assert trained.code == 0, trained.err
    agreed = command(*words, "--check")
    assert agreed.code == 0, agreed.err
    assert "2 claims: 1 SUPPORTED, 1 REFUTED" in agreed.out
    lines = [line for line in agreed.out.splitlines() if not line.startswith("Figure")]
    assert max(map(len, lines)) <= 100
    study(preset, ("verdict: REFUTED", "verdict: SUPPORTED"))
    changed = command(*words, "--check")
    assert changed.code == 3
    assert "claim good: the record says SUPPORTED, the data say REFUTED" in changed.err
    assert command(*words).code == 0
    study(preset, ("verdict: REFUTED, ", ""))
    unrecorded = command(*words, "--check")
    assert unrecorded.code == 3
    assert "claim good: no verdict is on record, so it does not count as held" in unrecorded.err
    study(preset, ("than: 1.5", "then: 1.5"))
    malformed = command(*words, "--check")
    assert malformed.code == 2
    assert "claim good.tests[0].then" in malformed.err
    assert len(malformed.err.strip().splitlines()) <= 2
    study(preset)
    lost = command("compare", "study")
    assert lost.code == 2
    assert "trainer=brief: there is no such trainer" in lost.err


def test_claims_that_are_computed_need_no_run(command):
    _, _, claims = textwrap.dedent(STUDY).partition("claims:\n")
    computed, _, _ = claims.partition("  - {id: good")
    file = f"sweeps: []\nclaims:\n{computed}"
    agreed = command(
        "compare", "study", "--check", files={"experiments/study/experiment.yaml": file}
    )
    assert agreed.code == 0, agreed.err
    assert "1 claim: 1 SUPPORTED" in agreed.out
    (claim,) = json.loads(command("compare", "study", "--format", "json").out)["claims"]
    assert (claim["verdict"], claim["on_record"]) == ("SUPPORTED", "SUPPORTED")
    refused = command("compare", "study", "--format", "csv")
    assert refused.code == 2
    assert "--format is of runs, and experiment=study has none" in refused.err
    refused = command("run", "experiment=study")
    assert refused.code == 2
    assert "trains nothing, its claims are computed: lossbench compare study" in refused.err


def test_check_without_claims_is_refused(command, tmp_path):
    (tmp_path / "results").mkdir()
    assert command("compare", "--check").code == 2


def test_sweeps_share_overrides_and_add_their_own(study, tmp_path, monkeypatch):
    study()
    monkeypatch.chdir(tmp_path)
    configs, _ = configurations(["experiment=study"])
    found = [(c.loss.name, c.dataset.values["noise"], len(c.seeds)) for c in configs]
    assert found == [("cross_entropy", 0.2, 8), ("focal", 0.2, 8), ("exponential", 0.3, 8)]
    configs, _ = configurations(["experiment=study", "loss=hinge", "seeds=2"])
    assert [(c.loss.name, len(c.seeds)) for c in configs] == [("hinge", 2)] * 2


# --- the experiments that come with the package -------------------------------------------------

STUDIES = [name for name in experiment_files() if name != "quickstart"]


def test_an_experiment_that_needs_a_package_says_so_where_it_is_absent(
    study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    study(("question:", "needs: [lossbench, lossbench-nowhere]\nquestion:"))
    with pytest.raises(UserError, match="takes plugins from lossbench-nowhere, which is not inst"):
        configurations(["experiment=study"])


TRAINS_TEACHERS = pytest.param("distillation", marks=pytest.mark.slow)  # for each of its data sets


@pytest.mark.parametrize(
    "name", [*sampled((n for n in STUDIES if n != "distillation"), 6), TRAINS_TEACHERS]
)
def test_every_claim_names_one_run_and_a_metric_of_its_task(name):
    """Decided with a planted result for each run, so that nothing in it can be misspelt."""
    if absent := read_experiment(name).missing:
        pytest.skip(f"{', '.join(absent)} is not installed; its own tests compose the study")
    configs, experiment = configurations([f"experiment={name}"])
    found = []
    try:
        tasks = [task_of_dataset(config.dataset) for config in configs]
    except UserError as error:
        if "pip install --no-deps" not in str(error):  # a data set inside a package
            raise
        pytest.skip(str(error))
    for config, task in zip(configs, tasks, strict=True):
        kind = registry.load(registry.find("task", task)[0])
        rows = pd.DataFrame({"seed": range(5), "status": "finished", "best_epoch": 1})
        metrics = metrics_of(kind.small(), [*config.metrics, *filter(None, [config.metric])])
        directions = {name: metric.direction for name, metric in metrics.items()}
        places = [f"{at}/{m}" for at in ("test", "test_best") for m in directions]
        values = {place: RNG.uniform(size=5) for place in places}
        rows = rows.assign(**values)
        summary = {"task": kind.name, "primary": kind.primary, "directions": directions}
        summary["examples"] = {"drawn": "anew", "learnt": 80, "test": 20}
        curves = pd.DataFrame(
            {"seed": seed, "epoch": 1, "metric": f"{split}/{name}", "value": value}
            for split in ("train", "val")
            for name in directions
            for seed, value in enumerate(values[f"test/{name}"])
        )
        known = (config.key, config, rows, curves, summary, {})
        found.append(Result(*known, test_curves=curves))
    decisions = decide(experiment.claims, configs, found)
    assert len(decisions) == len(experiment.claims) > 0
    for decision in decisions:
        assert decision.claim.verdict is not None
        statistical = [t for t in decision.claim.tests if not isinstance(t, Identity)]
        assert len([f for f in decision.findings if f.p is not None]) == len(statistical)
    assert all(len(config.seeds) >= 20 for config in configs)


@pytest.mark.parametrize("name", STUDIES)
def test_the_readme_of_a_study_says_the_verdicts_on_record(name):
    """Every claim stands in the README with the verdict that the YAML has."""
    file = experiment_files()[name]
    readme = (file.parent / "README.md").read_text()
    for claim in yaml.safe_load(file.read_text())["claims"]:
        (line,) = [line for line in readme.splitlines() if f"`{claim['id']}`" in line]
        assert claim["verdict"] in line


# --- what an experiment says of its runs --------------------------------------------------------


def test_equal_accuracy_of_models_that_differ_leaves_a_claim_open():
    """A tie on every seed in this metric says nothing; the very same results would."""
    first, second = planted("a", BASE), planted("b", BASE)
    second.seeds["test/ece"] += 0.01
    assert decided([first, second], better()).verdict == "OPEN"


def test_a_metric_that_runs_will_not_have_is_refused_before_training(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tests = "tests: [{more: focal, than: 1.5}]"
    required = f"{tests}, requires: [{{of: focal, metric: acuracy, at_least: 0}}]"
    for line in ("tests: [{better: focal, than: cross_entropy, metric: acuracy}]", required):
        study((tests, line))
        configs, experiment = configurations(["experiment=study"])
        with pytest.raises(UserError, match=r"acuracy.*Did you mean accuracy"):
            refuse_unknown_metrics(experiment.claims, configs)
    study()
    configs, experiment = configurations(["experiment=study"])
    refuse_unknown_metrics(experiment.claims, configs)


def test_an_identity_gets_the_facts_that_its_loss_asks_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    head = "def f(logits, target, /, *, num_classes: int):"
    (tmp_path / "counting.py").write_text(f"{head}\n    return 0 * logits[:, 0] + num_classes\n")
    claim = {
        "loss": "counting.py:f",
        "task": "multiclass",
        "prediction": [[0, 1, 2]],
        "target": [1],
        "expect": 3,
    }
    with pytest.raises(UserError, match=r"asks for num_classes: give facts: \{num_classes: …\}"):
        decided([], claim)
    assert decided([], {**claim, "facts": {"num_classes": 3}}).verdict == "SUPPORTED"


def test_a_file_that_an_experiment_names_is_looked_up_in_its_folder(tmp_path, monkeypatch):
    folder = tmp_path / "experiments" / "own"
    folder.mkdir(parents=True)
    (folder / "my.csv").write_text("a,b\n1,2\n")
    (folder / "own.py").write_text("def f(logits, target, /): ...\n")
    overrides = "{dataset: csv, dataset.path: my.csv, dataset.target: b, loss: 'own.py:f'}"
    (folder / "experiment.yaml").write_text(f"overrides: {overrides}\n")
    monkeypatch.chdir(tmp_path)
    (config,), _ = configurations(["experiment=own"])
    assert config.dataset.values["path"] == "experiments/own/my.csv"
    assert config.loss.name.endswith("experiments/own/own.py:f")


def test_an_experiments_metric_is_that_of_its_runs(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study(("question:", "metric: log_loss\nquestion:"))
    configs, _ = configurations(["experiment=study"])
    assert {config.metric for config in configs} == {"log_loss"}
