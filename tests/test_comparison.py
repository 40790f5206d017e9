"""Comparisons: paired, corrected, in words that say no more than the numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_results import BASE, BETTER, RNG, SAME, on, result
from scipy import stats

from lossbench import statistics
from lossbench.comparison import compare
from lossbench.contract import UserError
from lossbench.report import tables
from lossbench.report.export import as_json
from lossbench.results import Result


def rows_of(*results: Result, **how):
    (comparison,) = compare(results, **how)
    return {row.label: row for row in comparison.rows}, comparison


def test_the_numbers_are_those_of_scipy():
    rows, _ = rows_of(result("cross_entropy", BASE), result("focal", BETTER), result("poly", SAME))
    for label, values in (("focal", BETTER), ("poly", SAME)):
        row, difference = rows[label], values - BASE
        low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
        assert row.metrics["accuracy"].low == pytest.approx(low)
        assert row.metrics["accuracy"].high == pytest.approx(high)
        assert row.difference.estimate == pytest.approx(difference.mean())
        low, high = stats.t.interval(0.975, 19, difference.mean(), stats.sem(difference))
        assert (row.difference.low, row.difference.high) == pytest.approx((low, high))
        assert row.improvement == np.mean(difference > 0)
    sampled = stats.permutation_test(
        (BETTER - BASE,), np.mean, permutation_type="samples", n_resamples=20_000, rng=0
    )
    assert rows["focal"].p <= 2 * sampled.pvalue
    assert rows["focal"].verdict == "better"
    assert rows["poly"].verdict == "open"


def test_differences_are_paired_by_seed_whatever_the_order_of_the_rows():
    shuffled = RNG.permutation(20)
    first, _ = rows_of(result("cross_entropy", BASE), result("focal", BETTER))
    moved = result("focal", BETTER[shuffled], seeds=shuffled.tolist())
    second, _ = rows_of(result("cross_entropy", BASE), moved)
    assert first["focal"].difference == second["focal"].difference


def test_less_is_better_turns_the_verdict_not_the_difference():
    rows, _ = rows_of(result("cross_entropy", BASE), result("focal", BETTER), metric="log_loss")
    assert rows["focal"].verdict == "better"
    assert rows["focal"].difference.estimate < 0


def test_a_margin_that_no_difference_can_exceed_is_refused():
    """Points where a share is meant: 5 for 0.05."""
    made = [result("cross_entropy", BASE), result("focal", BETTER)]
    shares = [replace(r, summary={**r.summary, "bounds": {"accuracy": [0, 1]}}) for r in made]
    for margin in (1.0, 5.0):
        with pytest.raises(UserError, match=f"same-within {margin:g}: accuracy is between 0 and 1"):
            compare(shares, same_within=margin)
    assert compare(shares, same_within=0.99)
    assert compare(made, same_within=5.0)


def test_identical_results_are_called_identical_not_a_tie():
    rows, comparison = rows_of(result("cross_entropy", BASE), result("focal", BASE))
    assert rows["focal"].verdict == "identical"
    assert "gave the results of cross_entropy" in comparison.conclusion[0]


def test_results_that_differ_by_rounding_are_identical_in_whatever_unit():
    rounded = rows_of(result("cross_entropy", BASE), result("focal", BASE * (1 + 1e-7)))
    assert rounded[0]["focal"].verdict == "identical"
    small = rows_of(result("cross_entropy", 1e-9 * BASE), result("focal", 1e-9 * SAME))
    assert small[0]["focal"].verdict != "identical"


def test_diverged_replicas_count_as_lost_and_are_not_averaged():
    ill = result("focal", BETTER, diverged=range(12))
    rows, _ = rows_of(result("cross_entropy", BASE), ill)
    assert rows["focal"].diverged == 12
    assert rows["focal"].improvement == 8 / 20
    assert rows["focal"].metrics["accuracy"].estimate == pytest.approx(BETTER[12:].mean())
    assert rows["focal"].verdict != "better"


def test_a_loss_that_always_diverged_comes_last_and_can_be_printed():
    ill = result("focal", BASE, diverged=range(20))
    _, comparison = rows_of(result("cross_entropy", BASE), ill)
    assert comparison.rows[-1].label == "focal"
    assert comparison.rows[-1].verdict == "worse"
    assert "diverged" in tables.as_csv([comparison])


def test_too_few_seeds_are_said_with_the_number_needed():
    losses = [result(name, BASE[:5] + i) for i, name in enumerate(["cross_entropy", "focal"])]
    _, comparison = rows_of(*losses)
    assert (
        "5 seeds can never reach p = .05 in 1 comparison: 6 are needed" in comparison.conclusion[1]
    )


@pytest.mark.parametrize(
    ("tied", "words"),
    [
        (0, "better on 20 of 20 seeds."),
        (1, "better on 19 of 20 seeds, 1 tie."),
        (10, "better on 10 of 20 seeds, 10 ties."),
    ],
)
def test_a_verdict_counts_the_seeds_that_gained_and_those_that_tied(tied, words):
    gains = np.where(np.arange(20) < tied, 0, 0.01)
    _, comparison = rows_of(result("cross_entropy", BASE), result("focal", BASE + gains))
    assert words in comparison.conclusion[0]


def test_seeds_that_gained_tied_and_lost_are_counted_apart():
    gains = np.repeat([0.01, 0.0, -0.01], [9, 4, 7])
    rows, _ = rows_of(result("cross_entropy", BASE), result("focal", BASE + gains))
    assert (rows["focal"].gained, rows["focal"].ties) == (9, 4)


def test_an_open_question_is_never_called_no_difference():
    _, comparison = rows_of(result("cross_entropy", BASE), result("poly", SAME))
    said = " ".join(comparison.conclusion)
    assert "not settled" in said
    assert "no difference" not in said


def test_namesakes_are_told_apart_by_what_differs():
    rows, _ = rows_of(
        result("cross_entropy", BASE),
        result("focal", SAME, gamma=1.0),
        result("focal", BETTER, gamma=2.0),
    )
    assert set(rows) == {"cross_entropy", "focal gamma=1.0", "focal gamma=2.0"}


def test_an_unknown_metric_or_baseline_is_refused_by_name():
    losses = [result("cross_entropy", BASE), result("focal", SAME)]
    with pytest.raises(UserError, match="Did you mean accuracy"):
        compare(losses, metric="acuracy")
    with pytest.raises(UserError, match="Did you mean focal"):
        compare(losses, baseline="foccal")


def test_a_yardstick_is_the_baseline_though_another_loss_is_in_more_settings():
    blobs, wine = ({"sections": on(name)} for name in ("blobs", "wine"))
    losses = result("cross_entropy", BASE, **blobs), result("focal", BETTER, **blobs)
    first, second = compare(
        [*losses, result("focal", BETTER, **wine), result("poly", SAME, **wine)]
    )
    assert (first.baseline, second.baseline) == ("cross_entropy", "focal")
    assert "cross_entropy was not trained here, so the baseline is focal." in second.notes


def test_losses_identical_to_each_other_are_said_to_be():
    _, comparison = rows_of(
        result("cross_entropy", BASE), result("focal", BETTER), result("poly", BETTER)
    )
    assert "focal, poly gave the same results, seed for seed." in comparison.conclusion


def test_two_losses_that_always_diverged_are_not_identical():
    ill = [result(n, BASE, diverged=range(20)) for n in ("cross_entropy", "focal")]
    rows, _ = rows_of(*ill)
    assert rows["focal"].verdict == "open"


def test_a_loss_is_placed_by_its_mean_with_diverged_replicas_as_the_worst():
    """Eight fine replicas of twenty do not make a winner, though their mean is the highest."""
    ill = result("focal", BETTER, diverged=range(12))
    rows, comparison = rows_of(result("cross_entropy", BASE), ill)
    assert [row.label for row in comparison.rows] == ["cross_entropy", "focal"]
    assert rows["focal"].metrics["accuracy"].estimate > rows["cross_entropy"].score
    assert rows["focal"].leads < 0.05
    said = comparison.conclusion[0]
    assert "Diverged: 12 of 20 seeds of focal; each counts as the worst outcome." in said
    assert "over the 8 seeds on which both finished, +0.0215, which is the other way." in said
    assert "+0.0215" not in said.partition(";")[0]


def test_of_every_two_losses_it_is_counted_on_which_of_their_seeds_the_first_is_better():
    """Ties count half, failed seeds lose, and seeds that a third loss lacks count."""
    values = {"cross_entropy": [3, 3, 3, 3], "focal": [3, 4, 4, 1], "poly": [5, 2]}
    made = [result(name, scores) for name, scores in values.items()]
    made[0].seeds.loc[3, ["test/accuracy", "status"]] = [np.nan, "diverged"]
    (comparison,) = compare(made)
    assert comparison.better_shares == {
        "cross_entropy": {"focal": 0.125, "poly": 0.5},
        "focal": {"cross_entropy": 0.875, "poly": 0.5},
        "poly": {"cross_entropy": 0.5, "focal": 0.5},
    }
    table = tables.as_markdown([comparison], None)
    assert "| P(better) than | " in table
    assert "88%" in table
    (told,) = json.loads(as_json([comparison]))["conclusions"]
    assert told["better_shares"] == comparison.better_shares
    two = compare(made[:2])[0]
    assert "P(better) than" not in tables.as_markdown([two], None)


def with_metric(made: Result, name: str, values, direction: int = 1) -> Result:
    """The result with another test metric."""
    summary = {**made.summary, "directions": {**made.summary["directions"], name: direction}}
    columns = {f"{place}/{name}": values for place in ("test", "test_best")}
    return replace(made, seeds=made.seeds.assign(**columns), summary=summary)


def test_a_metric_that_was_chosen_by_hand_is_one_of_those_that_could_have_been():
    """log_loss is 1 - accuracy here and asks nothing else; recall and specificity do."""
    made = [result("cross_entropy", BASE), result("focal", BASE + 0.4 * (BETTER - BASE))]
    for name, direction in (("recall", 1), ("specificity", 1), ("overconfidence", 0)):
        made = [with_metric(each, name, RNG.standard_normal(20), direction) for each in made]
    _, named = rows_of(*made)
    _, judged = rows_of(*[with_metric(each, "f1", each.seeds["test/accuracy"]) for each in made])
    _, comparison = rows_of(*made, metric="recall")
    assert (named.tried, judged.tried, comparison.tried) == (1, 1, 3)
    d = np.subtract(*[each.seeds["test/recall"] for each in reversed(made)])
    focal = comparison.row("focal")
    assert focal.p == pytest.approx(min(1, 3 * statistics.mean_test(d)))
    width = stats.sem(d) * stats.t.isf(0.025 / 3, 19)
    assert focal.difference.high == pytest.approx(max(0, d.mean() + width))
    assert comparison.conclusion[-1] == (
        "Compared by recall, while accuracy is what these runs are judged by: p is multiplied by "
        "3, for so many metrics could have been chosen."
    )
    assert not any("Compared by" in line for line in named.conclusion)


def test_what_was_left_out_of_the_results_counts_as_open_in_the_correction():
    """The smallest of two p is multiplied by all five, the next by four; intervals likewise."""
    made = result("cross_entropy", BASE), result("focal", BETTER), result("poly", BASE + 0.004)
    rows, comparison = rows_of(*made, counted=5)
    p = statistics.sign_flip_test(BETTER - BASE)
    assert rows["focal"].p == pytest.approx(5 * p)
    assert comparison.family == 5
    alone, _ = rows_of(*made[:2])
    assert rows["focal"].difference.low < alone["focal"].difference.low
    assert rows_of(*made, counted=1)[1].family == 2


def test_what_a_verdict_tells_apart_from_the_baseline_is_no_rival_of_the_best():
    """Of p that Holm's two comparisons bear and three pairs do not; whichever of two is best."""
    behind = 0.005 + 0.0074 * np.random.default_rng(4).standard_normal(20)
    assert 0.05 / 3 < statistics.sign_flip_test(behind) < 0.05 / 2
    near = result("poly", BASE - 0.001 + 0.01 * RNG.standard_normal(20))
    _, comparison = rows_of(result("cross_entropy", BASE), near, result("focal", BASE - behind))
    assert comparison.row("focal").verdict == "worse"
    assert comparison.leading == ("cross_entropy", "poly")
    _, comparison = rows_of(result("cross_entropy", BASE - behind), near, result("focal", BASE))
    assert comparison.row("focal").verdict == "better"
    assert comparison.leading == ("focal", "poly")


