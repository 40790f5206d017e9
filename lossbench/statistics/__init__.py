"""Intervals, paired tests, corrections, ranks and power; the seed is the unit, pairs share a seed.

Every score is oriented, higher is better, before it enters: `oriented_scores` and
`paired_differences` do that, and there a diverged replica becomes the worst outcome.

Two questions are asked: whether a difference is real on the very data that were used, over splits
and initial weights (`mean_test`), and whether it would be on new data like them (`new_data_test`).
"""

from lossbench.statistics.basic import (
    Array,
    Interval,
    difference,
    effect_size,
    oriented_scores,
    paired_differences,
    probability_of_improvement,
    ratio_interval,
    rerun_margin,
    t_interval,
    variance_of,
)
from lossbench.statistics.budget import expected_best
from lossbench.statistics.paired import (
    EXACT_LIMIT,
    ROUNDING,
    equivalence_test,
    exact_sign_flip_test,
    finite_data_variance,
    gridded_sign_flip_test,
    hall_test,
    holm,
    is_skewed,
    mean_test,
    new_data_test,
    seeds_needed_for,
    share_unseen,
    sign_flip_test,
    signed_rank_test,
    smallest_p,
    widened_t_test,
)
from lossbench.statistics.power import (
    mean_test_power,
    paired_t_power,
    seeds_to_settle,
    sign_flip_power,
    smallest_detectable_difference,
)
from lossbench.statistics.ranks import (
    Friedman,
    first_stays,
    friedman,
    interquartile_mean,
    interquartile_mean_difference,
    nemenyi_critical_difference,
    share_leads,
)
