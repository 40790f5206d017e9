"""What is concluded on new data, what on these data only; epochs, failures, undefined scores."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_results import BASE, BETTER, SAME, on, result
from scipy import stats

from lossbench import results, statistics
from lossbench.comparison import compare, datasets, rank_losses
from lossbench.comparison.answers import answer
from lossbench.comparison.evidence import Part, round_up, variance_beyond
from lossbench.comparison.needed import seeds_on_new_data
from lossbench.comparison.sentences import mind
from lossbench.report.export import as_json
from lossbench.report.tables import as_markdown
from lossbench.results import Result
from lossbench.results.predictions import PerSeed
from lossbench.results.rescoring import row_variance
from lossbench.sweep.settling import with_plan

SPLIT = {"drawn": "split", "learnt": 80, "test": 20}
SLIGHT = BASE + 0.007 + 0.012 * np.random.default_rng(1).standard_normal(20)


def of(drawn: dict | None, *results: Result, **how):
    """The row of the last result, whose examples come from there, and its comparison."""
    changed = [
        replace(r, summary={**r.summary, **({"examples": drawn} if drawn is not None else {})})
        for r in results
    ]
    (comparison,) = compare(changed, **how)
    return comparison.row(changed[-1].config.loss.name), comparison


def said_of(comparison, label: str) -> str:
    return next(line for line in comparison.conclusion if line.startswith(label))


def pair(values, **how) -> tuple[Result, Result]:
    return result("cross_entropy", BASE), result("focal", values, **how)


# --- new data, and these data -----------------------------------------------------------------


def test_new_data_are_judged_by_nadeau_and_bengio_where_seeds_split_one_data_set():
    row, comparison = of(SPLIT, *pair(SLIGHT))
    d = SLIGHT - BASE
    t = d.mean() / np.sqrt((1 / 20 + 20 / 80) * d.var(ddof=1))
    assert row.p == pytest.approx(2 * stats.t.sf(abs(t), 19))
    assert row.p_here == pytest.approx(statistics.sign_flip_test(d))
    assert (row.verdict, row.p > 0.05 > row.p_here) == ("better here", True)
    said = said_of(comparison, "focal")
    assert "on these data only" in said
    assert "cannot be told from 100 examples" in said


def test_new_examples_for_each_seed_make_one_question_of_two():
    row, comparison = of({**SPLIT, "drawn": "anew"}, *pair(SLIGHT))
    assert row.p == row.p_here == pytest.approx(statistics.sign_flip_test(SLIGHT - BASE))
    assert row.verdict == "better"
    assert "p (corrected)" in as_markdown([comparison], None)


@pytest.mark.parametrize("values", [SLIGHT, BASE + 0.02])
def test_both_p_values_are_printed_where_there_are_two_questions(values):
    _, comparison = of(SPLIT, *pair(values))
    table = as_markdown([comparison], None)
    assert "p here" in table
    assert "p new" in table
    assert "p here is on these 100 examples" in table


def test_the_headline_names_the_baseline_and_the_metric_of_what_holds_on_these_data_only():
    _, comparison = of(SPLIT, *pair(SLIGHT))
    assert answer([comparison]).headline == (
        "No winner yet: focal leads on these data only, +0.00745 in accuracy over cross_entropy"
    )


def test_a_large_difference_holds_on_new_data_too():
    row, _ = of(SPLIT, *pair(BETTER))
    assert (row.verdict, row.p >= row.p_here) == ("better", True)


def test_what_is_open_says_how_many_examples_would_settle_it():
    row, comparison = of(SPLIT, *pair(SAME))
    assert row.verdict == "open"
    wanted = f"about {row.examples_needed:,} examples would on new data like them."
    assert said_of(comparison, "focal").endswith(wanted)


def test_nothing_is_concluded_on_new_data_where_their_origin_is_unknown():
    row, comparison = of({}, *pair(BETTER))
    assert (row.verdict, row.p) == ("better here", None)
    assert "cannot be judged" in said_of(comparison, "focal")


def test_so_many_examples_would_show_it_that_p_is_small_with_them():
    """The number that is named, put into the test, gives 80 % power at the difference as seen."""
    row, _ = of(SPLIT, *pair(SLIGHT))
    assert row.examples_needed
    d = SLIGHT - BASE
    error = np.sqrt((1 / 20 + 1 / 4) * d.var(ddof=1) / (row.examples_needed / 100))
    power = stats.t.sf(stats.t.isf(0.025, 19) - d.mean() / error, 19)
    assert 0.75 < power < 0.9


def held_out(values, right: float, seed: int, seeds: int = 20, rows: int = 200) -> Result:
    """A result whose kept predictions are right on a share of the rows, the same for each seed."""
    hits = np.random.default_rng(seed).random(rows) < right
    estimate = np.zeros((seeds, rows, 3))
    target = np.arange(rows) % 3
    estimate[:, np.arange(rows), np.where(hits, target, (target + 1) % 3)] = 1
    arrays = {"test_target": np.tile(target, (seeds, 1))}
    arrays |= {"test": estimate, "test_best": estimate, "validation": estimate}
    kept = PerSeed(tuple(range(seeds)), lambda: arrays)
    name = "cross_entropy" if seed == 0 else "focal"
    return replace(result(name, values), predictions=(kept,))


def test_rows_of_one_test_split_are_drawn_again():
    """Variance over rows is that of the mean of paired hits, by a second road."""
    drawn = {"drawn": "held out", "learnt": 500, "test": 200}
    pair_of = held_out(BASE, 0.8, 0), held_out(SLIGHT, 0.8, 1)
    row, comparison = of(drawn, *pair_of)
    hits = [np.random.default_rng(seed).random(200) < 0.8 for seed in (0, 1)]
    spread = (hits[1].astype(float) - hits[0]).var() / 200
    d = SLIGHT - BASE
    error = np.sqrt(d.var(ddof=1) / 20 + spread)
    assert row.p == pytest.approx(2 * stats.t.sf(d.mean() / error, 19), abs=0.03)
    assert row.verdict == "better here"
    assert "200 test examples" in said_of(comparison, "focal")


def test_so_many_test_examples_would_show_it_that_p_is_small_with_them():
    """More of them take away what they vary by, and not what seeds do."""
    base, focal = held_out(BASE, 0.8, 0), held_out(BASE + 1.5 * (SLIGHT - BASE), 0.8, 1)
    row, _ = of({"drawn": "held out", "learnt": 500, "test": 200}, base, focal)
    d = 1.5 * (SLIGHT - BASE)
    parts = [(base, "accuracy", "test", 1.0), (focal, "accuracy", "test", -1.0)]
    error = np.sqrt(d.var(ddof=1) / 20 + row_variance(parts) * 200 / row.examples_needed)
    power = stats.t.sf(stats.t.isf(0.025, 19) - d.mean() / error, 19)
    assert 0.75 < power < 0.85


def test_the_largest_share_of_test_examples_counts_where_two_differ():
    sides = [
        replace(r, summary={**r.summary, "examples": {**SPLIT, "test": test}})
        for r, test in zip(pair(SLIGHT), (20, 40), strict=True)
    ]
    parts = [Part(r, "accuracy", "last", weight) for r, weight in zip(sides, (1, -1), strict=True)]
    for each in (parts, parts[::-1]):
        assert variance_beyond(each, SLIGHT - BASE) == pytest.approx(
            40 / 80 * (SLIGHT - BASE).var(ddof=1)
        )


def test_ties_alone_do_not_show_more_than_the_step_of_the_metric_allows():
    """Of 20 test examples each is a step of .05, which ten seeds may not have met: .8 to the 10."""
    made = [result(name, BASE[:10]) for name in ("cross_entropy", "focal")]
    made[1].seeds["test/log_loss"] += 0.1
    made = [replace(r, summary={**r.summary, "bounds": {"accuracy": [0, 1]}}) for r in made]
    row, _ = of(SPLIT, *made, same_within=0.01)
    assert row.same_p == pytest.approx(0.8**10)
    assert row.verdict == "open"


def test_one_test_split_without_predictions_says_nothing_on_new_data():
    row, comparison = of({"drawn": "held out", "learnt": 500, "test": 200}, *pair(BETTER))
    assert (row.verdict, row.p) == ("better here", None)
    assert "predictions were not kept" in said_of(comparison, "focal")


def test_a_loss_on_new_data_against_one_on_splits_is_judged_as_if_both_had_splits():
    base, focal = pair(SLIGHT)
    anew = replace(base, summary={**base.summary, "examples": {**SPLIT, "drawn": "anew"}})
    split = replace(focal, summary={**focal.summary, "examples": SPLIT})
    row, _ = of(None, anew, split)
    assert row.p == of(SPLIT, base, focal)[0].p > row.p_here


@pytest.mark.parametrize(
    ("drawn", "margin", "expected"),
    [
        ("anew", 0.0029, "same"),
        ("split", 0.0029, "same here"),
        ("split", 0.0045, "same here"),  # p = .08
        ("held out", 0.0029, "same here"),
    ],
)
def test_practically_the_same_is_a_matter_of_new_data_too(drawn, margin, expected):
    close = BASE + 0.004 * np.random.default_rng(3).standard_normal(20)
    drawn = {"drawn": drawn, "learnt": 80, "test": 20}
    row, _ = of(drawn, *pair(close), same_within=margin)
    assert row.verdict == expected


# --- intervals that say what the test says ------------------------------------------------------


@pytest.mark.parametrize("drawn", ["anew", "split"])
@pytest.mark.parametrize("shift", [0.0, 0.002, 0.004, 0.006, 0.01, 0.02])
def test_an_interval_leaves_out_0_exactly_where_a_difference_is_shown(drawn, shift):
    rng = np.random.default_rng(8)
    losses = [result(f"l{i}", BASE + shift + 0.01 * rng.standard_normal(20)) for i in range(5)]
    summary = {"examples": {"drawn": drawn, "learnt": 80, "test": 20}}
    losses = [replace(r, summary=r.summary | summary) for r in losses]
    base = replace(result("cross_entropy", BASE), summary=losses[0].summary)
    (comparison,) = compare([base, *losses])
    for row in comparison.rows:
        if row.difference:
            inside = row.difference.low <= 0 <= row.difference.high
            beyond = min(abs(row.difference.low), abs(row.difference.high)) > 0
            assert (row.p <= 0.05) == (not inside or not beyond)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_interval_holds_0_where_few_seeds_agree_and_can_show_nothing(sign):
    """Student's interval alone would leave it out."""
    gains = sign * np.array([0.010, 0.011, 0.009, 0.010, 0.012])
    row, _ = of(None, result("cross_entropy", BASE[:5]), result("focal", BASE[:5] + gains))
    student = statistics.t_interval(gains)
    assert student.low * student.high > 0
    assert row.p == 1 / 16
    assert row.difference.low <= 0 <= row.difference.high
    assert row.difference.estimate == pytest.approx(gains.mean())