def test_numbers_that_differ_by_rounding_alone_are_ties():
    """Two forms of one loss in single precision; a difference of a ten-thousandth counts."""
    single = BASE.astype(np.float32)
    beside = np.nextafter(single, np.float32(2))
    _, comparison = rows_of(result("cross_entropy", single), result("focal", beside))
    focal = comparison.row("focal")
    assert (focal.verdict, focal.ties, focal.p) == ("identical", 20, 1.0)
    assert set(focal.differences) == {0.0}
    _, comparison = rows_of(result("cross_entropy", single), result("focal", single * 1.0001))
    assert comparison.row("focal").ties == 0


@pytest.mark.parametrize("step", [0.0, 0.02])
def test_differences_without_any_spread_have_no_interval(step):
    """That twenty seeds all gave one difference does not mean that every seed would."""
    rows, comparison = rows_of(
        result("cross_entropy", BASE.astype(np.float32)),
        with_metric(result("focal", (BASE + step).astype(np.float32)), "recall", SAME),
    )
    assert np.isnan([rows["focal"].difference.low, rows["focal"].difference.high]).all()
    assert f"{step:+.4f}" in comparison.conclusion[0]
    assert "interval" not in comparison.conclusion[0]


def test_seeds_of_the_baseline_that_diverged_are_named_and_one_seed_is_singular():
    ill = result("cross_entropy", BASE, diverged=range(19))
    _, comparison = rows_of(ill, result("focal", BETTER))
    said = comparison.conclusion[0]
    assert "Diverged: 19 of 20 seeds of cross_entropy; each counts as the worst outcome." in said
    assert "over the seed on which both finished." in said


