"""Power, ranks and aggregates against scipy, published worked examples and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support import sampled

from lossbench import statistics as s

# Demsar (2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 datasets
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],  # printed as .975 twice, ranked 2 and 3
        [0.957, 0.978, 0.946, 0.970],
    ]
)


# --- power ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "seeds", "power"), [(0.5, 34, 0.808), (0.8, 15, 0.821), (0.2, 199, 0.802)]
)
def test_power_of_the_paired_t_test(effect: float, seeds: int, power: float) -> None:
    """The smallest counts with power .8 at d_z of .2, .5, .8 are G*Power's 199, 34 and 15."""
    assert s.paired_t_power(effect, seeds) == pytest.approx(power, abs=2e-3)
    assert s.paired_t_power(effect, seeds - 1) < 0.8


def test_power_without_an_effect_is_the_level() -> None:
    """No effect is found at the rate alpha; far out the power is 1 and never NaN."""
    assert s.paired_t_power(0.0, 20, 0.01) == pytest.approx(0.01)
    for effect in (5.0, 20.0, 1e4):
        assert 0 < s.paired_t_power(effect, 2) <= 1


def test_unanimity_caps_the_power_of_few_seeds() -> None:
    """Six seeds are significant only when all agree: Phi(d)^6 + Phi(-d)^6."""
    for effect in (0.5, 1.0, 2.0):
        agree = stats.norm.cdf([effect, -effect]) ** 6
        assert s.sign_flip_power(effect, 6) == pytest.approx(agree.sum(), abs=0.02)
        assert s.sign_flip_power(effect, 6) <= agree.sum() + 1e-12
    assert s.sign_flip_power(10.0, 5) == 0.0


@pytest.mark.parametrize(
    ("seeds", "comparisons"), sampled([(10, 1), (6, 1), (20, 10), (20, 1), (30, 5)], 2)
)
def test_a_planted_smallest_difference_is_found_at_the_promised_power(
    seeds: int, comparisons: int
) -> None:
    """What a first study calls detectable, by its own deviation, a second finds in 80 %."""
    first, x = np.random.default_rng(seeds).normal(0.0, 2.0, (2, 700, seeds))
    planted = s.smallest_detectable_difference(1.0, seeds, comparisons=comparisons)
    x += planted * first.std(axis=1, ddof=1, keepdims=True)
    found = np.mean([comparisons * s.mean_test(d) <= 0.05 for d in x])
    assert found == pytest.approx(0.8, abs=0.045)


@pytest.mark.parametrize("seeds", [12, 40])
def test_power_is_averaged_over_what_the_deviation_may_have_been_estimated_as(seeds: int) -> None:
    """80 % in the mean over 300 quantiles of the estimate, which a coarse sum comes close to."""
    detectable = s.smallest_detectable_difference(1.0, seeds)
    chances = (np.arange(300) + 0.5) / 300
    estimates = np.sqrt(stats.chi2.ppf(chances, seeds - 1) / (seeds - 1))
    powers = [s.mean_test_power(detectable * x, seeds) for x in estimates]
    assert np.mean(powers) == pytest.approx(0.8, abs=0.005)


def test_no_difference_is_detectable_where_no_p_is_small_enough() -> None:
    """Below the needed seeds the smallest detectable difference is infinite."""
    assert s.smallest_detectable_difference(1.0, 5) == np.inf
    assert s.smallest_detectable_difference(1.0, 8, comparisons=10) == np.inf
    assert s.smallest_detectable_difference(0.0, 20) == 0.0


def test_detectable_difference_is_proportional_and_shrinks() -> None:
    """It scales with the deviation, shrinks with seeds, and grows with the family."""
    d = [s.smallest_detectable_difference(1.0, n) for n in (10, 20, 40, 200, 3_000)]
    assert d == sorted(d, reverse=True)
    assert s.smallest_detectable_difference(3.0, 10) == pytest.approx(3 * d[0])
    assert s.smallest_detectable_difference(1.0, 20, comparisons=10) > d[1]