# --- the rule for the epoch -----------------------------------------------------------------------


def test_the_epoch_can_be_chosen_and_a_disagreement_is_said_first():
    base, focal = pair(BETTER)
    turned = focal.seeds.assign(**{"test_best/accuracy": BASE - 0.02})
    focal = replace(focal, seeds=turned)
    row, comparison = of(None, base, focal)
    assert (row.verdict, row.other_verdict) == ("better", "worse")
    first = comparison.conclusion[0]
    assert first.startswith("The choice of the epoch decides on focal")
    assert answer([comparison]).details[0] == (
        "This is after the last epoch; at the epoch chosen on validation data, focal gets another "
        "verdict."
    )
    assert "better after the last epoch, worse at the epoch chosen on validation data" in first
    row, comparison = of(None, base, focal, at="best")
    assert (row.verdict, row.other_verdict, comparison.at) == ("worse", "better", "best")
    assert "at the epoch chosen on validation data" in said_of(comparison, "focal")


def test_an_epoch_that_runs_are_not_judged_at_counts_as_a_choice():
    """The same values at both: p doubles, unless the losses were tuned at that epoch."""
    both = [
        replace(r, seeds=r.seeds.assign(**{"test_best/accuracy": r.seeds["test/accuracy"]}))
        for r in pair(BETTER)
    ]
    tuned = [
        replace(r, config=replace(r.config, tune=replace(r.config.tune, trials=4, at="best")))
        for r in both
    ]
    row, _ = of(None, *both)
    chosen, comparison = of(None, *both, at="best")
    assert chosen.p_here == pytest.approx(2 * row.p_here)
    assert any("p is multiplied by 2, for either could have been" in n for n in comparison.notes)
    declared, comparison = of(None, *tuned, at="best")
    assert declared.p_here == pytest.approx(row.p_here)
    assert not comparison.notes


