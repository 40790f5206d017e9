"""Losses of MONAI for masks of several classes."""
