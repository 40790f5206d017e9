"""What the results of a comparison differ in besides the loss, in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lossbench.results import Result

VERSIONS = ("lossbench", "torch", "numpy", "scikit-learn")  # what numbers may depend on


def list_infinite(labelled: dict[str, Result], metric: str) -> list[str]:
    """A note on seeds that finished with an infinite score."""
    counts = {x: int(np.isinf(r.seeds[f"test/{metric}"]).sum()) for x, r in labelled.items()}
    listed = write_counts(counts)
    return [f"Infinite {metric}, which counts like divergence: {listed}."] if listed else []


def write_counts(counts: Mapping[str, int]) -> str:
    """Of which losses how many seeds: 2 of focal, 1 of poly; empty where there are none."""
    return ", ".join(f"{count} of {label}" for label, count in counts.items() if count > 0)


def list_versions(labelled: dict[str, Result]) -> list[str]:
    """A word of warning for each package of which the results have seen several versions."""
    notes = []
    for part in VERSIONS:
        held: dict[str, list[str]] = {}
        for label, result in labelled.items():
            held.setdefault(str(result.versions.get(part)), []).append(label)
        if len(held) > 1:
            listed = "; ".join(f"{version}: {', '.join(which)}" for version, which in held.items())
            notes.append(f"Trained with different {part}: {listed}. With --rerun they are alike.")
    return notes


def list_metrics(labelled: dict[str, Result]) -> list[str]:
    """A note on metrics that only some of the results have."""
    held = {label: set(result.summary["directions"]) for label, result in labelled.items()}
    missing = sorted(set.union(*held.values()) - set.intersection(*held.values()))
    if not missing:
        return []
    lacking = [label for label, names in held.items() if not names.issuperset(missing)]
    verb = "lacks" if len(lacking) == 1 else "lack"
    words = {n.rpartition(":")[2]: n for r in labelled.values() for n in r.config.metrics}
    listed = [f"{n} (--metric {words[n]})" if words.get(n, n) != n else n for n in missing]
    return [f"Metrics left out, because {', '.join(lacking)} {verb} them: {', '.join(listed)}."]