def test_a_difference_that_rounding_left_is_none_and_a_small_one_keeps_its_size():
    turns = np.tile([0.01, -0.01], 10) + 1e-10
    _, comparison = rows_of(result("cross_entropy", BASE), result("focal", BASE + turns))
    assert "difference +0.0000 (" in comparison.conclusion[0]
    _, comparison = rows_of(
        result("cross_entropy", BASE * 1e-6), result("focal", BASE * 1e-6 + 2e-8)
    )
    assert "by +2.0e-08; p = " in comparison.conclusion[0]
    assert "| +2.0e-08 |" in tables.as_markdown([comparison], None)


def test_p_is_corrected_over_every_comparison_of_the_call():
    """Two datasets of two comparisons each are a family of four."""
    tables_of = {
        name: [
            result(loss, values, sections=on(name))
            for loss, values in (("cross_entropy", BASE), ("focal", worse), ("poly", SAME))
        ]
        for name, worse in (("moons", SAME - 0.003), ("blobs", BETTER))
    }
    found = compare([r for results in tables_of.values() for r in results])
    raw = [
        statistics.sign_flip_test(values - BASE) for values in (SAME - 0.003, SAME, BETTER, SAME)
    ]
    corrected = [c.row(label).p for c in found for label in ("focal", "poly")]
    np.testing.assert_allclose(corrected, statistics.holm(raw), rtol=1e-6)
    assert all(c.family == 4 for c in found)
    assert any("corrected over all 4 comparisons" in line for line in found[0].conclusion)