# --- what failed, and what is undefined -----------------------------------------------------------


def with_fact(results, **facts) -> list[Result]:
    return [replace(r, summary={**r.summary, **facts}) for r in results]


def test_a_diverged_seed_counts_as_chance_where_the_task_knows_it():
    """Better by .04 on nineteen seeds and diverged on one: at chance the mean is a loss."""
    both = with_fact(pair(BASE + 0.04, diverged=[3]), chance=0.1)
    row, comparison = of(None, *both)
    values = np.where(np.arange(20) == 3, 0.1, BASE + 0.04)
    assert row.score == pytest.approx(values.mean())
    assert row.verdict == "open"
    assert "each counts as accuracy 0.1" in said_of(comparison, "focal")
    assert of(None, *both, metric="log_loss")[1].failed is None  # chance is of the primary metric


def test_a_bound_stands_in_where_chance_is_unknown():
    both = with_fact(pair(BASE + 0.04, diverged=[3]), bounds={"accuracy": [0.0, 1.0]})
    row, _ = of(None, *both)
    assert row.score == pytest.approx(np.where(np.arange(20) == 3, 0, BASE + 0.04).mean())


def test_a_score_that_is_undefined_on_every_seed_is_undefined():
    both = [replace(r, seeds=r.seeds.assign(**{"test/accuracy": np.nan})) for r in pair(BETTER)]
    row, comparison = of(None, *both)
    assert (row.verdict, row.p, row.improvement) == ("undefined", None, None)
    assert "accuracy is undefined on these data" in said_of(comparison, "focal")
    assert not any("both finished" in line for line in mind(comparison))
    json.loads(as_json([comparison]))


