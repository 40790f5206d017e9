"""Installed plugins: names, schemas, definitions and digests; only what is used is imported."""

from lossbench.registry.lookup import (
    Parameter,
    Plugin,
    Term,
    config_folders,
    facts,
    fault_in,
    find,
    find_for_task,
    imported,
    installed,
    is_module,
    load,
    meddled,
    missing_modules,
    names,
    no_such,
    parameters,
    refresh,
    refuse_unsupplied,
    signature,
    takes_shapes,
)
from lossbench.registry.signatures import given
