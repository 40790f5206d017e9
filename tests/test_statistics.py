"""Statistics against scipy, published worked examples, identities and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lossbench import statistics as s

# Student's sleep data (1908): extra hours, the second drug less the first
SLEEP = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
# Darwin's maize (1876), Fisher (1935) section 21: 863 of 32,768 sums reach the observed one upwards
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])

differences = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=12).map(
    np.array
)
seeded = settings(max_examples=40, deadline=None, derandomize=True)


# --- diverged replicas ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("treatment", "baseline", "higher_is_better", "expected"),
    [
        ([0.9, 0.8], [0.7, 0.9], True, [0.2, -0.1]),
        ([0.9, 0.8], [0.7, 0.9], False, [-0.2, 0.1]),
        ([np.nan, np.nan], [np.nan, np.inf], True, [0.0, 0.0]),
        ([np.nan, 0.5], [0.5, 0.5], True, [-1.0, 0.0]),  # no range: one unit
        ([np.nan, 1.0], [3.0, 2.0], True, [-4.0, -1.0]),  # worst 1, range 2: nan counts as -1
        ([np.nan, 1.0], [3.0, 2.0], False, [-2.0, 1.0]),  # worst 3, range 2: nan counts as 5
        ([1, 2], [2, 2], True, [-1.0, 0.0]),
    ],
)
def test_differences_are_positive_where_the_treatment_is_better(
    treatment: list[float], baseline: list[float], higher_is_better: bool, expected: list[float]
) -> None:
    """Paired differences are oriented, and one diverged replica of a pair is the loser."""
    found = s.paired_differences(treatment, baseline, higher_is_better=higher_is_better)
    np.testing.assert_allclose(found, expected, atol=1e-15)


@seeded
@given(
    st.lists(st.tuples(*[st.one_of(st.just(np.nan), st.integers(-50, 50))] * 2), min_size=1),
    st.booleans(),
)
def test_no_finite_difference_exceeds_a_diverged_one(
    pairs: list[tuple[float, float]], higher_is_better: bool
) -> None:
    """A diverged replica loses by no less than any finite difference, in both orders of a pair."""
    a, b = np.array(pairs, dtype=float).T
    found = s.paired_differences(a, b, higher_is_better=higher_is_better)
    mirrored = s.paired_differences(b, a, higher_is_better=higher_is_better)
    np.testing.assert_array_equal(found, -mirrored)
    lost, won = np.isnan(a) & ~np.isnan(b), np.isnan(b) & ~np.isnan(a)
    finite = np.abs(found[~np.isnan(a) & ~np.isnan(b)]).max(initial=0)
    assert np.all(found[lost] <= -max(finite, 1))
    assert np.all(found[won] >= max(finite, 1))
    assert np.all(found[np.isnan(a) & np.isnan(b)] == 0)


def test_a_family_orders_its_diverged_replicas_last() -> None:
    """Oriented scores keep finite values and put diverged ones below all of the family."""
    family = [[0.9, np.nan], [0.5, 0.7]]
    np.testing.assert_allclose(
        s.oriented_scores(family, higher_is_better=True), [[0.9, 0.1], [0.5, 0.7]]
    )


@pytest.mark.parametrize("bad", [[0.1, np.nan], [np.inf], [], [[0.1]]])
@pytest.mark.parametrize(
    "function",
    [
        s.t_interval,
        s.sign_flip_test,
        s.effect_size,
        s.probability_of_improvement,
        s.seeds_to_settle,
    ],
)
def test_values_that_are_not_finite_are_refused(function: object, bad: list[float]) -> None:
    """NaN, infinity, nothing and wrong shapes are refused with what was expected and given."""
    with pytest.raises(ValueError, match=r"expected .* given"):
        function(bad)  # type: ignore[operator]


# --- intervals and effects ------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_t_interval_is_scipys(level: float) -> None:
    """The t interval of Student's sleep data equals scipy's."""
    expected = stats.ttest_1samp(SLEEP, 0).confidence_interval(level)
    found = s.t_interval(SLEEP, level)
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high])
    assert found.estimate == pytest.approx(1.58)


def test_t_interval_of_one_value_has_no_ends() -> None:
    """A single seed has a mean and NaN for ends; equal seeds have an interval of width zero."""
    one = s.t_interval([0.3])
    assert one.estimate == 0.3
    assert np.isnan([one.low, one.high]).all()
    assert s.t_interval([0.3] * 4).high == pytest.approx(0.3)


@seeded
@given(differences, st.floats(-10, 10), st.sampled_from([0.01, 3.0, 100.0]))
def test_t_interval_moves_and_stretches_with_its_values(
    d: np.ndarray, shift: float, scale: float
) -> None:
    """The interval of scale * values + shift is scale * interval + shift."""
    plain, moved = s.t_interval(d), s.t_interval(scale * d + shift)
    expected = [scale * end + shift for end in (plain.low, plain.high)]
    np.testing.assert_allclose([moved.low, moved.high], expected, rtol=1e-6, atol=1e-9)


def test_t_interval_covers_at_its_level() -> None:
    """95 % intervals hold the true mean in 95 % of 4,000 simulated runs, at 3 and at 20 seeds."""
    generator = np.random.default_rng(1)
    for seeds in (3, 20):
        held = [
            i.low <= 1.0 <= i.high
            for i in map(s.t_interval, generator.normal(1.0, 2.0, (4_000, seeds)))
        ]
        assert np.mean(held) == pytest.approx(0.95, abs=0.0125)  # 3.6 standard errors


def test_probability_of_improvement_counts_ties_half() -> None:
    """Two wins, one tie and one loss of four are (2 + 1/2) / 4."""
    assert s.probability_of_improvement([0.1, 0.2, 0.0, -0.1]) == 2.5 / 4


def test_probability_of_improvement_counts_a_diverged_replica_as_lost() -> None:
    """Diverged against finite is a loss, diverged against diverged a tie."""
    d = s.paired_differences([np.nan, np.nan, 2.0], [1.0, np.nan, 1.0], higher_is_better=True)
    assert s.probability_of_improvement(d) == (0 + 1 / 2 + 1) / 3


def test_effect_size_is_corrected_for_few_seeds() -> None:
    """The d_z of the sleep data is 1.285, and Hedges' factor for 9 degrees is near 1 - 3 / 35."""
    d_z = SLEEP.mean() / SLEEP.std(ddof=1)
    assert d_z == pytest.approx(1.285, abs=5e-4)
    assert s.effect_size(SLEEP) == pytest.approx(d_z * (1 - 3 / (4 * 9 - 1)), rel=1e-3)


