"""Trained seeds on disk: the folder that is the truth, its code, predictions and later metrics."""

from lossbench.results.bands import bands
from lossbench.results.duplicates import duplicates
from lossbench.results.folder import (
    NO_CURVES,
    Result,
    described,
    find_folder,
    looks_of,
    merged,
    missing_seeds,
    of_seeds,
    open_folder,
    parts,
    read,
    refuse_renamed,
    stored,
    write,
)
from lossbench.results.joining import ordered
from lossbench.results.listing import (
    by_configuration,
    by_key,
    changed,
    changed_kinds,
    configured,
    configured_at,
    everything,
    outdated_note,
    places,
    whole,
    with_asked,
)
from lossbench.results.naming import free_name, into_place, move_aside