def test_an_open_question_says_what_could_be_seen_and_what_would_settle_it():
    rows, comparison = rows_of(result("cross_entropy", BASE), result("poly", SAME))
    needed = statistics.seeds_to_settle(SAME - BASE, comparisons=2)  # a second look
    seen = statistics.smallest_detectable_difference(np.std(SAME - BASE, ddof=1), 20)
    assert rows["poly"].settled_by == needed
    assert rows["poly"].detectable == pytest.approx(seen)
    assert f"difference found 4 times in 5 is {seen:.4f}" in comparison.conclusion[0]
    assert f"{needed:,} seeds would settle it 4 times in 5." in comparison.conclusion[0]


@pytest.mark.parametrize(
    "gains", [[0.01, 0.02, 0.01, 0.03, 0.02], [0.0101, -0.0099] * 10], ids=["five seeds", "noise"]
)
def test_few_seeds_and_mere_noise_promise_no_number_of_seeds(gains):
    base = BASE[: len(gains)]
    rows, comparison = rows_of(result("cross_entropy", base), result("focal", base + gains))
    assert rows["focal"].verdict == "open"
    assert "would settle" not in " ".join(comparison.conclusion)


@pytest.mark.parametrize(("margin", "verdict"), [(0.01, "same"), (0.002, "open")])
def test_practically_the_same_needs_a_margin_and_evidence(margin, verdict):
    rows, comparison = rows_of(
        result("cross_entropy", BASE), result("poly", SAME), same_within=margin
    )
    assert rows["poly"].verdict == verdict
    assert rows["poly"].same_p == pytest.approx(statistics.equivalence_test(SAME - BASE, margin))
    assert ("practically the same: within 0.01" in comparison.conclusion[0]) == (verdict == "same")