@pytest.mark.parametrize(
    ("effect", "comparisons", "settled"), [(0.5, 1, 34), (0.2, 1, 199), (30.0, 1, 6), (30.0, 10, 9)]
)
def test_seeds_that_would_settle_it(effect: float, comparisons: int, settled: int) -> None:
    """An observed d_z of .5 needs 34 seeds; no effect needs fewer than the test's own limit."""
    z = stats.zscore(np.random.default_rng(7).normal(size=20), ddof=1)
    assert s.seeds_to_settle(z + effect, comparisons=comparisons) == settled
    assert s.seeds_to_settle(-(z + effect), comparisons=comparisons) == settled


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        ([1.0, -1.0] * 3, None),
        ([0.3] * 5, None),
        ([0.3] * 6, 6),
        ([1.02, -0.98] * 3, None),  # 23,549
        ([1.04, -0.96] * 3, 5_889),
    ],
)
def test_seeds_to_settle_at_its_limits(d: list[float], expected: int | None) -> None:
    """No mean, five seeds or more than 10,000 have no number; a constant needs the minimum."""
    assert s.seeds_to_settle(d) == expected


def test_settling_a_detectable_difference_needs_no_more_seeds() -> None:
    """The detectable difference at n seeds, once observed, needs at most n, and about as many."""
    z = stats.zscore(np.random.default_rng(8).normal(size=12), ddof=1)
    for seeds in (12, 20, 26, 60):
        detectable = s.smallest_detectable_difference(1.0, seeds, comparisons=3)
        needed = s.seeds_to_settle(z + detectable * 1.0001, comparisons=3)
        assert 0.75 * seeds <= needed <= seeds


# --- several datasets -----------------------------------------------------------------------


def test_friedman_repeats_demsars_worked_example() -> None:
    """Average ranks 3.143, 2.000, 2.893, 1.964 and chi-square 9.28 before the tie correction."""
    found = s.friedman(DEMSAR)
    np.testing.assert_allclose(found.average_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    uncorrected = 12 * 14 / (4 * 5) * (np.sum(found.average_ranks**2) - 4 * 5**2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=5e-3)
    assert found.statistic > uncorrected


def test_friedman_is_scipys() -> None:
    """Statistic and p equal scipy's, ties corrected."""
    reference = stats.friedmanchisquare(*DEMSAR.T)
    found = s.friedman(DEMSAR)
    assert (found.statistic, found.p) == pytest.approx((reference.statistic, reference.pvalue))


def test_friedman_at_its_limits() -> None:
    """All losses tied is p = 1; two losses are the sign test's chi-square."""
    assert s.friedman(np.ones((5, 3))).p == 1.0
    assert s.friedman([[1.0, 2.0]] * 6 + [[2.0, 1.0]] * 2).statistic == pytest.approx(
        (6 - 2) ** 2 / 8
    )


@pytest.mark.parametrize(
    ("first", "second", "tied", "p"),
    [(4, 0, 0, 2 / 16), (5, 0, 0, 2 / 32), (6, 0, 0, 2 / 64), (7, 1, 2, 18 / 256), (0, 0, 3, 1)],
)
def test_friedman_of_two_losses_is_the_exact_sign_test(first, second, tied, p) -> None:
    rows = [[1.0, 0.0]] * first + [[0.0, 1.0]] * second + [[1.0, 1.0]] * tied
    assert s.friedman(rows).p == pytest.approx(p)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 1_000))
def test_friedman_sees_only_ranks(seed: int) -> None:
    """Any increasing map of a dataset's scores leaves the test as it was."""
    x = np.random.default_rng(seed).normal(size=(6, 4))
    first, second = s.friedman(x), s.friedman(np.exp(x * np.arange(1, 7)[:, None]) + 5)
    np.testing.assert_array_equal(first.average_ranks, second.average_ranks)
    assert first.p == second.p


def test_friedman_keeps_its_level() -> None:
    """Of 1,000 null tables of ten datasets and five losses at most 5 % (plus noise) differ."""
    tables = np.random.default_rng(9).normal(size=(1_000, 10, 5))
    assert np.mean([s.friedman(x).p <= 0.05 for x in tables]) < 0.05 + 3 * np.sqrt(
        0.05 * 0.95 / 1e3
    )