def without(result, *seeds):
    """The result with no accuracy on some seeds."""
    gap = result.seeds["test/accuracy"].where(~result.seeds.seed.isin(seeds))
    return replace(result, seeds=result.seeds.assign(**{"test/accuracy": gap}))


def test_seeds_on_which_a_score_is_undefined_for_all_are_left_out():
    row, comparison = of(None, *(without(each, 4) for each in pair(BETTER)))
    assert (row.seeds, comparison.seeds) == (19, 19)
    assert any("undefined on 1 of 20 seeds" in line for line in comparison.conclusion)


def test_a_score_that_one_loss_lacks_is_its_failure():
    """Left out for all, the seeds on which a loss fails would be the ones that do not count."""
    base, focal = pair(BETTER)
    row, comparison = of(None, without(base, 7), without(focal, 4, 5, 7))
    assert (row.seeds, row.gained) == (19, 17)
    assert "undefined on 1 of 20" in comparison.notes[0]
    assert comparison.notes[1] == (
        "No accuracy, where others have one, counts like divergence: 2 of focal."
    )
    assert any("over the 17 seeds on which both finished" in line for line in comparison.conclusion)


def test_a_seed_on_which_both_diverged_is_not_one_without_a_score():
    base, focal = (
        result(x, v, diverged=[3]) for x, v in (("cross_entropy", BASE), ("focal", BETTER))
    )
    row, comparison = of(None, base, focal)
    assert (row.seeds, row.diverged) == (20, 1)
    assert not any("undefined" in note or note.startswith("No ") for note in comparison.notes)


