"""What a reader must know of how losses and plugins behaved in training."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from lossbench.results import Result


def list_notices(results: Iterable[Result]) -> list[str]:
    """A sentence for each thing, once."""
    results = list(results)
    notes = [note for result in results for note in result.summary.get("notes", [])]
    losses = defaultdict[str, list[str]](list)  # by the reason why
    for result in results:
        if not result.summary.get("mapped", True):
            losses[result.summary["unmapped_because"]].append(result.config.loss.name)
    looped = [
        f"{', '.join(dict.fromkeys(names))} {'was' if len({*names}) == 1 else 'were'} run "
        f"replica by replica: {reason}"
        for reason, names in losses.items()
    ]
    meddled = [
        f"{plugin} changed {', '.join(what)} when it was imported; put back before anything trained"
        for result in results
        for plugin, what in result.summary.get("meddled", {}).items()
    ]
    return list(dict.fromkeys([*notes, *looped, *meddled]))
