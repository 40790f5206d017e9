"""Which metrics of some results say what another one says already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from lossbench.results.folder import Result

FORMS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "1 - {}": lambda values: 1 - values,
    "exp({})": lambda values: np.exp(np.minimum(values, 700)),  # more is infinite
    "{} / 2": lambda values: values / 2,
}
CLOSE = 1e-5  # metrics are computed in single precision


def duplicates(results: Iterable[Result], primary: str) -> dict[str, str]:
    """Each metric that is a simple function of an earlier one on every seed, and which."""
    held = list(results)
    first, *others = (result.summary["directions"] for result in held)
    common = [name for name in first if all(name in other for other in others)]
    names = [primary, *(name for name in common if name != primary)]
    asked = {name.rpartition(":")[2] for result in held for name in result.config.metrics}
    values = {name: np.concatenate([r.seeds[f"test/{name}"] for r in held]) for name in names}
    kept: list[str] = []
    known: dict[str, str] = {}
    for name in names:
        forms = [
            form.format(other)
            for other in kept
            for form, function in FORMS.items()
            if _are_equal(values[name], function(values[other]))
        ]
        if forms and name not in asked:
            known[name] = forms[0]
        else:
            kept.append(name)
    return known


def _are_equal(first: np.ndarray, second: np.ndarray) -> bool:
    """On every seed, of which some differ: what is constant agrees by chance."""
    finite = np.isfinite(first)
    if len(np.unique(first[finite])) < 3 or (finite != np.isfinite(second)).any():
        return False
    return bool(np.allclose(first[finite], second[finite], rtol=CLOSE, atol=CLOSE))
