"""Installed plugins: names, schemas, definitions and digests; only what is used is imported."""

from lossbench.registry.lookup import (
    Parameter,
    Plugin,
    Term,
    facts,
    fault_in,
    find,
    find_for_task,
    imported,
    installed,
    is_module,
    known_as,
    load,
    meddled,
    names,
    no_such,
    parameters,
    refresh,
    refuse_unsupplied,
    signature,
    takes_shapes,
)
from lossbench.registry.presence import config_folders, missing_modules
from lossbench.registry.signatures import given
