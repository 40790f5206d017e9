"""What a plugin and its values are for the numbers: code and content, not names and places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench.contract import UserError
from lossbench.digests import code_digest, places_in, reach_of, with_contents
from lossbench.kinds import KINDS
from lossbench.registry import Plugin, find, parameters


def code_of(plugin: Plugin) -> str:
    """The digest of the code that decides a plugin's numbers, as this process first saw it."""
    return code_digest(reach_of(plugin.module, plugin.attribute, plugin.package))


def not_looked_at(plugin: Plugin) -> list[str]:
    """What decides the plugin's numbers, or might, and is not in the digest of its code."""
    return reach_of(plugin.module, plugin.attribute, plugin.package).unseen


def identity(kind: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a choice decides numbers: not how its name or a file's place is written.

    A plugin from a file is known by its code, files among the values by their content. What is not
    installed cannot be trained, and stays as it is.
    """
    try:
        plugin = find(kind, name)[0]
    except UserError:
        return {"name": name, **values}
    known_as = plugin.name if plugin.package == "lossbench" else f"{plugin.package}:{plugin.name}"
    if plugin.package == "file":
        known_as = f"{plugin.attribute} of code {code_of(plugin)}"
    return {"name": known_as, **with_contents(parameters(plugin), values, kind)}


def refuse_untrusted(choices: Mapping[str, Mapping[str, Any]], origin: str) -> None:
    """UserError where what came from elsewhere names code or files; imports and reads none of it.

    choices: kind -> the name and the values; origin: what named them, such as a results folder.
    """
    places = []
    for kind, values in choices.items():
        name = str(values["name"])
        if name.rpartition(":")[0].endswith(".py"):
            places.append(f"{kind}={name}")
        elif kind in KINDS:
            named = places_in(parameters(find(kind, name)[0]), values)
            places += [f"{kind}.{key}={path}" for key, paths in named.items() for path in paths]
    if places:
        raise UserError(
            f"{origin} names code or files: {', '.join(places)}.\n"
            "Read them first; give --trust to use them."
        )