@pytest.mark.parametrize(
    ("d", "expected"), [([0.0] * 3, 0.0), ([0.2] * 3, np.inf), ([-0.2] * 3, -np.inf)]
)
def test_effect_size_without_spread(d: list[float], expected: float) -> None:
    """Constant differences have an infinite effect of their sign; two seeds are too few."""
    assert s.effect_size(d) == expected
    assert np.isnan(s.effect_size(d[:2]))


def test_effect_size_is_unbiased() -> None:
    """The mean over 4,000 simulated runs of five seeds is the true d_z of 0.8."""
    x = np.random.default_rng(2).normal(0.8, 1.0, (4_000, 5))
    assert np.mean([s.effect_size(row) for row in x]) == pytest.approx(0.8, abs=0.04)


# --- paired tests ---------------------------------------------------------------------------


def test_sign_flip_repeats_fishers_darwin_example() -> None:
    """Fisher's count for Darwin's maize: 2 * 863 of 2^15 sums."""
    assert s.sign_flip_test(DARWIN) == 2 * 863 / 2**15


@pytest.mark.parametrize("size", [2, 5, 9, 12])
def test_sign_flip_is_scipys_exact_permutation_test(size: int) -> None:
    """The p of every size equals scipy's full permutation test, with ties and zeros too."""
    generator = np.random.default_rng(size)
    for d in (generator.normal(0.3, 1, size), generator.integers(-3, 5, size) / 10):
        reference = stats.permutation_test(
            (d, np.zeros(size)),
            lambda x, y, axis: np.abs(np.mean(x - y, axis=axis)),
            permutation_type="samples",
            alternative="greater",
            n_resamples=np.inf,
            vectorized=True,
        )
        assert s.sign_flip_test(d) == pytest.approx(reference.pvalue, abs=1e-12)


