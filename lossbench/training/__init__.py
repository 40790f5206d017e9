"""A configuration -> its trained replicas, stacked, and what they scored."""

from lossbench.models.by_name import import_torchvision

import_torchvision()  # before Lightning, which imports it too and fails where it lacks operators

from lossbench.training.fitting import (  # noqa: E402
    MakePoint,
    Report,
    data,
    fit,
    fit_stack,
    latest_point,
    replicas_at_once,
    silent,
    train,
    tried_recipe,
)
from lossbench.training.recipe import make_recipe  # noqa: E402
