"""Results -> which loss is better, by how much, and whether that is real."""

from lossbench.comparison.build import compare
from lossbench.comparison.contests import PLACES, YARDSTICKS
from lossbench.comparison.over_datasets import DatasetRanking, rank_losses
from lossbench.comparison.peeking import (
    PeekingTax,
    explain_choices,
    explain_papers,
    has_test_curves,
    missing_budget,
    peeking_tax,
)
from lossbench.comparison.select import (
    Group,
    budgets,
    count_comparisons,
    datasets,
    doses,
    grouped,
    split_numbers,
    tell_apart,
    value_at,
    where,
)
from lossbench.comparison.sentences import ALPHA, explain_few_seeds, explain_question
from lossbench.comparison.structure import Comparison, Row