@pytest.mark.parametrize("size", [1, 5, 20, s.EXACT_LIMIT])
def test_sign_flip_reaches_its_smallest_p(size: int) -> None:
    """Differences of one sign give 2 / 2^n at every exact size."""
    assert s.sign_flip_test(np.linspace(1, 2, size)) == s.smallest_p(size) == 2 / 2**size


def test_equal_differences_are_a_binomial_test() -> None:
    """Differences of one magnitude, spoilt by rounding, are counted as ties: the sign test."""
    d = np.array([0.93 - 0.91, 0.83 - 0.81, 0.53 - 0.51, 0.13 - 0.11] * 5 + [0.02 - 0.04] * 5)
    assert s.sign_flip_test(d) == pytest.approx(stats.binomtest(5, 25).pvalue, rel=1e-12)


def test_no_difference_at_all_has_p_one() -> None:
    """Zeros only, or sums that cancel, give p = 1 in each test."""
    for d in ([0.0], [0.0] * 50, [0.1, -0.1, 0.0]):
        assert s.sign_flip_test(d) == 1.0
        assert s.gridded_sign_flip_test(d) == 1.0


@pytest.mark.parametrize("name", ["normal", "Darwin", "with ties", "with zeros"])
def test_on_a_grid_p_is_the_exact_one_or_hardly_larger(name: str) -> None:
    d = {
        "normal": np.random.default_rng(8).normal(0.6, 1.0, 30),
        "Darwin": DARWIN,
        "with ties": np.random.default_rng(9).integers(-2, 4, 32) / 300,
        "with zeros": np.append(SLEEP, np.zeros(30)),
    }[name]
    exact = s.exact_sign_flip_test(d)
    assert exact * (1 - 1e-9) <= s.gridded_sign_flip_test(d) <= 1.02 * exact


def test_sign_flip_counts_ties_of_scores_in_single_precision() -> None:
    """Shares of 200 and of 10,000 examples, as metrics give them, have the p of whole counts."""
    rng = np.random.default_rng(0)
    for examples in (200, 10_000):
        right = rng.integers(examples * 0.9, examples * 0.92, (30, 2, 10))
        shares = (right / examples).astype(np.float32).astype(float)
        for counts, scores in zip(right, shares, strict=True):
            expected = s.sign_flip_test((counts[0] - counts[1]).astype(float))
            assert s.sign_flip_test(scores[0] - scores[1]) == expected


def test_many_differences_that_agree_have_the_smallest_p_of_their_number() -> None:
    """However small it is, so that a correction over many comparisons can be met."""
    assert s.sign_flip_test(np.ones(60)) == s.smallest_p(60)
    assert s.sign_flip_test(np.arange(50.0, 250)) == s.smallest_p(200)


@seeded
@given(differences, st.sampled_from([1e-8, 3.0, 1e6]), st.integers(0, 5))
def test_sign_flip_ignores_sign_scale_order_and_zeros(
    d: np.ndarray, scale: float, zeros: int
) -> None:
    """The test gives one p for d, -d, c d, d in another order, and d with zeros added."""
    p = s.sign_flip_test(d)
    assert 0 < p <= 1
    for same in (-d, scale * d, d[::-1], np.append(d, np.zeros(zeros))):
        assert s.sign_flip_test(same) == pytest.approx(p, rel=1e-9)


def test_sign_flip_keeps_its_level() -> None:
    """Of 4,000 null comparisons at most 5 % (plus noise) are significant, skewed pairs included."""
    generator = np.random.default_rng(3)
    for seeds in (8, 20):
        skewed = generator.exponential(1, (4_000, seeds)) - generator.exponential(1, (4_000, seeds))
        rejected = np.mean([s.sign_flip_test(d) <= 0.05 for d in skewed])
        assert 0.03 < rejected < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)


