"""The axes of a sweep -> the words of each run; values for one loss alone do not multiply others.

`loss.focal.gamma=1,2` is of the runs with `loss=focal`; so for every kind of plugin. Of a plugin in
a file, `loss=mine.py:f`, the name is f.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lossbench import registry
from lossbench.configuration.composition import Axes, override_of, word_of
from lossbench.contract import UserError
from lossbench.registry.hints import choices
from lossbench.registry.kinds import CHOICES
from lossbench.registry.schema import convert, unknown_key

DefaultOf = Callable[[str], str]  # what is chosen for a kind where nothing else is
Runs = dict[str, list[tuple[str, ...]]]  # the words of an axis, for each of its places


def axes_of_yaml(fixed: dict[str, Any]) -> Axes:
    """Each key's overrides, one for each value of an experiment."""
    pairs = [(key, value if isinstance(value, list) else [value]) for key, value in fixed.items()]
    return {key: [f"{key}={word_of(value)}" for value in values] for key, values in pairs}


def check_names(
    keys: Iterable[str], sweeps: Sequence[Axes], default_of: DefaultOf, place: str = ""
) -> None:
    """UserError where a key names a plugin that no sweep chooses, or a parameter it has not.

    place: what stands before a key in the message, such as the file that has it.
    """
    for key in keys:
        if scope := _scope_of(key, sweeps, default_of):
            kind, name, parameter = scope
            chosen = [o for axes in sweeps for o in _options(kind, axes, default_of)]
            fitting = [option for option in chosen if _is_called(name, option)]
            if not fitting:
                names = {option.rpartition(":")[2] for option in chosen}
                raise UserError(
                    f"{place}{key}: {kind}={name} is not chosen. {choices(name, names)}"
                )
            for known in filter(None, (_parameters(kind, option) for option in fitting)):
                if parameter.partition(".")[0] not in known:
                    raise unknown_key(f"{place}{key}", parameter, known)
                if parameter in known:
                    _check_values(f"{place}{key}", known[parameter], _words_in(sweeps, key))


def _words_in(sweeps: Sequence[Axes], key: str) -> Iterator[str]:
    """The overrides of a key in all sweeps."""
    return (word for axes in sweeps for word in axes.get(key, ()))


def _check_values(place: str, parameter: registry.Parameter, words: Iterable[str]) -> None:
    """UserError, by the key as it was typed, where a value is not of the parameter's kind."""
    for word in words:
        value = override_of(word).value()
        if "${" not in str(value) and value != "???":
            convert(parameter.kind, value, place)


def expand(axes: Axes, default_of: DefaultOf) -> Runs:
    """Axes with values for one plugin alone joined to the choice of that plugin."""
    scopes = {key: scope for key in axes if (scope := _scope_of(key, [axes], default_of))}
    runs: Runs = {key: [(word,) for word in axes[key]] for key in axes if key not in scopes}
    for kind in dict.fromkeys(kind for kind, _, _ in scopes.values()):
        joined = []
        for chosen, option in _chosen(kind, axes, default_of):
            ways = [
                [word.replace(key, f"{kind}.{parameter}", 1) for word in axes[key]]
                for key, (of, name, parameter) in scopes.items()
                if of == kind and _is_called(name, option)
            ]
            joined += [(*chosen, *words) for words in itertools.product(*ways)]
        runs.pop(kind, None)
        runs[kind] = joined  # last: what is given for one goes before what is given for all
    return runs


def words_of(runs: Runs) -> Iterator[list[str]]:
    """The words of each run."""
    for places in itertools.product(*runs.values()):
        yield [word for words in places for word in words]


def refuse_too_many(sweeps: Sequence[Runs], most: int | None) -> None:
    """UserError where there would be more runs than `most`."""
    count = sum(math.prod(map(len, runs.values())) for runs in sweeps)
    if most is not None and count > most:
        swept = [(key, places) for runs in sweeps for key, places in runs.items() if places[1:]]
        long = ", ".join(f"{len(places)} of {key}" for key, places in swept)
        raise UserError(
            f"this asks for {count} runs or more ({long}), more than {most}. Give --yes to have "
            "them all; --dry-run says what they cost."
        )


def refuse_shared(axes: Axes, default_of: DefaultOf) -> None:
    """UserError where values are given for several plugins and only some have the parameter."""
    for key, words in axes.items():
        kind, _, parameter = key.partition(".")
        if kind not in CHOICES or not parameter:
            continue
        known = {o: _parameters(kind, o) for o in _options(kind, axes, default_of)}
        first = parameter.partition(".")[0]
        having = [option for option, names in known.items() if names and first in names]
        without = [option for option, names in known.items() if names is not None]
        without = [option for option in without if option not in having]
        if having and without:
            values = ",".join(word.partition("=")[2] for word in words)
            name = having[0].rpartition(":")[2]
            raise UserError(
                f"{key}: {kind}={without[0]} has no {first}. For one {kind} alone: "
                f"{kind}.{name}.{parameter}={values}."
            )


def _scope_of(
    key: str, sweeps: Sequence[Axes], default_of: DefaultOf
) -> tuple[str, str, str] | None:
    """Kind, plugin and parameter of a key that is of one plugin alone.

    `loss.terms.dice` is of no loss called terms where a loss that is chosen is made of terms.
    """
    kind, _, rest = key.lstrip("+").partition(".")
    name, _, parameter = rest.rpartition(".")
    if kind not in CHOICES or not name:
        return None
    options = [o for axes in sweeps for o in _options(kind, axes, default_of)]
    for option in options:
        known = _parameters(kind, option)
        made_of = [n for n, p in (known or {}).items() if p.kind.loss]
        for called in (option, option.rpartition(":")[2]):
            inner = rest.removeprefix(f"{called}.")
            if inner != rest and (known is None or inner.partition(".")[0] in made_of):
                return kind, called, inner
        if rest.partition(".")[0] in made_of or (known is None and not _is_called(name, option)):
            return None
    return kind, name, parameter


def _chosen(kind: str, axes: Axes, default_of: DefaultOf) -> list[tuple[tuple[str, ...], str]]:
    """The words that choose plugins of a kind, and what they choose; no word for the default."""
    if kind not in axes:
        return [((), default_of(kind))]
    return [((word,), str(override_of(word).value())) for word in axes[kind]]


def _options(kind: str, axes: Axes, default_of: DefaultOf) -> list[str]:
    return [option for _, option in _chosen(kind, axes, default_of)]


def _is_called(name: str, option: str) -> bool:
    return name in (option, option.rpartition(":")[2])


def _parameters(kind: str, option: str) -> Mapping[str, registry.Parameter] | None:
    """The keywords of a plugin by name; None for a preset, which is a plugin in a file of YAML."""
    if option not in registry.names(kind) and ":" not in option:
        return None
    plugin = registry.find(kind, option)[0]
    return {parameter.name: parameter for parameter in registry.parameters(plugin)}