def test_a_real_but_small_difference_is_both():
    rows, comparison = rows_of(
        result("cross_entropy", BASE), result("focal", BETTER), same_within=0.05
    )
    assert rows["focal"].verdict == "better"
    assert "real but within 0.05" in comparison.conclusion[0]


@pytest.mark.parametrize("which", [0, 1])
def test_a_replica_that_diverged_is_never_practically_the_same(which):
    diverged = [[3] * (which == k) for k in range(2)]
    base = result("cross_entropy", BASE, diverged=diverged[0])
    rows, _ = rows_of(base, result("poly", SAME, diverged=diverged[1]), same_within=1.0)
    assert rows["poly"].same_p == 1


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(UserError, match="expected a number above 0"):
        compare([result("cross_entropy", BASE)], same_within=margin)


def test_a_loss_on_other_seeds_is_compared_unpaired_and_said_to_be():
    other = result("alias", RNG.permutation(BASE), seeds=list(range(20, 40)))
    rows, comparison = rows_of(result("cross_entropy", BASE), other)
    assert not comparison.paired
    assert rows["alias"].verdict == "open"
    assert any("compared unpaired" in line for line in comparison.conclusion)


@pytest.mark.slow
def test_a_loss_against_itself_on_other_seeds_is_open_at_the_nominal_rate():
    """Of 150 comparisons at most 5 %, plus three standard errors, find a difference."""
    generator, seeds = np.random.default_rng(1), list(range(20, 40))
    found = 0
    for _ in range(150):
        one, other = generator.standard_normal((2, 20))
        rows, _ = rows_of(result("cross_entropy", one), result("alias", other, seeds=seeds))
        found += rows["alias"].verdict != "open"
    assert found / 150 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


def test_seeds_that_not_all_losses_have_are_left_out_and_said_to_be():
    fewer = result("focal", BETTER[:12])
    rows, comparison = rows_of(result("cross_entropy", BASE), fewer)
    assert rows["cross_entropy"].seeds == comparison.seeds == 12
    assert any("Seeds left out" in x and "8 of cross_entropy" in x for x in comparison.notes)


