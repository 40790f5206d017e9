"""Losses for label noise and for outliers, one file per task."""