def test_an_infinite_score_counts_like_divergence_and_is_said():
    base, focal = pair(BETTER)
    values = focal.seeds["test/accuracy"].where(focal.seeds.seed != 4, -np.inf)
    row, comparison = of(
        None, base, replace(focal, seeds=focal.seeds.assign(**{"test/accuracy": values}))
    )
    assert np.isnan(row.differences[4])
    assert row.gained == 19
    assert any("Infinite accuracy" in line for line in comparison.conclusion)


def test_an_interval_beside_failed_seeds_is_of_those_that_finished():
    """A failed baseline decides; the mean of the others has an interval of its own, 0 inside."""
    base = result("cross_entropy", BASE, diverged=range(12))
    values = BASE + np.resize([0.01, -0.006, 0.008, -0.005], 20)
    row, _ = of(None, *with_fact([base, result("focal", values)], chance=0.1))
    known = np.array(row.differences)[12:]
    low, high = stats.t.interval(0.95, 7, known.mean(), stats.sem(known))
    assert row.verdict == "better"
    assert (row.difference.low, row.difference.high) == pytest.approx((low, high))
    assert low < 0 < known.mean()


def test_where_the_origin_is_unknown_the_detectable_difference_is_that_of_independent_seeds():
    row, _ = of(None, *with_fact(pair(SAME), examples={}))
    seen = statistics.smallest_detectable_difference(np.std(SAME - BASE, ddof=1), 20)
    assert row.detectable == pytest.approx(seen)


def test_no_detectable_difference_is_named_where_seeds_failed():
    row, _ = of(None, *with_fact(pair(SAME, diverged=[3]), chance=0.1))
    assert (row.verdict, row.detectable) == ("open", None)


def test_differences_reruns_and_what_is_detectable_lie_within_the_bounds_of_the_metric():
    values = np.array([0.99, 0.05, 0.93, 0.9, 0.03, 0.99])
    base = np.array([0.95, 0.99, 0.9, 0.92, 0.97, 0.99])
    both = [result("cross_entropy", base[:3]), result("focal", values[:3])]
    row, _ = of(None, *with_fact(both, bounds={"accuracy": [0.0, 1.0]}))
    assert (row.difference.low, row.difference.high, row.rerun) == (-1.0, 1.0, 1.0)
    both = [result("cross_entropy", base), result("focal", values)]
    row, _ = of(None, *with_fact(both, bounds={"accuracy": [0.0, 1.0]}))
    assert row.detectable == np.inf


def test_a_rare_collapse_is_named():
    values = BASE + 0.01
    values[7] = BASE[7] - 0.2
    row, comparison = of(None, *pair(values))
    assert row.verdict == "open"
    assert "On one seed the difference is -0.2" in said_of(comparison, "focal")
    assert "against most others" in said_of(comparison, "focal")
    _, comparison = of(None, *pair(BETTER))
    assert any(
        "1 seed in 7 may not have been met in 20 seeds" in line for line in comparison.conclusion
    )


@pytest.mark.parametrize("rare", [0.4, -0.03])
def test_a_rare_seed_in_the_usual_direction_or_of_a_usual_size_is_no_collapse(rare):
    gains = np.append(np.full(19, 0.01) + 0.001 * np.arange(19) / 19, rare)
    _, comparison = of(None, *pair(BASE + gains))
    assert "against most others" not in " ".join(comparison.conclusion)


