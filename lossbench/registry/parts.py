"""Losses that are made of others: their values in full, and the others looked up.

A loss of another is written as its name, as a weight where its key is its name, or as a mapping
with name, weight and hyper-parameters; in full it has all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lossbench.contract import UserError
from lossbench.registry.hints import choices
from lossbench.registry.lookup import Plugin, Term, find, find_for_task, parameters
from lossbench.registry.schema import Faults, validate

OF_A_PART = ("name", "weight")


def losses_in(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The losses among a loss's values in full: `first` or `terms.dice`, and name, weight, values.

    >>> dict(losses_in({"terms": {"a": {"name": "dice", "weight": 1.0}}, "link": None}))
    {'terms.a': {'name': 'dice', 'weight': 1.0}}
    """
    for key, value in values.items():
        if _is_loss(value):
            yield key, value
        elif isinstance(value, dict):
            yield from ((f"{key}.{name}", each) for name, each in value.items() if _is_loss(each))


def _is_loss(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value and isinstance(value.get("weight"), float)


def in_words(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are shown: losses by their names, what they have by dotted keys.

    >>> in_words({"first": {"name": "focal", "weight": 0.5, "gamma": 1.0}, "start": 0.1})
    {'first': 'focal', 'first.weight': 0.5, 'first.gamma': 1.0, 'start': 0.1}
    """
    shown: dict[str, Any] = {}
    for key, value in values.items():
        parts = list(losses_in({key: value}))
        shown[key] = "+".join(given["name"] for _, given in parts) if parts else value
        for path, given in parts:
            own = {"weight": given["weight"], **in_words(values_of(given))}
            shown |= {f"{path.rpartition('.')[2]}.{name}": v for name, v in own.items()}
    return shown


def values_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters alone of a loss that another is made of."""
    return {key: value for key, value in given.items() if key not in OF_A_PART}


def is_made_of_losses(plugin: Plugin) -> bool:
    return any(p.kind.loss for p in parameters(plugin))


def complete(plugin: Plugin, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values as `validate` gives them, with those of each loss that they name."""
    known = [p for p in parameters(plugin) if not (where.count(".") and p.name in OF_A_PART)]
    checked, faults = validate(known, values, where), Faults()
    for p in (p for p in known if p.kind.loss):
        with faults.gathered():
            given, place = checked[p.name], f"{where}.{p.name}"
            checked[p.name] = (
                _complete(given, place)
                if p.kind.loss == "one"
                else {key: _complete(each, f"{place}.{key}") for key, each in given.items()}
            )
    faults.tell()
    return checked


def _complete(given: dict[str, Any], where: str) -> dict[str, Any]:
    plugin = find("loss", given["name"])[0]
    values = complete(plugin, values_of(given), where)
    return {**{key: given[key] for key in OF_A_PART}, **values}


def with_parts(plugin: Plugin, values: Mapping[str, Any], *tasks: str) -> Plugin:
    """The plugin with the losses that its values, in full, name for a task."""
    named = dict(losses_in(values)) if is_made_of_losses(plugin) else {}
    keys = [path.rpartition(".")[2] for path in named]
    link = values.get("link") if named else None
    if link is not None and link not in keys:
        raise UserError(f"loss.link={link}: expected one of the losses. {choices(link, keys)}")
    parts = tuple(
        Term(
            path,
            with_parts(find_for_task(given["name"], *tasks), values_of(given), *tasks),
            given["weight"],
            values_of(given),
            path.rpartition(".")[2] == link,
        )
        for path, given in named.items()
    )
    return replace(plugin, parts=parts)


def set_in_losses(section: dict[str, Any], path: Sequence[str], value: Any) -> bool:
    """Set a loss that this one is made of, or what is one's own; whether the path is of one."""
    kinds = {p.name: p.kind.loss for p in parameters(find("loss", str(section["name"]))[0])}
    node, (key, *rest) = section, path
    default: dict[str, Any] = {}
    if kinds.get(key) == "named" and rest:
        if not isinstance(node.get(key), dict):
            node[key] = {}
        node, (key, *rest) = node[key], rest
        default = {"name": key}
    elif not kinds.get(key):
        return False
    given = node.get(key, "???")
    if not isinstance(given, dict):
        given = {"name" if isinstance(given, str) else "weight": given} if given != "???" else {}
    if not rest:
        weighs = isinstance(value, int | float) and default
        node[key] = {**given, "weight": value} if weighs else value
        return True
    node[key] = given
    if len(rest) == 1:
        given[rest[0]] = value
        return True
    named = {**default, **given}
    if "name" not in named or not set_in_losses(named, rest, value):
        raise UserError(f"loss.{'.'.join(path)}: there is no such key.")
    node[key] = named
    return True
