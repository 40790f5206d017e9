"""Losses for rare classes, rare labels and small masks, one file per task."""
