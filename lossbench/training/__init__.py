"""A configuration -> its trained replicas, stacked, and what they scored."""

from lossbench.training.fitting import (
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
from lossbench.training.recipe import make_recipe