def test_no_number_of_seeds_is_named_that_there_are_already():
    """Twenty skewed differences are open, though six like their mean would be enough."""
    row, comparison = of(None, *pair(BASE + np.repeat([0.01, 0.0, -0.01], [17, 2, 1])))
    assert row.verdict == "open"
    assert row.settled_on_new_by < 20
    assert seeds_on_new_data(row) is None
    assert seeds_on_new_data(replace(row, settled_on_new_by=21)) == 21
    assert "would settle it" not in said_of(comparison, "focal")


def test_two_seeds_have_no_interval():
    _, comparison = of(None, result("cross_entropy", BASE[:2]), result("focal", SAME[:2]))
    assert "nan" not in as_markdown([comparison], None)
    assert "interval" not in said_of(comparison, "focal")


@pytest.mark.parametrize(
    ("number", "shown"), [(1234, 1300), (99.5, 100), (7.2, 8), (176_814, 180_000), (20, 20)]
)
def test_examples_are_rounded_up_to_two_digits(number, shown):
    assert round_up(number) == shown


def test_six_seeds_name_a_number_of_examples_and_five_do_not():
    five, six = (
        of(SPLIT, *(result(x, v[:n]) for x, v in (("cross_entropy", BASE), ("focal", SLIGHT))))[0]
        for n in (5, 6)
    )
    assert (five.examples_needed, five.settled_by) == (None, None)
    assert six.examples_needed


def test_rows_are_resampled_with_the_metric_itself():
    """Tensor road of the row bootstrap: a metric that is no mean over rows works too."""
    first, second = held_out(BASE, 0.9, 0), held_out(BASE, 0.6, 1)
    assert row_variance([(first, "macro_f1", "test", 1.0), (second, "macro_f1", "test", -1.0)]) > 0
    assert row_variance([(first, "macro_f1", "test", 1.0), (first, "macro_f1", "test", -1.0)]) == 0
    without = replace(second, predictions=())
    parts = [(side, "accuracy", "test", weight) for side, weight in ((first, 1), (without, -1))]
    assert np.isnan(row_variance(parts))


def test_rows_are_resampled_with_their_targets():
    """What is right on every row is so on any draw of them, and does not vary."""
    right, wrong = (held_out(BASE, share, 0).predictions[0].load() for share in (1.0, 0.5))
    kept = PerSeed(tuple(range(20)), lambda: {**right, "validation": wrong["validation"]})
    perfect = replace(result("cross_entropy", BASE), predictions=(kept,))
    assert row_variance([(perfect, "accuracy", "test", 1.0)]) == 0


# --- looks ----------------------------------------------------------------------------------------


def test_seeds_that_were_added_are_a_second_look():
    """p doubles, the interval widens, and a sentence says so; more seeds would be a third look."""
    once, _ = of(None, *pair(SLIGHT))
    both = [replace(r, summary={**r.summary, "looks": 2}) for r in pair(SLIGHT)]
    twice, comparison = of(None, *both)
    assert twice.p == pytest.approx(min(1, 2 * once.p))
    assert twice.difference.low < once.difference.low
    (said,) = [
        line for line in comparison.conclusion if line.startswith("Seeds were added 1 time,")
    ]
    assert said.endswith(": p is multiplied by 2.")
    assert once.looks == 1


def test_what_seeds_can_show_is_corrected_for_all_comparisons_and_looks():
    """Two comparisons at the second of their looks; more seeds would be the third."""
    results = *pair(SLIGHT), result("poly", SAME)
    results = [replace(r, summary={**r.summary, "looks": 2}) for r in results]
    row, _ = of(None, *results)
    d = SAME - BASE
    expected = statistics.smallest_detectable_difference(d.std(ddof=1), 20, comparisons=2 * 2)
    assert row.detectable == pytest.approx(expected)
    assert row.settled_by == statistics.seeds_to_settle(d, comparisons=2 * 3)
    assert row.settled_by > statistics.seeds_to_settle(d, comparisons=2)