@pytest.mark.parametrize("margin", [0.5, 2.0, 3.0])
def test_equivalence_is_the_larger_of_two_one_sided_tests(margin: float) -> None:
    """Of scipy's t tests and sign flips against either end of the margin, the largest p counts."""
    d = np.random.default_rng(0).normal(0.3, 1.0, 12)
    assert not s.is_skewed(d)
    sides = (margin + d, margin - d)
    t = [stats.ttest_1samp(side, 0, alternative="greater").pvalue for side in sides]
    flips = [s.sign_flip_test(side) / 2 for side in sides]
    expected = max(*t, *flips, 2**-11) if abs(d.mean()) < margin else 1.0
    assert s.equivalence_test(d, margin) == pytest.approx(expected)
    assert s.equivalence_test(-d, margin) == pytest.approx(expected)


def test_equivalence_grows_with_what_seeds_do_not_show() -> None:
    """With variance that seeds share, the widened t test of either side decides."""
    d = np.random.default_rng(0).normal(0.0, 1.0, 20)
    error = np.sqrt(d.var(ddof=1) / 20 + 0.3)
    expected = stats.t.sf((2 - abs(d.mean())) / error, 19)
    assert s.equivalence_test(d, 2.0, extra=0.3) == pytest.approx(expected)
    assert s.equivalence_test(d, 2.0, extra=0.3) > s.equivalence_test(d, 2.0)


@pytest.mark.parametrize(("margin", "step", "least"), [(0.01, 0.1, 0.9**20), (0.2, 0.1, 2.0**-19)])
def test_equivalence_knows_the_metric_s_step(margin: float, step: float, least: float) -> None:
    """Twenty equal scores cannot exclude a step on one seed in ten, whose mean is the margin."""
    assert s.equivalence_test(np.zeros(20), margin, step=step) == pytest.approx(least)


def test_equivalence_at_its_limits() -> None:
    """A constant gap beyond the margin is never equivalent, nor is a single seed."""
    assert s.equivalence_test([0.2] * 3, 0.1) == 1.0
    assert s.equivalence_test([-0.2] * 8, 0.1) == 1.0
    assert np.isnan(s.equivalence_test([0.0], 0.1))
    for margin in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="margin: expected a number above 0"):
            s.equivalence_test(SLEEP, margin)


@pytest.mark.parametrize("spread", [0.0, 1e-6])
def test_equivalence_claims_no_more_than_its_seeds_can_show(spread: float) -> None:
    """However alike the differences, p is at least 2 / 2^n: five seeds never reach .05, six do."""
    alike = {n: spread * np.resize([1.0, -1.0], n) for n in (2, 5, 6, 20)}
    for n, differences in alike.items():
        assert s.equivalence_test(differences, 0.1) == pytest.approx(2 / 2**n), n


def test_equivalence_keeps_its_level_at_the_margin() -> None:
    """A true difference of exactly the margin is called equivalent in at most 5 % of 2,000 runs."""
    x = np.random.default_rng(5).normal(1.0, 0.5, (2_000, 10))
    assert 0.025 < np.mean([s.equivalence_test(d, 1.0) <= 0.05 for d in x]) < 0.065


# --- skewed differences, and new data -----------------------------------------------------------


def test_hall_s_transformation_is_a_cube() -> None:
    """t of ((1 + g u / 3)^3 - 1) / g + g / 6n, which is another way to write it, u = mean / sd."""
    d = np.random.default_rng(1).lognormal(0, 1, 15) - 0.5
    g, u = stats.skew(d, bias=False), d.mean() / d.std(ddof=1)
    t = np.sqrt(15) * (((1 + g * u / 3) ** 3 - 1) / g + g / 90)
    assert s.hall_test(d) == pytest.approx(2 * stats.t.sf(abs(t), 14))
    assert s.hall_test(-d) == pytest.approx(s.hall_test(d))


