"""Results -> which loss is better, by how much, and whether that is real."""

from lossbench.comparison.build import ALPHA, compare, labels, setting_of
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
from lossbench.comparison.sentences import few_seeds
from lossbench.comparison.structure import Comparison, Row, budget_of

__all__ = [
    "ALPHA",
    "Comparison",
    "DatasetRanking",
    "Group",
    "Row",
    "budget_of",
    "budgets",
    "compare",
    "datasets",
    "few_seeds",
    "grouped",
    "labels",
    "rank_losses",
    "robustness",
    "setting_of",
    "value_at",
    "where",
]