def test_each_loss_is_compared_on_the_seeds_that_it_shares_with_the_baseline():
    """A loss with few seeds takes none away from the others, and is counted on its own."""
    few = result("focal", BETTER[4:16], seeds=list(range(4, 16)))
    rows, comparison = rows_of(result("cross_entropy", BASE), few, result("poly", SAME))
    assert [rows[label].seeds for label in ("cross_entropy", "focal", "poly")] == [20, 12, 20]
    alone, _ = rows_of(result("cross_entropy", BASE), few)
    assert rows["focal"].differences == alone["focal"].differences
    assert rows["focal"].differences == tuple(BETTER[4:16] - BASE[4:16])
    assert rows["focal"].gained == alone["focal"].gained == 12
    assert rows["poly"].differences == tuple(SAME - BASE)
    assert "better on 12 of 12 seeds" in comparison.conclusion[0]
    assert comparison.seeds == 12
    assert any("cross_entropy 20, focal 12, poly 20" in note for note in comparison.notes)
    assert "12 to 20 seeds" in tables.as_markdown([comparison], None)


def test_losses_are_ordered_by_the_seeds_that_all_share():
    """Seeds on which all do better lift only those that have them."""
    lifted = np.append(BASE, BASE[:5] + 1)
    higher = result("cross_entropy", lifted), result("poly", lifted - 0.001)
    rows, _ = rows_of(*higher, result("focal", BASE + 0.01))
    assert list(rows) == ["focal", "cross_entropy", "poly"]
    assert rows["poly"].metrics["accuracy"].estimate > rows["focal"].score


def test_identical_results_are_found_on_the_seeds_that_both_have():
    rows, _ = rows_of(result("cross_entropy", BASE), result("a", BASE[:8]), result("b", SAME))
    assert rows["a"].verdict == "identical"


def test_a_loss_that_shares_no_seed_leaves_the_others_paired():
    apart = result("focal", BETTER[:6], seeds=list(range(50, 56)))
    rows, comparison = rows_of(result("cross_entropy", BASE), apart, result("poly", SAME))
    assert not comparison.paired
    assert rows["poly"].differences == tuple(SAME - BASE)
    assert rows["focal"].differences == tuple(BETTER[:6] - BASE[:6])


def test_one_loss_twice_is_two_rows():
    rows, _ = rows_of(result("focal", BASE), result("focal", BASE + 1, seeds=list(range(20, 40))))
    assert set(rows) == {"focal", "focal #2"}


# --- tuning budgets -------------------------------------------------------------------------


def test_runs_of_different_budgets_are_ranked_apart_and_said_to_be():
    default = [result(n, v) for n, v in (("cross_entropy", BASE), ("focal", SAME))]
    tuned = [result(n, v, trials=16) for n, v in (("cross_entropy", BASE), ("focal", BETTER))]
    found = compare([*default, *tuned])
    assert [c.setting["tuning"] for c in found] == ["untuned", "tuned with 16 trials x 3 seeds"]
    assert all(len(c.rows) == 2 for c in found)
    assert "not ranked against each other" in found[0].conclusion[-1]


def test_budgets_that_leave_nothing_to_rank_are_refused_by_name():
    uneven = [result("cross_entropy", BASE), result("focal", BETTER, trials=16)]
    said = "focal tuned: tuned with 16 trials x 3 seeds.*--mixed-budgets"
    with pytest.raises(UserError, match=said):
        compare(uneven)
    (comparison,) = compare(uneven, mixed_budgets=True)
    assert comparison.row("focal tuned").verdict == "better"
    assert "not fair" in comparison.conclusion[-1]
    one_loss = compare([result("focal", BASE), result("focal", BETTER, trials=16)])
    assert [len(c.rows) for c in one_loss] == [1, 1]


# --- tasks together -------------------------------------------------------------------------


def test_a_metric_that_a_task_lacks_falls_back_to_its_primary_one_and_says_so():
    other = result("squared_error", BASE, sections=on("diabetes"))
    other.summary.update(task="regression", primary="log_loss", directions={"log_loss": -1})
    other.summary.update(task_fields={"input_shape": [2]})
    found = compare([result("cross_entropy", BASE), other], metric="accuracy")
    assert [c.metric for c in found] == ["accuracy", "log_loss"]
    assert found[1].notes == ("regression is compared by log_loss: it has no accuracy.",)
