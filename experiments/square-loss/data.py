"""Twelve sets of two to ten classes, each posed to a softmax, and fifty classes to rescale for."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn import datasets

from lossbench.contract import Sample
from lossbench.datasets import ordered, synthetic
from lossbench.datasets.wheels import table_in


def _sample(table: pd.DataFrame, target: str) -> Sample:
    labels = pd.factorize(table.pop(target), sort=True)[0].astype(np.int64)
    return Sample(pd.get_dummies(table, dtype=float).to_numpy(np.float64), labels, "multiclass")


def iris(rng: np.random.Generator, /) -> Sample:
    """150 flowers of three species by four lengths."""
    return Sample(*datasets.load_iris(return_X_y=True), "multiclass")


def cancer(rng: np.random.Generator, /) -> Sample:
    """569 tumours of two kinds by 30 measurements."""
    return Sample(*datasets.load_breast_cancer(return_X_y=True), "multiclass")


def penguins(rng: np.random.Generator, /) -> Sample:
    """333 penguins of three species by island, sex and four measures. Inside scikit-lego."""
    return _sample(
        table_in("scikit-lego", "sklego/data/penguins.zip", "penguins").dropna(), "species"
    )


def hearts(rng: np.random.Generator, /) -> Sample:
    """303 people with or without a heart disease by 13 facts. Inside scikit-lego."""
    return _sample(table_in("scikit-lego", "sklego/data/hearts.zip", "hearts"), "target")


def oj(rng: np.random.Generator, /) -> Sample:
    """1,070 purchases of two brands of orange juice. Inside ISLP."""
    return _sample(table_in("ISLP", "ISLP/data/OJ.csv", "oj"), "Purchase")


def market(rng: np.random.Generator, /) -> Sample:
    """1,250 days of a stock index that went up or down, by the five days before. Inside ISLP."""
    table = table_in("ISLP", "ISLP/data/Smarket.csv", "market")
    return _sample(
        table[["Lag1", "Lag2", "Lag3", "Lag4", "Lag5", "Volume", "Direction"]].copy(), "Direction"
    )


def shells(rng: np.random.Generator, /) -> Sample:
    """4,177 sea snails of three classes of rings, as equal as can be. Inside scikit-lego."""
    sample = ordered.abalone(rng, classes=3)
    return Sample(sample.inputs, sample.targets, "multiclass")


def apart(rng: np.random.Generator, /) -> Sample:
    """1,000 examples of four Gaussian classes, four deviations apart, in ten dimensions."""
    return synthetic.blobs(rng, samples=1000, classes=4, features=10, separation=4.0)


def close(rng: np.random.Generator, /) -> Sample:
    """1,000 examples of four Gaussian classes, two deviations apart, in ten dimensions."""
    return synthetic.blobs(rng, samples=1000, classes=4, features=10, separation=2.0)


def fifty(rng: np.random.Generator, /) -> Sample:
    """5,000 examples of fifty Gaussian classes at random centres in twenty dimensions."""
    labels = rng.permutation(np.arange(5000) % 50)
    centres = 1.2 * rng.standard_normal((50, 20))
    return Sample(centres[labels] + rng.standard_normal((5000, 20)), labels, "multiclass")