def test_strong_skewness_is_tested_by_the_larger_p() -> None:
    """A collapse on 2 of 20 seeds; differences that are hardly skewed keep the sign flips' p."""
    collapse = np.r_[np.full(18, 0.02), -0.03, -0.02]
    calm = np.random.default_rng(2).normal(0.5, 1.0, 20)
    assert s.is_skewed(collapse)
    assert not s.is_skewed(calm)
    assert s.mean_test(collapse) == max(s.sign_flip_test(collapse), s.hall_test(collapse))
    assert s.mean_test(calm) == s.sign_flip_test(calm)
    assert not s.is_skewed([1.0] * 20)
    assert not s.is_skewed([0.0, 0.0, 9.0])


def test_skewed_differences_keep_the_level() -> None:
    """Centred exponential differences, which sign flips alone call real in 8 % of studies."""
    x = np.random.default_rng(7).exponential(1.0, (2_000, 12)) - 1.0
    rejected = np.mean([s.mean_test(d) <= 0.05 for d in x])
    assert rejected < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2_000)


def test_a_widened_t_test_is_student_s_without_extra_variance() -> None:
    d = np.random.default_rng(3).normal(0.3, 1.0, 10)
    assert s.widened_t_test(d, 0.0) == pytest.approx(stats.ttest_1samp(d, 0).pvalue)
    # Nadeau and Bengio: the variance of a split times 1/n + test/learnt
    t = d.mean() / np.sqrt((1 / 10 + 1 / 4) * d.var(ddof=1))
    extra = s.finite_data_variance(d, 20 / 80)
    assert s.widened_t_test(d, extra) == pytest.approx(2 * stats.t.sf(abs(t), 9))
    assert s.widened_t_test([0.1] * 8, 0.0) == s.smallest_p(8)
    assert s.widened_t_test([0.0] * 8, 0.0) == 1.0


def test_a_failed_replica_counts_as_chance_or_as_what_is_worse_still() -> None:
    scores = s.oriented_scores([0.9, np.nan, 0.4], higher_is_better=True, failed=0.1)
    np.testing.assert_array_equal(scores, [0.9, 0.1, 0.4])
    scores = s.oriented_scores([0.9, np.nan, 0.05], higher_is_better=True, failed=0.1)
    np.testing.assert_array_equal(scores, [0.9, 0.05, 0.05])
    scores = s.oriented_scores([0.2, np.nan, 0.9], higher_is_better=False, failed=0.7)
    np.testing.assert_array_equal(scores, [-0.2, -0.9, -0.9])
    scores = s.oriented_scores([0.2, np.nan, 0.6], higher_is_better=False, failed=0.7)
    np.testing.assert_array_equal(scores, [-0.2, -0.7, -0.6])
    scores = s.oriented_scores([np.nan, np.nan], higher_is_better=False, failed=0.7)
    np.testing.assert_array_equal(scores, [-0.7, -0.7])


def test_two_values_have_no_interval_and_bounds_hold() -> None:
    assert np.isnan(s.t_interval([0.7, 0.9]).low)
    assert np.isnan(s.t_interval([0.7, 0.9]).high)
    interval = s.t_interval([0.7, 0.9, 0.99], bounds=(0.0, 1.0))
    assert interval.high == 1.0
    assert s.t_interval([0.01, 0.1, 0.3], bounds=(0.0, 1.0)).low == 0.0
    assert 0 < interval.low < 0.7
    wide, usual = s.t_interval(SLEEP, extra=0.5), s.t_interval(SLEEP)
    error = np.sqrt(SLEEP.var(ddof=1) / 10 + 0.5)
    assert wide.high == pytest.approx(SLEEP.mean() + stats.t.isf(0.025, 9) * error)
    assert wide.high > usual.high


def test_power_on_new_data_is_what_simulation_finds() -> None:
    """Seeds whose differences correlate by 1/4, tested by the widened t test."""
    generator = np.random.default_rng(4)
    shared, alone = generator.normal(size=(4_000, 1)), generator.normal(size=(4_000, 20))
    x = 1.4 + 0.5 * shared + np.sqrt(0.75) * alone
    p = [s.widened_t_test(d, 0.25 / 0.75 * d.var(ddof=1)) for d in x]
    # the deviation that seeds show is that of the part that they do not share
    expected = s.paired_t_power(1.4 / np.sqrt(0.75), 20, correlation=0.25 / 0.75)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(expected, abs=0.03)


