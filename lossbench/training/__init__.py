"""A configuration -> its trained replicas, stacked, and what they scored."""

from importlib.util import find_spec

from lossbench.registry.imports import import_of

if find_spec("torchvision"):  # before Lightning, which imports it too
    import_of("torchvision")

from lossbench.training.fitting import (
    MakePoint,
    Report,
    adapt_to_loss,
    data,
    draw_splits,
    fit,
    fit_stack,
    latest_point,
    replicas_at_once,
    silent,
    train,
    tried_recipe,
)
from lossbench.training.recipe import make_recipe
