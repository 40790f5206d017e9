"""Results -> which loss is better, by how much, and whether that is real."""

from lossbench.comparison.across import Ranking, ranking
from lossbench.comparison.build import ALPHA, compare, labels, setting_of
from lossbench.comparison.records import Comparison, Row, budget_of
from lossbench.comparison.select import (
    Group,
    budgets,
    datasets,
    grouped,
    robustness,
    value_at,
    where,
)
from lossbench.comparison.words import few_seeds

__all__ = [
    "ALPHA",
    "Comparison",
    "Group",
    "Ranking",
    "Row",
    "budget_of",
    "budgets",
    "compare",
    "datasets",
    "few_seeds",
    "grouped",
    "labels",
    "ranking",
    "robustness",
    "setting_of",
    "value_at",
    "where",
]