def test_no_number_of_seeds_makes_up_for_few_data() -> None:
    """More seeds settle what holds on these data, but not always what holds beyond them."""
    d = np.random.default_rng(5).normal(0.5, 1.0, 12)
    assert s.seeds_to_settle(d) is not None
    assert s.seeds_to_settle(d, correlation=0.25) is None
    large = d + 2.0
    assert s.seeds_to_settle(large, correlation=0.25) >= s.seeds_to_settle(large)
    assert s.smallest_detectable_difference(1.0, 20, correlation=0.25) > 1.2


# --- families -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_p", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # R's p.adjust, "holm"
        ([0.02], [0.02]),
        ([0.01, np.nan, 0.03], [0.02, np.nan, 0.03]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([np.nan], [np.nan]),
        ([], []),
    ],
)
def test_holm_by_hand(given_p: list[float], expected: list[float]) -> None:
    """Sorted p values times m, m - 1, …, 1, made monotone, at most 1, in the given order."""
    np.testing.assert_allclose(s.holm(given_p), expected)


@seeded
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array), st.randoms())
def test_holm_keeps_order_and_lies_between_raw_and_bonferroni(p: np.ndarray, rng: object) -> None:
    """Adjusted values keep the order of p, lie in [p, Bonferroni], and follow a shuffle."""
    adjusted = s.holm(p)
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)
    assert np.all((adjusted >= p) & (adjusted <= np.minimum(1, p * p.size)))
    order = list(range(p.size))
    rng.shuffle(order)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(s.holm(p[order]), adjusted[order])


def test_holm_keeps_the_family_wise_error() -> None:
    """Of 2,000 families of five null losses against one baseline, at most 5 % have a finding."""
    generator = np.random.default_rng(6)
    found = 0
    for _ in range(2_000):
        scores = generator.normal(size=(6, 10))
        p = [s.sign_flip_test(loss - scores[0]) for loss in scores[1:]]
        found += bool(np.nanmin(s.holm(p)) <= 0.05)
    assert 0.015 < found / 2_000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2_000)


@pytest.mark.parametrize(
    ("alpha", "comparisons", "needed"),
    [(0.05, 1, 6), (0.05, 2, 7), (0.05, 10, 9), (0.05, 190, 13), (0.01, 1, 8), (1 / 32, 1, 6)],
)
def test_seeds_needed_is_the_first_count_that_can_reach_alpha(
    alpha: float, comparisons: int, needed: int
) -> None:
    """At the needed count unanimous seeds pass Holm's first step; one fewer can not."""
    assert s.seeds_needed_for(alpha, comparisons) == needed
    assert s.holm([s.smallest_p(needed)] + [1.0] * (comparisons - 1))[0] <= alpha
    assert s.holm([s.smallest_p(needed - 1)] + [1.0] * (comparisons - 1))[0] > alpha


def test_five_seeds_never_reach_five_percent() -> None:
    """The smallest p of five seeds is 1/16."""
    assert s.smallest_p(5) == 1 / 16
    assert s.smallest_p(1) == s.smallest_p(0) == 1.0


# ---- budgets -----------------------------------------------------------------------------------
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.25, 2.0, 7.0]), min_size=1, max_size=8))
def test_the_expected_best_of_k_is_the_mean_over_all_choices_of_k(scores):
    choices = [itertools.combinations(scores, k) for k in range(1, len(scores) + 1)]
    means = [np.mean([max(chosen) for chosen in of_k]) for of_k in choices]
    np.testing.assert_allclose(s.expected_best(scores), means, atol=1e-12)


def test_the_expected_best_of_thousands_is_finite_and_ends_with_the_best():
    scores = np.random.default_rng(0).normal(size=4000)
    curve = s.expected_best(scores)
    assert curve[[0, -1]] == pytest.approx([scores.mean(), scores.max()])
    assert (np.diff(curve) > -1e-12).all()
