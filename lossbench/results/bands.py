"""Curves of seeds -> their mean and its interval at each epoch."""

from __future__ import annotations

import pandas as pd

from lossbench.statistics import t_interval


def bands(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds and its 95 % t interval: metric, epoch, mean, low, high, seeds."""
    rows = []
    for (metric, epoch), values in curves.dropna().groupby(["metric", "epoch"], sort=False).value:
        interval = t_interval(values)
        rows.append((metric, epoch, interval.estimate, interval.low, interval.high, len(values)))
    return pd.DataFrame(rows, columns=["metric", "epoch", "mean", "low", "high", "seeds"])
