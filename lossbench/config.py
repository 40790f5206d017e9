"""Command-line words and YAML -> validated configurations, by Hydra's composition and our schemas.

A configuration is a plain dict of sections. It holds names and values, never code.
"""

from __future__ import annotations

import copy
import difflib
import itertools
import json
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lossbench import registry
from lossbench.claims import Claim, read_claims
from lossbench.contract import UserError
from lossbench.nested import leaves, paths
from lossbench.registry import CHOICES
from lossbench.schema import (
    Faults,
    Kind,
    choices,
    convert,
    parameters_of_object,
    unknown_key,
    validate,
)
from lossbench.settings import SECTIONS, experiment_files, packaged
from lossbench.sources import FileSource, PluginSearchPath, hydra
from lossbench.strict import lines_of
from lossbench.words import axes_of, override_of, refuse_too_many, word_of

Config = dict[str, Any]
MOST_SEEDS = 100_000
LARGEST_SEED = 2**63 - 1
ALLOWED = ("seeds", *CHOICES, *SECTIONS)
ENVIRONMENT = "${oc.env:"
FROM_ENVIRONMENT = ("tracking.uri", "results.dir")  # elsewhere a secret could reach a result
EXPERIMENT = re.compile(r"\w[\w .,=+@-]{0,199}")  # a folder is named after it
PLAIN_REFERENCE = re.compile(r"\$\{(\w+)(?:\.\w+)*\}")


@dataclass(frozen=True)
class Experiment:
    """A question and what answers it, from `experiments/NAME/experiment.yaml`.

    sweeps: overrides of a sweep each, on top of those that all share; without any there is one.
    """

    name: str
    question: str = ""
    baseline: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    sweeps: list[dict[str, Any]] = field(default_factory=list)
    claims: tuple[Claim, ...] = ()


def read_experiment(name: str) -> Experiment:
    """The experiment of this name; UserError where there is none or its file is not lawful."""
    known = experiment_files()
    if name not in known:
        raise UserError(f"experiment={name}: there is no such experiment. {choices(name, known)}")
    content = _plain(known[name])
    allowed = [own.name for own in fields(Experiment) if own.name != "name"]
    for key in content:
        if key not in allowed:
            raise unknown_key(f"{known[name]}: {key}", key, allowed)
    for key, kind in (("question", Kind(str)), ("baseline", Kind(str, optional=True))):
        if key in content:
            convert(kind, content[key], f"{known[name]}: {key}")
    sweeps = content.get("sweeps", [])
    if not isinstance(sweeps, list) or not all(isinstance(sweep, dict) for sweep in sweeps):
        raise UserError(f"{known[name]}: sweeps: expected a list of mappings like `overrides`.")
    for given in (content.get("overrides", {}), *sweeps):
        for key, value in given.items():
            _refuse_unlisted(f"{known[name]}: {key}", value)
    claims = read_claims(content.pop("claims", []), str(known[name]))
    return Experiment(name, **content, claims=claims)


def _refuse_unlisted(place: str, value: Any) -> None:
    """UserError where an experiment gives a key neither a value nor a list of values."""
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(each, dict) for each in values):
        raise UserError(
            f"{place}: {json.dumps(value)}: expected a value, or a list of values; a key within a "
            "group is written with a dot, such as trainer.max_epochs: 5."
        )
    for each in values:
        if override_of(f"key={word_of(each)}").is_sweep_override():
            raise UserError(f"{place}: {each}: write several values as a list, such as [a, b].")


def _plain(file: Path) -> dict[str, Any]:
    lines_of(file)
    try:
        content = OmegaConf.to_container(OmegaConf.load(file))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{file}: {_one_line(error)}") from error
    assert isinstance(content, dict)
    if not isinstance(content.get("overrides", {}), dict):
        raise UserError(f"{file}: overrides: expected a mapping of keys to values.")
    return {str(key): value for key, value in content.items()}


def _one_line(error: BaseException) -> str:
    return (
        " ".join(str(error).split()).partition(" Config search path:")[0][:300]
        or type(error).__name__
    )


def configurations(
    overrides: Sequence[str],
    *,
    sweep: bool = False,
    config_dir: str | None = None,
    most: int | None = None,
) -> tuple[list[Config], Experiment | None]:
    """Every configuration that the words ask for, validated, without doubles.

    UserError where there would be more than `most`, before they are made.
    """
    words = [w for w in overrides if not w.startswith("experiment=")]
    named = [w.partition("=")[2] for w in overrides if w.startswith("experiment=")]
    experiment = read_experiment(named[-1]) if named else None
    with hydra(config_dir):
        every = [axes_of(fixed, words, sweep or bool(named)) for fixed in _sweeps(experiment)]
        refuse_too_many(every, most)
        composer = _Composer()
        configs = [
            composer.compose(run) for axes in every for run in itertools.product(*axes.values())
        ]
        composer.faults.tell()
    unique = {json.dumps(c, sort_keys=True): c for c in configs}
    return list(unique.values()), experiment


