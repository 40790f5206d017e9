"""What a run is: the frozen record of its choices, and how words and files become one."""

from lossbench.configuration.labels import budget_words, labels, loss_labels, names
from lossbench.configuration.record import (
    ALLOWED,
    AUTO,
    Choice,
    Configuration,
    digest,
    setting_of,
    validated,
)

__all__ = [
    "ALLOWED",
    "AUTO",
    "Choice",
    "Configuration",
    "budget_words",
    "digest",
    "labels",
    "loss_labels",
    "names",
    "setting_of",
    "validated",
]