@pytest.mark.parametrize(
    ("losses", "q"),
    [
        (2, 1.960),
        (3, 2.343),
        (4, 2.569),
        (5, 2.728),
        (6, 2.850),
        (7, 2.949),
        (8, 3.031),
        (9, 3.102),
        (10, 3.164),
    ],
)
def test_nemenyi_uses_demsars_critical_values(losses: int, q: float) -> None:
    """The q at .05 for 2 to 10 losses are those of Demsar (2006), table 5a."""
    found = s.nemenyi_critical_difference(losses, 14)
    assert found / np.sqrt(losses * (losses + 1) / (6 * 14)) == pytest.approx(q, abs=1.1e-3)


def test_nemenyi_repeats_demsars_worked_example() -> None:
    """Four losses on 14 datasets: 1.25 at .05 and 1.12 at .10."""
    assert s.nemenyi_critical_difference(4, 14) == pytest.approx(1.25, abs=5e-3)
    assert s.nemenyi_critical_difference(4, 14, alpha=0.1) == pytest.approx(1.12, abs=5e-3)


def test_a_clear_winner_leads_in_every_resample() -> None:
    """Treatments far apart keep their order."""
    x = np.random.default_rng(10).normal(size=(10, 4)) + np.array([30, 20, 10, 0])
    np.testing.assert_array_equal(s.share_leads(x), [1, 0, 0, 0])


def test_equals_share_the_lead() -> None:
    """Identical treatments have equal shares, and all shares sum to 1."""
    column = np.random.default_rng(11).normal(size=(10, 1))
    np.testing.assert_allclose(s.share_leads(np.repeat(column, 4, axis=1)), 0.25)
    ties = np.random.default_rng(12).integers(0, 3, (6, 5)).astype(float)
    assert s.share_leads(ties).sum() == pytest.approx(1.0)


def test_interquartile_mean_is_the_middle_half() -> None:
    """A quarter is trimmed from each side of the pooled scores: rliable's definition."""
    scores = np.array([[100.0, 3.0], [1.0, -50.0], [2.0, 4.0], [0.0, 5.0]])
    assert s.interquartile_mean(scores) == (1 + 2 + 3 + 4) / 4
    assert s.interquartile_mean(scores) == stats.trim_mean(scores, 0.25, axis=None)


def test_interquartile_interval_repeats_a_plain_stratified_bootstrap() -> None:
    """The interval is that of resampling each dataset's runs on their own and pooling them."""
    nothing = np.zeros((8, 3))
    generator = np.random.default_rng(13)
    x = generator.normal(size=(8, 3)) + np.array([0, 1, 5])
    drawn = np.concatenate([generator.choice(c, (20_000, 8)) for c in x.T], axis=1)
    expected = np.quantile(stats.trim_mean(drawn, 0.25, axis=1), [0.025, 0.975])
    found = s.interquartile_mean_difference(x, nothing, resamples=20_000)
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.02)
    assert found.estimate == s.interquartile_mean(x)


def test_interquartile_bootstrap_keeps_datasets_apart_and_pairs_together() -> None:
    """Runs without spread have an interval of a point, and so has a constant difference."""
    x = np.tile([0.0, 1.0, 5.0, 9.0], (6, 1))
    found = s.interquartile_mean_difference(x, np.zeros_like(x))
    assert found == s.Interval(3.0, 3.0, 3.0)
    y = np.random.default_rng(14).normal(size=(6, 4))
    found = s.interquartile_mean_difference(y + 0.5, y)
    np.testing.assert_allclose([found.estimate, found.low, found.high], 0.5)
    with pytest.raises(ValueError, match="expected equal shapes"):
        s.interquartile_mean_difference(x, x[:-1])


def test_interquartile_difference_covers_near_its_level() -> None:
    """With 20 runs on four datasets a 95 % interval holds the truth in 91 to 97 % of 300 runs."""
    generator = np.random.default_rng(15)
    held = []
    for _ in range(300):
        shared = generator.normal(size=(20, 4))
        x, y = (shared + 0.5 * generator.normal(size=(20, 4)) for _ in range(2))
        i = s.interquartile_mean_difference(x + 1.0, y, resamples=500)
        held.append(i.low <= 1.0 <= i.high)
    assert 0.91 <= np.mean(held) <= 0.98