def _sweeps(experiment: Experiment | None) -> list[dict[str, Any]]:
    """The overrides of each sweep of an experiment; a single empty one without."""
    if experiment is None:
        return [{}]
    shared = {"tracking.experiment": experiment.name, **experiment.overrides}
    return [{**shared, **own} for own in experiment.sweeps or [{}]]


class _Composer:
    """Composes once for each distinct choice of groups; values are set on a copy."""

    def __init__(self) -> None:
        self.loader = GlobalHydra.instance().config_loader()
        self.groups = set(self.loader.list_groups(""))
        self.composed: dict[tuple[str, ...], Config] = {}
        self.faults = Faults()

    def compose(self, words: Sequence[str]) -> Config:
        """The configuration of these words, or an empty one and its faults among `faults`."""
        own, config = Faults(), {}
        with own.gathered():
            config = self._composed(words)
        given = {word.partition("=")[0].lstrip("+~") for word in words}
        for line, error in own.errors.items():
            self.faults.add(type(error)(_placed(line, given)))
        return config

    def _composed(self, words: Sequence[str]) -> Config:
        parsed = [override_of(word) for word in words]
        chosen = [o for o in parsed if self._is_choice(o)]
        key = tuple(str(o.input_line) for o in chosen)
        if key not in self.composed:
            self.composed[key] = self._compose(chosen)
        config, faults = copy.deepcopy(self.composed[key]), Faults()
        for override in parsed:
            if not self._is_choice(override):
                with faults.gathered():
                    _set(config, override)
        with faults.gathered():
            config = check(_resolve(config))
        faults.tell()
        return config

    def _is_choice(self, override: Override) -> bool:
        group = override.key_or_group
        return group in self.groups or "/" in group or group == "hydra"

    def _compose(self, chosen: Sequence[Override]) -> Config:
        faults = Faults()
        for override in chosen:
            with faults.gathered():
                if override.key_or_group not in (*CHOICES, *SECTIONS):
                    raise unknown_key(override.key_or_group, override.key_or_group, ALLOWED)
                self._known(override.key_or_group, override.value())
                _refuse_second(override)
        faults.tell()
        try:
            config = compose("config", [str(o.input_line) for o in chosen])
        except RecursionError:
            names = " ".join(str(override.input_line) for override in chosen)
            raise UserError(f"{names}: its defaults lead back to itself.") from None
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, UserError) else None
            raise cause or UserError(_one_line(error)) from error
        return OmegaConf.to_container(config)  # type: ignore[return-value]

    def _known(self, group: str, name: Any) -> None:
        options = self.loader.get_group_options(group)
        if name in options:
            _refuse_two_files(group, name)
            return
        if group in CHOICES and isinstance(name, str) and ":" in name:
            registry.find(group, name)
        else:
            file = Path(PluginSearchPath.user_folder or "", group, f"{name}.yml")
            if file.is_file():
                raise UserError(f"{group}={name}: rename {file} to {name}.yaml.")
            raise UserError(f"{group}={name}: there is no such {group}. {choices(name, options)}")


def _refuse_second(override: Override) -> None:
    """UserError where a choice would be added to the one that every run has."""
    if override.is_add() and not override.is_force_add():
        raise UserError(
            f"{override.input_line}: every run has a {override.key_or_group} already: write "
            f"{str(override.input_line).removeprefix('+')}."
        )


def _placed(line: str, given: Container[str]) -> str:
    """What is said of a key, with the file and line where it stands, unless it was given anew."""
    key = re.match(r"[\w.]*", line)[0]  # type: ignore[index]
    place = FileSource.places.get(key)
    return line if place is None or key in given else f"{place}: {line}"


def _refuse_two_files(group: str, name: Any) -> None:
    """UserError where two packages bring a file of this name, and nothing stands before them."""
    file, user = Path(group, f"{name}.yaml"), PluginSearchPath.user_folder
    before = [packaged("conf"), *([Path(user)] if user else [])]
    if any((folder / file).is_file() for folder in before):
        return
    if group in CHOICES and name in registry.names(group):
        return
    found = [f"{p} ({d / file})" for p, d in registry.config_folders() if (d / file).is_file()]
    if len(found) > 1:
        raise UserError(
            f"{group}={name} is ambiguous: {' and '.join(found)} both provide it.\n"
            "Copy one into a folder of your own and name that with --config-dir."
        )