@pytest.mark.parametrize("which", [0, 1])
def test_seeds_that_were_added_to_one_of_two_losses_are_a_second_look_too(which):
    once, _ = of(None, *pair(SLIGHT))
    results = list(pair(SLIGHT))
    results[which] = replace(results[which], summary={**results[which].summary, "looks": 2})
    twice, _ = of(None, *results)
    assert twice.p == pytest.approx(2 * once.p)


def test_seeds_too_few_for_any_verdict_are_no_look():
    """Five seeds cannot end in a verdict, so that those added to them are the first look."""
    few, more, most = (
        result("focal", BASE[at], seeds=list(range(20))[at])
        for at in (slice(0, 5), slice(5, 12), slice(12, 20))
    )
    assert results.looks_of(results.merged([few])) == 1
    assert results.looks_of(results.merged([few, more])) == 1
    assert results.looks_of(results.merged([few, more, most])) == 2


def test_stored_seeds_that_were_not_asked_for_are_counted():
    """Twelve of twenty that are stored, as a request for these alone takes them."""
    made = [
        results.of_seeds(results.merged([result(loss, values)]), range(12))
        for loss, values in (("cross_entropy", BASE), ("focal", BETTER))
    ]
    _, comparison = of(None, *made)
    assert comparison.notes == (
        "Seeds left out, which are stored and were not asked for: 8 of cross_entropy, 8 of focal.",
    )
    _, whole = of(None, *(results.merged([result(loss, BASE)]) for loss in ("poly", "focal")))
    assert not whole.notes


def test_seeds_that_can_show_nothing_are_said_with_those_that_can_at_the_next_look():
    """Six at the third look, p tripled, show nothing; seven would, and at the fourth eight can."""
    made = result("cross_entropy", BASE[:6]), result("focal", BETTER[:6])
    made = [replace(r, summary={**r.summary, "looks": 3}) for r in made]
    _, comparison = of(None, *made)
    assert 4 * statistics.smallest_p(7) > 0.05 >= 4 * statistics.smallest_p(8)
    few = "6 seeds can never reach p = .05 in 1 comparison with p multiplied by 3: 8 are needed"
    assert f"{few} (seeds=8)." in comparison.conclusion


def test_planned_looks_at_other_losses_are_none_at_this_one():
    """The yardstick of several proposals has the looks of all; by hand each counts."""
    base, focal = pair(SLIGHT)
    base = replace(base, summary={**base.summary, "planned_looks": 6, "looks": 15, "parts": 2})
    planned = {"planned_looks": 4, "looks": 4, "parts": 3}
    proposed, comparison = of(None, base, replace(focal, summary={**focal.summary, **planned}))
    assert proposed.looks == 4
    assert any(
        "4 looks at whether" in x and "for 3 of them seeds" in x for x in comparison.conclusion
    )
    added = replace(focal, summary={**focal.summary, **planned, "looks": 5})
    assert of(None, base, added)[0].looks == 15
    assert of(None, base, focal)[0].looks == 15


def test_parts_of_a_result_that_add_seeds_are_counted(tmp_path):
    parts = [
        result("focal", BASE[at], seeds=list(range(20))[at]) for at in (slice(12), slice(12, 20))
    ]
    merged = results.merged(parts)
    assert results.looks_of(merged) == 2
    assert results.looks_of(results.merged([parts[0], parts[0]])) == 1  # trained again, not added
    again = results.of_seeds(parts[0], [0])
    assert results.looks_of(results.merged([parts[0], again])) == 1
    planned = replace(parts[0], summary={**parts[0].summary, "planned_looks": 4})
    assert results.looks_of(results.merged([planned])) == 4
    assert results.looks_of(results.merged([planned, parts[1]])) == 5
    other = replace(parts[1], summary={**parts[1].summary, "planned_looks": 4})
    assert results.looks_of(results.merged([planned, other])) == 4
    fewer = replace(parts[1], summary={**parts[1].summary, "planned_looks": 3})
    both = results.merged([planned, fewer])
    assert [results.looks_of(with_plan(both, looks)) for looks in (4, 3, 2)] == [7, 7, 9]


