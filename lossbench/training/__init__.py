"""A configuration -> its trained replicas, stacked, and what they scored."""

from lossbench.training.fitting import (
    MakePoint,
    Report,
    data,
    fit,
    fit_stack,
    latest_point,
    make_recipe,
    replicas_at_once,
    silent,
    train,
    tried_recipe,
)
