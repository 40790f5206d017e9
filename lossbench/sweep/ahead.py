"""Imported by the server of workers: what most runs use is imported and read once for all of them.

The digests of plugins' code rest on what is read, so that they are of the code that was imported.
"""

from __future__ import annotations

import lossbench.training.tuning  # noqa: F401 (and all that trains)
from lossbench import augmentations, optimizers, schedules
from lossbench.datasets import corruptions, synthetic
from lossbench.losses import binary, multiclass, regression
from lossbench.models import mlp
from lossbench.registry.digests import reach_of
from lossbench.tasks.binary import Binary
from lossbench.tasks.multiclass import Multiclass
from lossbench.tasks.regression import Regression

USUAL = (
    synthetic.blobs,
    corruptions.none,
    mlp.mlp,
    multiclass.cross_entropy,
    binary.cross_entropy,
    regression.squared_error,
    optimizers.adam,
    schedules.constant,
    augmentations.none,
    *(Binary, Multiclass, Regression),
)

for plugin in USUAL:
    reach_of(plugin.__module__, plugin.__qualname__, "lossbench")
