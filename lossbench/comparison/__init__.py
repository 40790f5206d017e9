"""Results -> which loss is better, by how much, and whether that is real."""

from lossbench.comparison.build import ALPHA, YARDSTICKS, compare
from lossbench.comparison.over_datasets import DatasetRanking, rank_losses
from lossbench.comparison.select import (
    Group,
    budgets,
    datasets,
    grouped,
    robustness,
    value_at,
    where,
)
from lossbench.comparison.sentences import explain_few_seeds
from lossbench.comparison.structure import Comparison, Row

__all__ = [
    "ALPHA",
    "YARDSTICKS",
    "Comparison",
    "DatasetRanking",
    "Group",
    "Row",
    "budgets",
    "compare",
    "datasets",
    "explain_few_seeds",
    "grouped",
    "rank_losses",
    "robustness",
    "value_at",
    "where",
]