def _set(config: Config, override: Override) -> None:
    """Set one value; UserError where the key is not there."""
    path = override.key_or_group.split(".")
    if len(path) == 2 and path[0] in CHOICES and path[1] == "name":
        raise UserError(f"{override.input_line}: choose with {path[0]}={override.value()}.")
    node: Any = config
    for i, key in enumerate(path):
        if not isinstance(node, dict) or key not in node:
            raise UserError(
                f"{'.'.join(path[: i + 1])}: there is no such key. {_meant(key, node, config)}"
            )
        if i == len(path) - 1:
            if isinstance(node[key], dict):
                raise UserError(
                    f"{override.input_line}: {'.'.join(path)} is a group of keys: "
                    f"{', '.join(node[key])}."
                )
            node[key] = override.value()
        else:
            node = node[key]


def _meant(key: str, node: Any, config: Config) -> str:
    """The nearest key: beside it, or for one at the top anywhere."""
    if node is config:
        last = {path.rpartition(".")[2]: path for path in paths(config)}
        close = difflib.get_close_matches(key, last, 1, 0.6)
        if close:
            return f"Did you mean {last[close[0]]}?"
    return choices(key, [k for k in node if k != "name"] if isinstance(node, dict) else [])


def _resolve(config: Config) -> Config:
    """The configuration with its references resolved, by OmegaConf where there are some."""
    for path, value in leaves(config):
        if ENVIRONMENT in str(value) and path not in FROM_ENVIRONMENT:
            raise UserError(
                f"{path}: only {' and '.join(FROM_ENVIRONMENT)} may come from the environment, so "
                "that no secret of it reaches a result. Give the value itself."
            )
    texts = {key: repr(value) for key, value in config.items()}
    using = {key: text for key, text in texts.items() if "${" in text}
    names = [name for text in using.values() for name in PLAIN_REFERENCE.findall(text)]
    if len(names) == sum(text.count("${") for text in using.values()):
        config, rest = {k: config[k] for k in config if k in using or k in names}, config
    else:
        rest = {}  # a reference of another form may mean any section
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error.msg or error).splitlines()[0]
        raise UserError(f"{error.full_key}: {reason}. Give the value itself.") from error
    return {**rest, **resolved}  # type: ignore[dict-item]


def check(config: Config) -> Config:
    """The configuration with every key known, every value typed and in its range."""
    faults, checked = Faults(), Config()
    for key in config:
        if key not in ALLOWED:
            faults.add(unknown_key(key, key, ALLOWED))
    with faults.gathered():
        checked["seeds"] = _seeds(config.get("seeds"))
    for kind in CHOICES:
        with faults.gathered():
            checked[kind] = _checked_choice(kind, config.get(kind))
    for section, record in SECTIONS.items():
        with faults.gathered():
            values = config.get(section, {})
            checked[section] = validate(parameters_of_object(record), values, section)
    for section, key, instead in (("results", "dir", "a folder"), ("tracking", "uri", "null")):
        if checked.get(section, {}).get(key) == "":
            faults.add(UserError(f"{section}.{key} is empty: give {instead}, or leave it out."))
    name = checked.get("tracking", {}).get("experiment", "it")
    if not EXPERIMENT.fullmatch(name):
        faults.add(
            UserError(
                f"tracking.experiment={name[:60]}: expected a name of at most 200 letters, digits, "
                "blanks and . , = + @ - _ that begins with a letter or digit."
            )
        )
    faults.tell()
    return checked


def _checked_choice(kind: str, given: Any) -> Config:
    """The values of a plugin, held against its signature."""
    values = dict(given) if isinstance(given, dict) else {}
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{kind}.name is missing: expected the name of a {kind}.")
    parameters = registry.parameters(registry.find(kind, name)[0])
    return {"name": name, **validate(parameters, values, kind)}


def _seeds(value: Any) -> list[int]:
    if type(value) is int and 1 <= value <= MOST_SEEDS:
        return list(range(value))
    whole = isinstance(value, list) and all(
        type(v) is int and 0 <= v <= LARGEST_SEED for v in value
    )
    if whole and 1 <= len(value) <= MOST_SEEDS and len(set(value)) == len(value):
        return value
    raise UserError(
        f"seeds={str(value)[:60]}: expected a count of at least 1 and at most {MOST_SEEDS}, or a "
        f"list of different whole numbers from 0 to {LARGEST_SEED}, such as seeds=20 or "
        "seeds=[3,7]."
    )
