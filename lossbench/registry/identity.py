"""What a plugin and its values are for the numbers: code and content, not names and places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossbench.contract import UserError
from lossbench.paths import expanded
from lossbench.registry import Plugin, known_as, parameters
from lossbench.registry.digests import code_digest, reach_of, strings_in, with_contents
from lossbench.registry.parts import values_of

# Models whose numbers are those of version 1, from before large ones were run seed by seed.
MAPPED = ("linear", "mlp", "tabular", "two_tower", "bilinear", "pair_scorer", "gru", "vae")
CALLS = 4  # of losses of libraries and files: raised where some are given another form of batch


def code_of(plugin: Plugin) -> str:
    """The digest of the code that decides a plugin's numbers, as this process first saw it.

    Of a library that no plugin of it is registered in, the version.
    """
    calls = f", calls {CALLS}" if plugin.foreign == "loss" else ""
    if plugin.library:
        return f"version {plugin.version.partition('+')[0]}{calls}"
    return code_digest(reach_of(plugin.module, plugin.attribute, plugin.package)) + calls


def not_looked_at(plugin: Plugin, values: Mapping[str, Any]) -> list[str]:
    """What decides a plugin's numbers, or might, and is in no digest: a line each."""
    if plugin.library:
        return []
    lines = list(reach_of(plugin.module, plugin.attribute, plugin.package).unseen)
    for p in parameters(plugin):
        for path in () if p.kind.names else strings_in(values.get(p.name)):
            if ("/" in path or "." in path) and expanded(path).exists():
                lines.append(
                    f"{p.name}={path} is there as a file, and not looked at; annotate {p.name} as "
                    "File or Folder of lossbench.contract"
                )
    return lines


def identity(kind: str, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a choice decides numbers: not how its name or a file's place is written.

    A plugin from a file is known by its code, files among the values by their content. What is not
    installed cannot be trained, and stays as it is.
    """
    try:
        plugins = known_as(kind, name)
    except UserError:
        plugins = ()
    if not plugins:
        return {"name": name, **values}
    plugin = plugins[0]
    called = plugin.name if plugin.package == "lossbench" else f"{plugin.package}:{plugin.name}"
    if plugin.package == "file":
        called = f"{plugin.attribute} of code {code_of(plugin)}"
    made_of = {p.name for p in parameters(plugin) if p.kind.loss}
    own = {name: value for name, value in values.items() if name not in made_of}
    parts = {name: _identity_of_part(values[name]) for name in made_of & values.keys()}
    version = {"numeric version": 2} if kind == "model" and called not in MAPPED else {}
    return {"name": called, **with_contents(parameters(plugin), own, kind), **parts, **version}


def _identity_of_part(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of a loss that another is made of, or of several by their keys."""
    if not isinstance(given.get("name"), str):
        return {key: _identity_of_part(each) for key, each in given.items()}
    known = identity("loss", given["name"], values_of(given))
    return {**known, "weight": given["weight"]}
