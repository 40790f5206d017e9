"""What a configuration is called among others: by what the others have otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lossbench.configuration.record import Configuration
from lossbench.nested import leaves
from lossbench.registry.parts import in_words


def labels(configs: Sequence[Configuration]) -> list[str]:
    """The loss of each, with the hyper-parameters and tuning budgets in which namesakes differ."""
    return [
        " ".join([loss, *budget])
        for loss, budget in zip(loss_labels(configs), budget_words(configs), strict=True)
    ]


def loss_labels(configs: Sequence[Configuration]) -> list[str]:
    """The loss of each, with the hyper-parameters in which namesakes differ."""
    namesakes: dict[str, list[dict[str, Any]]] = {}
    for config in configs:
        namesakes.setdefault(config.loss.name, []).append(_words_of_loss(config))
    varying = {name: _varying(values) for name, values in namesakes.items()}
    return [
        " ".join([c.loss.name, *_pairs(_words_of_loss(c), varying[c.loss.name])]) for c in configs
    ]


def _words_of_loss(config: Configuration) -> dict[str, Any]:
    """The hyper-parameters of a loss, and the unit that some are in."""
    return {**in_words(config.loss.values), "unit": config.task.unit}


def budget_words(configs: Sequence[Configuration]) -> list[list[str]]:
    """For each "tuned" where others are not, and the settings in which tuned ones differ."""
    budgets = [asdict(config.tune) for config in configs if config.tune.trials]
    varying, tuned = _varying(budgets), ["tuned"] if len(budgets) < len(configs) else []
    return [[*tuned, *_pairs(asdict(c.tune), varying)] if c.tune.trials else [] for c in configs]


def names(configs: Sequence[Configuration]) -> list[str]:
    """A name for each run: its loss, its dataset and all else in which they differ."""
    flat = [dict(leaves(config.shown_setting)) for config in configs]
    varying = [key for key in _varying(flat) if key != "dataset.name"]
    described = []
    for config, label, values in zip(configs, labels(configs), flat, strict=True):
        others = [f"{_short(key)}={values[key]}" for key in varying if key in values]
        described.append(", ".join([f"{label} on {config.dataset.name}", *others]))
    return described


def natural_order(label: str) -> list[tuple[float, str]]:
    """A sort key by which gamma=2 stands before gamma=10."""
    parts = re.split(r"(\d+(?:\.\d+)?)", label)
    return [(float(part), "") if i % 2 else (-1.0, part) for i, part in enumerate(parts)]


def _varying(mappings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same in all mappings that have them."""
    values: dict[str, set[str]] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            values.setdefault(key, set()).add(str(value))
    return [key for key, distinct in values.items() if len(distinct) > 1]


def _pairs(values: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """key=value for each of the keys that has a value."""
    return [f"{key}={values[key]}" for key in keys if values.get(key) is not None]


def _short(key: str) -> str:
    """optimizer.lr -> lr; model.name -> model."""
    section, _, name = key.rpartition(".")
    return section if name == "name" else name
