"""What a results folder holds: by key, by configuration, and of which code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lossbench.configuration import Configuration, digest
from lossbench.contract import UserError
from lossbench.results.folder import Result, described, head, merged, parts, read, refuse_renamed
from lossbench.results.sources import code_of_run, metrics_to_compute

OUTDATED = re.compile(r"[0-9a-f]{12}(-\d+)?")  # names of results of lossbench 0.1


def places(folder: Path) -> list[Path]:
    """Where the results of a folder are."""
    return [place for place in _all_places(folder) if not OUTDATED.fullmatch(place.name)]


def _all_places(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.glob("[!.]*/seeds.parquet"))


def outdated_note(folder: Path) -> str:
    """A line about results whose keys have another form, or nothing."""
    count = sum(bool(OUTDATED.fullmatch(place.name)) for place in _all_places(folder))
    if not count:
        return ""
    several = "s are" if count > 1 else " is"
    return (
        f"{count} result{several} of lossbench 0.1 in {folder}: keys have changed since, so they "
        "are neither compared nor continued. Delete them when you no longer need them."
    )


def by_key(folder: Path) -> list[list[Path]]:
    """Where the parts of each result of a folder are, in the order in which they were written."""
    keys: dict[str, list[Path]] = {}
    for place in sorted(places(folder), key=lambda place: (len(place.name), place.name)):
        keys.setdefault(place.name.partition("-")[0], []).append(place)
    return [keys[key] for key in sorted(keys)]


def by_configuration(folder: Path) -> list[list[Path]]:
    """The same, but where code in a file was changed only those of the code now, or the last."""
    in_time = sorted(by_key(folder), key=lambda p: (p[-1] / "seeds.parquet").stat().st_mtime_ns)
    alike: dict[str, list[list[Path]]] = {}
    for key in in_time:
        alike.setdefault(configured_at(key[-1]), []).append(key)
    return sorted(held[-1] if len(held) == 1 else _of_code_now(held) for held in alike.values())


def _of_code_now(held: Sequence[list[Path]]) -> list[Path]:
    """Of results of one configuration and several codes the one of the code now, or the last."""
    return max(enumerate(held), key=lambda each: (_is_current(each[1][-1]), each[0]))[1]


def everything(folder: Path) -> list[Result]:
    """Every result in a folder, its parts merged."""
    return [whole(parts) for parts in by_configuration(folder)]


def with_asked(result: Result) -> Result:
    """The result with all metrics that it is configured with; those that it lacks are noted."""
    if not (asked := metrics_to_compute(result.summary, result.config.metrics)):
        return result
    from lossbench.results.rescoring import with_metrics  # torch: slow to import, seldom wanted

    result = with_metrics(result, asked)
    if not (lacking := metrics_to_compute(result.summary, asked)):
        return result
    note = (
        f"metrics=[{','.join(lacking)}] cannot be computed from what is kept of "
        f"{result.config.loss.name}; --rerun trains it again."
    )
    notes = [*result.summary.get("notes", []), note]
    return replace(result, summary={**result.summary, "notes": notes})


def whole(parts: Sequence[Path]) -> Result:
    """The parts of a result as one; of changed code only what is of the code now, or was last."""
    same = [read(place) for place in parts]
    for place, result in zip(parts, same, strict=True):
        refuse_renamed(place, result.key)
    sources = [result.summary["sources"] for result in same]
    kept = sources[-1]
    if any(each != kept for each in sources):
        kept = sources[max(range(len(parts)), key=lambda i: (_is_current(parts[i]), i))]
    return merged([result for result in same if result.summary["sources"] == kept])


def configured_at(place: Path) -> str:
    """`configured` of a result in the folder."""
    config, summary = described(place)
    return configured(config, summary["numbers"])


def configured(config: Configuration, numbers: dict[str, Any]) -> str:
    """A digest of what a run is configured as, code by the name of its file, whatever is in it."""
    chosen = {k: {**numbers[k], "name": config.choice(k).name} for k in config.decisive_kinds}
    return digest({**numbers, **chosen})


def changed(configs: Sequence[Configuration], folder: Path) -> list[list[str]]:
    """For each the kinds of plugin whose code is another than when its last result was written."""
    last = {config.key: parts(folder, config.key) for config in configs}
    edited = {c.key: configured(c, c.numbers) for c in configs if c.has_files and not last[c.key]}
    if edited:  # code in a file is a part of the key
        before = {configured_at(held[-1]): held for held in by_configuration(folder)}
        last |= {key: before.get(configured, []) for key, configured in edited.items()}
    return [changed_kinds(c, head(last[c.key][-1])[0]) if last[c.key] else [] for c in configs]


def changed_kinds(config: Configuration, summary: Mapping[str, Any]) -> list[str]:
    """The kinds of plugin whose code is another now than when a result was written."""
    now = code_of_run(config, summary["task"])
    return [kind for kind, code in summary["sources"].items() if code != now.get(kind)]


def _is_current(place: Path) -> bool:
    """Whether a result is of the code that is there now; not where some of it is gone."""
    try:
        return not changed_kinds(*described(place))
    except UserError:
        return False
