"""What an SQLite store shows already, read without MLflow, whose import takes seconds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from lossbench.configuration import digest
from lossbench.configuration.settings import store_address

SHOWN = """
SELECT key.value, content.value, runs.status
FROM runs JOIN experiments USING (experiment_id)
LEFT JOIN tags AS key ON key.run_uuid = runs.run_uuid AND key.key = 'lossbench.key'
LEFT JOIN tags AS content ON content.run_uuid = runs.run_uuid AND content.key = 'lossbench.content'
WHERE experiments.name = ? AND runs.lifecycle_stage = 'active'
"""


def digests(places: Sequence[Path]) -> tuple[str, str]:
    """The key of a result, and the digest of what all its parts hold."""
    summaries = [(place / "summary.yaml").read_text(encoding="utf-8") for place in places]
    return places[0].name.partition("-")[0], digest("".join(summaries))


def shows_all(uri: str, experiment: str, results: Iterable[Sequence[Path]]) -> bool:
    """Whether each of the results is shown, and no run is left to be closed.

    False as well where that cannot be told from a file.
    """
    file = Path(store_address(uri).removeprefix("sqlite:///"))
    if not file.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as store:
            runs = store.execute(SHOWN, [experiment]).fetchall()
    except sqlite3.Error:
        return False
    shown = {(key, content) for key, content, _ in runs}
    one_each = len({key for key, _, _ in runs}) == len(runs)
    idle = all(status != "RUNNING" for _, _, status in runs)
    return one_each and idle and {digests(places) for places in results} <= shown