# --- the best, its rivals, and a rerun -----------------------------------------------------------


def test_losses_that_may_be_the_best_are_named_after_correction_over_all_pairs():
    losses = (result("cross_entropy", BASE), result("poly", SAME), result("focal", BETTER))
    _, comparison = of(None, *losses)
    assert comparison.leading == ("focal",)
    assert any("focal is told apart from all others" in line for line in comparison.conclusion)
    near = result("poly", BETTER + 0.001 * np.random.default_rng(5).standard_normal(20))
    _, comparison = of(None, losses[0], near, losses[2])
    assert set(comparison.leading) == {"focal", "poly"}
    p = statistics.sign_flip_test(BETTER - near.seeds["test/accuracy"].to_numpy())
    assert 3 * p > 0.05  # three pairs


def test_a_loss_whose_distance_from_the_best_fails_the_correction_may_be_the_best():
    """Of three losses p counts three times, whichever pair it is of."""
    behind = 0.005 + 0.0083 * np.random.default_rng(4).standard_normal(20)
    assert 0.05 / 3 < statistics.sign_flip_test(behind) < 0.05
    losses = result("cross_entropy", BASE), result("poly", BETTER - behind)
    _, comparison = of(None, *losses, result("focal", BETTER))
    assert comparison.leading == ("focal", "poly")
    _, comparison = of(None, losses[1], result("focal", BETTER))
    assert comparison.leading == ("focal",)


def test_of_five_losses_any_may_be_the_best_that_fails_the_correction_over_ten_pairs():
    """Eight seeds that all agree: p = 2 / 256, which five times would be below .05."""
    names = ("cross_entropy", "poly", "brier", "squared_error", "focal")
    losses = [result(name, BASE[:8] + 0.01 * place) for place, name in enumerate(names)]
    _, comparison = of(None, *losses)
    assert comparison.leading == ("focal", "squared_error", "brier", "poly")


def test_the_first_stays_first_where_the_lead_is_clear():
    rng = np.random.default_rng(0)
    clear = rng.standard_normal((20, 3)) + np.array([0, 0, 9])
    equal = rng.standard_normal((400, 4))
    assert statistics.first_stays(clear) == 1.0
    assert statistics.first_stays(equal[:, :1].repeat(2, axis=1)) == pytest.approx(0.5)
    assert statistics.first_stays(equal) < 0.6


def test_a_rerun_falls_within_its_margin():
    """Of 2,000 pairs of studies of 8 seeds, in 95 % the second mean lies within it."""
    first, second = np.random.default_rng(1).standard_normal((2, 2_000, 8))
    inside = [
        abs(x.mean() - y.mean()) <= statistics.rerun_margin(x)
        for x, y in zip(first, second, strict=True)
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    _, comparison = of(None, *pair(BETTER))
    assert any("A rerun with as many other seeds" in line for line in comparison.conclusion)


# --- ranks over datasets ----------------------------------------------------------------------


def test_settings_of_one_generator_count_as_one_dataset_and_missing_losses_are_named():
    made = []
    for number in range(4):
        sections = on("made" if number < 3 else "other")
        sections["dataset"]["noise"] = number
        made += [
            result(loss, values + number, sections=sections)
            for loss, values in (("cross_entropy", BASE), ("focal", BETTER), ("poly", SAME))
            if number or loss != "poly"
        ]
    (group,) = datasets(compare(made))
    ranking = rank_losses(group)
    assert ranking.datasets == {"made": 3, "other": 1}
    assert list(ranking.ranks) == ["focal", "cross_entropy"]
    said = " ".join(ranking.conclusion)
    assert "count once, by their mean rank: made (3)" in said
    assert "because a dataset lacks them: poly" in said
