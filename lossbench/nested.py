"""Configurations as nested dicts, by dotted keys such as `corruption.ratio`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key that holds a value, with the value.

    >>> list(leaves({"seeds": 3, "loss": {"name": "focal"}}))
    [('seeds', 3), ('loss.name', 'focal')]
    """
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def dotted_keys(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every dotted key, of sections too."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from dotted_keys(value, f"{prefix}{key}.")


def value_under(node: Mapping[str, Any], key: str, absent: Any) -> Any:
    """What stands under a dotted key, or absent; a section is known by its plugin's name.

    >>> value_under({"loss": {"name": "focal", "gamma": 2.0}}, "loss", None)
    'focal'
    """
    value: Any = node
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return absent
        value = value[part]
    return value.get("name", value) if isinstance(value, Mapping) else value
